//! Sorting in slices, with the order among equals that Redis's sorts have.
//!
//! Redis sorts what it found with the C library's `qsort`, which keeps equals in order, or, if only the first few are
//! wanted, with a quicksort that leaves out what lies beyond them, which does not. Which of several places at the same
//! distance is told first, or told at all, depends on that; so here are both: a merge sort from the bottom up, and the
//! quicksort of Bentley and McIlroy ("Engineering a sort function", 1993), whose every swap is prescribed.
//!
//! Cost: O(n log n) comparisons; the quicksort can be led into O(n²) by who knows the order things come in, as Redis's
//! can: in slices that costs only who asked.
use std::cmp::Ordering;

use crate::base::memory::OutOfMemory;
use crate::base::pieces::Progress;

/// Shorter parts are sorted by insertion.
const INSERTION_MAX: usize = 7;
/// From here on the middle of three is taken of nine.
const NINTHER_MIN: usize = 40;

/// Sorting under way. `compare` must be the same at every step.
pub struct PointSort<T> {
    items: Vec<T>,
    stage: Stage<T>,
}

enum Stage<T> {
    /// Runs of `width` are in order; those at `start` are being merged into `merged`.
    Merge {
        merged: Vec<T>,
        width: usize,
        start: usize,
        left: usize,
        right: usize,
    },
    Quick {
        wanted: usize,
        parts: Vec<(usize, usize)>,
        partition: Option<Partition>,
    },
}

impl<T: Copy> PointSort<T> {
    /// To sort all, equals as they come. Needs as much memory again.
    pub fn all(items: Vec<T>) -> Result<PointSort<T>, OutOfMemory> {
        let mut merged = Vec::new();
        merged.try_reserve_exact(items.len()).map_err(|_| OutOfMemory)?;
        let stage = Stage::Merge { merged, width: 1, start: 0, left: 0, right: 1 };
        Ok(PointSort { items, stage })
    }

    /// To sort until the first `wanted` are in their places.
    #[must_use]
    pub fn first(items: Vec<T>, wanted: usize) -> PointSort<T> {
        let parts = vec![(0, items.len())];
        PointSort { items, stage: Stage::Quick { wanted, parts, partition: None } }
    }

    /// What is sorted; in any order before it is done.
    pub fn into_items(self) -> (Vec<T>, Vec<T>) {
        match self.stage {
            Stage::Merge { merged, .. } => (self.items, merged),
            Stage::Quick { .. } => (self.items, Vec::new()),
        }
    }

    /// About `comparisons` more.
    pub fn step(&mut self, comparisons: usize, compare: impl Fn(&T, &T) -> Ordering) -> Progress {
        let items = &mut self.items;
        match &mut self.stage {
            Stage::Merge { merged, width, start, left, right } => {
                let mut merging = Merging { items, merged, width, start, left, right };
                merging.step(comparisons, compare)
            }
            Stage::Quick { wanted, parts, partition } => {
                quick_step(items, *wanted, parts, partition, comparisons, compare)
            }
        }
    }
}

/// The merge sort's state, borrowed.
struct Merging<'s, T> {
    items: &'s mut Vec<T>,
    merged: &'s mut Vec<T>,
    width: &'s mut usize,
    start: &'s mut usize,
    left: &'s mut usize,
    right: &'s mut usize,
}

impl<T: Copy> Merging<'_, T> {
    fn step(&mut self, comparisons: usize, compare: impl Fn(&T, &T) -> Ordering) -> Progress {
        let len = self.items.len();
        for _ in 0..comparisons {
            if *self.width >= len {
                return Progress::Done;
            }
            let middle = (*self.start + *self.width).min(len);
            let end = (*self.start + 2 * *self.width).min(len);
            if *self.left < middle || *self.right < end {
                self.take_one(middle, end, &compare);
            } else if end < len {
                (*self.start, *self.left) = (end, end);
                *self.right = (end + *self.width).min(len);
            } else {
                std::mem::swap(self.items, self.merged);
                self.merged.clear();
                *self.width *= 2;
                (*self.start, *self.left) = (0, 0);
                *self.right = (*self.width).min(len);
            }
        }
        Progress::More
    }

    /// Moves the lesser of the two runs' next ones over.
    fn take_one(&mut self, middle: usize, end: usize, compare: impl Fn(&T, &T) -> Ordering) {
        let (left, right) = (*self.left, *self.right);
        let takes_left = right >= end
            || left < middle && compare(&self.items[left], &self.items[right]) != Ordering::Greater;
        if takes_left {
            self.merged.push(self.items[left]);
            *self.left += 1;
        } else {
            self.merged.push(self.items[right]);
            *self.right += 1;
        }
    }
}

