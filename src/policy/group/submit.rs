//! Getting jobs into a group.

use super::{BoxError, GroupHandle, Outcome};
use crate::Priority;
use crate::job::{
    Call, CancelToken, Dependency, Ended, EndsAs, JobBuilder, JobCx, JobHandle, JobOptions, JobRef,
    Retry, SubmitError,
};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

impl<T: Send + 'static> GroupHandle<T> {
    /// Submits a member. Its result is kept by the group.
    ///
    /// # Errors
    /// If the group is closed, the pool has begun to shut down, or has [no
    /// room](crate::PoolBuilder::queue). The closure comes back.
    ///
    /// # Blocking
    /// As [`Pool::submit`](crate::Pool::submit): not for the group's
    /// [limit](super::GroupBuilder::limit), beyond which members wait by themselves.
    ///
    /// ```
    /// use windlass::{Pool, SubmitError};
    ///
    /// let pool = Pool::new(1)?;
    /// let group = pool.group("few").open();
    /// group.submit(|| 1).unwrap();
    /// group.close();
    /// let text = String::from("precious");
    /// match group.submit(move || text.len()) {
    ///     Err(SubmitError::GroupClosed(f)) => assert_eq!(f(), 8),
    ///     other => unreachable!("{other:?}"),
    /// }
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn submit<F>(&self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.job("").submit(f)
    }

    /// As [`submit`](Self::submit), with a closure that sees its job.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_with<F>(&self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        self.job("").submit_with(f)
    }

    /// As [`submit`](Self::submit), with a closure that may fail: the member has failed then
    /// ([`MemberError::Failed`](super::MemberError::Failed)), and so has its job
    /// ([`JobOutcome::Failed`](crate::JobOutcome::Failed)). One that is to be tried again says so by
    /// [`MemberBuilder::retry`].
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_fallible<E, F>(&self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        E: Into<BoxError> + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        self.job("").submit_fallible(f)
    }

    /// Names a member, to say more of it before it is submitted. Its full name begins with that of
    /// the group: `"etl/load"`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Join, Pool, Priority};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("etl").priority(Priority::Background).open();
    /// let load = group.job("load").priority(Priority::High).submit(|| 1)?;
    /// group.job("index").after(&[&load]).timeout(Duration::from_secs(60)).submit(|| 2)?;
    /// assert_eq!(load.name(), Some("etl/load"));
    /// assert_eq!(group.wait(Join::all())?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn job(&self, name: impl Into<Cow<'static, str>>) -> MemberBuilder<'_, T> {
        let job = JobBuilder::unbound(name.into()).priority(self.core.priority);
        MemberBuilder { group: self, job }
    }
}

/// A member that is about to be submitted. See [`GroupHandle::job`].
#[must_use = "a job runs only when it is submitted"]
pub struct MemberBuilder<'a, T: Send + 'static> {
    group: &'a GroupHandle<T>,
    job: JobBuilder<'static>,
}

