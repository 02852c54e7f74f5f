//! Tasks of a scope of which more is said: a name, a priority, a token.
#![forbid(unsafe_code)]

use super::scope::Scope;
use crate::Priority;
use crate::engine::job::JobRef;
use crate::job::{CancelToken, run_task};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

impl<'scope> Scope<'scope> {
    /// Names a task, to say more of it before it is spawned: for logs ([`task_name`]), to put it
    /// before others, to cancel it. A plain [`spawn`](Scope::spawn) pays nothing for that.
    ///
    /// [`task_name`]: crate::task_name
    ///
    /// ```
    /// use windlass::{CancelToken, Priority};
    ///
    /// let (mut sum, mut skipped, token) = (0, true, CancelToken::new());
    /// token.cancel();
    /// windlass::scope(|s| {
    ///     s.job("sum").priority(Priority::High).spawn(|_| sum = (1..=10).sum());
    ///     s.job("of no use").cancel_token(&token).spawn(|_| skipped = false);
    /// });
    /// assert!(sum == 55 && skipped);
    /// ```
    pub fn job(&self, name: impl Into<Cow<'static, str>>) -> TaskBuilder<'_, 'scope> {
        TaskBuilder { scope: self, name: name.into(), priority: Priority::Normal, token: None }
    }
}

/// A task of a scope that is about to be spawned. See [`Scope::job`].
#[must_use = "a task runs only when it is spawned"]
pub struct TaskBuilder<'a, 'scope> {
    scope: &'a Scope<'scope>,
    name: Cow<'static, str>,
    priority: Priority,
    token: Option<CancelToken>,
}

impl<'scope> TaskBuilder<'_, 'scope> {
    /// Puts the task before those of a lower priority that this scope has queued; plain ones are
    /// `Normal`. Among the work of the pool it has the priority of what the scope belongs to.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Cancels the task with the token: if it has not started, it never does, and its closure is
    /// dropped; else its loops and forks end, and it with them, as in [`CancelToken::run`]. That is
    /// no panic. What it has spawned goes on.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// As [`Scope::spawn`].
    pub fn spawn(self, f: impl FnOnce(&Scope<'scope>) + Send + 'scope) {
        let TaskBuilder { scope, name, priority, token } = self;
        let level = (priority != Priority::Normal).then(|| priority.level());
        scope.spawn_at(level, move |scope| run_task(&name, token.as_ref(), || f(scope)));
    }
}

impl fmt::Debug for TaskBuilder<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskBuilder")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// Queued tasks that have a level of their own, which is not `Normal`: the oldest of the highest
/// first.
#[derive(Default)]
pub(super) struct Ranked(BTreeMap<u8, VecDeque<JobRef>>);

impl Ranked {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, level: u8, task: JobRef) {
        self.0.entry(level).or_default().push_back(task);
    }

    /// The next one; without plain ones, also if it comes after those.
    pub(super) fn pop(&mut self, without_plain: bool) -> Option<JobRef> {
        let mut first = self.0.first_entry()?;
        if !without_plain && *first.key() > Priority::Normal.level() {
            return None;
        }
        let task = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        task
    }
}
