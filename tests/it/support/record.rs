//! Writing into a script what a server answered.

use std::fs;

use super::pattern::has_pattern;
use super::play::Outcome;
use super::reply::Order;
use super::script::{Expected, Script};

/// Rewrites the blocks of `script` that differ from what was seen in RESP2 and RESP3. Blocks with
/// patterns are left alone. Returns how many blocks changed.
pub fn record(script: &Script, resp2: &Outcome, resp3: &Outcome) -> usize {
    let mut out: Vec<String> = Vec::new();
    let mut copied = 0;
    let mut changed = 0;
    for (index, step) in script.steps.iter().enumerate() {
        let seen2 = resp2.actual.get(&index);
        let seen3 = resp3.actual.get(&index);
        let Some(seen) = seen2.or(seen3) else { continue };
        let other = seen3.filter(|lines| *lines != seen);
        let block = written(&step.expected, seen, other);
        let span = step.expected.span.clone();
        out.extend_from_slice(&script.lines[copied..span.start]);
        copied = span.end;
        if script.lines[span.clone()] == block {
            out.extend(block);
            continue;
        }
        changed += 1;
        out.extend(block);
    }
    out.extend_from_slice(&script.lines[copied..]);
    if changed > 0 {
        fs::write(&script.path, out.join("\n") + "\n").expect("a script can be written");
    }
    changed
}

fn written(expected: &Expected, seen: &[String], resp3: Option<&Vec<String>>) -> Vec<String> {
    let mut block = Vec::new();
    match expected.order {
        Order::AsSent => {}
        Order::Sorted => block.push("sort:".to_string()),
        Order::SortedPairs => block.push("sort pairs:".to_string()),
    }
    let keeps = |lines: &[String]| has_pattern(lines) || lines.iter().any(|l| l.contains("${"));
    let first: &[String] = if keeps(&expected.lines) { &expected.lines } else { seen };
    block.extend_from_slice(first);
    let second = match (&expected.resp3, resp3) {
        (Some(lines), _) if keeps(lines) => Some(lines),
        (None, _) if keeps(&expected.lines) => None,
        (_, seen) => seen,
    };
    if let Some(lines) = second {
        block.push("resp3:".into());
        block.extend_from_slice(lines);
    }
    block
}
