//! What the runners share: reading scripts, talking to a server, decoding and printing replies.

pub mod pattern;
pub mod play;
pub mod process;
pub mod record;
pub mod reply;
pub mod script;
pub mod target;
pub mod words;
