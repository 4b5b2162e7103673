//! The registry by itself.
use super::*;

#[test]
fn milliseconds_are_read_as_redis_reads_them() {
    assert_eq!(millis_until(1000, b"0"), Ok(None));
    assert_eq!(millis_until(1000, b"1"), Ok(Some(1001)));
    assert_eq!(millis_until(1000, b"9223372036854775807"), Ok(None), "later than all time");
    let message = |text: &[u8]| match millis_until(0, text) {
        Err(error) => String::from_utf8_lossy(&error.message()).into_owned(),
        Ok(until) => format!("{until:?}"),
    };
    assert_eq!(message(b"-1"), "ERR timeout is negative");
    assert_eq!(message(b"1.5"), "ERR timeout is not an integer or out of range");
    assert_eq!(message(b"9223372036854775808"), "ERR timeout is not an integer or out of range");
}
