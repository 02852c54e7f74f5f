//! What the tests of the parallel iterators share. Beside `mod common`, as `mod loops`.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use crate::common::{WIDTHS, scale, watchdog, work_for};
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;
use windlass::Pool;

pub(crate) fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| WIDTHS.into_iter().map(|width| Pool::new(width).unwrap()).collect())
}

/// Runs `body` inside of a pool of each of the `WIDTHS`; all tests share these pools.
#[track_caller]
pub(crate) fn in_each_pool(body: impl Fn(&Pool) + Sync) {
    for pool in pools() {
        watchdog(pool, || pool.install(|| body(pool)));
    }
}

pub(crate) fn config(cases: usize) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(cases) as u32) }
}

/// None, one, few, or enough to go round.
pub(crate) fn items() -> impl Strategy<Value = Vec<u32>> {
    let len = prop_oneof![0..4_usize, 4..60_usize, 60..900_usize];
    len.prop_flat_map(|len| proptest::collection::vec(any::<u32>(), len))
}

/// Takes its time now and then, so that a loop is worth sharing, and its halves are not alike.
pub(crate) fn slow<T>(item: T) -> T {
    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }
    let call = CALLS.get();
    CALLS.set(call.wrapping_add(1));
    if call % 8 == 3 {
        work_for(Duration::from_nanos(500 << (call / 8 % 5)));
    }
    item
}
