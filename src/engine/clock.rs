//! A cheap clock in *ticks*: what the cold paths use to decide whether work was worth a wake.
//!
//! On x86-64 a tick is one count of the time-stamp counter (a third of the cost of `Instant::now`
//! in a virtual machine), on AArch64 one of the virtual counter, elsewhere a nanosecond. Decisions
//! compare ticks over microseconds. The times of a job are differences of ticks, for hours if need be,
//! and shown as points of real time: a counter that is set back, as by a machine that is moved, makes
//! them wrong, and nothing else.

#[cfg(not(any(loom, shuttle)))]
use std::time::Instant;

/// Now, in ticks. Monotonic on one core; a small step back between cores is possible, so subtract
/// with [`since`].
#[inline]
pub(crate) fn ticks() -> u64 {
    // A model has no time. Under loom nothing takes long; under shuttle the seed of a schedule says
    // what does, so that every way is explored, and the same one when a schedule is replayed.
    #[cfg(loom)]
    {
        0
    }
    #[cfg(all(shuttle, not(loom)))]
    {
        use shuttle::rand::{RngCore, thread_rng};
        thread_rng().next_u64() % 64
    }
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle))))]
    {
        // SAFETY: RDTSC has no preconditions in user space on x86-64 Linux, macOS and Windows.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(all(target_arch = "aarch64", not(any(loom, shuttle))))]
    {
        let count: u64;
        // SAFETY: reads the virtual counter, which user space may read on every AArch64 system
        // that std supports; touches neither memory nor flags.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags));
        }
        count
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", loom, shuttle)))]
    {
        use std::sync::OnceLock;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Ticks from `start` until now, 0 if the clock seems to have gone back.
#[inline]
pub(crate) fn since(start: u64) -> u64 {
    ticks().saturating_sub(start)
}

/// How many ticks make a microsecond, at least 1. Measured once, in about 50 us, when the first
/// pool is built.
pub(crate) fn ticks_per_us() -> u64 {
    #[cfg(any(loom, shuttle))]
    {
        1
    }
    #[cfg(not(any(loom, shuttle)))]
    {
        use std::sync::OnceLock;
        static RATE: OnceLock<u64> = OnceLock::new();
        *RATE.get_or_init(|| {
            // The best of three guards against being descheduled between the two clocks; a longer
            // stretch makes the rate too low only if the counter stops, which it does not.
            (0..3).map(|_| measure()).min().unwrap_or(1_000).max(1)
        })
    }
}

#[cfg(not(any(loom, shuttle)))]
fn measure() -> u64 {
    let (wall, start) = (Instant::now(), ticks());
    loop {
        let elapsed = wall.elapsed();
        if elapsed.as_micros() >= 16 {
            return (u128::from(since(start)) * 1_000 / elapsed.as_nanos()) as u64;
        }
        std::hint::spin_loop();
    }
}