/// A part being divided around its first item.
///
/// ```text
///   start                low_equal     low       high      high_equal      end
///   | pivot | equal ···· | less ······ | unknown | greater ·· | equal ······ |
/// ```
struct Partition {
    start: usize,
    end: usize,
    low_equal: usize,
    low: usize,
    /// One past the last unknown.
    high: usize,
    /// Where the equals at the end begin.
    high_equal: usize,
    /// Blocks still to be exchanged, once nothing is unknown: from, with, how many.
    exchanges: Option<[(usize, usize, usize); 2]>,
}

fn quick_step<T: Copy>(
    items: &mut [T],
    wanted: usize,
    parts: &mut Vec<(usize, usize)>,
    partition: &mut Option<Partition>,
    comparisons: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Progress {
    let mut left = comparisons;
    while left > 0 {
        let Some(part) = partition else {
            let Some((start, end)) = parts.pop() else { return Progress::Done };
            if end - start < INSERTION_MAX {
                insertion_sort(&mut items[start..end], &compare);
                left = left.saturating_sub(2 * INSERTION_MAX);
                continue;
            }
            let pivot = middle_of(items, start, end, &compare);
            items.swap(start, pivot);
            *partition = Some(Partition::new(start, end));
            continue;
        };
        if part.exchanges.is_none() {
            part.divide(items, &mut left, &compare);
        } else if part.exchange(items, &mut left) {
            let (less, greater) = part.parts();
            // What begins behind those that are wanted stays as it is. The first part is gone on with first.
            let is_wanted = |part: &(usize, usize)| part.1 - part.0 > 1 && (part.0 < wanted);
            parts.extend([greater, less].into_iter().filter(is_wanted));
            *partition = None;
        }
    }
    if parts.is_empty() && partition.is_none() { Progress::Done } else { Progress::More }
}

impl Partition {
    fn new(start: usize, end: usize) -> Partition {
        let (low_equal, low) = (start + 1, start + 1);
        Partition { start, end, low_equal, low, high: end, high_equal: end, exchanges: None }
    }

    /// Compares with the pivot from both ends.
    fn divide<T: Copy>(
        &mut self,
        items: &mut [T],
        left: &mut usize,
        compare: impl Fn(&T, &T) -> Ordering,
    ) {
        while *left > 0 {
            *left -= 1;
            // The one from below that waits for its counterpart is compared again after an interruption: it is as great
            // as before.
            if self.low < self.high {
                match compare(&items[self.low], &items[self.start]) {
                    Ordering::Less => {
                        self.low += 1;
                        continue;
                    }
                    Ordering::Equal => {
                        items.swap(self.low_equal, self.low);
                        self.low_equal += 1;
                        self.low += 1;
                        continue;
                    }
                    Ordering::Greater => {}
                }
            }
            if !self.descend(items, left, &compare) {
                return;
            }
        }
    }

    /// Goes down to one that belongs below, and exchanges it; false: all are divided, or the time is up.
    fn descend<T: Copy>(
        &mut self,
        items: &mut [T],
        left: &mut usize,
        compare: impl Fn(&T, &T) -> Ordering,
    ) -> bool {
        while self.low < self.high {
            let last = self.high - 1;
            match compare(&items[last], &items[self.start]) {
                Ordering::Greater => self.high -= 1,
                Ordering::Equal => {
                    self.high_equal -= 1;
                    items.swap(last, self.high_equal);
                    self.high -= 1;
                }
                Ordering::Less => {
                    items.swap(self.low, last);
                    self.low += 1;
                    self.high -= 1;
                    return true;
                }
            }
            if *left == 0 {
                return false;
            }
            *left -= 1;
        }
        let below = (self.low_equal - self.start).min(self.low - self.low_equal);
        let above = (self.high_equal - self.high).min(self.end - self.high_equal);
        self.exchanges =
            Some([(self.start, self.low - below, below), (self.low, self.end - above, above)]);
        false
    }

    /// Brings the equals to the middle; true once they are there.
    fn exchange<T: Copy>(&mut self, items: &mut [T], left: &mut usize) -> bool {
        for (from, with, count) in self.exchanges.iter_mut().flatten() {
            while *count > 0 {
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                items.swap(*from, *with);
                (*from, *with, *count) = (*from + 1, *with + 1, *count - 1);
            }
        }
        true
    }

    /// The lesser and the greater ones.
    fn parts(&self) -> ((usize, usize), (usize, usize)) {
        let less = self.low - self.low_equal;
        let greater = self.high_equal - self.high;
        ((self.start, self.start + less), (self.end - greater, self.end))
    }
}

fn insertion_sort<T: Copy>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]) == Ordering::Greater {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Where the pivot is: the middle one, or the middle of three, or of three such.
fn middle_of<T>(
    items: &[T],
    start: usize,
    end: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) -> usize {
    let len = end - start;
    let of_three = |a: usize, b: usize, c: usize| {
        let (a_to_b, b_to_c) = (compare(&items[a], &items[b]), compare(&items[b], &items[c]));
        if a_to_b == Ordering::Less {
            match () {
                () if b_to_c == Ordering::Less => b,
                () if compare(&items[a], &items[c]) == Ordering::Less => c,
                () => a,
            }
        } else {
            match () {
                () if b_to_c == Ordering::Greater => b,
                () if compare(&items[a], &items[c]) == Ordering::Less => a,
                () => c,
            }
        }
    };
    let (first, middle, last) = (start, start + len / 2, end - 1);
    if len <= INSERTION_MAX {
        return middle;
    }
    if len <= NINTHER_MIN {
        return of_three(first, middle, last);
    }
    let eighth = len / 8;
    of_three(
        of_three(first, first + eighth, first + 2 * eighth),
        of_three(middle - eighth, middle, middle + eighth),
        of_three(last - 2 * eighth, last - eighth, last),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_first(a: &(u16, usize), b: &(u16, usize)) -> Ordering {
        a.0.cmp(&b.0)
    }

    fn sorted(mut sort: PointSort<(u16, usize)>, comparisons: usize) -> Vec<(u16, usize)> {
        while sort.step(comparisons, by_first) == Progress::More {}
        assert_eq!(sort.step(comparisons, by_first), Progress::Done);
        sort.into_items().0
    }

    fn items() -> impl Strategy<Value = Vec<(u16, usize)>> {
        let keys = prop_oneof![
            prop::collection::vec(any::<u16>(), 0..300),
            prop::collection::vec(0u16..5, 0..300),
        ];
        keys.prop_map(|keys| keys.into_iter().enumerate().map(|(at, key)| (key, at)).collect())
    }

    proptest! {
        #[test]
        fn all_are_in_order_and_equals_as_they_came(items in items(), comparisons in 1usize..50) {
            let mut expected = items.clone();
            expected.sort_by(by_first);
            let sort = PointSort::all(items).expect("small");
            prop_assert_eq!(sorted(sort, comparisons), expected);
        }

        #[test]
        fn the_first_are_in_order(
            items in items(),
            wanted in 1usize..300,
            comparisons in 1usize..50,
        ) {
            let wanted = wanted.min(items.len());
            let mut expected = items.clone();
            expected.sort_by(by_first);
            let found = sorted(PointSort::first(items.clone(), wanted), comparisons);
            let keys = |items: &[(u16, usize)]| items.iter().map(|item| item.0).collect::<Vec<_>>();
            prop_assert_eq!(keys(&found[..wanted]), keys(&expected[..wanted]));
            // However it is cut into slices.
            prop_assert_eq!(&found, &sorted(PointSort::first(items.clone(), wanted), usize::MAX));
            let mut all = found;
            all.sort_unstable_by_key(|item| item.1);
            prop_assert_eq!(all, items);
        }
    }
}
