mod order;

use super::clock::{Clock, RealClock, after};
use super::manual::ManualClock;
use super::queue::{Queue, TimerKey};
use super::timer::Timer;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);

/// After this a test is taken to hang.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `body`; aborts if that takes too long.
fn watched<R>(body: impl FnOnce() -> R) -> R {
    let (_done, is_done) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_done.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            std::process::abort();
        }
    });
    body()
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Panics without the noise of the panic hook, and with a payload that is no loss if forgotten.
fn throw() -> ! {
    resume_unwind(Box::new(()))
}

/// As many pseudo-random numbers as one likes.
fn random(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// A timer whose clock the test moves, and what its callbacks have said and when.
struct Manual {
    clock: ManualClock,
    start: Instant,
    timer: Arc<Timer>,
    said: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Manual {
    fn new() -> Self {
        let clock = ManualClock::new();
        Manual {
            start: clock.now(),
            timer: Arc::new(Timer::new(Arc::new(clock.clone()))),
            clock,
            said: Arc::default(),
        }
    }

    fn at(&self, n: u64) -> Instant {
        self.start + ms(n)
    }

    /// What notes `word`, with the time.
    fn say(&self, word: impl Into<String>) -> impl FnOnce() + Send + 'static {
        let (said, clock, start, word) =
            (Arc::clone(&self.said), self.clock.clone(), self.start, word.into());
        move || {
            let now = (clock.now() - start).as_millis() as u64;
            said.lock().unwrap().push((now, word));
        }
    }

    fn insert(&self, n: u64, word: impl Into<String>) -> TimerKey {
        self.timer.insert(self.at(n), self.say(word))
    }

    /// What has been said since this was last called.
    fn said(&self) -> String {
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        said.iter().map(|(now, word)| format!("{now}:{word} ")).collect()
    }
}

#[test]
fn fires_by_deadline_then_by_insertion() {
    let m = Manual::new();
    for (n, word) in [(30, "d"), (10, "a"), (20, "b"), (20, "c"), (31, "e")] {
        m.insert(n, word);
    }
    assert_eq!(m.said(), "");
    m.clock.advance(ms(9));
    assert_eq!(m.said(), "");
    m.clock.advance(ms(1));
    assert_eq!(m.said(), "10:a ");
    m.clock.advance(ms(20));
    assert_eq!(m.said(), "20:b 20:c 30:d ");
    m.clock.advance(HOUR);
    assert_eq!(m.said(), "31:e ");
    assert_eq!(m.clock.now(), m.at(3_600_030));
    assert_eq!(m.timer.num_pending_for_test(), 0);
    assert!(!m.timer.has_thread_for_test());
}

#[test]
fn ten_thousand_fire_in_order() {
    let m = Manual::new();
    let mut random = random(1);
    let mut keys: Vec<_> = (0..10_000)
        .map(|index: u64| {
            let n = random(500);
            (n, index, m.insert(n, format!("{index}")))
        })
        .collect();
    for round in 0..3_000 {
        let (.., key) = keys.swap_remove(random(keys.len() as u64) as usize);
        assert!(m.timer.cancel(key) && !m.timer.cancel(key));
        if round % 100 == 0 {
            assert_eq!(m.timer.num_pending_for_test(), keys.len());
        }
    }
    keys.sort_by_key(|&(n, index, _)| (n, index));
    let expected: String = keys.iter().map(|(n, index, _)| format!("{n}:{index} ")).collect();
    m.clock.advance(ms(500));
    assert!(m.said() == expected);
    assert!(keys.iter().all(|&(.., key)| !m.timer.cancel(key)));
}

#[test]
fn late_by_an_hour_is_one_catch_up_in_order() {
    let m = Manual::new();
    let hour = HOUR.as_millis() as u64;
    for n in [3, 1, 2, hour, hour + 1] {
        m.insert(n, n.to_string());
    }
    m.clock.jump(HOUR);
    assert_eq!(m.said(), format!("{hour}:1 {hour}:2 {hour}:3 {hour}:{hour} "));
    m.clock.advance(ms(1));
    assert_eq!(m.said(), format!("{0}:{0} ", hour + 1));
}

#[test]
fn what_is_past_fires_when_the_clock_is_moved_by_nothing() {
    let m = Manual::new();
    m.clock.advance(ms(10));
    m.insert(5, "past");
    m.insert(10, "now");
    assert_eq!(m.said(), "");
    m.clock.advance(Duration::ZERO);
    assert_eq!(m.said(), "10:past 10:now ");
}

#[test]
fn far_deadlines_do_not_overflow() {
    let m = Manual::new();
    let last = after(m.start, Duration::MAX);
    assert!(last.checked_add(Duration::from_nanos(1)).is_none());
    assert_eq!(after(last, ms(1)), last);
    assert_eq!(after(m.start, Duration::ZERO), m.start);
    assert_eq!(after(m.start, ms(7)), m.at(7));
    m.timer.insert(last, m.say("last"));
    m.insert(1, "first");
    m.clock.advance(HOUR);
    assert_eq!(m.said(), "1:first ");
    m.clock.advance(Duration::MAX);
    assert!(m.said().ends_with(":last ") && m.clock.now() == last);
    m.clock.advance(Duration::MAX);
    m.clock.jump(Duration::MAX);
    assert_eq!(m.clock.now(), last);
}

#[test]
fn the_real_clock_sleeps_for_a_far_deadline() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        let far = timer.insert(after(Instant::now(), Duration::MAX), || unreachable!());
        until(|| timer.is_asleep_for_test());
        assert!(timer.cancel(far));
        timer.insert(after(Instant::now(), Duration::MAX / 2), || unreachable!());
        assert_eq!(timer.wakes_for_test().0, 0);
    });
}

