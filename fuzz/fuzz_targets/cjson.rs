//! cjson: any bytes are refused or become a value, and what such a value is written as is written again the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous_fuzz::lua::run;

/// Numbers keep 14 digits in JSON, so the second text is where it has to settle. Entries of objects have no order that
/// a change of one would keep: of those only the length is compared.
const CODE: &str = "
    local ok, value = pcall(cjson.decode, ...)
    if not ok then return true end
    cjson.encode_sparse_array(true)
    cjson.encode_invalid_numbers('null')
    local first = cjson.encode(value)
    local second = cjson.encode(cjson.decode(first))
    local third = cjson.encode(cjson.decode(second))
    return #second == #third";

fuzz_target!(|input: &[u8]| {
    assert_eq!(run(CODE, &[input]).as_boolean(), Some(true));
});
