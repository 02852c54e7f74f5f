//! Fallible jobs: what may be said of them beyond their policy, and how they get into a pool.
#![forbid(unsafe_code)]

use super::admit::Door;
use super::attempt::{Attempts, Step, Tries};
use super::board::JobId;
use super::builder::JobBuilder;
use super::cx::JobCx;
use super::handle::JobHandle;
use super::outcome::{JobError, JobOutcome, SubmitError};
use super::record::{Record, Recorded};
use super::retry_handle::{Ended, RetryHandle};
use super::submit::rejected;
use crate::engine::unwind;
use crate::policy::{GiveUp, Moment, Progress, RetryPolicy, Transience, seed_of};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A [`RetryPolicy`], and what depends on the type of what is retried: which errors are worth it, and
/// whom to tell.
///
/// It is a handle: clones are cheap and share everything, so for many jobs make it once. A policy by
/// itself is one in which every error is worth it.
///
/// The closures are called by the worker that runs the attempt, and should be quick. Those that only
/// hear of something (`before_attempt`, `on_retry`, `on_give_up`) may panic: that is caught, and
/// changes nothing. If one that decides panics, the job panics.
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use std::time::Duration;
/// use windlass::{Pool, Retry, RetryPolicy};
///
/// let retry = Retry::new(RetryPolicy::fixed(Duration::from_millis(1)).attempts(5))
///     .retry_if(|error: &Error| error.kind() == ErrorKind::Interrupted)
///     .on_retry(|failed, delay| eprintln!("{}: again in {delay:?}", failed.error().unwrap()));
/// let pool = Pool::new(1)?;
/// let job = pool.job("read").retry(&retry).submit_fallible(|cx| match cx.attempt() {
///     1 => Err(Error::from(ErrorKind::Interrupted)),
///     _ => Ok("text"),
/// });
/// assert_eq!(job.wait().unwrap(), "text");
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[must_use]
pub struct Retry<T, E>(Arc<Rules<T, E>>);

type Words<E> = Arc<dyn Fn(&E) -> String + Send + Sync>;
type Before = Arc<dyn Fn(&JobCx) + Send + Sync>;
type Judge<R> = Arc<dyn Fn(&R) -> Transience + Send + Sync>;
type Hook<E, W> = Arc<dyn Fn(&FailedAttempt<'_, E>, W) + Send + Sync>;

struct Rules<T, E> {
    policy: RetryPolicy,
    judge_error: Option<Judge<E>>,
    judge_value: Option<Judge<T>>,
    describe: Option<Words<E>>,
    before_attempt: Option<Before>,
    on_retry: Option<Hook<E, Duration>>,
    on_give_up: Option<Hook<E, GiveUp>>,
}

/// An attempt that has failed, as the closures of [`Retry`] are told of it.
pub struct FailedAttempt<'a, E> {
    job: JobId,
    name: Option<&'a str>,
    attempt: u32,
    error: Option<&'a E>,
}

impl<E> FailedAttempt<'_, E> {
    /// The job's number in its pool.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The name that the job was given.
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// Which attempt it was, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What it failed with. `None` if it panicked, or has returned a value that was
    /// [not good enough](Retry::retry_ok_if).
    pub fn error(&self) -> Option<&E> {
        self.error
    }
}

impl<E: fmt::Debug> fmt::Debug for FailedAttempt<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedAttempt")
            .field("job", &self.job)
            .field("name", &self.name)
            .field("attempt", &self.attempt)
            .field("error", &self.error)
            .finish()
    }
}

impl<T, E> Retry<T, E> {
    /// Retries by a policy, whatever the error.
    pub fn new(policy: RetryPolicy) -> Self {
        Retry(Arc::new(Rules {
            policy,
            judge_error: None,
            judge_value: None,
            describe: None,
            before_attempt: None,
            on_retry: None,
            on_give_up: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Rules<T, E>)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Retries only errors of which this is true; all others are
    /// [permanent](Transience::Permanent). The last one of this and [`classify`](Self::classify)
    /// counts.
    pub fn retry_if(self, is_transient: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.classify(move |error| transience(is_transient(error)))
    }

    /// Has each error judged: whether it is worth another attempt, and perhaps when. For errors that
    /// know themselves: `classify(Retryable::transience)`.
    pub fn classify(self, judge: impl Fn(&E) -> Transience + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.judge_error = Some(Arc::new(judge)))
    }

    /// Retries an `Ok` of which this is true, too: a response that says "come back later". When no
    /// attempts are left the job completes with the last such value.
    pub fn retry_ok_if(self, is_transient: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.classify_ok(move |value| transience(is_transient(value)))
    }

    /// As [`classify`](Self::classify), for values. Without this, none is retried.
    pub fn classify_ok(self, judge: impl Fn(&T) -> Transience + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.judge_value = Some(Arc::new(judge)))
    }

    /// How errors are put into words in the [history](RetryPolicy::history), which keeps no errors:
    /// `describe(ToString::to_string)`.
    pub fn describe(self, words: impl Fn(&E) -> String + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.describe = Some(Arc::new(words)))
    }

