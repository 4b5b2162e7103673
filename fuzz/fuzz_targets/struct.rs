//! struct: any format reads any bytes or refuses; values that were read are packed and read again.
//!
//! The first byte says how many bytes of the input are the format.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous_fuzz::lua::run;

const CODE: &str = "
    local format, bytes = ...
    pcall(struct.size, format)
    pcall(struct.pack, format, bytes, bytes, 1, 2, 3)
    local values = {pcall(struct.unpack, format, bytes)}
    if not values[1] then return true end
    local next = values[#values]
    assert(next >= 1 and next <= #bytes + 1)
    pcall(struct.unpack, format, bytes, next)
    pcall(struct.pack, format, unpack(values, 2))
    return true";

fuzz_target!(|input: &[u8]| {
    let Some((&len, rest)) = input.split_first() else { return };
    let (format, bytes) = rest.split_at(usize::from(len).min(rest.len()));
    assert_eq!(run(CODE, &[format, bytes]).as_boolean(), Some(true));
});
