//! Numbers of threads, for what is kept in shards of which each thread uses one.
#![forbid(unsafe_code)]

/// The number of the calling thread, counted by who has asked.
#[cfg(any(loom, not(shuttle)))]
#[inline]
pub(crate) fn of_thread() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    #[cold]
    fn next() -> usize {
        let mine = NEXT.fetch_add(1, Ordering::Relaxed);
        MINE.set(mine);
        mine
    }
    // Without a destructor it is there as long as the thread.
    match MINE.get() {
        usize::MAX => next(),
        mine => mine,
    }
}

/// Its threads are tasks of one thread, and a schedule must be the same when it is replayed.
#[cfg(all(shuttle, not(loom)))]
pub(crate) fn of_thread() -> usize {
    usize::from(shuttle::current::me())
}
