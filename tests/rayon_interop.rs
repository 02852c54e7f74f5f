//! rayon's iterators give on Windlass what plain loops give, on Windlass's threads alone.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use indexmap::{IndexMap, IndexSet};
use rayon::iter::plumbing::{Consumer, Folder, Reducer, UnindexedConsumer};
use rayon::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, LinkedList};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;
use windlass::rayon_compat::OnWindlassExt as _;
use windlass::{CancelToken, Pool};

const LENGTHS: [usize; 9] = [0, 1, 2, 3, 4, 7, 100, 1_000, 20_000];

/// Work enough for a loop of some items to be shared.
fn work() {
    work_for(Duration::from_micros(2));
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

// ---- results ------------------------------------------------------------------------------------

#[test]
fn consumers_give_what_the_plain_loop_gives() {
    at_each_width(|pool| {
        for len in LENGTHS {
            let v: Vec<usize> = (0..len).map(|n| n * 7 % 1_000).collect();
            pool.install(|| {
                let iter = || v.par_iter().copied().on_windlass();
                let plain = || v.iter().copied();
                assert_eq!(iter().count(), len);
                assert_eq!(iter().sum::<usize>(), plain().sum());
                assert_eq!((iter().min(), iter().max()), (plain().min(), plain().max()));
                let text = iter().map(|n| n.to_string()).reduce(String::new, |a, b| a + &b);
                assert_eq!(text, plain().map(|n| n.to_string()).collect::<String>());
                let parts = iter().fold(Vec::new, |mut part, n| {
                    part.push(n);
                    part
                });
                assert_eq!(parts.flatten_iter().collect::<Vec<_>>(), v);
                assert_eq!(iter().all(|n| n < 999), plain().all(|n| n < 999));
                let check = |n| if n < 999 { Ok(n) } else { Err(n) };
                let tried = iter().map(check).try_reduce(|| 0, |a, b| Ok(a + b));
                assert_eq!(tried, plain().try_fold(0, |sum, n| check(n).map(|n| sum + n)));
            });
            for wanted in [0, 7, 999, 1_000] {
                let is_it = |&(_, n): &(usize, usize)| n == wanted;
                pool.install(|| {
                    let iter = || v.par_iter().copied().enumerate().on_windlass();
                    let plain = || v.iter().copied().enumerate();
                    assert_eq!(iter().find_first(is_it), plain().find(is_it));
                    assert_eq!(iter().find_last(is_it), plain().rev().find(is_it));
                    assert_eq!(iter().find_any(is_it).map(|pair| pair.1), {
                        plain().find(is_it).map(|pair| pair.1)
                    });
                });
            }
        }
    });
}

#[test]
fn collections_get_the_items_in_order() {
    at_each_width(|pool| {
        for len in LENGTHS {
            let (even, odd): (Vec<usize>, Vec<usize>) = (0..len).partition(|n| n % 2 == 0);
            pool.install(|| {
                let iter = || (0..len).into_par_iter().on_windlass();
                assert!(iter().map(|n| n + 1).collect::<Vec<_>>().into_iter().eq(1..=len));
                assert_eq!(iter().filter(|n| n % 2 == 0).collect::<Vec<_>>(), even);
                assert_eq!(iter().partition::<Vec<_>, Vec<_>, _>(|n| n % 2 == 0), {
                    (even.clone(), odd.clone())
                });
                assert!(iter().collect::<LinkedList<_>>().into_iter().eq(0..len));
                assert_eq!(iter().flat_map_iter(|n| [n; 2]).collect::<Vec<_>>(), {
                    (0..len).flat_map(|n| [n; 2]).collect::<Vec<_>>()
                });
                let (a, b): (Vec<_>, Vec<_>) = iter().map(|n| (n, n + 1)).unzip();
                assert!(a.into_iter().eq(0..len) && b.into_iter().eq(1..=len));
                let tree: BTreeMap<_, _> = iter().map(|n| (n, n)).collect();
                let map: HashMap<_, _> = iter().map(|n| (n, n)).collect();
                assert!(tree.into_keys().eq(0..len) && map.len() == len);
                let mut spaced = Vec::new();
                (0..len).for_each(|n| spaced.extend([n, 7]));
                spaced.pop();
                assert_eq!(iter().intersperse(7).collect::<Vec<_>>(), spaced);
                let front = (0..len).into_par_iter().intersperse(7).on_windlass();
                assert_eq!(front.collect::<Vec<_>>(), spaced);
                let fine: Result<Vec<usize>, ()> = iter().map(Ok).collect();
                assert!(fine.unwrap().into_iter().eq(0..len));
                let mut more = vec![7];
                more.par_extend(iter());
                assert!(more[1..].iter().copied().eq(0..len));
            });
        }
    });
}

#[test]
fn adapters_in_front_keep_their_meaning() {
    at_each_width(|pool| {
        for len in LENGTHS {
            let v: Vec<usize> = (0..len).collect();
            let mut cells = v.clone();
            pool.install(|| {
                let zipped = v.par_iter().zip(v.par_iter().rev()).enumerate().on_windlass();
                let sums: Vec<usize> = zipped.map(|(i, (a, b))| i + a + b).collect();
                assert!(sums.into_iter().eq((0..len).map(|i| i + len - 1)));
                let chunks: Vec<Vec<usize>> =
                    v.par_iter().copied().chunks(3).on_windlass().collect();
                assert!(chunks.iter().map(Vec::as_slice).eq(v.chunks(3)));
                let pieces: Vec<&[usize]> = v.par_chunks(5).on_windlass().collect();
                assert!(pieces.into_iter().eq(v.chunks(5)));
                let some: Vec<_> = v.par_iter().step_by(3).take(20).on_windlass().collect();
                assert!(some.into_iter().eq(v.iter().step_by(3).take(20)));
                let both: Vec<_> = v.par_iter().interleave(v.par_iter()).on_windlass().collect();
                assert!(both.into_iter().eq(v.iter().flat_map(|n| [n; 2])));
                cells.par_iter_mut().on_windlass().for_each(|n| *n += 1);
            });
            assert!(cells.into_iter().eq(1..=len));
        }
    });
}

#[test]
fn skip_and_chain_behind_are_our_own() {
    at_each_width(|pool| {
        for len in LENGTHS {
            for n in [0, 1, len / 2, len, len + 1] {
                pool.install(|| {
                    let made = AtomicUsize::new(0);
                    let iter = (0..len).into_par_iter().map(|n| {
                        count(&made);
                        n
                    });
                    let iter = iter.on_windlass().skip(n).skip(1).chain(5..9_usize).skip(1);
                    assert_eq!(iter.opt_len(), Some(len.saturating_sub(n + 1) + 3));
                    let v: Vec<usize> = iter.collect();
                    assert!(v.into_iter().eq((0..len).skip(n + 1).chain(5..9).skip(1)));
                    assert_eq!(made.into_inner(), len.saturating_sub(n + 2));
                });
            }
        }
    });
}

fn address(v: &[usize]) -> usize {
    v.as_ptr().addr()
}

#[test]
fn vectors_are_written_in_place() {
    at_each_width(|pool| {
        let (mut a, mut b) = (vec![9; 3_000], Vec::with_capacity(3_000));
        let (at_a, at_b) = (address(&a), address(&b));
        pool.install(|| {
            let iter = || (0..2_000_usize).into_par_iter();
            iter().on_windlass().collect_into_vec(&mut a);
            assert!(a.iter().copied().eq(0..2_000) && address(&a) == at_a);
            iter().map(|n| (n, n + 1)).on_windlass().unzip_into_vecs(&mut a, &mut b);
            assert!(a.iter().copied().eq(0..2_000) && address(&a) == at_a);
            assert!(b.iter().copied().eq(1..2_001) && address(&b) == at_b);
            let v: Vec<usize> = iter().on_windlass().map(|n| n + 1).collect();
            assert_eq!(v.capacity(), 2_000, "in one piece");
        });
    });
}

#[test]
fn structures_of_other_crates_run() {
    at_each_width(|pool| {
        let map: IndexMap<String, usize> = (0..3_000).map(|n| (n.to_string(), n)).collect();
        let set: IndexSet<usize> = map.values().copied().collect();
        pool.install(|| {
            let lengths: usize = map.par_iter().on_windlass().map(|(key, _)| key.len()).sum();
            assert_eq!(lengths, map.keys().map(String::len).sum());
            let copy: IndexMap<&String, usize> =
                map.par_iter().on_windlass().map(|(key, n)| (key, n + 1)).collect();
            assert!(copy.into_iter().eq(map.iter().map(|(key, n)| (key, n + 1))));
            let values: Vec<usize> = set.into_par_iter().rev().on_windlass().collect();
            assert!(values.into_iter().eq((0..3_000).rev()));
        });
    });
}

// ---- how the loop is cut ------------------------------------------------------------------------

#[test]
fn lengths_of_pieces_are_kept() {
    at_each_width(|pool| {
        let folds = |count: &(dyn Fn() -> usize + Sync)| pool.install(count);
        let whole = folds(&|| {
            let iter = (0..999_usize).into_par_iter().with_min_len(500).on_windlass();
            iter.fold(|| 0, |n, _| n + 1).inspect(|&n| assert_eq!(n, 999)).count()
        });
        assert_eq!(whole, 1, "nothing to split");
        let some = folds(&|| {
            let iter = (0..1_000_usize).into_par_iter().with_min_len(100).on_windlass();
            iter.fold(|| 0, |n, _| n + 1).inspect(|&n| assert!(n >= 100)).count()
        });
        assert!((2..=10).contains(&some), "{some} pieces");
        let small = folds(&|| {
            let iter = (0..1_000_usize).into_par_iter().with_max_len(1).on_windlass();
            iter.inspect(|_| work()).sum()
        });
        assert_eq!(small, 499_500);
    });
}

#[test]
fn a_loop_that_nobody_shares_has_few_folders() {
    let pool = Pool::new(1).unwrap();
    let num_states = AtomicUsize::new(0);
    watchdog(&pool, || {
        pool.install(|| {
            (0..100_000_usize).into_par_iter().on_windlass().for_each_init(
                || count(&num_states),
                |(), n| {
                    std::hint::black_box(n);
                },
            );
        });
    });
    // At least a sixteenth of what is left each, also if every batch is short: 16 * ln(100_000 / 8).
    let num_states = num_states.into_inner();
    assert!(num_states <= 160, "{num_states}");
}

#[test]
fn searches_stop_early() {
    at_each_width(|pool| {
        const LEN: usize = 1 << 24;
        let num_seen = AtomicUsize::new(0);
        let found = pool.install(|| {
            (0..LEN).into_par_iter().on_windlass().find_any(|&n| {
                count(&num_seen);
                n % 1_000 == 999
            })
        });
        assert_eq!(found.unwrap() % 1_000, 999);
        assert!(num_seen.into_inner() < LEN / 2);
        let taken: Vec<usize> =
            pool.install(|| (0..LEN).into_par_iter().on_windlass().take_any(10).collect());
        assert_eq!(taken.len(), 10);
        let kept: Vec<usize> = pool.install(|| {
            let iter = (0..1_000_usize).into_par_iter().on_windlass();
            iter.map(|n| (n != 500).then_some(n)).while_some().collect()
        });
        assert!(kept.iter().all(|&n| n != 500) && kept.is_sorted());
    });
}

/// Notes whether a value is dropped, or used, on another thread than it was made on.
struct Here<'a> {
    thread: ThreadId,
    log: &'a Log,
    _not_send: Rc<()>,
}

