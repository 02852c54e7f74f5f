//! `join`: two closures, maybe in parallel.

use crate::engine::worker::Worker;
use crate::pool::{Pool, with_current_registry};

/// Runs both closures, maybe in parallel, and returns both results.
///
/// `a` runs at once on the calling thread; `b` is left where another worker may take it, and runs
/// on the calling thread after `a` if none has. A fork that nobody takes costs about two
/// nanoseconds, so recursive algorithms need no cut-off. Called outside of a pool, it uses
/// [`Pool::global`].
///
/// # Panics
/// If a closure panics, after both have finished. Both always run; if both panic, the payload of
/// `a` is propagated and that of `b` dropped.
///
/// # Blocking
/// If `b` was taken, until it is finished. Meanwhile the thread runs nothing but what `b`
/// itself has forked, so a lock that is held across `join` is never asked for by foreign work. The
/// waiting is *leapfrogging* (Wagner and Calder, PPoPP 1993).
///
/// # Examples
/// ```
/// fn sum(numbers: &[u64]) -> u64 {
///     match numbers {
///         [] => 0,
///         [n] => *n,
///         _ => {
///             let (left, right) = numbers.split_at(numbers.len() / 2);
///             let (left, right) = windlass::join(|| sum(left), || sum(right));
///             left + right
///         }
///     }
/// }
/// assert_eq!(sum(&[1, 2, 3, 4]), 10);
/// ```
///
/// Data races do not compile:
/// ```compile_fail,E0499
/// let mut v = vec![1];
/// windlass::join(|| v.push(2), || v.push(3));
/// ```
/// Nor does sharing what is not `Sync`:
/// ```compile_fail,E0277
/// let rc = std::rc::Rc::new(1);
/// windlass::join(|| rc.clone(), || ());
/// ```
#[inline(always)]
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    // SAFETY: as `Worker::with_current`: set by a guard further down this very stack.
    match unsafe { Worker::current().as_ref() } {
        Some(worker) => worker.join(a, b),
        None => join_outside(a, b),
    }
}

#[cold]
#[inline(never)]
fn join_outside<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    with_current_registry(|registry| registry.enter(|worker| worker.join(a, b)))
}

impl Pool {
    /// [`join`] in this pool.
    ///
    /// # Panics
    /// As [`join`] and [`install`](Pool::install).
    ///
    /// # Blocking
    /// As [`join`] and [`install`](Pool::install).
    pub fn join<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA + Send,
        B: FnOnce() -> RB + Send,
        RA: Send,
        RB: Send,
    {
        self.registry().enter(|worker| worker.join(a, b))
    }
}