impl<'a, T: Send + 'static> MemberBuilder<'a, T> {
    fn with(mut self, f: impl FnOnce(JobBuilder<'static>) -> JobBuilder<'static>) -> Self {
        self.job = f(self.job);
        self
    }

    /// As [`JobBuilder::options`].
    pub fn options(self, options: &JobOptions) -> Self {
        self.with(|job| job.options(options))
    }

    /// As [`JobOptions::priority`].
    pub fn priority(self, priority: Priority) -> Self {
        self.with(|job| job.priority(priority))
    }

    /// As [`JobOptions::start_within`]; a wait for the group's limit counts.
    pub fn start_within(self, limit: Duration) -> Self {
        self.with(|job| job.start_within(limit))
    }

    /// As [`JobOptions::run_timeout`].
    pub fn run_timeout(self, limit: Duration) -> Self {
        self.with(|job| job.run_timeout(limit))
    }

    /// As [`JobOptions::timeout`]; a wait for the group's limit counts.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|job| job.timeout(limit))
    }

    /// As [`JobBuilder::deadline`].
    pub fn deadline(self, deadline: Instant) -> Self {
        self.with(|job| job.deadline(deadline))
    }

    /// As [`JobBuilder::cancel_token`]. The group cancels the member all the same.
    pub fn cancel_token(self, token: &CancelToken) -> Self {
        self.with(|job| job.cancel_token(token))
    }

    /// As [`JobBuilder::after`]. The member counts for the group's limit only when it could start.
    pub fn after(self, jobs: &[&dyn Dependency]) -> Self {
        self.with(|job| job.after(jobs))
    }

    /// As [`JobBuilder::after_end`].
    pub fn after_end(self, jobs: &[&dyn Dependency]) -> Self {
        self.with(|job| job.after_end(jobs))
    }

    /// As [`JobBuilder::extension`].
    pub fn extension<V: Any + Send + Sync>(self, value: V) -> Self {
        self.with(|job| job.extension(value))
    }

    /// Has the member tried again when it fails: as [`JobBuilder::retry`]. Said last.
    ///
    /// Between two attempts the member holds no slot of the group's limit, and counts as
    /// [`retrying`](super::GroupStatistics::retrying). It has failed, and makes a group that [fails
    /// fast](super::GroupBuilder::fail_fast) cancel the others, when no attempt is left: with the
    /// last error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Join, Pool, RetryPolicy};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("pages").fail_fast().open();
    /// let policy = RetryPolicy::fixed(Duration::from_millis(1)).attempts(3);
    /// for n in 0..4 {
    ///     group.job("page").retry(policy.clone()).submit_fallible(move |cx| match cx.attempt() {
    ///         1 if n == 2 => Err("not yet"),
    ///         _ => Ok(n),
    ///     })?;
    /// }
    /// assert_eq!(group.wait(Join::all())?, [0, 1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry<E>(self, retry: impl Into<Retry<T, E>>) -> MemberRetryBuilder<'a, T, E> {
        MemberRetryBuilder { member: self, retry: retry.into() }
    }

    /// As [`GroupHandle::submit`].
    ///
    /// # Errors
    /// As there.
    pub fn submit<F>(self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.submit_call(Plain(f), true).map_err(|error| error.map(|call| call.0))
    }

    /// As [`GroupHandle::submit_with`].
    ///
    /// # Errors
    /// As there.
    pub fn submit_with<F>(self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        self.submit_call(WithCx(f), true).map_err(|error| error.map(|call| call.0))
    }

    /// As [`GroupHandle::submit_fallible`].
    ///
    /// # Errors
    /// As there.
    pub fn submit_fallible<E, F>(self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        E: Into<BoxError> + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let call = Fallible(f, PhantomData);
        self.submit_call(call, true).map_err(|error| error.map(|call| call.0))
    }

    /// As [`submit_fallible`](Self::submit_fallible), with a closure that sees its job.
    ///
    /// # Errors
    /// As there.
    pub fn submit_fallible_with<E, F>(self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        E: Into<BoxError> + 'static,
        F: FnOnce(&JobCx) -> Result<T, E> + Send + 'static,
    {
        let call = FallibleWithCx(f, PhantomData);
        self.submit_call(call, true).map_err(|error| error.map(|call| call.0))
    }

    /// As [`submit_fallible_with`](Self::submit_fallible_with), but it never waits for room.
    pub(crate) fn try_submit_fallible_with<E, F>(self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        E: Into<BoxError> + 'static,
        F: FnOnce(&JobCx) -> Result<T, E> + Send + 'static,
    {
        let call = FallibleWithCx(f, PhantomData);
        self.submit_call(call, false).map_err(|error| error.map(|call| call.0))
    }

    fn submit_call<C>(self, call: C, waits: bool) -> Result<JobRef, SubmitError<C>>
    where
        C: Call<Output = Outcome<T>>,
    {
        self.submit_by(call, |job, call| job.call(call, waits))
    }

    /// Has a job submitted, by `submit`, of which the group keeps the result.
    fn submit_by<C>(
        self,
        call: C,
        submit: impl FnOnce(JobBuilder<'_>, C) -> Result<JobHandle<Outcome<T>>, SubmitError<C>>,
    ) -> Result<JobRef, SubmitError<C>> {
        let Some(registry) = self.group.core.registry() else {
            return Err(SubmitError::ShuttingDown(call));
        };
        let job = self.job.on(&registry).enlist_whole(self.group.as_enlist());
        Ok(submit(job, call)?.join_group())
    }
}

/// A member that is about to be submitted, and is tried again when it fails: see
/// [`MemberBuilder::retry`].
#[must_use = "a job runs only when it is submitted"]
pub struct MemberRetryBuilder<'a, T: Send + 'static, E> {
    member: MemberBuilder<'a, T>,
    retry: Retry<T, E>,
}

impl<T: Send + 'static, E: Into<BoxError> + Send + 'static> MemberRetryBuilder<'_, T, E> {
    /// Submits the member, as [`RetryBuilder::submit_fallible`](crate::RetryBuilder::submit_fallible)
    /// does a job. How many attempts it took, and [what they came to](JobRef::history), its
    /// [`JobRef`] tells.
    ///
    /// # Errors
    /// As [`GroupHandle::submit`].
    ///
    /// # Blocking
    /// As there.
    pub fn submit_fallible<F>(self, f: F) -> Result<JobRef, SubmitError<F>>
    where
        F: FnMut(&JobCx) -> Result<T, E> + Send + 'static,
    {
        let retry = self.retry;
        self.member.submit_by(f, |job, f| job.retry(retry).submit_as::<AsOutcome, F>(f))
    }
}

impl<T: Send + 'static, E> fmt::Debug for MemberRetryBuilder<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberRetryBuilder")
            .field("member", &self.member)
            .field("retry", &self.retry)
            .finish()
    }
}