impl<'a> Here<'a> {
    fn new(log: &'a Log) -> Self {
        Here { thread: thread::current().id(), log, _not_send: Rc::new(()) }
    }

    fn check(&self) {
        if self.thread != thread::current().id() {
            count(&self.log.strayed);
        }
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.check();
    }
}

#[derive(Default)]
struct Log {
    splits: AtomicUsize,
    reduced: AtomicUsize,
    folders: AtomicUsize,
    strayed: AtomicUsize,
    /// A folder is full after so many items.
    limit: usize,
    threads: Mutex<Vec<ThreadId>>,
}

/// A consumer that knows which items are for it, and that nothing but its split can reduce what
/// comes of it.
struct Strict<'a> {
    items: Range<usize>,
    log: &'a Log,
}

struct StrictFolder<'a> {
    items: Range<usize>,
    next: usize,
    here: Here<'a>,
}

struct StrictReducer<'a> {
    items: Range<usize>,
    at: usize,
    here: Here<'a>,
}

impl<'a> Consumer<usize> for Strict<'a> {
    type Folder = StrictFolder<'a>;
    type Reducer = StrictReducer<'a>;
    type Result = Range<usize>;

    fn split_at(self, index: usize) -> (Self, Self, StrictReducer<'a>) {
        assert!(index <= self.items.len());
        // `intersperse` is wrong otherwise.
        assert!(index > 0 || self.items.start > 0);
        let (Range { start, end }, log) = (self.items.clone(), self.log);
        let at = start + index;
        count(&log.splits);
        let reducer = StrictReducer { items: self.items, at, here: Here::new(log) };
        (Strict { items: start..at, log }, Strict { items: at..end, log }, reducer)
    }

