//! The corpus against a real Redis: proof that the expectations are right.

use super::support::play::{Resp, concerns, play};
use super::support::process::{Kind, Process, redis_is_installed};
use super::support::record::record;
use super::support::script::load_all;

#[test]
fn a_real_redis_answers_as_the_corpus_says() {
    if !redis_is_installed() {
        eprintln!("skipped: there is no redis-server 7.0 on PATH to prove the corpus with");
        return;
    }
    let recording = std::env::var_os("UPDATE_SCRIPTS").is_some();
    let mut failures = Vec::new();
    let mut compared = 0;
    for script in load_all() {
        // A server of its own, so that no file can spoil another one.
        let mut target = Process::start(Kind::Redis, false).expect("redis-server starts");
        let mut outcomes = [Resp::Two, Resp::Three].map(|resp| {
            let plays = concerns(&script, &target, resp);
            if plays { play(&script, &mut target, resp) } else { Default::default() }
        });
        compared += outcomes.iter().map(|outcome| outcome.compared).sum::<usize>();
        if recording {
            let changed = record(&script, &outcomes[0], &outcomes[1]);
            eprintln!("{}: {changed} blocks recorded", script.name);
        }
        failures.extend(outcomes.iter_mut().flat_map(|outcome| outcome.failures.drain(..)));
    }
    eprintln!("redis: {compared} replies compared");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
