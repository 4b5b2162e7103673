//! struct: any format reads any bytes or refuses; values that were read are packed and read again.
//!
//! The first byte says how many bytes of the input are the format.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous_fuzz::lua::run;

/// Results are caught in a table within the protected call: pcall of Lua 5.1 itself overruns its frame by one slot when
/// many come back, which Lua notices where it is compiled with assertions, as here.
const CODE: &str = "
    local format, bytes = ...
    local values
    local function try(at) values = {struct.unpack(format, bytes, at)} end
    pcall(struct.size, format)
    pcall(struct.pack, format, bytes, bytes, 1, 2, 3)
    if not pcall(try) then return true end
    local next = values[#values]
    assert(next >= 1 and next <= #bytes + 1)
    local read = values
    pcall(try, next)
    pcall(struct.pack, format, unpack(read))
    return true";

fuzz_target!(|input: &[u8]| {
    let Some((&len, rest)) = input.split_first() else { return };
    let (format, bytes) = rest.split_at(usize::from(len).min(rest.len()));
    assert_eq!(run(CODE, &[format, bytes]).as_boolean(), Some(true));
});