    fn into_folder(self) -> StrictFolder<'a> {
        count(&self.log.folders);
        self.log.threads.lock().unwrap().push(thread::current().id());
        StrictFolder { next: self.items.start, items: self.items, here: Here::new(self.log) }
    }

    fn full(&self) -> bool {
        false
    }
}

impl UnindexedConsumer<usize> for Strict<'_> {
    fn split_off_left(&self) -> Self {
        unreachable!("the length is known")
    }
    fn to_reducer(&self) -> Self::Reducer {
        unreachable!("the length is known")
    }
}

impl Folder<usize> for StrictFolder<'_> {
    type Result = Range<usize>;

    fn consume(mut self, item: usize) -> Self {
        assert_eq!(item, self.next);
        self.next += 1;
        self.here.check();
        work();
        self
    }

    fn complete(self) -> Range<usize> {
        let wanted = self.items.len().min(self.here.log.limit);
        assert_eq!(self.next - self.items.start, wanted, "items of {:?}", self.items);
        self.items.clone()
    }

    fn full(&self) -> bool {
        self.next - self.items.start >= self.here.log.limit
    }
}

impl Reducer<Range<usize>> for StrictReducer<'_> {
    fn reduce(self, left: Range<usize>, right: Range<usize>) -> Range<usize> {
        self.here.check();
        count(&self.here.log.reduced);
        assert_eq!((left, right), (self.items.start..self.at, self.at..self.items.end));
        self.items.clone()
    }
}

