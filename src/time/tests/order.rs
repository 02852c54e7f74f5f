//! Timers of several threads.

use super::*;

/// They lie in several parts.
#[test]
fn those_of_several_threads_fire_in_order() {
    watched(|| {
        let timer = Timer::new(Arc::new(RealClock));
        let start = timer.clock().now();
        let (held, go) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let gates = (Arc::clone(&held), Arc::clone(&go));
        timer.insert(start, move || {
            gates.0.wait();
            gates.1.wait();
        });
        held.wait();
        let fired: Arc<Mutex<Vec<u64>>> = Arc::default();
        std::thread::scope(|scope| {
            for seed in 0..8 {
                let (timer, fired) = (&timer, &fired);
                scope.spawn(move || {
                    let mut random = random(seed);
                    for n in 0..500 {
                        let after = random(20_000_000);
                        let fired = Arc::clone(fired);
                        let at = start + Duration::from_nanos(after);
                        let key = timer.insert(at, move || fired.lock().unwrap().push(after));
                        if n % 3 == 0 {
                            assert!(timer.cancel(key));
                        }
                    }
                });
            }
        });
        std::thread::sleep(Duration::from_millis(30));
        go.wait();
        until(|| timer.num_pending_for_test() == 0);
        timer.stop();
        let fired = fired.lock().unwrap();
        assert_eq!(fired.len(), 8 * 333);
        assert!(fired.is_sorted());
    });
}
