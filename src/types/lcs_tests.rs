//! Against the table of numbers as the textbook has it.
use super::*;
use proptest::prelude::*;

/// The table of numbers and the walk as the textbook has them, with Redis's choice among equals.
fn naive(a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Run>) {
    let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i][j] = if a[i - 1] == b[j - 1] {
                table[i - 1][j - 1] + 1
            } else {
                table[i - 1][j].max(table[i][j - 1])
            };
        }
    }
    let (mut i, mut j) = (a.len(), b.len());
    let (mut bytes, mut runs) = (Vec::new(), Vec::<Run>::new());
    let mut is_run_open = false;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            bytes.insert(0, a[i]);
            match runs.last_mut() {
                Some(run) if is_run_open => {
                    *run = Run { a_start: i, b_start: j, len: run.len + 1 };
                }
                _ => runs.push(Run { a_start: i, b_start: j, len: 1 }),
            }
            is_run_open = true;
        } else {
            is_run_open = false;
            if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
    assert_eq!(bytes.len(), table[a.len()][b.len()]);
    (bytes, runs)
}

fn agree(a: &[u8], b: &[u8]) {
    let (bytes, runs) = naive(a, b);
    let lcs = Lcs::new(a, b).expect("small");
    let mut found = Vec::new();
    lcs.each_run(|run| found.push(run));
    assert_eq!(lcs.bytes(), bytes, "{a:?} {b:?}");
    assert_eq!(found, runs, "{a:?} {b:?}");
    assert_eq!(lcs.len(), bytes.len());
    assert_eq!(lcs.is_empty(), bytes.is_empty());
    assert_eq!(length(a, b).expect("small"), bytes.len());
    assert_eq!(length(b, a).expect("small"), bytes.len());
    for units in [1, 3] {
        agree_in_pieces(a, b, units, &bytes, &runs);
    }
}

/// The same in pieces, and freed then.
fn agree_in_pieces(a: &[u8], b: &[u8], units: usize, bytes: &[u8], runs: &[Run]) {
    let table = |wanted| {
        let mut work = LcsWork::new(wanted, a, b);
        while work.step(a, b, units).expect("small") == Progress::More {}
        assert_eq!(work.step(a, b, units), Ok(Progress::Done));
        assert_eq!((work.len(), work.is_empty()), (bytes.len(), bytes.is_empty()));
        work
    };
    table(Wanted::Length);
    let mut work = table(Wanted::Sequence);
    let mut found = Vec::new();
    while work.step_runs(a, b, units, |run| found.push(run)) == Progress::More {}
    assert_eq!(found, runs, "{a:?} {b:?}");
    let mut work = table(Wanted::Sequence);
    while work.step_bytes(a, b, units).expect("small") == Progress::More {}
    assert_eq!(*work.take_bytes(), bytes, "{a:?} {b:?}");
    while work.free_slice(1) == Progress::More {}
    assert_eq!(work.table.rows.capacity() + work.places.bitmaps.capacity(), 0);
}

/// Rows much longer than a unit, so that steps end inside them.
#[test]
fn long_rows_in_pieces() {
    let text: Vec<u8> = (0..9000u32).map(|n| (n * n / 7 % 11) as u8).collect();
    let (a, b) = (&text[..60], &text[40..]);
    let lcs = Lcs::new(a, b).expect("small");
    let mut runs = Vec::new();
    lcs.each_run(|run| runs.push(run));
    for units in [1, 2, 7] {
        agree_in_pieces(a, b, units, &lcs.bytes(), &runs);
        agree_in_pieces(a, b, units, &lcs.bytes(), &runs);
    }
    let mut work = LcsWork::new(Wanted::Sequence, a, b);
    let mut steps = 0;
    while work.step(a, b, 1).expect("small") == Progress::More {
        steps += 1;
    }
    // 61 rows of 140 words at 16 words a step, and twice the text at 64 bytes a step.
    assert!((61 * 140 / 16..61 * 10 + 400).contains(&steps), "{steps}");
}

#[test]
fn answers_the_examples_of_the_documentation() {
    let lcs = Lcs::new(b"ohmytext", b"mynewtext").expect("small");
    assert_eq!(lcs.bytes(), b"mytext");
    let mut runs = Vec::new();
    lcs.each_run(|run| runs.push((run.a_start, run.b_start, run.len)));
    assert_eq!(runs, [(4, 5, 4), (2, 0, 2)]);
}

#[test]
fn empty_strings_and_word_boundaries() {
    let text: Vec<u8> = (0..200u32).map(|n| (n * n % 7) as u8).collect();
    for a_len in [0, 1, 2, 63, 64, 65, 127, 128, 129] {
        for b_len in [0, 1, 63, 64, 65, 128, 129, 192] {
            agree(&text[..a_len], &text[200 - b_len..]);
        }
    }
}

proptest! {
    #[test]
    fn equals_the_textbook(
        letters in 1u8..6,
        a in prop::collection::vec(any::<u8>(), 0..150),
        b in prop::collection::vec(any::<u8>(), 0..150),
    ) {
        let few = |text: &[u8]| text.iter().map(|byte| byte % letters).collect::<Vec<u8>>();
        agree(&few(&a), &few(&b));
        agree(&a, &b);
    }
}
