//! What the tests share: the watchdog, sizes, counted values, meetings of threads, child processes.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::any::Any;
use std::cell::RefCell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
#[cfg(feature = "test-util")]
use windlass::ManualClock;
use windlass::{JobHandle, Pool};

/// Every property of concurrency is tested in pools of these sizes.
pub(crate) const WIDTHS: [usize; 4] = [1, 2, 3, 8];

fn divisor() -> usize {
    std::env::var("WINDLASS_TEST_SCALE").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}

/// The size of a stress test: `n`, divided by `WINDLASS_TEST_SCALE` (sanitizers are slow).
pub(crate) fn scale(n: usize) -> usize {
    (n / divisor()).max(1)
}

/// After this a test is taken to hang.
pub(crate) fn time_limit() -> Duration {
    Duration::from_secs(if divisor() > 1 { 300 } else { 30 })
}

/// Runs `body`. If that takes too long, shows what every worker of `pool` is at, and aborts.
#[track_caller]
pub(crate) fn watchdog<R>(pool: &Pool, body: impl FnOnce() -> R) -> R {
    let pool = pool.clone();
    watch(move || format!("{pool:#?}"), body)
}

/// As [`watchdog`], where there is no pool to show or a handle would keep it alive.
#[track_caller]
pub(crate) fn deadline<R>(body: impl FnOnce() -> R) -> R {
    watch(|| "no pool to show".to_owned(), body)
}

#[track_caller]
fn watch<R>(show: impl FnOnce() -> String + Send + 'static, body: impl FnOnce() -> R) -> R {
    let place = std::panic::Location::caller();
    let (done, is_done) = mpsc::channel::<()>();
    let dog = std::thread::spawn(move || {
        if is_done.recv_timeout(time_limit()) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not `eprintln`, which libtest catches and an abort loses.
            let _ = writeln!(std::io::stderr(), "watchdog: the test at {place} hangs\n{}", show());
            std::process::abort();
        }
    });
    let result = catch_unwind(AssertUnwindSafe(body));
    drop(done);
    dog.join().expect("the watchdog does not panic");
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Runs `body` with a pool of each of the [`WIDTHS`], under the watchdog.
#[track_caller]
pub(crate) fn at_each_width(body: impl Fn(&Pool)) {
    for width in WIDTHS {
        let pool = Pool::new(width).expect("a small pool");
        watchdog(&pool, || body(&pool));
    }
}

/// A pool whose time the test moves.
#[cfg(feature = "test-util")]
pub(crate) fn pool_and_clock(workers: usize) -> (Pool, ManualClock) {
    let clock = ManualClock::new();
    let pool = Pool::builder().workers(workers).clock(clock.clone()).build().unwrap();
    (pool, clock)
}

/// Runs `body` with a pool of each width and its clock, under the watchdog.
#[cfg(feature = "test-util")]
#[track_caller]
pub(crate) fn at_each_width_by_hand(body: impl Fn(&Pool, &ManualClock)) {
    for width in WIDTHS {
        let (pool, clock) = pool_and_clock(width);
        watchdog(&pool, || body(&pool, &clock));
    }
}

/// Panics with `value`, without the noise of the panic hook.
pub(crate) fn throw<T: Any + Send>(value: T) -> ! {
    resume_unwind(Box::new(value))
}

/// Keeps `value` for good, where a search for leaks finds it: for items that refer to it for as
/// long as a `'static` closure lives.
pub(crate) fn forever<T: Any + Send + Sync>(value: T) -> &'static T {
    static KEPT: std::sync::Mutex<Vec<&'static (dyn Any + Send + Sync)>> =
        std::sync::Mutex::new(Vec::new());
    let value: &'static T = Box::leak(Box::new(value));
    KEPT.lock().unwrap().push(value);
    value
}

/// Runs `f`, which must panic with a `T`.
#[track_caller]
pub(crate) fn caught<T: Any, R>(f: impl FnOnce() -> R) -> T {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it must panic"),
        Err(payload) => *payload.downcast().expect("the payload that was thrown"),
    }
}

/// Whether `f` panics.
pub(crate) fn panics<R>(f: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

// ---- counted values ------------------------------------------------------------------------------

/// Counts values that are alive.
#[derive(Debug, Default)]
pub(crate) struct Live(AtomicIsize);

impl Live {
    pub(crate) const fn new() -> Self {
        Live(AtomicIsize::new(0))
    }

    pub(crate) fn token(&self) -> Token<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Token(self)
    }

    #[track_caller]
    pub(crate) fn assert_none(&self) {
        assert_eq!(self.0.load(Ordering::SeqCst), 0, "made minus dropped");
    }
}

/// A value that is counted while it lives.
#[derive(Debug)]
pub(crate) struct Token<'a>(&'a Live);

impl Drop for Token<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts the drops of each of many values.
#[derive(Debug)]
pub(crate) struct Drops(Vec<AtomicUsize>);

impl Drops {
    pub(crate) fn new(len: usize) -> Self {
        Drops((0..len).map(|_| AtomicUsize::new(0)).collect())
    }

    pub(crate) fn item(&self, index: usize) -> Item<'_> {
        Item { index, drops: self }
    }

    pub(crate) fn count(&self, index: usize) -> usize {
        self.0[index].load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn assert_each_once(&self) {
        for index in 0..self.0.len() {
            assert_eq!(self.count(index), 1, "drops of value {index}");
        }
    }
}

