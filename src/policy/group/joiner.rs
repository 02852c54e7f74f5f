//! What a wait is for: how the ends of the members add up to one result.

use super::error::{Failure, GroupError, GroupErrorKind, MemberError};
use crate::job::{JobId, JobRef};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A member that has ended, and its result, handed out once.
#[derive(Debug)]
pub struct Ended<T> {
    pub(super) index: u64,
    pub(super) job: JobRef,
    /// What it has brought.
    pub result: Result<T, MemberError>,
}

impl<T> Ended<T> {
    /// Its number in the group, from 0, in the order of submission.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its number in the pool.
    pub fn id(&self) -> JobId {
        self.job.id()
    }

    /// Its name, behind that of the group.
    pub fn name(&self) -> Option<&str> {
        self.job.name()
    }

    fn split(self) -> Result<(u64, T), Failure> {
        let Ended { index, job, result } = self;
        result.map(|value| (index, value)).map_err(|error| Failure::new(index, job, error))
    }
}

/// When a wait is to look what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Until {
    /// So many members have ended whose results nobody has taken.
    Ends(usize),
    /// As [`Ends`](Until::Ends), counting only those that have completed and not failed.
    Successes(usize),
    /// All members have ended, those of nested groups too. Every wait is over then.
    AllEnded,
    /// That member has ended.
    #[doc(hidden)]
    Gone(u64),
}

/// How a wait has ended, and what of that the results do not tell.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finish {
    /// Why it ends.
    pub end: JoinEnd,
    /// Members that have not completed, whose results are their handles', so that
    /// [`Joiner::ended`] has not seen them; the first 64.
    pub elsewhere: Vec<Failure>,
    pub(super) group: Arc<str>,
}

/// Why a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JoinEnd {
    /// All members have ended, and the joiner has seen all results.
    AllEnded,
    /// The joiner has what it needs. The rest has been cancelled.
    Enough,
    /// The time was up.
    TimedOut,
    /// The caller is a member of the group, which cannot wait for its own end.
    FromInside,
}

impl Finish {
    /// The name of the group.
    pub fn group(&self) -> &str {
        &self.group
    }

    fn error(mut self, mut failures: Vec<Failure>) -> GroupError {
        failures.append(&mut self.elsewhere);
        let kind = match self.end {
            JoinEnd::AllEnded | JoinEnd::Enough => GroupErrorKind::Failed,
            JoinEnd::TimedOut => GroupErrorKind::TimedOut,
            JoinEnd::FromInside => GroupErrorKind::FromInside,
        };
        GroupError::new(self.group, kind, failures)
    }
}

/// What a [wait](crate::GroupHandle::wait) is for: sees each member that has ended, in the order of
/// the ends, on the waiting thread; says when it has enough, which cancels the rest; and makes the
/// result. [`Join`] makes those that are there.
///
/// ```
/// use std::ops::ControlFlow;
/// use windlass::Pool;
/// use windlass::group::{Ended, Finish, Joiner};
///
/// /// Collects until there is enough of it.
/// struct Budget {
///     left: u32,
///     taken: Vec<u32>,
/// }
///
/// impl Joiner<u32> for Budget {
///     type Output = Vec<u32>;
///     fn ended(&mut self, member: Ended<u32>) -> ControlFlow<()> {
///         let Ok(cost) = member.result else { return ControlFlow::Continue(()) };
///         self.taken.push(cost);
///         self.left = self.left.saturating_sub(cost);
///         if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
///     }
///     fn finish(self, _: Finish) -> Vec<u32> {
///         self.taken
///     }
/// }
///
/// let pool = Pool::new(2)?;
/// let group = pool.group("offers").open();
/// for _ in 0..10 {
///     group.submit(|| 30)?;
/// }
/// assert_eq!(group.wait(Budget { left: 100, taken: Vec::new() }), [30; 4]);
/// assert!(group.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Joiner<T> {
    /// What the wait returns.
    type Output;

    /// When to look next: the thread is woken then, and not before. It may see more at once.
    fn until(&self) -> Until {
        Until::Ends(1)
    }

    /// Whether it can do with what has ended when the time is up. If not, results that it has not
    /// seen are left for another wait.
    fn takes_part(&self) -> bool {
        true
    }

    /// A member has ended. `Break`: that is enough, the others are cancelled.
    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()>;

    /// The wait is over.
    fn finish(self, finish: Finish) -> Self::Output;
}