#[test]
fn cancel_drops_the_captures_before_it_returns() {
    let m = Manual::new();
    let data = Arc::new(());
    let held = Arc::clone(&data);
    let key = m.timer.insert(m.at(1), move || drop(held));
    assert_eq!(Arc::strong_count(&data), 2);
    assert!(m.timer.cancel(key));
    assert_eq!(Arc::strong_count(&data), 1);
    assert!(!m.timer.cancel(key));
    // The slot is used again, under another key.
    let next = m.insert(1, "next");
    assert!(next != key && !m.timer.cancel(key));
    m.clock.advance(ms(1));
    assert_eq!(m.said(), "1:next ");
    assert!(!m.timer.cancel(next));
}

#[test]
fn a_hundred_thousand_inserts_and_cancels_leave_no_captures() {
    let m = Manual::new();
    let data = Arc::new(());
    let mut random = random(2);
    let mut keys = Vec::new();
    for _ in 0..100_000 {
        let held = Arc::clone(&data);
        keys.push(m.timer.insert(m.at(random(1_000)), move || drop(held)));
        if keys.len() > 500 {
            let key = keys.swap_remove(random(500) as usize);
            assert!(m.timer.cancel(key));
        }
    }
    assert_eq!(Arc::strong_count(&data), 501);
    keys.into_iter().for_each(|key| assert!(m.timer.cancel(key)));
    assert_eq!(Arc::strong_count(&data), 1);
    assert_eq!(m.timer.num_pending_for_test(), 0);
}

#[test]
fn a_slot_whose_generations_are_used_up_is_retired() {
    let now = Instant::now();
    let mut queue = Queue::new();
    let first = queue.insert(now, Box::new(|| ()));
    assert!(queue.remove(first).is_some());
    queue.wear_out_for_test();
    let last = queue.insert(now, Box::new(|| ()));
    assert!(queue.remove(last).is_some() && queue.remove(last).is_none());
    let other = queue.insert(now, Box::new(|| ()));
    assert!(queue.remove(TimerKey::NONE).is_none());
    assert!(queue.remove(first).is_none() && queue.remove(last).is_none());
    assert!(queue.remove(other).is_some());
    queue.check();
}