/// One of the values of [`Drops`].
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) index: usize,
    drops: &'a Drops,
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.drops.0[self.index].fetch_add(1, Ordering::SeqCst);
    }
}

// ---- threads -------------------------------------------------------------------------------------

/// A place where `n` threads wait for one another: only code that runs at the same time gets past.
#[derive(Debug)]
pub(crate) struct Meeting {
    arrived: AtomicUsize,
    n: usize,
}

impl Meeting {
    pub(crate) fn of(n: usize) -> Self {
        Meeting { arrived: AtomicUsize::new(0), n }
    }

    pub(crate) fn attend(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        while self.arrived.load(Ordering::SeqCst) < self.n {
            std::thread::yield_now();
        }
    }
}

/// Keeps the CPU busy for so long; for work that takes time, never to wait for something.
pub(crate) fn work_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

thread_local! {
    static ROOTS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Runs a piece of the work of `root`, and checks that the thread is not inside of another root's work: a wait
/// has run something foreign then.
pub(crate) fn as_part_of<R>(root: usize, f: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            ROOTS.with_borrow_mut(|roots| roots.pop());
        }
    }
    ROOTS.with_borrow_mut(|roots| {
        if let Some(&outer) = roots.last() {
            assert_eq!(outer, root, "work of {root} runs while this thread waits in {outer}");
        }
        roots.push(root);
    });
    let _leave = Leave;
    f()
}

/// A parallel recursion whose closures all say whose they are.
pub(crate) fn tree_of(root: usize, depth: u32) -> u64 {
    if depth == 0 {
        return std::hint::black_box(1);
    }
    let (a, b) = windlass::join(
        || as_part_of(root, || tree_of(root, depth - 1)),
        || as_part_of(root, || tree_of(root, depth - 1)),
    );
    a + b
}

pub(crate) fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = windlass::join(|| fib(n - 1), || fib(n - 2));
    a + b
}

// ---- child processes -----------------------------------------------------------------------------

const CHILD: &str = "WINDLASS_TEST_CHILD";

/// Runs `body` in a process of its own, with `env` set, and returns what that wrote to standard error. `test` is the path
/// of the calling test. The child must end well and in time.
#[track_caller]
pub(crate) fn in_child(test: &str, env: &[(&str, &str)], body: impl FnOnce()) -> String {
    // The file is the module.
    let file = std::path::Path::new(std::panic::Location::caller().file());
    let test = &format!("{}::{test}", file.file_stem().expect("a source").to_string_lossy());
    if std::env::var(CHILD).is_ok_and(|name| name == *test) {
        deadline(body);
        return String::new();
    }
    let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
    command.args([test.as_str(), "--exact", "--nocapture", "--test-threads=1"]);
    command.env_remove("WINDLASS_NUM_THREADS").env(CHILD, test).envs(env.iter().copied());
    finish(command)
}

/// Whether this process is the child of [`in_child`].
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[track_caller]
fn finish(mut command: Command) -> String {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
    let id = child.id();
    let (done, is_done) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let _ = done.send(child.wait_with_output());
    });
    // The child's own watchdog is faster; this is for one that hangs at its exit.
    let Ok(output) = is_done.recv_timeout(2 * time_limit()) else {
        let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        panic!("the child process hangs");
    };
    waiter.join().expect("the waiter does not panic");
    let output = output.expect("the child's output");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the child ended with {}\n{text}\n{errors}", output.status);
    assert!(text.contains("1 passed"), "the child ran no test:\n{text}\n{errors}");
    errors
}

/// How many threads this process has.
#[cfg(target_os = "linux")]
pub(crate) fn num_threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("procfs").count()
}

/// Whether this process has a thread of that name.
#[cfg(target_os = "linux")]
pub(crate) fn has_thread(name: &str) -> bool {
    let mut threads = std::fs::read_dir("/proc/self/task").expect("procfs");
    // One that ends meanwhile has no name.
    threads.any(|thread| {
        let path = thread.expect("procfs").path().join("comm");
        std::fs::read_to_string(path).is_ok_and(|text| text.trim_end() == name)
    })
}

/// Holds up whoever comes, until it is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(std::sync::Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut is_open = self.0.0.lock().unwrap();
        while !*is_open {
            is_open = self.0.1.wait(is_open).unwrap();
        }
    }
}

// ---- jobs ----------------------------------------------------------------------------------------

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Keeps every worker busy with a job until the gate is opened.
pub(crate) fn block(pool: &Pool) -> (Gate, Vec<JobHandle<()>>) {
    let gate = Gate::default();
    let started = std::sync::Arc::new(Meeting::of(pool.num_workers() + 1));
    let blockers = (0..pool.num_workers()).map(|_| {
        let (gate, started) = (gate.clone(), std::sync::Arc::clone(&started));
        pool.submit(move || {
            started.attend();
            gate.wait();
        })
    });
    let blockers = blockers.collect();
    started.attend();
    (gate, blockers)
}

/// Lets them go.
pub(crate) fn end(gate: &Gate, blockers: Vec<JobHandle<()>>) {
    gate.open();
    blockers.into_iter().for_each(|blocker| blocker.wait().unwrap());
}

/// Waits for what another thread brings about.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}
