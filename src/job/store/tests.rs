use super::*;
use crate::Pool;

fn wish(pool: &Pool, layout: Layout, enqueued: u64) -> Wish<'_> {
    let registry = pool.registry();
    Wish { layout, registry, level: 3, enqueued, may_join: true, is_alone: false, is_gated: false }
}

fn begun(place: Place) -> u64 {
    // SAFETY: it is taken.
    unsafe { common_of(place.at, place.is_alone) }.begun
}

#[test]
fn a_place_is_as_large_and_as_aligned_as_was_asked() {
    let pool = Pool::new(1).unwrap();
    let mut taken = Vec::new();
    for round in 0..50 {
        for (size, align) in
            [(48, 8), (64, 16), (100, 64), (200, 8), (256, 64), (300, 8), (64, 128), (256, 256)]
        {
            let layout = Layout::from_size_align(size, align).unwrap();
            let wish = wish(&pool, layout, 1);
            let (first, count) = take_row(&wish, 1 + round % 4);
            assert!((1..=1 + round % 4).contains(&count));
            taken.extend((0..count).map(|nth| (first.nth(nth, layout), layout)));
        }
    }
    taken.sort_by_key(|(place, _)| place.at);
    let mut behind = 0;
    for (place, layout) in &taken {
        let at = place.at.addr().get();
        assert_eq!(at % layout.align(), 0);
        assert!(at >= behind, "it lies in another one");
        behind = at + layout.size();
    }
    // SAFETY: taken; all of it may be written.
    taken.iter().for_each(|(place, layout)| unsafe {
        place.at.as_ptr().write_bytes(0xa5, layout.size());
    });
    for (place, _) in &taken {
        assert_eq!(begun(*place), 1, "what lies in front was written");
    }
    // SAFETY: taken for such a job.
    taken.iter().for_each(|(place, layout)| unsafe { put(place.at, *layout, place.is_alone) });
}

#[test]
fn a_chunk_takes_no_job_whose_times_would_not_fit() {
    let pool = Pool::new(1).unwrap();
    let layout = Layout::from_size_align(64, 8).unwrap();
    let late = 1_000 + u64::from(u32::MAX);
    let places = [1_000, late, late + 1].map(|enqueued| take(wish(&pool, layout, enqueued)));
    if places[0].is_alone {
        // With `windlass_boxed_jobs` all are.
        assert_eq!(places.map(begun), [1_000, late, late + 1]);
    } else {
        assert_eq!(places.map(begun), [1_000, 1_000, late + 1]);
    }
    // SAFETY: as above.
    places.iter().for_each(|place| unsafe { put(place.at, layout, place.is_alone) });
}
