//! Layer 6: the only layer with sockets. It moves bytes between clients and the engine and knows no command.
mod batch;
mod client_eviction;
mod conn;
mod debug_line;
mod deliver;
mod flush;
mod frames;
pub mod host;
pub mod listener;
pub mod reactor;
mod read;
pub mod remote;
mod reply_use;
#[doc(hidden)]
pub mod simulated;
mod timers;
mod transport;