/// The joiners that are there: `group.wait(Join::all())`.
#[derive(Clone, Copy, Debug)]
pub struct Join;

impl Join {
    /// Waits until all have ended; gives all results in the order of submission, or the failures.
    ///
    /// In a group that [fails fast](crate::group::GroupBuilder::fail_fast) the first failure cancels
    /// the others; what still runs is waited for. When the time is up, nothing is lost: one can wait
    /// again. A member that was cancelled has no result, and so is a failure here.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("squares").open();
    /// for n in 0..5_u32 {
    ///     group.submit(move || n * n)?;
    /// }
    /// assert_eq!(group.wait(Join::all())?, [0, 1, 4, 9, 16]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn all<T>() -> All<T> {
        All(Gathered::new())
    }

    /// Waits for the first that ends, in whatever way, and cancels the others. `None`: there is none.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(1)?;
    /// let group = pool.group("race").open();
    /// group.submit(|| "ready")?;
    /// let first = group.wait(Join::any()).unwrap();
    /// assert_eq!((first.index(), first.result?), (0, "ready"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn any<T>() -> Any<T> {
        Any(None)
    }

    /// Waits for the first that succeeds, and cancels the others; gives the failures if none does.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("mirrors").open();
    /// group.submit(|| -> u32 { panic!("down") })?;
    /// group.submit(|| 42)?;
    /// assert_eq!(group.wait(Join::first_ok())?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first_ok<T>() -> FirstOk<T> {
        FirstOk(Self::first_n(1))
    }

    /// Waits until so many have succeeded, and cancels the others; gives those results in the order
    /// of the ends, or the failures if fewer succeed.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("quorum").open();
    /// for node in 0..3 {
    ///     group.submit_fallible(move || if node == 0 { Err("down") } else { Ok(node) })?;
    /// }
    /// let mut votes = group.wait(Join::first_n(2))?;
    /// votes.sort();
    /// assert_eq!(votes, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first_n<T>(n: usize) -> FirstN<T> {
        FirstN { n, gathered: Gathered::new() }
    }

    /// Waits until all have ended, and gives what each has brought, in the order of submission; when
    /// the time is up, of those that have ended.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("checks").open();
    /// group.submit(|| 1)?;
    /// group.submit(|| panic!("bad"))?;
    /// let ended = group.wait(Join::collect());
    /// assert!(ended[0].result.is_ok() && ended[1].result.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn collect<T>() -> Collect<T> {
        Collect(Vec::new())
    }

    /// Waits until all have ended, or the time is up, and puts what they have brought together, in
    /// the order of the ends.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("sum").open();
    /// for n in 1..=10_u32 {
    ///     group.submit(move || n)?;
    /// }
    /// let sum = group.wait(Join::fold(0, |sum, member| sum + member.result.unwrap_or(0)));
    /// assert_eq!(sum, 55);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fold<T, A, F: FnMut(A, Ended<T>) -> A>(start: A, f: F) -> Fold<A, F> {
        Fold { so_far: Some(start), f }
    }
}

#[derive(Debug)]
struct Gathered<T> {
    values: Vec<(u64, T)>,
    failures: Vec<Failure>,
}

impl<T> Gathered<T> {
    fn new() -> Self {
        Gathered { values: Vec::new(), failures: Vec::new() }
    }