#[test]
fn callbacks_insert_and_cancel() {
    let m = Manual::new();
    let victim = m.insert(20, "never");
    let (timer, at_10, at_25) = (Arc::clone(&m.timer), m.at(10), m.at(25));
    let (now, later, much_later) = (m.say("now"), m.say("later"), m.say("much later"));
    let (own, own_key) = mpsc::channel();
    let much_later_at = m.at(100);
    let key = m.timer.insert(at_10, move || {
        assert!(timer.cancel(victim));
        assert!(!timer.cancel(own_key.recv().unwrap()), "it is running");
        timer.insert(at_25, later);
        timer.insert(at_10, now);
        timer.insert(much_later_at, much_later);
    });
    own.send(key).unwrap();
    m.clock.advance(ms(30));
    assert_eq!(m.said(), "10:now 25:later ");
    assert_eq!(m.timer.num_pending_for_test(), 1);
}

#[test]
fn a_series_does_not_drift() {
    let m = Manual::new();
    fn tick(timer: Arc<Timer>, at: Instant, left: u32, done: Arc<AtomicUsize>) {
        let again = Arc::clone(&timer);
        timer.insert(at, move || {
            assert_eq!(again.clock().now(), at);
            done.fetch_add(1, Ordering::Relaxed);
            if left > 1 {
                tick(Arc::clone(&again), at + ms(7), left - 1, done);
            }
        });
    }
    let done = Arc::default();
    tick(Arc::clone(&m.timer), m.at(7), 10_000, Arc::clone(&done));
    m.clock.advance(ms(69_999));
    assert_eq!(done.load(Ordering::Relaxed), 9_999);
    m.clock.advance(ms(1));
    assert_eq!(done.load(Ordering::Relaxed), 10_000);
}

#[test]
fn a_callback_moves_the_clock() {
    let m = Manual::new();
    let clock = m.clock.clone();
    m.insert(15, "b");
    m.timer.insert(m.at(10), move || clock.advance(ms(10)));
    m.insert(10, "a");
    m.insert(21, "c");
    m.clock.advance(ms(5));
    m.clock.advance(ms(7));
    assert_eq!((m.said().as_str(), m.clock.now()), ("10:a 15:b ", m.at(20)));
    m.clock.advance(ms(1));
    assert_eq!(m.said(), "21:c ");
}

#[test]
fn two_timers_of_one_clock_keep_one_order() {
    let m = Manual::new();
    let other = Timer::new(Arc::new(m.clock.clone()));
    other.insert(m.at(1), m.say("a"));
    m.insert(2, "b");
    other.insert(m.at(3), m.say("d"));
    m.insert(3, "c");
    m.clock.advance(ms(3));
    assert_eq!(m.said(), "1:a 2:b 3:c 3:d ");
    other.insert(m.at(4), m.say("dropped"));
    drop(other);
    m.clock.advance(ms(10));
    assert_eq!(m.said(), "");
}

struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        throw();
    }
}

#[test]
fn panics_are_contained() {
    let m = Manual::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let bomb = || Bomb(Arc::clone(&dropped));
    m.timer.insert(m.at(1), || throw());
    let payload = bomb();
    m.timer.insert(m.at(1), move || resume_unwind(Box::new(payload)));
    let capture = bomb();
    m.timer.insert(m.at(1), move || drop(capture));
    m.insert(1, "goes on");
    m.clock.advance(ms(1));
    assert_eq!(m.said(), "1:goes on ");
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    // By cancel, by stop, and by an insert after that.
    let held = || {
        let bomb = bomb();
        move || unreachable!("{:p}", &bomb)
    };
    assert!(m.timer.cancel(m.timer.insert(m.at(2), held())));
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    m.timer.insert(m.at(2), held());
    m.timer.insert(m.at(2), held());
    m.timer.stop();
    assert_eq!(dropped.load(Ordering::Relaxed), 5);
    assert!(!m.timer.cancel(m.timer.insert(m.at(2), held())));
    assert_eq!(dropped.load(Ordering::Relaxed), 6);
    m.timer.stop();
    m.clock.advance(ms(2));
}