    /// Has this called before each attempt, also before the first.
    pub fn before_attempt(self, hook: impl Fn(&JobCx) + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.before_attempt = Some(Arc::new(hook)))
    }

    /// Has this called when a failed attempt is going to be followed by another one, with the delay
    /// that the job will wait. Not after the last one, nor if the job has been cancelled.
    pub fn on_retry<F>(self, hook: F) -> Self
    where
        F: Fn(&FailedAttempt<'_, E>, Duration) + Send + Sync + 'static,
    {
        self.with(|rules| rules.on_retry = Some(Arc::new(hook)))
    }

    /// Has this called when a failed attempt is not followed by another one, with the reason. Once a
    /// job at most, and not if the job ends in another way.
    pub fn on_give_up<F>(self, hook: F) -> Self
    where
        F: Fn(&FailedAttempt<'_, E>, GiveUp) + Send + Sync + 'static,
    {
        self.with(|rules| rules.on_give_up = Some(Arc::new(hook)))
    }

    /// The policy.
    pub fn policy(&self) -> &RetryPolicy {
        &self.0.policy
    }
}

fn transience(is_transient: bool) -> Transience {
    if is_transient { Transience::Transient } else { Transience::Permanent }
}

impl<T, E> Clone for Retry<T, E> {
    fn clone(&self) -> Self {
        Retry(Arc::clone(&self.0))
    }
}

impl<T, E> Clone for Rules<T, E> {
    fn clone(&self) -> Self {
        Rules {
            policy: self.policy.clone(),
            judge_error: self.judge_error.clone(),
            judge_value: self.judge_value.clone(),
            describe: self.describe.clone(),
            before_attempt: self.before_attempt.clone(),
            on_retry: self.on_retry.clone(),
            on_give_up: self.on_give_up.clone(),
        }
    }
}

impl<T, E> Default for Retry<T, E> {
    fn default() -> Self {
        Retry::new(RetryPolicy::default())
    }
}

impl<T, E> From<RetryPolicy> for Retry<T, E> {
    fn from(policy: RetryPolicy) -> Self {
        Retry::new(policy)
    }
}

impl<T, E> From<&Retry<T, E>> for Retry<T, E> {
    fn from(retry: &Retry<T, E>) -> Self {
        retry.clone()
    }
}

impl<T, E> fmt::Debug for Retry<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

impl<'a> JobBuilder<'a> {
    /// Has the job tried again when it fails, by a [`RetryPolicy`] or a [`Retry`]. Said last, before
    /// [`submit_fallible`](RetryBuilder::submit_fallible).
    ///
    /// While it waits for its next attempt the job holds no worker. It keeps its number; its limits
    /// in time count from its submission, but for [`run_timeout`](JobBuilder::run_timeout), which
    /// counts for each attempt; an attempt that runs so long ends the job.
    /// When its delay is over, the job goes to the end of its lane, as one that somebody else submits
    /// at that time; but it is never refused, however full the pool is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{GiveUp, Pool, RetryError, RetryPolicy};
    ///
    /// let pool = Pool::new(2)?;
    /// let policy = RetryPolicy::fixed(Duration::from_millis(1)).attempts(2);
    /// let job = pool.job("ping").retry(policy).submit_fallible(|_| Err::<(), _>("no route"));
    /// match job.wait() {
    ///     Err(RetryError::Failed(failed)) => {
    ///         assert_eq!((*failed.error(), failed.attempts()), ("no route", 2));
    ///         assert_eq!(failed.reason(), GiveUp::Attempts);
    ///     }
    ///     other => unreachable!("{other:?}"),
    /// }
    /// assert_eq!(pool.job_counts().failed, 1);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn retry<T, E>(self, retry: impl Into<Retry<T, E>>) -> RetryBuilder<'a, T, E> {
        RetryBuilder { job: self, retry: retry.into() }
    }

    /// Submits a job that may fail, and is not tried again: [`retry`](Self::retry) with
    /// [`RetryPolicy::never`].
    ///
    /// With [`submit`](Self::submit), a closure that returns an `Err` has completed. Here it has
    /// [failed](crate::JobOutcome::Failed): jobs that wait [for its completion](Self::after) are
    /// skipped, and the pool counts it as failed.
    ///
    /// ```
    /// use windlass::{JobOutcome, Pool};
    ///
    /// let pool = Pool::new(1)?;
    /// let parse = pool.job("parse").submit_fallible(|_| "x".parse::<u32>());
    /// let job = parse.job_ref();
    /// assert!(parse.wait().is_err());
    /// assert_eq!(job.outcome(), Some(JobOutcome::Failed));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn submit_fallible<T, E, F>(self, f: F) -> RetryHandle<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    {
        self.retry(RetryPolicy::never()).submit_fallible(f)
    }
}

