use super::Queue;
use crate::time::after;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);

/// As many pseudo-random numbers as one likes.
fn random(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Against a sorted list, over all sizes of delay, with cancels, jumps and what is past.
#[test]
fn the_queue_is_a_sorted_list_to_who_looks() {
    for seed in 0..20 {
        let mut random = random(seed);
        let start = Instant::now();
        let (fired, mut queue) = (Arc::new(Mutex::new(Vec::new())), Queue::new());
        // By deadline and number, as the keys of a map are sorted.
        let mut expected = std::collections::BTreeMap::new();
        let mut now = start;
        for number in 0..3_000_u64 {
            let scale = Duration::from_nanos(1 << (random(60) as u32));
            match random(8) {
                0..4 => {
                    let at = after(now, scale * random(4) as u32);
                    let fired = Arc::clone(&fired);
                    let note = move || fired.lock().unwrap().push((at, number));
                    expected.insert((at, number), queue.insert(at, Box::new(note)));
                }
                4 | 5 => {
                    let nth = random(expected.len().max(1) as u64) as usize;
                    if let Some((&name, &key)) = expected.iter().nth(nth) {
                        expected.remove(&name);
                        assert!(queue.remove(key).is_some() && queue.remove(key).is_none());
                    }
                }
                _ => {
                    now = after(now, scale * random(3) as u32);
                    while let Some(callback) = queue.pop_due(now) {
                        callback();
                    }
                    let due = expected.range(..=(now, u64::MAX)).map(|(name, _)| *name);
                    let due: Vec<_> = due.collect();
                    assert_eq!(std::mem::take(&mut *fired.lock().unwrap()), due);
                    due.iter().for_each(|name| _ = expected.remove(name));
                }
            }
            let earliest = expected.keys().next().map(|(at, _)| *at);
            assert_eq!(queue.next_deadline().is_some(), earliest.is_some());
            assert!(queue.next_deadline() <= earliest, "it is not too late");
            if number % 50 == 0 {
                queue.check();
            }
        }
        assert_eq!(queue.len(), expected.len());
        while let Some(callback) = queue.pop_due(after(start, Duration::MAX)) {
            callback();
        }
        let all: Vec<_> = expected.keys().copied().collect();
        assert_eq!(*fired.lock().unwrap(), all);
        queue.check();
    }
}

/// Zero wake-ups: who sleeps for the earliest of many far deadlines sleeps until that.
#[test]
fn the_earliest_deadline_is_exact_without_cancels() {
    let mut random = random(5);
    let start = Instant::now();
    let mut queue = Queue::new();
    let mut deadlines: Vec<_> = (0..2_000)
        .map(|_| start + HOUR + Duration::from_nanos(random(1 << 31) * (1 + random(1 << 14))))
        .collect();
    deadlines.iter().for_each(|&at| _ = queue.insert(at, Box::new(|| ())));
    deadlines.sort();
    for at in deadlines {
        assert_eq!(queue.next_deadline(), Some(at));
        assert!(queue.pop_due(at - Duration::from_nanos(1)).is_none());
        assert!(queue.pop_due(at).is_some());
    }
    assert_eq!(queue.next_deadline(), None);
}
