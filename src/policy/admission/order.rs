//! Who is queued, in the order of arrival: for pools that push somebody out to make room, or look at
//! how long the first has waited.
//!
//! Each thread lists what it submits in a shard of its own, by level. What has left the queue stays
//! listed until somebody comes by, but never more of it than there are others in the shard and a
//! few: so the list grows with the queue, and what it holds of a job that has ended is freed.

use crate::Priority;
use crate::engine::sync::{Mutex, lock};
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;

const LEVELS: usize = Priority::ALL.len();
/// So many may be listed for nothing in a shard, beside as many as are queued.
const FEW: usize = 64;

/// A job, as far as it matters here. Clones are the same job.
pub(crate) trait Listed: Clone {
    /// Whether it has neither started nor ended.
    fn is_queued(&self) -> bool;
}

/// See the module.
pub(crate) struct Order<T> {
    shards: Box<[CachePadded<Mutex<Shard<T>>>]>,
}

struct Shard<T> {
    levels: [VecDeque<Entry<T>>; LEVELS],
    len: usize,
    /// How long it may become before those are taken out that have left the queue.
    most: usize,
}

/// A job that is listed.
#[derive(Clone)]
pub(crate) struct Entry<T> {
    /// When it came.
    pub(crate) at: u64,
    pub(crate) kind: Option<u16>,
    /// Whether it waits for something else than a worker first.
    pub(crate) is_gated: bool,
    pub(crate) job: T,
}

/// Among whom somebody is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    All,
    Level(u8),
    Kind(u16),
}

/// Who of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Oldest,
    Newest,
    /// The newest of the lowest level, if that is below this one.
    LowestBelow(u8),
}

impl<T: Listed> Order<T> {
    pub(crate) fn new(shards: usize) -> Self {
        let shard = || {
            let levels = std::array::from_fn(|_| VecDeque::new());
            CachePadded::new(Mutex::new(Shard { levels, len: 0, most: FEW }))
        };
        Order { shards: (0..shards).map(|_| shard()).collect() }
    }

    /// Lists a job that is about to be queued.
    pub(crate) fn add(&self, shard: usize, level: u8, entry: Entry<T>) {
        let mut shard = lock(&self.shards[shard]);
        let mut gone = Vec::new();
        if shard.len >= shard.most {
            shard.tidy(&mut gone);
        }
        shard.levels[usize::from(level)].push_back(entry);
        shard.len += 1;
        drop(shard);
        // Outside of the lock: each may be the last to know the job.
        drop(gone);
    }

    /// Finds somebody who is queued.
    pub(crate) fn find(&self, among: Among, which: Which) -> Option<T> {
        let is_one = |entry: &Entry<T>| match among {
            Among::Kind(kind) => entry.kind == Some(kind),
            _ => true,
        };
        let levels = match among {
            Among::Level(level) => usize::from(level)..usize::from(level) + 1,
            _ => 0..LEVELS,
        };
        match which {
            Which::Oldest => Some(self.first(levels, is_one)?.job),
            Which::Newest => Some(self.last(levels, is_one)?.job),
            Which::LowestBelow(level) => {
                let below = levels.filter(|at| *at > usize::from(level));
                let found = below.rev().find_map(|at| self.last(at..at + 1, is_one));
                Some(found?.job)
            }
        }
    }

    /// Finds the first that waits for a worker on this level or above.
    pub(crate) fn find_waiting(&self, level: u8) -> Option<T> {
        Some(self.first(0..usize::from(level) + 1, |entry| !entry.is_gated)?.job)
    }

    /// When that came.
    pub(crate) fn waits_since(&self, level: u8) -> Option<u64> {
        Some(self.first(0..usize::from(level) + 1, |entry| !entry.is_gated)?.at)
    }

    fn first(
        &self,
        levels: std::ops::Range<usize>,
        is_one: impl Fn(&Entry<T>) -> bool,
    ) -> Option<Entry<T>> {
        let mut gone = Vec::new();
        let mut found: Option<Entry<T>> = None;
        for shard in &self.shards {
            let mut shard = lock(shard);
            for level in levels.clone() {
                shard.tidy_front(level, &mut gone);
                let mut queued = shard.levels[level].iter();
                let first = queued.find(|entry| is_one(entry) && entry.job.is_queued());
                if let Some(first) = first.filter(|e| found.as_ref().is_none_or(|f| e.at < f.at)) {
                    gone.extend(found.replace(first.clone()));
                }
            }
        }
        drop(gone);
        found
    }

