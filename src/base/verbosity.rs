//! How much is logged, changeable while the program runs.
//!
//! The `log` crate has one level for the whole process. It is ours to change only where the program's own logger
//! runs: a program that embeds the server has a logger, and a level, of its own. Costs one atomic read per change.
use std::sync::atomic::{AtomicBool, Ordering};

use log::LevelFilter;

static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Takes the level over: it is `level` now, and [`change`] has an effect from here on.
pub fn own(level: LevelFilter) {
    IS_OURS.store(true, Ordering::Relaxed);
    log::set_max_level(level);
}

/// Sets the level, unless it belongs to somebody else.
pub fn change(level: LevelFilter) {
    if IS_OURS.load(Ordering::Relaxed) {
        log::set_max_level(level);
    }
}
