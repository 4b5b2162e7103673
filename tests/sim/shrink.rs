//! Makes a failing plan short: leaves out steps, ever fewer at a time, while it still fails.
use super::plan::Plan;

/// Plans tried at most.
const TRIES_MAX: usize = 3_000;

/// The shortest failing plan that leaving out rows of steps leads to.
pub fn shrink(mut plan: Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut tries = 0;
    let mut piece = plan.steps.len() / 2;
    while piece > 0 {
        let (mut at, mut has_shrunk) = (0, false);
        while at < plan.steps.len() && tries < TRIES_MAX {
            tries += 1;
            let mut shorter = plan.clone();
            shorter.steps.drain(at..(at + piece).min(plan.steps.len()));
            if fails(&shorter) {
                plan = shorter;
                has_shrunk = true;
            } else {
                at += piece;
            }
        }
        if piece > 1 || !has_shrunk {
            piece /= 2;
        }
    }
    plan
}
