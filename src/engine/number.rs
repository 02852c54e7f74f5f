//! Numbers of threads, for what is kept in shards of which each thread uses one.
#![forbid(unsafe_code)]

/// The number of the calling thread, counted by who has asked. A thread that is about to end shares
/// that of another.
#[cfg(any(loom, not(shuttle)))]
pub(crate) fn of_thread() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.try_with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        mine.get()
    })
    .unwrap_or(0)
}

/// Its threads are tasks of one thread, and a schedule must be the same when it is replayed.
#[cfg(all(shuttle, not(loom)))]
pub(crate) fn of_thread() -> usize {
    usize::from(shuttle::current::me())
}
