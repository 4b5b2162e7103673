//! Model tests of the heap.

use super::*;
use proptest::prelude::*;

/// Fills a slot so that overlap with another is seen.
fn fill(heap: &mut Heap, handle: Handle, bytes: usize, mark: u8) {
    heap.slot_mut(handle)[..bytes].fill(mark | 1);
}

fn check(heap: &Heap, handle: Handle, bytes: usize, mark: u8) {
    assert!(heap.slot(handle)[..bytes].iter().all(|&byte| byte == mark | 1), "overwritten");
}

#[test]
fn every_size_has_the_least_class_that_holds_it() {
    for bytes in 0..=SLOT_BYTES_MAX {
        let class = class_of(bytes);
        assert!(usize::from(CLASS_BYTES[class]) >= bytes);
        assert!(class == 0 || usize::from(CLASS_BYTES[class - 1]) < bytes, "{bytes}");
        assert!(same_class(bytes, usize::from(CLASS_BYTES[class])));
    }
    assert!(!same_class(56, 57) && !same_class(SLOT_BYTES_MAX + 1, SLOT_BYTES_MAX + 1));
    for pair in CLASS_BYTES.windows(2) {
        assert!(pair[0] < pair[1] && pair[1] % 8 == 0);
        assert!(pair[1] <= 512 || usize::from(pair[1]) * 8 <= usize::from(pair[0]) * 9 + 64);
    }
    assert_eq!(usize::from(CLASS_BYTES[CLASSES - 1]), SLOT_BYTES_MAX);
}

#[test]
fn slots_are_reused_and_pages_given_back() {
    let mut heap = Heap::new();
    assert_eq!((heap.page_bytes(), heap.release(10)), (0, true));
    let handles: Vec<_> = (0..100_000).map(|_| heap.alloc(56).unwrap()).collect();
    for &handle in &handles {
        fill(&mut heap, handle, 56, 3);
    }
    assert_eq!(heap.live_bytes(), 5_600_000);
    assert!(heap.page_bytes() < 5_700_000, "{}", heap.page_bytes());
    for &handle in &handles {
        heap.free(handle);
    }
    assert_eq!(heap.live_bytes(), 0);
    assert!(!heap.release(10), "ten pages at a time");
    while !heap.release(10) {}
    assert!(heap.page_bytes() < (SPARE_PAGES_MAX + 1) * PAGE_BYTES);
    let pages = heap.pages.len();
    for _ in 0..100_000 {
        let handle = heap.alloc(56).unwrap();
        fill(&mut heap, handle, 56, 5);
    }
    assert_eq!(heap.pages.len(), pages, "released pages serve again");
    assert_eq!(heap.alloc(SLOT_BYTES_MAX + 1), Err(OutOfMemory));
}

#[test]
#[should_panic(expected = "free of a free slot")]
fn a_double_free_is_caught() {
    let mut heap = Heap::new();
    let handle = heap.alloc(100).unwrap();
    fill(&mut heap, handle, 100, 1);
    heap.free(handle);
    heap.free(handle);
}

#[test]
#[should_panic]
fn a_wild_handle_is_caught() {
    let mut heap = Heap::new();
    heap.alloc(100).unwrap();
    heap.slot(Handle::from_raw(u32::MAX));
}

#[test]
#[should_panic]
fn the_null_handle_is_caught() {
    let mut heap = Heap::new();
    heap.alloc(100).unwrap();
    heap.slot(Handle::from_raw(0));
}

#[test]
fn dismantling_ends() {
    let mut heap = Heap::new();
    for _ in 0..50_000 {
        let handle = heap.alloc(100).unwrap();
        fill(&mut heap, handle, 100, 1);
    }
    let mut slices = 1;
    while !heap.dismantle(4) {
        slices += 1;
    }
    assert!(slices >= 50_000 * 104 / (4 * PAGE_BYTES), "{slices}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn slots_never_overlap(
        steps in prop::collection::vec(
            (any::<bool>(), 1usize..SLOT_BYTES_MAX, any::<u16>()),
            1..800,
        )
    ) {
        let mut heap = Heap::new();
        let mut live: Vec<(Handle, usize, u8)> = Vec::new();
        for (add, bytes, pick) in steps {
            // Mostly few classes, so that pages fill and empty.
            let bytes = if pick % 4 == 0 { bytes } else { 4000 + usize::from(pick % 3) * 1500 };
            if add || live.is_empty() {
                let handle = heap.alloc(bytes).unwrap();
                prop_assert!(heap.slot_bytes(handle) >= bytes);
                fill(&mut heap, handle, bytes, pick as u8);
                live.push((handle, bytes, pick as u8));
            } else {
                let (handle, bytes, mark) = live.swap_remove(usize::from(pick) % live.len());
                check(&heap, handle, bytes, mark);
                heap.free(handle);
            }
            if pick % 16 == 0 && let Some(source) = heap.next_to_move() {
                let entry = live.iter_mut().find(|entry| entry.0 == source).unwrap();
                let target = heap.alloc(entry.1).unwrap();
                heap.copy((source, 0), (target, 0), entry.1);
                heap.free(source);
                entry.0 = target;
            }
        }
        let total: usize = live.iter().map(|&(handle, ..)| heap.slot_bytes(handle)).sum();
        prop_assert_eq!(heap.live_bytes(), total);
        for (handle, bytes, mark) in live {
            check(&heap, handle, bytes, mark);
            heap.free(handle);
        }
        prop_assert_eq!(heap.live_bytes(), 0);
        prop_assert_eq!(heap.spare.len() + heap.released.len(), heap.pages.len());
    }
}

#[test]
fn stale_handles_are_told_apart() {
    let mut heap = Heap::new();
    assert!(!heap.is_live_slot(Handle::from_raw(1)), "no page yet");
    let small: Vec<_> = (0..2000).map(|_| heap.alloc(56).unwrap()).collect();
    small.iter().for_each(|&handle| fill(&mut heap, handle, 56, 1));
    assert!(small.iter().all(|&handle| heap.is_live_slot(handle)));
    let count = |heap: &Heap| {
        let all = (0..=2 * COMMIT_BYTES / UNIT_BYTES).chain([u32::MAX as usize]);
        all.filter(|&raw| heap.is_live_slot(Handle::from_raw(raw as u32))).count()
    };
    assert_eq!(count(&heap), 2000, "places within slots and never used slots are none");
    small[..1500].iter().for_each(|&handle| heap.free(handle));
    assert_eq!(count(&heap), 500);
    // The emptied page serves another size: old handles point between its slots.
    let large: Vec<_> = (0..300).map(|_| heap.alloc(200).unwrap()).collect();
    large.iter().for_each(|&handle| fill(&mut heap, handle, 200, 3));
    assert_eq!(count(&heap), 800);
    small[1500..].iter().chain(&large).for_each(|&handle| heap.free(handle));
    while !heap.release(4) {}
    assert_eq!(count(&heap), 0);
}
