//! The parts of the admission that loom's models drive (`tests/loom_admission.rs`).

use super::line::{Entered, Limits, Need, Verdict, Waiter};
use super::tokens::Tokens;
use std::fmt;
use std::sync::Arc;

/// [`Limits`], of one kind of tokens each, with so many to take along.
pub struct Doors(Limits);

/// Somebody who waits.
pub struct InLine(Arc<Waiter>);

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

impl fmt::Debug for InLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.verdict())
    }
}

fn needs(list: &[(u16, u64)]) -> Vec<Need> {
    list.iter().map(|&(limit, amount)| Need { limit, amount }).collect()
}

#[allow(missing_docs, reason = "the same names in `line` tell")]
impl Doors {
    /// One for each of these limits, of threads with so many shards.
    pub fn new(limits: &[u64], shards: usize, batch: u64) -> Self {
        let made = limits.iter().map(|&limit| Tokens::with_batch(limit, shards, batch));
        Doors(Limits::new(made.collect()))
    }
    pub fn try_enter(&self, list: &[(u16, u64)], shard: usize) -> bool {
        self.0.try_enter(&needs(list), shard).is_ok()
    }
    /// `None`: it is in.
    pub fn enter(&self, list: &[(u16, u64)], shard: usize) -> Option<InLine> {
        match self.0.enter(&needs(list), shard) {
            Entered::In => None,
            Entered::Waiting(waiter) => Some(InLine(waiter)),
            Entered::Closed => panic!("nobody has closed it"),
        }
    }
    /// Waits until it is in.
    pub fn enter_and_wait(&self, list: &[(u16, u64)], shard: usize) {
        if let Some(waiter) = self.enter(list, shard) {
            waiter.wait();
        }
    }
    pub fn force(&self, list: &[(u16, u64)]) {
        self.0.force(&needs(list));
    }
    pub fn give(&self, list: &[(u16, u64)], shard: usize) {
        self.0.give(&needs(list), shard);
    }
    /// `true`: it was in already.
    pub fn withdraw(&self, waiter: &InLine) -> bool {
        self.0.withdraw(&waiter.0)
    }
    pub fn left(&self, limit: u16) -> i64 {
        self.0.tokens(limit).left()
    }
}

impl InLine {
    /// Blocks until it is in.
    pub fn wait(&self) {
        assert_eq!(self.0.park(None), Verdict::Granted);
    }
}

/// [`Tokens`] by themselves.
pub struct Purse(Tokens);

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Purse({})", self.0.left())
    }
}

#[allow(missing_docs, reason = "the same names in `tokens` tell")]
impl Purse {
    pub fn new(limit: u64, shards: usize, batch: u64) -> Self {
        Purse(Tokens::with_batch(limit, shards, batch))
    }
    pub fn add_waiting(&self) {
        self.0.add_waiting();
    }
    pub fn remove_waiting(&self) {
        self.0.remove_waiting();
    }
    pub fn take_here(&self, n: u64, shard: usize) -> bool {
        self.0.take_here(n, shard)
    }
    pub fn take_anywhere(&self, n: u64, shard: usize, is_last: bool) -> bool {
        self.0.take_anywhere(n, shard, is_last)
    }
    #[must_use]
    pub fn give(&self, n: u64, shard: usize) -> bool {
        self.0.give(n, shard)
    }
    pub fn left(&self) -> i64 {
        self.0.left()
    }
}