#[test]
fn the_thread_survives_a_panic_and_fires_in_time() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        assert!(!timer.has_thread_for_test());
        let (sender, receiver) = mpsc::channel();
        timer.insert(Instant::now(), || throw());
        let at = Instant::now() + ms(5);
        timer.insert(at, move || {
            let name = std::thread::current().name().map(str::to_owned);
            sender.send((Instant::now(), name)).unwrap();
        });
        let (fired, name) = receiver.recv().unwrap();
        assert!(fired >= at);
        assert_eq!(name.as_deref(), Some("windlass-timer"));
    });
}

#[test]
fn an_earlier_insert_wakes_the_thread_and_nothing_else_does() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        let start = Instant::now();
        let never = || unreachable!("in an hour");
        let first = timer.insert(start + HOUR, never);
        until(|| timer.is_asleep_for_test());
        assert_eq!(timer.wakes_for_test(), (0, 0));
        let keys: Vec<_> = (0..1_000).map(|n| timer.insert(start + HOUR + ms(n), never)).collect();
        assert!(timer.cancel(first));
        keys.into_iter().for_each(|key| assert!(timer.cancel(key)));
        assert_eq!(timer.wakes_for_test(), (0, 0));
        assert!(timer.is_asleep_for_test());
        // One that is earlier does, and fires.
        let (sender, receiver) = mpsc::channel();
        timer.insert(start, move || sender.send(()).unwrap());
        receiver.recv().unwrap();
        until(|| timer.is_asleep_for_test());
        assert_eq!(timer.wakes_for_test(), (1, 1));
        // Now it sleeps for ever, until there is something again.
        timer.insert(start + HOUR, never);
        until(|| timer.is_asleep_for_test());
        assert_eq!(timer.wakes_for_test(), (2, 2));
    });
}

#[test]
fn stop_drops_what_is_pending() {
    watched(|| {
        let data = Arc::new(());
        let timer = Timer::new(Arc::new(RealClock));
        let mut key = None;
        for _ in 0..100 {
            let held = Arc::clone(&data);
            key = Some(timer.insert(Instant::now() + HOUR, move || unreachable!("{held:?}")));
        }
        let life = timer.life_for_test();
        timer.stop();
        assert_eq!(Arc::strong_count(&data), 1);
        assert_eq!(life.strong_count(), 1, "the thread has been joined");
        assert!(!timer.cancel(key.unwrap()));
        let held = Arc::clone(&data);
        timer.insert(Instant::now(), move || unreachable!("{held:?}"));
        assert_eq!(Arc::strong_count(&data), 1);
        timer.stop();
    });
}

#[test]
fn drop_waits_for_the_callback_that_runs() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        let (started, starts) = mpsc::channel();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        timer.insert(Instant::now(), move || {
            started.send(()).unwrap();
            std::thread::sleep(ms(5));
            done.store(true, Ordering::Relaxed);
        });
        starts.recv().unwrap();
        drop(timer);
        assert!(is_done.load(Ordering::Relaxed));
    });
}

#[test]
fn a_callback_drops_the_timer() {
    watched(|| {
        for stops_first in [false, true] {
            let timer = Arc::new(Timer::new(Arc::new(RealClock)));
            let life = timer.life_for_test();
            let data = Arc::new(());
            let held = Arc::clone(&data);
            timer.insert(Instant::now() + HOUR, move || unreachable!("{held:?}"));
            let (alone, is_alone) = mpsc::channel::<()>();
            let (ended, ends) = mpsc::channel();
            let last = Arc::clone(&timer);
            timer.insert(Instant::now(), move || {
                is_alone.recv().unwrap();
                if stops_first {
                    last.stop();
                }
                drop(last);
                ended.send(()).unwrap();
            });
            drop(timer);
            alone.send(()).unwrap();
            ends.recv().unwrap();
            assert_eq!(Arc::strong_count(&data), 1);
            until(|| life.strong_count() == 0);
        }
    });
}

