//! `bit`: operations on 32 bits, as the library LuaBitOp 1.0.2 has them.
//!
//! A number is taken modulo 2^32, fractions rounded to even, by adding 2^52 + 2^51 and looking at the low half of the
//! double: what the library does, so numbers beyond 2^51 give the same bits. Results are signed.

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::Arguments;

/// The module's table, new. Cost of an operation: O(arguments).
pub fn register(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    add_unary(lua, &module, "tobit", |bits| bits)?;
    add_unary(lua, &module, "bnot", |bits| !bits)?;
    add_unary(lua, &module, "bswap", u32::swap_bytes)?;
    add_fold(lua, &module, "band", |left, right| left & right)?;
    add_fold(lua, &module, "bor", |left, right| left | right)?;
    add_fold(lua, &module, "bxor", |left, right| left ^ right)?;
    add_shift(lua, &module, "lshift", |bits, count| bits << count)?;
    add_shift(lua, &module, "rshift", |bits, count| bits >> count)?;
    add_shift(lua, &module, "arshift", |bits, count| ((bits as i32) >> count) as u32)?;
    add_shift(lua, &module, "rol", u32::rotate_left)?;
    add_shift(lua, &module, "ror", u32::rotate_right)?;
    module.raw_set("tohex", lua.create_function(tohex)?)?;
    Ok(module)
}

fn add_unary(lua: &Lua, module: &Table, name: &str, operation: fn(u32) -> u32) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        Ok(operation(bits(lua, &arguments, 1)?) as i32)
    })?;
    module.raw_set(name, function)
}

fn add_fold(
    lua: &Lua,
    module: &Table,
    name: &str,
    operation: fn(u32, u32) -> u32,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        let mut result = bits(lua, &arguments, 1)?;
        // From the last: of several wrong arguments the last is named.
        for number in (2..=arguments.count()).rev() {
            result = operation(result, bits(lua, &arguments, number)?);
        }
        Ok(result as i32)
    })?;
    module.raw_set(name, function)
}

fn add_shift(
    lua: &Lua,
    module: &Table,
    name: &str,
    operation: fn(u32, u32) -> u32,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, values);
        let value = bits(lua, &arguments, 1)?;
        Ok(operation(value, bits(lua, &arguments, 2)? & 31) as i32)
    })?;
    module.raw_set(name, function)
}

fn tohex(lua: &Lua, values: MultiValue) -> mlua::Result<String> {
    let arguments = Arguments::new(lua, values);
    let value = bits(lua, &arguments, 1)?;
    let digits = if arguments.count() < 2 { 8 } else { bits(lua, &arguments, 2)? as i32 };
    Ok(hexadecimal(value, digits))
}

/// The last `digits` hexadecimal digits of `value`, 8 at most, in capitals if `digits` is negative.
fn hexadecimal(value: u32, digits: i32) -> String {
    let all = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    let count = digits.unsigned_abs().min(8) as usize;
    all[8 - count..].to_owned()
}

fn bits(lua: &Lua, arguments: &Arguments<'_>, number: usize) -> mlua::Result<u32> {
    match arguments.value(number) {
        Value::Integer(value) if value.unsigned_abs() < 1 << 51 => Ok(value as u32),
        Value::Number(value) => Ok(from_double(value)),
        value => match lua.coerce_number(value)? {
            Some(value) => Ok(from_double(value)),
            None => Err(arguments.wrong_type(number, "number")),
        },
    }
}

/// The low 32 bits of `value` rounded to an integer.
fn from_double(value: f64) -> u32 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (value + MAGIC).to_bits() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_are_taken_modulo() {
        let cases = [(-1.0, u32::MAX), (4294967296.0 + 5.0, 5), (2.5, 2), (3.5, 4), (0.0, 0)];
        for (value, bits) in cases {
            assert_eq!(from_double(value), bits, "{value}");
        }
    }

    #[test]
    fn hexadecimal_takes_the_last_digits() {
        assert_eq!(hexadecimal(0xabcdef12, 8), "abcdef12");
        assert_eq!(hexadecimal(0xabcdef12, -4), "EF12");
        assert_eq!(hexadecimal(0xabcdef12, i32::MIN), "ABCDEF12");
        assert_eq!(hexadecimal(0xabcdef12, 100), "abcdef12");
        assert_eq!(hexadecimal(1, 0), "");
    }

    fn eval(code: &str) -> i64 {
        let lua = Lua::new();
        lua.globals().set("bit", register(&lua).unwrap()).unwrap();
        lua.load(code).eval().unwrap()
    }

    #[test]
    fn operations_are_signed() {
        assert_eq!(eval("return bit.bnot(0)"), -1);
        assert_eq!(eval("return bit.lshift(1, 31)"), i64::from(i32::MIN));
        assert_eq!(eval("return bit.arshift(-8, 33)"), -4);
        assert_eq!(eval("return bit.bxor(1, '2', 4)"), 7);
        assert_eq!(eval("return bit.rol(0x80000001, 1)"), 3);
    }

    proptest! {
        #[test]
        fn whole_numbers_wrap(value in -(1i64 << 51)..(1i64 << 51)) {
            prop_assert_eq!(from_double(value as f64), value as u32);
        }
    }
}
