//! The pages against a model that knows what each run holds.
use super::*;
use proptest::prelude::*;

impl Drop for Pages {
    /// The process's own is never dropped.
    fn drop(&mut self) {
        if !self.base.is_null() {
            // SAFETY: both were mapped with these sizes, and nothing of them is used any more.
            unsafe {
                libc::munmap(self.base.cast(), RESERVE_BYTES);
                libc::munmap(self.notes.cast(), PAGES_MAX * size_of::<Note>());
            }
        }
    }
}

struct Run {
    block: *mut u8,
    pages: usize,
    mark: u8,
}

impl Run {
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the run is in use by this test alone.
        unsafe { std::slice::from_raw_parts_mut(self.block, self.pages * PAGE_BYTES) }
    }

    fn is_intact(&mut self) -> bool {
        let mark = self.mark;
        self.bytes().iter().step_by(509).all(|&byte| byte == mark)
    }

    fn fill(&mut self, mark: u8) {
        self.mark = mark;
        self.bytes().fill(mark);
    }
}

/// Every page below the top is in one run in use or in one listed free run, and no two free runs touch.
fn check(pages: &Pages, runs: &[Run]) {
    let mut owner = vec![false; pages.top];
    for run in runs {
        let first = pages.page_of(run.block);
        for page in owner.iter_mut().skip(first).take(run.pages) {
            assert!(!std::mem::replace(page, true), "two runs share a page");
        }
    }
    let (mut free, mut resident) = (0, 0);
    for list in 0..2 * LISTS {
        let mut first = pages.lists[list];
        assert_eq!(first != NONE, pages.filled[list / LISTS] >> (list % LISTS) & 1 == 1);
        while first != NONE {
            let note = pages.note(first as usize);
            let (start, length) = (first as usize, note.length as usize);
            assert_eq!(list_of(length), list % LISTS);
            assert_eq!(
                (pages.note(start + length - 1).length, note.resident > 0),
                (note.length, list < LISTS)
            );
            assert!(owner[start..start + length].iter().all(|taken| !taken));
            let behind = start + length;
            let is_merged = behind == pages.top
                || owner[behind]
                || (pages.note(behind).resident > 0) != (note.resident > 0);
            assert!(is_merged, "neighbours of a kind are merged");
            assert!(note.resident == note.length || note.resident == 0);
            (free, resident) = (free + length, resident + note.resident as usize);
            first = note.next;
        }
    }
    assert_eq!((free + pages.used_pages(), resident), (pages.top, pages.resident_free));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn runs_never_overlap_and_free_ones_merge(
        ops in prop::collection::vec((0u8..5, 1usize..200, any::<prop::sample::Index>()), 1..150),
    ) {
        let mut pages = Pages::new();
        let mut runs: Vec<Run> = Vec::new();
        for (number, (op, size, index)) in ops.into_iter().enumerate() {
            let mark = number as u8;
            match op {
                0 | 1 => {
                    let block = pages.alloc(size);
                    prop_assert!(!block.is_null() && pages.has(block));
                    let mut run = Run { block, pages: size, mark };
                    run.fill(mark);
                    runs.push(run);
                }
                4 => pages.trim(size),
                _ if runs.is_empty() => {}
                2 => {
                    let mut run = runs.swap_remove(index.index(runs.len()));
                    prop_assert!(run.is_intact());
                    pages.free(run.block, run.pages);
                }
                _ => {
                    let at = index.index(runs.len());
                    let run = &mut runs[at];
                    if pages.resize(run.block, run.pages, size) {
                        run.pages = run.pages.min(size);
                        prop_assert!(run.is_intact());
                        run.pages = size;
                        run.fill(mark);
                    } else {
                        prop_assert!(size > run.pages);
                    }
                }
            }
            check(&pages, &runs);
        }
        for mut run in runs.drain(..) {
            prop_assert!(run.is_intact());
            pages.free(run.block, run.pages);
        }
        check(&pages, &runs);
        pages.trim(0);
        pages.trim(usize::MAX);
        check(&pages, &runs);
        prop_assert!(pages.used_pages() == 0 && pages.resident_free <= KEPT_FOR_GOOD_PAGES);
    }
}

#[test]
fn lists_are_in_the_order_of_lengths() {
    let lists: Vec<usize> = (1..=PAGES_MAX).step_by(997).chain(1..300).map(list_of).collect();
    assert!(lists.iter().all(|&list| list < LISTS));
    assert!((1..4096).all(|pages| list_of(pages) <= list_of(pages + 1)));
    assert_eq!((list_of(1), list_of(EXACT), list_of(EXACT + 1)), (0, EXACT - 1, EXACT));
}

#[test]
fn what_is_freed_in_bulk_leaves_memory() {
    let mut pages = Pages::new();
    let mut runs: Vec<Run> = (0..1000)
        .map(|_| {
            let mut run = Run { block: pages.alloc(16), pages: 16, mark: 0 };
            run.fill(1);
            run
        })
        .collect();
    for run in runs.drain(..) {
        pages.free(run.block, run.pages);
    }
    assert!(pages.resident_free <= KEPT_PAGES + 1000 * 16 / KEPT_DIVISOR);
    assert!(pages.resident_free > KEPT_FOR_GOOD_PAGES);
    // Only what was not needed since the last time goes back.
    let before = pages.resident_free;
    pages.trim(usize::MAX);
    assert_eq!(pages.resident_free, before);
    pages.trim(usize::MAX);
    assert!(pages.resident_free <= KEPT_FOR_GOOD_PAGES);
    // What was given back reads as zero, and works.
    let mut run = Run { block: pages.alloc(4000), pages: 4000, mark: 0 };
    assert!(run.bytes()[3000 * PAGE_BYTES..].iter().all(|&byte| byte == 0));
    run.fill(9);
    assert!(run.is_intact());
    check(&pages, &[run]);
}