    fn add(&mut self, member: Ended<T>) {
        match member.split() {
            Ok(value) => self.values.push(value),
            Err(failure) => self.failures.push(failure),
        }
    }

    fn into_values(self) -> Vec<T> {
        self.values.into_iter().map(|(_, value)| value).collect()
    }
}

/// See [`Join::all`].
#[derive(Debug)]
pub struct All<T>(Gathered<T>);

impl<T> Joiner<T> for All<T> {
    type Output = Result<Vec<T>, GroupError>;

    fn until(&self) -> Until {
        Until::AllEnded
    }

    fn takes_part(&self) -> bool {
        false
    }

    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()> {
        self.0.add(member);
        ControlFlow::Continue(())
    }

    fn finish(mut self, finish: Finish) -> Self::Output {
        let failures = std::mem::take(&mut self.0.failures);
        let is_good = failures.is_empty() && finish.elsewhere.is_empty();
        if finish.end != JoinEnd::AllEnded || !is_good {
            return Err(finish.error(failures));
        }
        self.0.values.sort_by_key(|(index, _)| *index);
        Ok(self.0.into_values())
    }
}

/// See [`Join::any`].
#[derive(Debug)]
pub struct Any<T>(Option<Ended<T>>);

impl<T> Joiner<T> for Any<T> {
    type Output = Option<Ended<T>>;

    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()> {
        self.0 = Some(member);
        ControlFlow::Break(())
    }

    fn finish(self, _: Finish) -> Self::Output {
        self.0
    }
}

/// See [`Join::first_ok`].
#[derive(Debug)]
pub struct FirstOk<T>(FirstN<T>);

impl<T> Joiner<T> for FirstOk<T> {
    type Output = Result<T, GroupError>;

    fn until(&self) -> Until {
        self.0.until()
    }

    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()> {
        self.0.ended(member)
    }

    fn finish(self, finish: Finish) -> Self::Output {
        let values = self.0.finish(finish)?;
        Ok(values.into_iter().next().expect("as many as were asked for"))
    }
}

/// See [`Join::first_n`].
#[derive(Debug)]
pub struct FirstN<T> {
    n: usize,
    gathered: Gathered<T>,
}

impl<T> Joiner<T> for FirstN<T> {
    type Output = Result<Vec<T>, GroupError>;

    fn until(&self) -> Until {
        Until::Successes(self.n - self.gathered.values.len())
    }

    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()> {
        self.gathered.add(member);
        if self.gathered.values.len() == self.n {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn finish(self, finish: Finish) -> Self::Output {
        if self.gathered.values.len() == self.n {
            return Ok(self.gathered.into_values());
        }
        Err(finish.error(self.gathered.failures))
    }
}

/// See [`Join::collect`].
#[derive(Debug)]
pub struct Collect<T>(Vec<Ended<T>>);

impl<T> Joiner<T> for Collect<T> {
    type Output = Vec<Ended<T>>;

    fn until(&self) -> Until {
        Until::AllEnded
    }

    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()> {
        self.0.push(member);
        ControlFlow::Continue(())
    }

    fn finish(mut self, _: Finish) -> Self::Output {
        self.0.sort_by_key(|member| member.index);
        self.0
    }
}

/// See [`Join::fold`].
pub struct Fold<A, F> {
    /// None while `f` is called, and if that has panicked.
    so_far: Option<A>,
    f: F,
}

impl<A, F> fmt::Debug for Fold<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fold").finish_non_exhaustive()
    }
}

impl<T, A, F: FnMut(A, Ended<T>) -> A> Joiner<T> for Fold<A, F> {
    type Output = A;

    fn ended(&mut self, member: Ended<T>) -> ControlFlow<()> {
        let so_far = self.so_far.take().expect("the last call has returned");
        self.so_far = Some((self.f)(so_far, member));
        ControlFlow::Continue(())
    }

    fn finish(self, _: Finish) -> A {
        self.so_far.expect("the last call has returned")
    }
}
