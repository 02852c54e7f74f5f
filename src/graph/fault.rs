//! Faults that the shuttle scenarios put in, to see that they would be found.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(shuttle), expect(unreachable_pub, reason = "the scenarios name it"))]
#[repr(u8)]
pub enum Fault {
    /// A driver that has made something public still counts by plain loads and stores.
    StaysAlone = 1,
    /// A node's successors are told before its state is set.
    TellsEarly = 2,
    /// What begins the roots is not counted as a node.
    UncountedEntry = 3,
}

#[cfg(shuttle)]
static PRESENT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Puts a fault in, or takes it out.
#[cfg(shuttle)]
pub fn set(fault: Option<Fault>) {
    PRESENT.store(fault.map_or(0, |fault| fault as u8), std::sync::atomic::Ordering::SeqCst);
}

/// Whether a fault was put in. Never, but under shuttle.
#[inline(always)]
pub(super) fn is_there(fault: Fault) -> bool {
    #[cfg(shuttle)]
    {
        PRESENT.load(std::sync::atomic::Ordering::SeqCst) == fault as u8
    }
    #[cfg(not(shuttle))]
    {
        let _ = fault;
        false
    }
}