/// A retried member's result is that of any other.
struct AsOutcome;

impl<T: Send + 'static, E: Into<BoxError>> EndsAs<T, E> for AsOutcome {
    type Output = Outcome<T>;
    fn end(ended: Ended<T, E>) -> Outcome<T> {
        ended.map_err(|(error, _)| error.into())
    }
}

impl<T: Send + 'static> fmt::Debug for MemberBuilder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberBuilder")
            .field("group", &self.group.name())
            .field("job", &self.job)
            .finish()
    }
}

// What a member's job calls.

struct Plain<F>(F);

impl<T: Send + 'static, F: FnOnce() -> T + Send + 'static> Call for Plain<F> {
    type Output = Outcome<T>;
    fn call(self, _: &JobCx) -> Outcome<T> {
        Ok((self.0)())
    }
}

struct WithCx<F>(F);

impl<T: Send + 'static, F: FnOnce(&JobCx) -> T + Send + 'static> Call for WithCx<F> {
    type Output = Outcome<T>;
    fn call(self, cx: &JobCx) -> Outcome<T> {
        Ok((self.0)(cx))
    }
}

/// The error's type is named, for the compiler.
struct Fallible<F, E>(F, PhantomData<fn() -> E>);

impl<T, E, F> Call for Fallible<F, E>
where
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    type Output = Outcome<T>;
    fn call(self, cx: &JobCx) -> Outcome<T> {
        tell(cx, (self.0)())
    }
}

struct FallibleWithCx<F, E>(F, PhantomData<fn() -> E>);

impl<T, E, F> Call for FallibleWithCx<F, E>
where
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: FnOnce(&JobCx) -> Result<T, E> + Send + 'static,
{
    type Output = Outcome<T>;
    fn call(self, cx: &JobCx) -> Outcome<T> {
        tell(cx, (self.0)(cx))
    }
}

/// Tells the group of a failure, which fails fast before anybody can see that the job has ended.
fn tell<T, E: Into<BoxError>>(cx: &JobCx, result: Result<T, E>) -> Outcome<T> {
    result.map_err(|error| {
        cx.note_failure();
        error.into()
    })
}