#[test]
fn a_manual_callback_drops_the_timer() {
    let m = Manual::new();
    m.insert(2, "never");
    let Manual { clock, start, timer, said } = m;
    let slot: Arc<Mutex<Option<Arc<Timer>>>> = Arc::default();
    let own = Arc::clone(&slot);
    timer.insert(start + ms(1), move || drop(own.lock().unwrap().take()));
    *slot.lock().unwrap() = Some(timer);
    clock.advance(ms(5));
    assert!(slot.lock().unwrap().is_none() && said.lock().unwrap().is_empty());
}

#[test]
fn a_stop_from_inside_leaves_the_join_to_the_owner() {
    watched(|| {
        let timer = Arc::new(Timer::new(Arc::new(RealClock)));
        let (sender, receiver) = mpsc::channel();
        let inner = Arc::clone(&timer);
        timer.insert(Instant::now(), move || {
            inner.stop();
            drop(inner);
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        let life = timer.life_for_test();
        until(|| Arc::strong_count(&timer) == 1);
        drop(timer);
        assert_eq!(life.strong_count(), 0, "the thread has been joined");
    });
}

#[test]
fn after_a_fork_the_first_insert_starts_a_thread() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        let life = timer.life_for_test();
        timer.insert(Instant::now() + HOUR, || unreachable!());
        until(|| timer.is_asleep_for_test());
        let parents = timer.pretend_fork_for_test().unwrap();
        let (sender, receiver) = mpsc::channel();
        timer.insert(Instant::now(), move || sender.send(()).unwrap());
        assert!(timer.has_thread_for_test());
        receiver.recv().unwrap();
        drop(timer);
        // This was no fork, so it has been told to end too.
        parents.join().unwrap();
        assert_eq!(life.strong_count(), 0);
    });
}

#[test]
fn after_a_fork_drop_joins_no_thread_and_waits_for_no_lock() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        let data = Arc::new(());
        let held = Arc::clone(&data);
        timer.insert(Instant::now() + HOUR, move || unreachable!("{held:?}"));
        until(|| timer.is_asleep_for_test());
        let parents = timer.pretend_fork_for_test().unwrap();
        timer.while_locked_for_test(|| timer.stop());
        assert_eq!(Arc::strong_count(&data), 2, "the lock is lost, and what it guards");
        drop(timer);
        assert_eq!(Arc::strong_count(&data), 1);
        parents.join().unwrap();
    });
}

/// What became of one timer of a stress test.
struct Fate {
    runs: AtomicU8,
    drops: AtomicU8,
    /// Whether a cancel of it has returned true.
    is_cancelled: AtomicBool,
}

struct Fated(Arc<Fate>);

impl Fated {
    fn run(self) {
        assert!(!self.0.is_cancelled.load(Ordering::SeqCst));
        self.0.runs.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Fated {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::SeqCst);
    }
}

