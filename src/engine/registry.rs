//! The state that the threads of one pool share, how a thread gets in, and how the pool ends.

use super::clock;
use super::crew::Crew;
use super::job::JobRef;
use super::lanes::Lanes;
use super::signal::{IdleWaiters, Signal};
use super::sleep::{Notified, Sleep};
use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};
use super::unwind;
use super::worker::{Belonging, Worker, context};
use crossbeam_deque::{Injector, Steal};
use crossbeam_utils::CachePadded;
use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The most workers that a pool may have: what the packed counters of `sleep` hold, guests and
/// resumed waiters included, with room to spare.
pub(crate) const MAX_WORKERS: usize = 1 << 12;

/// What waking a sleeper costs all in all, in microseconds: a region or loop that is shorter wakes
/// nobody. Measured as the time at which two threads start to beat one on this kind of machine
/// (DESIGN.md, "Numbers").
const WORTH_WAKING_US: u64 = 10;

/// See the module.
pub(crate) struct Registry {
    pub(crate) sleep: Sleep,
    pub(crate) lanes: Lanes,
    /// Threads beyond the width.
    pub(crate) crew: Crew,
    /// The pool's regular threads, the spare ones, the reserved ones, then the guests' seats.
    workers: Box<[Worker]>,
    width: usize,
    pub(super) first_guest: usize,
    /// One bit a guest seat, set while it is free.
    pub(super) free_seats: Box<[AtomicU64]>,
    injector: Injector<JobRef>,
    /// Jobs that a leapfrogging waiter took from its thief a moment too late. Nearly always empty.
    returned: Mutex<Vec<JobRef>>,
    num_returned: CachePadded<AtomicUsize>,
    /// Calls from outside that wait in the injector.
    callers: Mutex<Vec<Arc<Call>>>,
    stop: AtomicBool,
    idle: IdleWaiters,
    /// What is built on this pool, for whoever built it.
    above: Box<dyn Any + Send + Sync>,
    /// Looks, from inside a job, whether that shall stop; unwinds if so.
    pub(crate) check: fn(),
    /// Discards a job that is left in a lane when the registry goes.
    discard: unsafe fn(JobRef),
    this: Weak<Registry>,
    ticks_per_us: u64,
    /// In ticks.
    pub(crate) worth_waking: u64,
    /// The process's generation when the pool was made; another one after fork(2).
    generation: u32,
}

/// How many seats for guests a pool of so many workers has.
pub(crate) fn guest_seats(width: usize) -> usize {
    (2 * width).max(8)
}

