//! Jobs one slice at a time: stopped, stepped and let go by DEBUG JOBS.
use std::time::Duration;

use crate::client::Client;
use crate::server::PATIENCE;

/// Has whatever can be a job be one of slices of one unit, and all stand still after so many slices (-1: never).
pub fn stop_after(control: &mut Client, slices: &str) {
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", slices], "+OK");
}

/// Lets jobs do so many slices, and has them done.
pub fn step(control: &mut Client, slices: usize) {
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", &slices.to_string()], "+OK");
    // Each turn has one slice at most.
    (0..=slices).for_each(|_| control.roundtrip(&["PING"], "+PONG"));
}

/// Lets jobs run.
pub fn run(control: &mut Client) {
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "-1"], "+OK");
}

/// Fails where a reply comes at once.
pub fn assert_waits(client: &mut Client) {
    client.stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    let reply = client.try_reply();
    assert!(reply.is_err(), "{reply:?} came at once");
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
}