/// Several threads insert, and cancel each other's, while `during` runs.
fn stress(timer: &Timer, during: impl Fn()) {
    const THREADS: u64 = 4;
    const EACH: usize = 5_000;
    let board: Mutex<Vec<(TimerKey, Arc<Fate>)>> = Mutex::default();
    let all: Mutex<Vec<Arc<Fate>>> = Mutex::default();
    let barrier = Barrier::new(THREADS as usize + 1);
    let num_left = AtomicUsize::new(THREADS as usize);
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (board, all, barrier, num_left) = (&board, &all, &barrier, &num_left);
            scope.spawn(move || {
                let mut random = random(seed);
                barrier.wait();
                for _ in 0..EACH {
                    let fate = Arc::new(Fate {
                        runs: AtomicU8::new(0),
                        drops: AtomicU8::new(0),
                        is_cancelled: AtomicBool::new(false),
                    });
                    let fated = Fated(Arc::clone(&fate));
                    let at = timer.clock().now() + Duration::from_micros(random(300));
                    let key = timer.insert(at, move || fated.run());
                    board.lock().unwrap().push((key, Arc::clone(&fate)));
                    all.lock().unwrap().push(fate);
                    let other = {
                        let mut board = board.lock().unwrap();
                        // One of the later ones, which may be pending yet.
                        let place = board.len().checked_sub(1 + random(4_000) as usize);
                        place.map(|place| board.swap_remove(place))
                    };
                    if let Some((key, fate)) = other
                        && timer.cancel(key)
                    {
                        assert_eq!(fate.drops.load(Ordering::SeqCst), 1);
                        assert_eq!(fate.runs.load(Ordering::SeqCst), 0);
                        fate.is_cancelled.store(true, Ordering::SeqCst);
                    }
                }
                num_left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        barrier.wait();
        while num_left.load(Ordering::SeqCst) > 0 {
            during();
        }
    });
    during();
    until(|| timer.num_pending_for_test() == 0);
    timer.stop();
    for fate in all.into_inner().unwrap() {
        let runs = fate.runs.load(Ordering::SeqCst);
        assert_eq!(fate.drops.load(Ordering::SeqCst), 1);
        assert_eq!(runs, u8::from(!fate.is_cancelled.load(Ordering::SeqCst)));
    }
}

#[test]
fn runs_once_and_never_after_a_cancel_by_hand() {
    watched(|| {
        let clock = ManualClock::new();
        let timer = Timer::new(Arc::new(clock.clone()));
        stress(&timer, || {
            std::thread::scope(|scope| {
                scope.spawn(|| clock.advance(Duration::from_micros(200)));
                clock.advance(Duration::from_micros(200));
            });
        });
    });
}

#[test]
fn runs_once_and_never_after_a_cancel_by_the_thread() {
    watched(|| stress(&Timer::new(Arc::new(RealClock)), std::thread::yield_now));
}

/// `cargo test --release --lib -- --ignored --nocapture cost_of`
#[test]
#[ignore = "a measurement"]
fn cost_of_insert_and_cancel() {
    const ROUNDS: u32 = 1_000_000;
    let callback = |token: u64| move || _ = std::hint::black_box(token);
    for pending in [1u64, 1_000, 100_000, 1_000_000] {
        // Deadlines anywhere: cancel the one that was inserted, then any of those that are pending.
        let m = Manual::new();
        let mut random = random(3);
        let mut keys: Vec<_> =
            (0..pending).map(|n| m.timer.insert(m.at(random(1 << 30)), callback(n))).collect();
        let start = Instant::now();
        for n in 0..u64::from(ROUNDS) {
            assert!(m.timer.cancel(m.timer.insert(m.at(random(1 << 30)), callback(n))));
        }
        let own = start.elapsed() / ROUNDS;
        let start = Instant::now();
        for n in 0..u64::from(ROUNDS) {
            let key = m.timer.insert(m.at(random(1 << 30)), callback(n));
            let place = random(pending) as usize;
            assert!(m.timer.cancel(std::mem::replace(&mut keys[place], key)));
        }
        let any = start.elapsed() / ROUNDS;
        // All with the same time-out, and cancelled in the order of insertion: jobs in a queue.
        let m = Manual::new();
        let mut keys: Vec<_> = (0..pending).map(|n| m.timer.insert(m.at(n), callback(n))).collect();
        let start = Instant::now();
        for n in 0..u64::from(ROUNDS) {
            let key = m.timer.insert(m.at(pending + n), callback(n));
            let place = (n % pending) as usize;
            assert!(m.timer.cancel(std::mem::replace(&mut keys[place], key)));
        }
        let oldest = start.elapsed() / ROUNDS;
        let start = Instant::now();
        m.clock.jump(ms(1 << 40));
        let fire = start.elapsed() / pending as u32;
        println!(
            "{pending}: insert + cancel own {own:?}, any {any:?}, oldest {oldest:?}; fire {fire:?}"
        );
    }
}
