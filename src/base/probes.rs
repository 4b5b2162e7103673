//! Static probes (USDT): points where perf, bpftrace, SystemTap and gdb look into a running server.
//!
//! Each is an entry in the program's `.note.stapsdt` (`readelf -n`), which names the provider `rufous`, the probe,
//! and where its arguments lie. docs/profiling.md has recipes. Text arguments are an address and a length.
//!
//! | probe | arguments |
//! |---|---|
//! | `turn_begin` | |
//! | `phase_end` | phase (its place in `engine::stalls::Phase`), ns |
//! | `turn_end` | ns |
//! | `command_begin` | name, its length |
//! | `command_end` | name, its length, ns |
//! | `job_slice` | name of the command, its length, ns |
//! | `stall` | phase, us, clients that waited |
//!
//! Cost while nobody traces: one `nop` where the arguments are known anyway (`turn_begin`, `turn_end`, `stall`);
//! where they would have to be computed (the others) a comparison with a counter of tracers, which the tracer raises,
//! and the `nop` is elsewhere. Not on Linux they are nothing.
use probe::{probe, probe_lazy};

/// The poll has returned.
#[inline(always)]
pub fn turn_begin() {
    probe!(rufous, turn_begin);
}

/// A turn is over and took this long, without waiting.
#[inline(always)]
pub fn turn_end(nanos: u64) {
    probe!(rufous, turn_end, nanos);
}

/// A phase is over; `nanos` is asked for while somebody traces.
#[inline(always)]
pub fn phase_end(phase: usize, nanos: impl Fn() -> u64) {
    probe_lazy!(rufous, phase_end, phase, nanos());
}

/// A command's handler is called; `name` is asked for while somebody traces.
#[inline(always)]
pub fn command_begin(name: impl Fn() -> &'static str) {
    probe_lazy!(rufous, command_begin, name().as_ptr(), name().len());
}

/// It has returned and took this long; both arguments are asked for while somebody traces.
#[inline(always)]
pub fn command_end(name: impl Fn() -> &'static str, nanos: impl Fn() -> u64) {
    probe_lazy!(rufous, command_end, name().as_ptr(), name().len(), nanos());
}

/// A long command has run for a while and goes on or is over; its first piece is a `command_end`.
#[inline(always)]
pub fn job_slice(name: impl Fn() -> &'static str, nanos: impl Fn() -> u64) {
    probe_lazy!(rufous, job_slice, name().as_ptr(), name().len(), nanos());
}

/// A turn above the threshold, once it is known who waited.
#[inline(always)]
pub fn stall(phase: usize, micros: u64, clients_waiting: usize) {
    probe!(rufous, stall, phase, micros, clients_waiting);
}