    fn last(
        &self,
        levels: std::ops::Range<usize>,
        is_one: impl Fn(&Entry<T>) -> bool,
    ) -> Option<Entry<T>> {
        let mut gone = Vec::new();
        let mut found: Option<Entry<T>> = None;
        for shard in &self.shards {
            let mut shard = lock(shard);
            for level in levels.clone() {
                shard.tidy_back(level, &mut gone);
                let mut queued = shard.levels[level].iter().rev();
                let last = queued.find(|entry| is_one(entry) && entry.job.is_queued());
                if let Some(last) = last.filter(|e| found.as_ref().is_none_or(|f| e.at > f.at)) {
                    gone.extend(found.replace(last.clone()));
                }
            }
        }
        drop(gone);
        found
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let gone = std::mem::take(&mut shard.levels);
            shard.len = 0;
            drop(shard);
            drop(gone);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len).sum()
    }
}

impl<T: Listed> Shard<T> {
    /// Takes those out that have left the queue.
    fn tidy(&mut self, gone: &mut Vec<Entry<T>>) {
        for level in &mut self.levels {
            for _ in 0..level.len() {
                let entry = level.pop_front().expect("one of its length");
                if entry.job.is_queued() {
                    level.push_back(entry);
                } else {
                    gone.push(entry);
                }
            }
        }
        self.len -= gone.len();
        self.most = 2 * self.len + FEW;
    }

    fn tidy_front(&mut self, level: usize, gone: &mut Vec<Entry<T>>) {
        while let Some(first) = self.levels[level].pop_front_if(|first| !first.job.is_queued()) {
            gone.push(first);
            self.len -= 1;
        }
    }

    fn tidy_back(&mut self, level: usize, gone: &mut Vec<Entry<T>>) {
        while let Some(last) = self.levels[level].pop_back_if(|last| !last.job.is_queued()) {
            gone.push(last);
            self.len -= 1;
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Clone)]
    struct Job(Arc<(u32, AtomicBool)>);

    impl Job {
        fn new(name: u32) -> Job {
            Job(Arc::new((name, AtomicBool::new(true))))
        }
        fn leave(&self) {
            self.0.1.store(false, Ordering::Relaxed);
        }
    }

    impl Listed for Job {
        fn is_queued(&self) -> bool {
            self.0.1.load(Ordering::Relaxed)
        }
    }

    fn entry(at: u64, kind: Option<u16>, job: &Job) -> Entry<Job> {
        Entry { at, kind, is_gated: false, job: job.clone() }
    }

    #[test]
    fn finds_by_age_level_and_kind_across_shards() {
        let order = Order::new(2);
        let jobs: Vec<Job> = (0..4).map(Job::new).collect();
        order.add(1, 3, entry(10, None, &jobs[0]));
        order.add(0, 5, entry(20, Some(1), &jobs[1]));
        order.add(0, 3, entry(30, Some(1), &jobs[2]));
        order.add(1, 5, entry(40, None, &jobs[3]));
        let find = |among, which| order.find(among, which).map(|job| job.0.0);
        assert_eq!(find(Among::All, Which::Oldest), Some(0));
        assert_eq!(find(Among::All, Which::Newest), Some(3));
        assert_eq!(find(Among::Kind(1), Which::Oldest), Some(1));
        assert_eq!(find(Among::Kind(1), Which::Newest), Some(2));
        assert_eq!(find(Among::Level(3), Which::Newest), Some(2));
        assert_eq!(find(Among::All, Which::LowestBelow(3)), Some(3));
        assert_eq!(find(Among::Kind(1), Which::LowestBelow(3)), Some(1));
        assert_eq!(find(Among::All, Which::LowestBelow(5)), None);
        assert_eq!(order.waits_since(3), Some(10));
        assert_eq!(order.waits_since(2), None);
        jobs[0].leave();
        jobs[3].leave();
        assert_eq!(find(Among::All, Which::Oldest), Some(1));
        assert_eq!(find(Among::All, Which::Newest), Some(2));
        assert_eq!(order.waits_since(3), Some(30));
        assert_eq!(order.len(), 2);
    }

    #[test]
    fn what_has_left_the_queue_is_forgotten() {
        let order = Order::new(1);
        let stays = Job::new(0);
        order.add(0, 3, entry(0, None, &stays));
        for at in 1..10_000 {
            let job = Job::new(at);
            order.add(0, 3, entry(u64::from(at), None, &job));
            job.leave();
        }
        assert!(order.len() <= 2 * FEW + 4, "{}", order.len());
        assert_eq!(order.find(Among::All, Which::Newest).unwrap().0.0, 0);
        let weak = Arc::downgrade(&stays.0);
        drop(stays);
        order.clear();
        assert!(weak.upgrade().is_none());
    }
}
