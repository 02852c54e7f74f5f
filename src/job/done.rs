//! What is to follow the end of a job, whichever that is.
#![forbid(unsafe_code)]

use super::handle::JobHandle;
use super::life::Continue;
use super::outcome::JobError;
use crate::engine::sync::{Mutex, lock};
use std::sync::Arc;

/// A job and what is to be done with its end. The job holds it until then, and it the job.
struct Done<T, F>(Mutex<Option<(JobHandle<T>, F)>>);

impl<T: Send + 'static> JobHandle<T> {
    /// Has `then` called with the end of the job, by the thread that ends it; at once, if it has
    /// ended. It must not unwind, nor block. At the end of a pool it may come while that waits.
    pub(crate) fn when_done<F>(self, then: F)
    where
        F: FnOnce(Result<T, JobError>) + Send + 'static,
    {
        let job = self.job_ref();
        let done = Arc::new(Done(Mutex::new(Some((self, then)))));
        let target: Arc<dyn Continue> = Arc::clone(&done) as _;
        if !job.raw().header().life.attach(target) {
            done.go_on();
        }
    }
}

impl<T, F> Continue for Done<T, F>
where
    T: Send + 'static,
    F: FnOnce(Result<T, JobError>) + Send + 'static,
{
    fn go_on(&self) {
        let taken = lock(&self.0).take();
        if let Some((mut handle, then)) = taken
            && let Some(end) = handle.try_take()
        {
            then(end);
        }
    }
}
