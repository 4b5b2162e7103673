//! cmsgpack: any bytes are refused or become values, and what these are packed as can be read and packed again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous_fuzz::lua::run;

/// Values are taken one by one, as there may be more of them than a function returns. Tables below the sixteenth become
/// nil in the first packing, so the second is where it has to settle.
const CODE: &str = "
    local bytes, at = ..., 0
    repeat
        local ok, next, value = pcall(cmsgpack.unpack_one, bytes, at)
        if not ok then return true end
        assert(next == -1 or next > at)
        local ok, first = pcall(cmsgpack.pack, value)
        local ok, read = pcall(cmsgpack.unpack, first)
        if ok then
            local second = cmsgpack.pack(read)
            assert(#second == #cmsgpack.pack((cmsgpack.unpack(second))))
        end
        at = next
    until at == -1
    return true";

fuzz_target!(|input: &[u8]| {
    assert_eq!(run(CODE, &[input]).as_boolean(), Some(true));
});