impl Registry {
    pub(crate) fn new(
        width: usize,
        crew: Crew,
        above: Box<dyn Any + Send + Sync>,
        check: fn(),
        discard: unsafe fn(JobRef),
        keep: unsafe fn(JobRef),
    ) -> Arc<Registry> {
        // A parked guest gives its permit back and keeps its seat, so there can be more guests
        // than permits. Without a free seat a caller is served through the injector instead.
        let seats = guest_seats(width);
        let ticks_per_us = clock::ticks_per_us();
        let first_guest = width + crew.max_spares + crew.num_reserved;
        let registry = Arc::new_cyclic(|this| Registry {
            sleep: Sleep::new(width, crew.max_spares),
            lanes: Lanes::new(ticks_per_us, keep),
            crew,
            workers: (0..first_guest + seats).map(|index| Worker::new(index as u32)).collect(),
            width,
            first_guest,
            free_seats: (0..seats)
                .step_by(64)
                .map(|first| AtomicU64::new(u64::MAX >> (64 - (seats - first).min(64))))
                .collect(),
            injector: Injector::new(),
            returned: Mutex::new(Vec::new()),
            num_returned: CachePadded::new(AtomicUsize::new(0)),
            callers: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
            idle: IdleWaiters::default(),
            above,
            check,
            discard,
            this: Weak::clone(this),
            ticks_per_us,
            worth_waking: WORTH_WAKING_US * ticks_per_us,
            generation: super::forked::generation(),
        });
        for worker in &registry.workers {
            worker.set_registry(&*registry);
        }
        // Makes crossbeam-epoch initialise its global collector here and now: a fork(2) while one of
        // our threads does that would leave it locked for ever in the child.
        let _ = registry.workers[0].shared.forks.steal();
        registry
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn is_guest(&self, seat: u32) -> bool {
        seat as usize >= self.first_guest
    }

    /// The number of a seat among those of regular threads, and then of guests. `None`: it is another's.
    #[inline]
    pub(crate) fn number_of_seat(&self, seat: u32) -> Option<usize> {
        let seat = seat as usize;
        if seat < self.width {
            Some(seat)
        } else {
            Some(self.width + seat.checked_sub(self.first_guest)?)
        }
    }

    pub(crate) fn worker(&self, index: u32) -> &Worker {
        &self.workers[index as usize]
    }

    /// The pool's regular threads.
    pub(crate) fn threads(&self) -> &[Worker] {
        &self.workers[..self.width]
    }

    /// The seats of the threads beyond the width, as far as such have been started.
    fn crew_seats(&self) -> impl Iterator<Item = &Worker> {
        let spares = self.width..self.width + self.crew.num_spares();
        let reserved = self.first_guest - self.crew.num_reserved..self.first_guest;
        self.workers[spares].iter().chain(&self.workers[reserved])
    }

    /// What is built on this pool.
    #[inline]
    pub(crate) fn above(&self) -> &(dyn Any + Send + Sync) {
        &*self.above
    }

    /// Keeps the registry alive beyond the pool. The pool is alive now.
    pub(crate) fn to_arc(&self) -> Arc<Registry> {
        self.this.upgrade().expect("the pool is alive")
    }

    /// As [`Self::to_arc`], for later.
    pub(crate) fn to_weak(&self) -> Weak<Registry> {
        Weak::clone(&self.this)
    }

    /// Those who run work of a lower level than this.
    pub(crate) fn busy_below(&self, level: u8) -> impl Iterator<Item = &Worker> {
        let all = self.threads().iter().chain(self.crew_seats()).chain(self.guests());
        all.filter(move |worker| worker.is_busy() && worker.level() > level)
    }

    /// Whether a permit that is given back finds, or has found, a thread.
    pub(crate) fn has_stand_in(&self) -> bool {
        let word = self.sleep.word();
        word.active() >= self.width || word.searching() > 0 || word.sleeping() > 0
    }

    /// Makes every worker look at its next fork whether its work shall stop.
    pub(crate) fn ask_all_to_check(&self) {
        for worker in self.threads().iter().chain(self.crew_seats()).chain(self.guests()) {
            worker.ask_to_check();
        }
    }

    pub(crate) fn kind_of_seat(&self, index: u32) -> &'static str {
        let index = index as usize;
        if index < self.width {
            "Thread"
        } else if index < self.width + self.crew.max_spares {
            "Spare"
        } else if index < self.first_guest {
            "Reserved"
        } else {
            "Guest"
        }
    }

    /// All seats, for inspection.
    pub(crate) fn seats(&self) -> &[Worker] {
        &self.workers
    }

    pub(crate) fn us(&self, us: u64) -> u64 {
        us * self.ticks_per_us
    }

    // ---- getting in

    /// Gives a permit back. If work was held back for lack of permits, wakes a worker for it.
    pub(crate) fn leave(&self) {
        if let Some(searching) = self.sleep.leave() {
            self.hand_on(searching > 0);
        }
    }

    /// A searcher leaves for good. A caller may still wait for its permit: to run, while the pool
    /// ends, a job that it has claimed.
    pub(crate) fn retire(&self) {
        if let Some(searching) = self.sleep.retire() {
            self.hand_on(searching > 0);
        }
    }

    /// Somebody found every permit taken, and one is free now.
    #[cold]
    fn hand_on(&self, is_searched: bool) {
        // Pairs with the fence in `notify`: whoever has relied on the note, which another has left and
        // we have taken down, has made work visible that we see. The work of that other one may be gone.
        fence(Ordering::SeqCst);
        let someone_runs = self.sleep.word().active() > 0;
        if !is_searched && (someone_runs || self.has_public_work()) {
            self.notify();
        }
        // All, because one alone may just have been served; the others take note again.
        for call in &*lock(&self.callers) {
            call.signal.poke();
        }
    }