#[test]
fn every_split_is_reduced_by_its_own_reducer_on_its_own_thread() {
    at_each_width(|pool| {
        for round in 0..scale(40) {
            for len in [0, 1, 2, 3, 10, 63, 64, 65, 500] {
                for limit in [1, 3, 40, usize::MAX] {
                    let log = Log { limit, ..Log::default() };
                    let min = 1 + round % 3;
                    let result = pool.install(|| {
                        let iter = (0..len).into_par_iter().with_min_len(min).on_windlass();
                        iter.drive_unindexed(Strict { items: 0..len, log: &log })
                    });
                    assert_eq!(result, 0..len);
                    let splits = log.splits.into_inner();
                    assert_eq!(log.reduced.into_inner(), splits);
                    assert_eq!(log.folders.into_inner(), splits + 1);
                    assert_eq!(log.strayed.into_inner(), 0);
                }
            }
        }
    });
}

#[test]
fn loops_are_shared() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            loop {
                let log = Log { limit: usize::MAX, ..Log::default() };
                pool.install(|| {
                    let iter = (0..2_000_usize).into_par_iter().on_windlass();
                    iter.drive_unindexed(Strict { items: 0..2_000, log: &log })
                });
                let mut threads = log.threads.into_inner().unwrap();
                threads.sort_by_key(|thread| format!("{thread:?}"));
                threads.dedup();
                if threads.len() > 1 {
                    break;
                }
            }
        });
    }
}

// ---- threads ------------------------------------------------------------------------------------

/// Fails on a thread that is neither `caller` nor a worker of `pool`.
fn check_thread(pool: &Pool, caller: ThreadId) {
    assert_eq!(rayon::current_thread_index(), None, "rayon's pool runs this");
    assert!(thread::current().id() == caller || pool.current_worker().is_some());
}

#[test]
fn every_closure_runs_on_our_threads() {
    at_each_width(|pool| {
        pool.install(|| {
            let caller = thread::current().id();
            let check = || {
                check_thread(pool, caller);
                work();
            };
            let iter = || {
                let front = (0..300_usize).into_par_iter().inspect(|_| check()).map(|n| n + 1);
                front.on_windlass().inspect(|_| check())
            };
            iter().for_each(|_| check());
            iter().for_each_init(check, |(), _| check());
            iter().filter(|_| (check(), true).1).fold(check, |(), _| check()).reduce(
                check,
                |_, _| {
                    check();
                },
            );
            let v: Vec<usize> = iter().map(|n| (check(), n).1).collect();
            assert_eq!(v.len(), 300);
            let none = iter().find_first(|_| (check(), false).1);
            assert_eq!(none, None);
            let inner = |n: usize| (0..n % 4).into_par_iter().inspect(|_| check()).on_windlass();
            assert_eq!(iter().flat_map(inner).count(), 450);
        });
    });
}