/// A job that is about to be submitted, and is tried again when it fails: see [`JobBuilder::retry`].
#[must_use = "a job runs only when it is submitted"]
pub struct RetryBuilder<'a, T, E> {
    job: JobBuilder<'a>,
    retry: Retry<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> RetryBuilder<'_, T, E> {
    /// Submits the job. It has succeeded when `f` returns `Ok`; `f` sees its job, and with it
    /// [which attempt](JobCx::attempt) this is and [by when](JobCx::deadline) it must be done.
    ///
    /// If the pool has begun to shut down, `f` is dropped, and the handle says
    /// [`Rejected`](crate::JobError::Rejected).
    ///
    /// # Blocking
    /// As [`Pool::submit`](crate::Pool::submit).
    pub fn submit_fallible<F>(self, f: F) -> RetryHandle<T, E>
    where
        F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    {
        let registry = self.job.registry();
        let handle = match self.accept::<AsEnded, F>(f, Door::AsUsual) {
            Ok(handle) => handle,
            Err(error) => rejected(registry, error),
        };
        RetryHandle::new(handle)
    }

    /// As [`submit_fallible`](Self::submit_fallible), if there is room now, and else gives the closure
    /// back.
    ///
    /// # Errors
    /// As [`Pool::try_submit`](crate::Pool::try_submit).
    ///
    /// # Blocking
    /// Never.
    pub fn try_submit_fallible<F>(self, f: F) -> Result<RetryHandle<T, E>, SubmitError<F>>
    where
        F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    {
        match self.accept::<AsEnded, F>(f, Door::Now) {
            Ok(handle) => Ok(RetryHandle::new(handle)),
            Err(error) => Err(error.map(|Tries(call)| call.f)),
        }
    }

    /// As `submit_fallible`, with a result of another kind; a closure that is refused comes back.
    pub(crate) fn submit_as<O, F>(self, f: F) -> Result<JobHandle<O::Output>, SubmitError<F>>
    where
        O: EndsAs<T, E>,
        F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    {
        let accepted = self.accept::<O, F>(f, Door::AsUsual);
        accepted.map_err(|error| error.map(|Tries(call)| call.f))
    }

    #[allow(clippy::type_complexity, reason = "what a submission returns")]
    fn accept<O, F>(
        self,
        f: F,
        door: Door,
    ) -> Result<JobHandle<O::Output>, SubmitError<Tries<Fallible<T, E, F, O>>>>
    where
        O: EndsAs<T, E>,
        F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    {
        let RetryBuilder { job, retry } = self;
        let policy = &retry.0.policy;
        let record = Record::new(policy.is_timed(), policy.num_remembered());
        let progress = Progress::default();
        let call = Tries(Fallible { f, retry, progress, marker: PhantomData });
        job.accept_with(call, door, |extra| Recorded { extra, record })
    }
}

impl<T, E> fmt::Debug for RetryBuilder<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBuilder").field("job", &self.job).field("retry", &self.retry).finish()
    }
}

/// What becomes of the end of a fallible job.
pub(crate) trait EndsAs<T, E>: 'static {
    type Output: Send + 'static;
    fn end(ended: Ended<T, E>) -> Self::Output;
}

/// It stays as it is.
struct AsEnded;

impl<T: Send + 'static, E: Send + 'static> EndsAs<T, E> for AsEnded {
    type Output = Ended<T, E>;
    fn end(ended: Ended<T, E>) -> Ended<T, E> {
        ended
    }
}