    /// Hands `op` to the pool's threads and blocks until it has run; or runs it here after all, if a
    /// permit comes back while it is still queued. (The threads may all be blocked in other pools,
    /// waiting for what we hold there.)
    #[cold]
    pub(super) fn inject_and_wait<R: Send>(&self, op: impl FnOnce(&Worker) -> R + Send) -> R {
        let mut op = Some(op);
        let mut result = None;
        let mut run = |worker: &Worker| {
            if let Some(op) = op.take() {
                result = Some(unwind::catch(|| op(worker)));
            }
        };
        let run: &mut (dyn FnMut(&Worker) + Send) = &mut run;
        // SAFETY: only the lifetime changes. `run` is called by whoever claims the call, and we do
        // not return before the claimant has set the signal, or without having claimed it
        // ourselves. Nothing in between unwinds.
        let run: *mut (dyn FnMut(&Worker) + Send + 'static) =
            unsafe { std::mem::transmute::<*mut (dyn FnMut(&Worker) + Send), _>(run) };
        let call = Arc::new(Call {
            run,
            context: context(),
            claimed: AtomicBool::new(false),
            signal: Signal::default(),
        });
        self.wait_for_call(&call);
        match result {
            Some(Ok(value)) => value,
            Some(Err(payload)) => std::panic::resume_unwind(payload),
            None => unreachable!("the call has run when the wait ends"),
        }
    }

    fn wait_for_call(&self, call: &Arc<Call>) {
        lock(&self.callers).push(Arc::clone(call));
        self.inject(JobRef { data: Arc::into_raw(Arc::clone(call)).cast(), run: Call::run });
        loop {
            // Either there is a permit, or whoever gives one back is told to look at `callers`.
            if self.sleep.enter_or_defer()
                && let Some(guest) = self.seat_guest(None)
            {
                call.run_once(guest.worker());
            }
            // Only the wait itself lends our places in other pools: a call that runs here needs them.
            if blocking(|| call.signal.wait()) {
                break;
            }
        }
        lock(&self.callers).retain(|other| !Arc::ptr_eq(other, call));
    }

    /// Queues a job from outside and sees to it that it is seen.
    pub(crate) fn inject(&self, job: JobRef) {
        self.injector.push(job);
        self.notify();
    }

    // ---- sources of work

    /// Whether calls or beacons from outside wait.
    #[inline]
    pub(crate) fn has_calls(&self) -> bool {
        !self.injector.is_empty()
    }

    #[inline]
    pub(crate) fn pop_injected(&self) -> Option<JobRef> {
        // Two loads, where an attempt has a fence.
        if self.injector.is_empty() {
            return None;
        }
        loop {
            match self.injector.steal() {
                Steal::Success(job) => return Some(job),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Puts back a job that the caller took and may not run. Its owner may run it, and so may any
    /// idle worker.
    #[cold]
    pub(crate) fn give_back(&self, job: JobRef) {
        // SAFETY: un-run, so its owner waits and keeps it alive.
        let header = unsafe { &*super::job::header_of(job.data) };
        // Read before the job becomes visible: once another worker may run it, the header may be
        // gone (L7).
        let owner = header.owner;
        let mut returned = lock(&self.returned);
        returned.push(job);
        // Release: pairs with the Acquire in `has_returned`.
        self.num_returned.store(returned.len(), Ordering::Release);
        // Pairs with the fence in `park_on`: we see that the owner parks, or it sees the job.
        fence(Ordering::SeqCst);
        // Under the lock nobody can take the job, so the header is still live for the nudge.
        let parked = header.latch.nudge();
        drop(returned);
        if parked {
            self.unpark(owner);
        }
        self.notify();
    }

    /// Takes a returned job: any, or the very one that is asked for.
    pub(crate) fn pop_returned(&self, wanted: Option<JobRef>) -> Option<JobRef> {
        if !self.has_returned() {
            return None;
        }
        let mut returned = lock(&self.returned);
        let at = match wanted {
            None => returned.len().checked_sub(1)?,
            Some(wanted) => returned.iter().position(|job| job.data == wanted.data)?,
        };
        let job = returned.swap_remove(at);
        self.num_returned.store(returned.len(), Ordering::Release);
        Some(job)
    }

    /// Whether this very job has been returned.
    pub(crate) fn is_returned(&self, job: JobRef) -> bool {
        self.has_returned() && lock(&self.returned).iter().any(|other| other.data == job.data)
    }

    fn has_returned(&self) -> bool {
        self.num_returned.load(Ordering::Acquire) > 0
    }

    /// Whether there is work that any worker may take. Every source must be here: a sleeper looks
    /// once more through this before it parks (and at its own broadcasts), and a source that is
    /// missing is a lost wake-up.
    pub(crate) fn has_public_work(&self) -> bool {
        self.has_returned()
            || !self.injector.is_empty()
            || self.lanes.levels() != 0
            || self
                .threads()
                .iter()
                .chain(self.crew_seats())
                .chain(self.guests())
                .any(|worker| !worker.shared.forks.is_empty() || !worker.shared.lane.is_empty())
    }

    /// Everybody but `me`: the threads, near ones first where that is known, then the guests. Each
    /// round starts somewhere else.
    pub(crate) fn victims(&self, me: &Worker) -> impl Iterator<Item = &Worker> {
        let (near, rotation) = (me.near(), (me.random() >> 32) as usize);
        let threads = (0..near.map_or(self.width, |near| near.order.len())).map(move |k| {
            let index = match near {
                Some(near) => near.nth(k, rotation) as usize,
                None => (k + rotation % self.width) % self.width,
            };
            &self.workers[index]
        });
        let me = me.index();
        threads
            .chain(self.crew_seats())
            .chain(self.guests())
            .filter(move |worker| worker.index() != me)
    }

    /// The seats that hold a guest.
    fn guests(&self) -> impl Iterator<Item = &Worker> {
        self.free_seats.iter().enumerate().flat_map(move |(word, free)| {
            let seats = (self.workers.len() - self.first_guest - word * 64).min(64);
            // Acquire: a guest that published before we looked is seen, see `claim_seat`.
            let mut taken = !free.load(Ordering::Acquire) & (u64::MAX >> (64 - seats));
            std::iter::from_fn(move || {
                let bit = (taken != 0).then(|| taken.trailing_zeros() as usize)?;
                taken &= taken - 1;
                Some(&self.workers[self.first_guest + word * 64 + bit])
            })
        })
    }

    // ---- waking

    /// Makes sure that published work is seen. Returns whether a thread was woken for it.
    #[inline]
    pub(crate) fn notify(&self) -> bool {
        self.act_on(self.sleep.notify())
    }

    #[inline]
    fn act_on(&self, notified: Notified) -> bool {
        match notified {
            Notified::Nobody => false,
            Notified::Woken => true,
            Notified::Spare => self.start_spare(),
        }
    }

    /// A thread is about to block: if work waits, and all other threads are blocked too, a spare
    /// thread is started.
    fn cover(&self) {
        // Pairs with the fence in `notify`: whoever has seen our permit taken, and so has not started
        // a spare thread, has made work visible that we see.
        fence(Ordering::SeqCst);
        if self.has_public_work() {
            self.notify();
        }
    }

    /// A searcher has found work.
    pub(crate) fn end_search(&self) {
        if self.sleep.end_search() {
            self.hand_on_search();
        }
    }

    /// A searcher finds no more, on which others may have relied: also those who would have woken a
    /// reserved thread. Returns whether another one was woken.
    pub(crate) fn hand_on_search(&self) -> bool {
        let is_woken = self.notify();
        if !is_woken && self.lanes.top().is_some_and(|level| self.crew.serves(level)) {
            self.wake_reserved();
        }
        is_woken
    }

    /// Makes sure that a job is seen which was queued on this level.
    #[inline]
    pub(crate) fn notify_of_job(&self, level: u8) -> bool {
        let is_new = self.lanes.announce(level);
        // The fence in `announce` is enough, if what a sleeper looks at has not changed since.
        let notified = if is_new { self.sleep.notify() } else { self.sleep.notify_fenced() };
        let is_woken = self.act_on(notified);
        if !is_woken && self.crew.serves(level) {
            self.wake_reserved();
        }
        if is_new && !is_woken && self.sleep.word().searching() == 0 {
            self.make_way_for(level);
        }
        is_woken
    }

    /// Wakes the thread in a seat that waits on a latch.
    pub(crate) fn unpark(&self, seat: u32) {
        self.worker(seat).shared.parker.unpark();
    }

    /// A worker that sleeps although a broadcast is there for it.
    pub(crate) fn sleeper_with_broadcast(&self) -> Option<usize> {
        let waits =
            |index: &usize| self.threads()[*index].has_broadcast() && self.sleep.is_asleep(*index);
        (0..self.width).find(waits)
    }

    /// Makes worker `index` look at its broadcasts: it sleeps, or waits, or will look before it
    /// does either.
    pub(crate) fn summon(&self, index: usize) {
        self.sleep.wake_for_certain(index);
        self.unpark(index as u32);
    }

    // ---- the end

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Asks every thread to end once it finds no more work.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.sleep.stop_growing();
        for index in 0..self.width + self.crew.num_spares() {
            self.sleep.wake_for_certain(index);
        }
        self.wake_all_reserved();
        self.crew.settle();
    }

    /// Waits until `is_idle`, which is asked again whenever a worker has run out of work, or
    /// somebody calls [`Self::tell_idle`]. `false`: the deadline came first.
    pub(crate) fn wait_idle(&self, deadline: Option<Instant>, is_idle: impl Fn() -> bool) -> bool {
        self.idle.wait(deadline, is_idle)
    }

    /// Makes those look who wait for the pool to be idle.
    pub(crate) fn tell_idle(&self) {
        self.idle.tell();
    }

    /// Panics in a child of fork(2), where the pool's threads do not exist.
    #[inline]
    pub(crate) fn check_not_forked(&self) {
        assert!(
            !self.is_from_before_fork(),
            "windlass: this pool was made before fork(2) and has no threads in the child process; \
             build a new Pool in the child (Pool::global() does so by itself)"
        );
    }

    #[inline]
    pub(crate) fn is_from_before_fork(&self) -> bool {
        self.generation != super::forked::generation()
    }
}

/// Blocks the calling thread in `f`; the permits that it holds in other pools (and this one) go
/// to others meanwhile, because those may be what `f` waits for.
pub(crate) fn blocking<R>(f: impl FnOnce() -> R) -> R {
    let mut held: Vec<*const Registry> = Vec::new();
    Worker::for_each_seat(|worker| {
        let registry: *const Registry = worker.registry();
        if !held.contains(&registry) {
            // What we have forked there must not wait for us.
            worker.publish_all();
            worker.registry().leave();
            // What is left to do there may have no thread to do it but us.
            worker.registry().cover();
            held.push(registry);
        }
    });
    // `f` only blocks; it does not unwind.
    let result = f();
    for registry in held {
        // SAFETY: this thread has a seat in it, so it is live.
        unsafe { (*registry).sleep.resume() };
    }
    result
}

impl Drop for Registry {
    fn drop(&mut self) {
        for worker in &self.workers[..self.width] {
            while let Some(row) = worker.take_what_is_aside() {
                // SAFETY: as below.
                unsafe { (self.discard)(row) };
            }
        }
        // SAFETY: taken out of a lane by us alone.
        self.lanes.drain(&self.workers[..self.width], |job| unsafe { (self.discard)(job) });
        // Calls that their callers ran themselves, beacons of scopes that have ended.
        while let Some(stale) = self.pop_injected() {
            // SAFETY: whoever queued it has returned, so it touches nothing but itself.
            unsafe { (stale.run)(stale.data, &self.workers[0]) };
        }
    }
}

/// A call from outside that found the pool full.
struct Call {
    /// On the stack of the caller, who waits until it has run.
    run: *mut (dyn FnMut(&Worker) + Send),
    /// What the caller's work belongs to.
    context: *const (),
    /// Set by whoever runs it: a worker that took it from the injector, or the caller itself.
    claimed: AtomicBool,
    signal: Signal,
}

// SAFETY: `run` is Send and used by the one thread that has claimed the call; so is what `context`
// points to, which lives as long as the caller waits.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}

impl Call {
    /// # Safety
    /// `data` is an Arc of a call, given away with the job.
    unsafe fn run(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        unsafe { Arc::from_raw(data.cast::<Call>()) }.run_once(worker);
    }

    fn run_once(&self, worker: &Worker) {
        if !self.claimed.swap(true, Ordering::AcqRel) {
            worker.note_time(0);
            let belonging = Belonging::enter(self.context);
            // SAFETY: claimed by us alone, and the caller keeps it alive until the signal. It
            // catches what the user's closure throws.
            unsafe { (*self.run)(worker) };
            drop(belonging);
            // The Arc that our caller holds keeps the signal alive (L7).
            self.signal.set();
        }
    }
}