#[test]
fn nested_loops_stay_in_the_pool() {
    at_each_width(|pool| {
        let total: usize = pool.install(|| {
            let caller = thread::current().id();
            (0..30_usize)
                .into_par_iter()
                .on_windlass()
                .map(|n| {
                    let inner = (0..100_usize).into_par_iter().on_windlass();
                    let inner: usize = inner.map(|m| (check_thread(pool, caller), m * n).1).sum();
                    let (a, b) = windlass::join(|| inner, || 1);
                    a + b
                })
                .sum()
        });
        assert_eq!(total, 30 + 4_950 * 435);
        let sum = |n| (0..n).into_par_iter().on_windlass().sum::<usize>();
        let sums = pool.par_map(0..10_usize, sum);
        assert!(sums.into_iter().eq((0..10_usize).map(|n| (0..n).sum::<usize>())));
    });
}

/// A state that must not leave its thread.
fn rc_loop(len: usize) {
    let made_here = || Rc::new((thread::current().id(), Cell::new(0)));
    let sums = (0..len).into_par_iter().on_windlass().map_init(made_here, |state, n| {
        assert_eq!(state.0, thread::current().id());
        state.1.set(state.1.get() + 1);
        work();
        n
    });
    assert!(sums.collect::<Vec<_>>().into_iter().eq(0..len));
}

#[test]
fn folders_need_not_be_send() {
    at_each_width(|pool| {
        for len in [1, 10, 100, 500] {
            pool.install(|| rc_loop(len));
        }
    });
}

#[test]
fn callers_from_outside_share_a_pool_that_is_too_narrow() {
    let body = || {
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| (0..scale(50)).for_each(|round| rc_loop(round % 7 * 20)));
            }
        });
    };
    in_child(
        "callers_from_outside_share_a_pool_that_is_too_narrow",
        &[("WINDLASS_NUM_THREADS", "2")],
        body,
    );
}

#[cfg(target_os = "linux")]
#[test]
fn rayons_pool_is_not_started() {
    in_child("rayons_pool_is_not_started", &[], || {
        let pool = Pool::builder().workers(3).max_spare_workers(0).build().unwrap();
        pool.broadcast(|_| ());
        let before = num_threads();
        let v: Vec<usize> = (0..5_000).collect();
        pool.install(|| {
            let iter = || v.par_iter().zip(&v).enumerate().on_windlass();
            iter().for_each(|_| work());
            assert_eq!(iter().map(|(i, (a, b))| i + a - b).collect::<Vec<_>>(), v);
            assert_eq!(iter().filter(|(i, _)| i % 2 == 0).count(), 2_500);
            assert_eq!(iter().skip(10).chain(iter_of(&v)).count(), 9_990);
            assert_eq!(iter().take_any(9).count(), 9);
            assert!(iter().find_last(|_| true).is_some());
            let (a, b): (Vec<usize>, Vec<usize>) = iter().map(|(_, (a, b))| (*a, *b)).unzip();
            assert_eq!(a, b);
            let (mut a, mut b) = (Vec::new(), Vec::new());
            v.par_iter().map(|&n| (n, n)).on_windlass().unzip_into_vecs(&mut a, &mut b);
            v.par_iter().copied().on_windlass().collect_into_vec(&mut b);
            let text: String = iter().map(|(i, _)| i.to_string()).collect();
            assert_eq!((a == b, text.len()), (true, 10 + 180 + 2_700 + 16_000));
            let fine: Option<HashMap<_, _>> = iter().map(|(i, (a, _))| Some((i, a))).collect();
            assert_eq!(fine.unwrap().len(), 5_000);
            let map: IndexMap<_, _> = v.iter().map(|n| (n, n)).collect();
            assert!(map.par_values().on_windlass().max() == Some(&&4_999));
        });
        assert_eq!(num_threads(), before);
        // So that the test says something: this is what it looks like if the pool is started.
        assert_eq!(v.par_iter().count(), 5_000);
        assert!(num_threads() > before);
    });

    fn iter_of(v: &[usize]) -> impl IndexedParallelIterator<Item = (usize, (&usize, &usize))> {
        v.par_iter().zip(v).enumerate()
    }
}