/// A closure, and what decides whether it is called again.
struct Fallible<T, E, F, O> {
    f: F,
    retry: Retry<T, E>,
    progress: Progress,
    marker: PhantomData<fn() -> O>,
}

impl<T, E, F, O> Attempts for Fallible<T, E, F, O>
where
    T: Send + 'static,
    E: Send + 'static,
    F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    O: EndsAs<T, E>,
{
    type Output = O::Output;

    fn attempt(&mut self, cx: &JobCx) -> Step<Self::Output> {
        let Fallible { f, retry, progress, .. } = self;
        let (rules, attempt) = (&*retry.0, cx.attempt());
        if attempt == 1 {
            rules.policy.begin(cx.now());
        }
        if let Some(hook) = &rules.before_attempt {
            isolated(|| hook(cx));
        }
        let result = f(cx);
        let (now, record) = (cx.now(), cx.raw().record());
        let failure = match &result {
            Ok(value) => rules.judge_value.as_ref().map(|judge| judge(value)),
            Err(error) => Some(match &rules.judge_error {
                Some(judge) => judge(error),
                None => Transience::Transient,
            }),
        };
        if let Some(record) = record.filter(|record| record.remembers()) {
            let words = result.as_ref().err().zip(rules.describe.as_ref());
            record.note(now, words.map(|(error, words)| words(error).into_boxed_str()));
        }
        let failure = match (failure, result) {
            // One that is good enough, or as good as it gets.
            (None | Some(Transience::Permanent), Ok(value)) => {
                return Step::End(JobOutcome::Completed, O::end(Ok(value)));
            }
            (Some(failure), result) => (failure, result),
            (None, Err(_)) => unreachable!("an error is judged"),
        };
        let (failure, result) = failure;
        if result.is_err()
            && let Err(cancelled) = cx.checkpoint()
        {
            unwind::drop_quietly(result);
            return Step::Stopped(cancelled);
        }
        let failed = failed(cx, result.as_ref().err());
        match rules.again(progress, failure, cx, now) {
            Ok(delay) => {
                if let Some(hook) = &rules.on_retry {
                    isolated(|| hook(&failed, delay));
                }
                unwind::drop_quietly(result);
                Step::Again(delay)
            }
            Err(reason) => {
                if let Some(hook) = &rules.on_give_up {
                    isolated(|| hook(&failed, reason));
                }
                match result {
                    Ok(value) => Step::End(JobOutcome::Completed, O::end(Ok(value))),
                    Err(error) => Step::End(JobOutcome::Failed, O::end(Err((error, reason)))),
                }
            }
        }
    }

    fn panicked(&mut self, cx: &JobCx, panic: &JobError) -> Option<Duration> {
        let Fallible { retry, progress, .. } = self;
        let (rules, now) = (&*retry.0, cx.now());
        if let Some(record) = cx.raw().record().filter(|record| record.remembers()) {
            record.note(now, Some(panic.to_string().into_boxed_str()));
        }
        if !rules.policy.retries_panics() || cx.is_cancelled() {
            return None;
        }
        let failed = failed(cx, None);
        match rules.again(progress, Transience::Transient, cx, now) {
            Ok(delay) => {
                if let Some(hook) = &rules.on_retry {
                    isolated(|| hook(&failed, delay));
                }
                Some(delay)
            }
            Err(reason) => {
                if let Some(hook) = &rules.on_give_up {
                    isolated(|| hook(&failed, reason));
                }
                None
            }
        }
    }
}

fn failed<'a, E>(cx: &'a JobCx, error: Option<&'a E>) -> FailedAttempt<'a, E> {
    FailedAttempt { job: cx.id(), name: cx.name(), attempt: cx.attempt(), error }
}

/// What hears of something may panic, and that is all.
fn isolated(hook: impl FnOnce()) {
    if let Err(payload) = unwind::catch(hook) {
        unwind::drop_quietly(payload);
    }
}

impl<T, E> Rules<T, E> {
    /// The delay before the next attempt, which is taken out of the budget.
    fn again(
        &self,
        progress: &mut Progress,
        failure: Transience,
        cx: &JobCx,
        now: Instant,
    ) -> Result<Duration, GiveUp> {
        let begun = cx.raw().record().and_then(Record::begun).unwrap_or(now);
        let (attempt, deadline) = (cx.attempt(), cx.deadline());
        let seed = seed_of(cx.id().get());
        let at = Moment { attempt, now, begun, deadline, seed };
        let delay = self.policy.next(progress, failure, &at)?;
        self.policy.spend(now)?;
        Ok(delay)
    }
}