#[cfg(debug_assertions)]
#[test]
fn skip_in_front_is_refused() {
    let v = [1, 2, 3];
    assert!(panics(|| v.par_iter().skip(1).on_windlass()));
    assert!(panics(|| v.par_iter().enumerate().skip(1).map(|n| n).rev().on_windlass()));
    fn fine<I: IndexedParallelIterator>(_: I) {
        let _ = [1].par_iter().map(|n: &i32| *n).on_windlass();
    }
    fine(v.par_iter().skip(1));
}

// ---- panics -------------------------------------------------------------------------------------

#[test]
fn a_panic_anywhere_loses_nothing_and_drops_nothing_twice() {
    const LEN: usize = 25;
    type Body = fn(Vec<Item<'_>>, &(dyn Fn(&Item<'_>) + Sync));
    let bodies: [Body; 8] = [
        |v, f| v.into_par_iter().on_windlass().for_each(|item| f(&item)),
        |v, f| drop(v.into_par_iter().on_windlass().inspect(f).collect::<Vec<_>>()),
        |v, f| drop(v.into_par_iter().inspect(f).rev().on_windlass().collect::<Vec<_>>()),
        |v, f| drop(v.into_par_iter().on_windlass().inspect(f).collect::<LinkedList<_>>()),
        |v, f| {
            let chunks = v.into_par_iter().chunks(3).on_windlass();
            chunks.for_each(|chunk| chunk.iter().for_each(f));
        },
        |v, f| {
            let mut target = Vec::new();
            let iter = v.into_par_iter().inspect(f).on_windlass();
            let is_lost = panics(|| iter.collect_into_vec(&mut target));
            assert!(is_lost && target.is_empty());
            throw(());
        },
        |v, f| {
            let iter = v.into_par_iter().enumerate().on_windlass();
            let (a, b): (Vec<_>, LinkedList<_>) = iter.inspect(|(_, item)| f(item)).unzip();
            drop((a, b));
        },
        |v, f| {
            let iter = v.into_par_iter().on_windlass().inspect(f);
            let parts = iter.fold(Vec::new, |mut part, item| {
                part.push(item);
                part
            });
            drop(parts.collect::<Vec<_>>());
        },
    ];
    at_each_width(|pool| {
        for body in bodies {
            for position in 0..LEN {
                let drops = Drops::new(LEN);
                let items: Vec<Item<'_>> = (0..LEN).map(|index| drops.item(index)).collect();
                caught::<(), _>(|| {
                    pool.install(|| {
                        body(items, &|item| {
                            work();
                            if item.index == position {
                                throw(());
                            }
                        });
                    });
                });
                drops.assert_each_once();
            }
        }
    });
}

#[test]
fn a_panic_while_a_part_begins_loses_nothing() {
    at_each_width(|pool| {
        for position in 0..6 {
            let (drops, begun) = (Drops::new(40), AtomicUsize::new(0));
            let items: Vec<Item<'_>> = (0..40).map(|index| drops.item(index)).collect();
            let begin = || {
                if begun.fetch_add(1, Ordering::SeqCst) == position {
                    throw(position);
                }
            };
            let thrown: usize = caught(|| {
                pool.install(|| {
                    let iter = items.into_par_iter().on_windlass();
                    iter.map_init(begin, |(), item| (work(), item).1).collect::<Vec<_>>()
                })
            });
            assert_eq!(thrown, position);
            drops.assert_each_once();
        }
    });
}

#[test]
fn panics_of_reducers_come_out() {
    at_each_width(|pool| {
        let live = Live::default();
        let thrown: &str = caught(|| {
            pool.install(|| {
                let iter = (0..100_usize).into_par_iter().on_windlass().map(|_| live.token());
                iter.fold(Vec::new, |mut part, token| {
                    part.push(token);
                    part
                })
                .reduce(Vec::new, |_, _| throw("reduced"))
            })
        });
        assert_eq!(thrown, "reduced");
        live.assert_none();
    });
}

#[test]
fn a_loop_that_is_cancelled_ends_at_its_token() {
    at_each_width(|pool| {
        let (token, drops) = (CancelToken::new(), Drops::new(2_000));
        let items: Vec<Item<'_>> = (0..2_000).map(|index| drops.item(index)).collect();
        let collected = pool.install(|| {
            token.run(|| {
                let iter = items.into_par_iter().on_windlass().inspect(|item| {
                    if item.index == 100 {
                        token.cancel();
                    }
                    work();
                });
                iter.collect::<Vec<_>>()
            })
        });
        assert!(collected.is_err());
        drops.assert_each_once();
    });
}
