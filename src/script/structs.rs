//! `struct`: values to and from bytes by a format, as the library that Redis has does it.
//!
//! | letter | value | bytes |
//! |---|---|---|
//! | `b` `B`, `h` `H`, `l` `L`, `T` | integer; small letters signed | 1, 2, 8, 8 |
//! | `i` `I` with a size | integer | size, 4 without one, 32 at most |
//! | `f`, `d` | float, double | 4, 8 |
//! | `c` with a size | bytes; all of them with size 0 | size, 1 without one |
//! | `s` | bytes up to a zero byte, which is written and read too | |
//! | `x` | a byte between, zero | 1 |
//! | `<`, `>`, `!` with a size | little endian, big endian, alignment; from there on | |
//!
//! Formats are read once, while they are followed. Sizes are checked before anything is read or kept: what is written
//! is at most 32 bytes for each letter, besides the strings given.

use mlua::{Error, Lua, MultiValue, Table, Value};

use super::arguments::Arguments;
use crate::base::c_number::{to_long, to_unsigned_long};

/// Widest integer, bytes.
const INTEGER_SIZE_MAX: usize = 32;
/// Alignment of `!` without a number, bytes.
const ALIGNMENT_DEFAULT: i32 = 8;

/// The module's table, new.
pub fn register(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    module.raw_set("pack", lua.create_function(pack)?)?;
    module.raw_set("unpack", lua.create_function(unpack)?)?;
    module.raw_set("size", lua.create_function(size)?)?;
    Ok(module)
}

/// What is wrong with a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongFormat {
    /// The error, for the whole call.
    Call(String),
    /// The error, for the format as an argument.
    Argument(Vec<u8>),
}

/// A letter of a format, with its size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The letter.
    pub letter: u8,
    /// Bytes it takes; 0 if it takes none or its value decides.
    pub size: usize,
    /// Zero bytes before it.
    pub padding: usize,
    /// Whether its bytes begin with the highest.
    pub is_big_endian: bool,
}

/// Reads a format piece by piece.
pub struct Format<'f> {
    rest: &'f [u8],
    is_big_endian: bool,
    alignment: usize,
}

impl<'f> Format<'f> {
    /// At the beginning of `text`, which ends at its first zero byte.
    pub fn new(text: &'f [u8]) -> Self {
        let rest = text.split(|byte| *byte == 0).next().unwrap_or_default();
        Format { rest, is_big_endian: false, alignment: 1 }
    }

    /// The next letter, which begins after `position` bytes. O(digits of its size).
    pub fn next_piece(&mut self, position: usize) -> Result<Option<Piece>, WrongFormat> {
        let Some((&letter, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = self.size_of(letter)?;
        let padding = self.padding(position, letter, size);
        Ok(Some(Piece { letter, size, padding, is_big_endian: self.is_big_endian }))
    }

    /// Does what a letter that is no value says.
    pub fn control(&mut self, letter: u8) -> Result<(), WrongFormat> {
        match letter {
            b' ' => {}
            b'<' => self.is_big_endian = false,
            b'>' => self.is_big_endian = true,
            b'!' => {
                let alignment = self.number(ALIGNMENT_DEFAULT)?;
                if alignment <= 0 || alignment & (alignment - 1) != 0 {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return Err(WrongFormat::Call(text));
                }
                self.alignment = alignment as usize;
            }
            _ => {
                let mut text = b"invalid format option '".to_vec();
                text.extend_from_slice(&[letter, b'\'']);
                return Err(WrongFormat::Argument(text));
            }
        }
        Ok(())
    }

    fn size_of(&mut self, letter: u8) -> Result<usize, WrongFormat> {
        Ok(match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)? as usize,
            b'i' | b'I' => {
                let size = self.number(4)? as usize;
                if size > INTEGER_SIZE_MAX {
                    return Err(WrongFormat::Call(format!(
                        "integral size {size} is larger than limit of {INTEGER_SIZE_MAX}"
                    )));
                }
                size
            }
            _ => 0,
        })
    }

    /// The digits that follow as a number, or `default` if none do.
    fn number(&mut self, default: i32) -> Result<i32, WrongFormat> {
        let digits = self.rest.iter().position(|byte| !byte.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(digits.unwrap_or(self.rest.len()));
        self.rest = rest;
        if digits.is_empty() {
            return Ok(default);
        }
        let value = digits.iter().try_fold(0i32, |value, digit| {
            value.checked_mul(10)?.checked_add(i32::from(digit - b'0'))
        });
        value.ok_or_else(|| WrongFormat::Call("integral size overflow".to_owned()))
    }

    fn padding(&self, position: usize, letter: u8, size: usize) -> usize {
        if size == 0 || letter == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }
}

fn is_integer(letter: u8) -> bool {
    matches!(letter, b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I')
}

/// Appends an integer of `size` bytes; what is beyond 64 bits is zero.
pub fn write_integer(out: &mut Vec<u8>, value: u64, size: usize, is_big_endian: bool) {
    let begin = out.len();
    let low = value.to_le_bytes();
    out.extend((0..size).map(|index| low.get(index).copied().unwrap_or(0)));
    if is_big_endian {
        out[begin..].reverse();
    }
}

/// An integer of the size of `bytes`, of which the low 64 bits count.
pub fn read_integer(bytes: &[u8], is_signed: bool, is_big_endian: bool) -> f64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let mut value =
        if is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) };
    if !is_signed {
        return value as f64;
    }
    // Beyond 64 bits the sign is looked for where the processor's shift, modulo 64, ends up.
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    if value & mask != 0 {
        value |= mask;
    }
    value as i64 as f64
}

fn pack(lua: &Lua, mut values: MultiValue) -> mlua::Result<Value> {
    // The library marks the end of its arguments with nil: so is the first one that is missing.
    values.push_back(Value::Nil);
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let mut out = Vec::new();
    let mut number = 2;
    // The library counts apart from what it has written, and a string's end not at all where its size is given.
    let mut position = 0usize;
    while let Some(piece) = refuse(&arguments, format.next_piece(position))? {
        out.resize(out.len() + piece.padding, 0);
        let mut size = piece.size;
        match piece.letter {
            letter if is_integer(letter) => {
                let value = arguments.number(number)?;
                let value =
                    if value < 0.0 { to_long(value) as u64 } else { to_unsigned_long(value) };
                write_integer(&mut out, value, size, piece.is_big_endian);
                number += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let bytes = (arguments.number(number)? as f32).to_le_bytes();
                write_real(&mut out, &bytes, piece.is_big_endian);
                number += 1;
            }
            b'd' => {
                let bytes = arguments.number(number)?.to_le_bytes();
                write_real(&mut out, &bytes, piece.is_big_endian);
                number += 1;
            }
            letter @ (b'c' | b's') => {
                let value = arguments.string(number)?;
                let value = value.as_bytes();
                number += 1;
                if size == 0 {
                    size = value.len();
                }
                // The library names the argument after it.
                arguments.check(value.len() >= size, number, "string too short")?;
                out.extend_from_slice(&value[..size]);
                if letter == b's' {
                    out.push(0);
                    size += 1;
                }
            }
            letter => refuse(&arguments, format.control(letter))?,
        }
        position += piece.padding + size;
    }
    lua.create_string(&out).map(Value::String)
}

fn write_real(out: &mut Vec<u8>, little_endian: &[u8], is_big_endian: bool) {
    let begin = out.len();
    out.extend_from_slice(little_endian);
    if is_big_endian {
        out[begin..].reverse();
    }
}

fn unpack(lua: &Lua, values: MultiValue) -> mlua::Result<MultiValue> {
    const TOO_SHORT: &str = "data string too short";
    let arguments = Arguments::new(lua, values);
    let (text, data) = (arguments.string(1)?, arguments.string(2)?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let begin = arguments.integer_or(3, 1)?;
    arguments.check(begin != 0, 3, "offset must be 1 or greater")?;
    // A negative offset is a great one, as it is to the library.
    let mut position = (begin as usize).wrapping_sub(1);
    let mut format = Format::new(&text);
    let mut results = MultiValue::new();
    while let Some(piece) = refuse(&arguments, format.next_piece(position))? {
        position = position.wrapping_add(piece.padding);
        let mut size = piece.size;
        let Some(bytes) = part(&data, position, size) else {
            return Err(arguments.refuse(2, TOO_SHORT));
        };
        arguments.check_stack(arguments.count() + results.len() + 2, "too many results")?;
        let result = match piece.letter {
            letter if is_integer(letter) => {
                let is_signed = letter.is_ascii_lowercase();
                Some(Value::Number(read_integer(bytes, is_signed, piece.is_big_endian)))
            }
            b'f' | b'd' => Some(Value::Number(read_real(bytes, piece.is_big_endian))),
            b'c' => {
                let mut bytes = bytes;
                if size == 0 {
                    size = previous_size(&arguments, &mut results)?;
                    let found = part(&data, position, size);
                    bytes = found.ok_or_else(|| arguments.refuse(2, TOO_SHORT))?;
                }
                Some(Value::String(lua.create_string(bytes)?))
            }
            b's' => {
                let rest = data.get(position..).unwrap_or_default();
                let Some(len) = rest.iter().position(|byte| *byte == 0) else {
                    return Err(arguments.raise("unfinished string in data"));
                };
                size = len + 1;
                Some(Value::String(lua.create_string(&rest[..len])?))
            }
            b'x' => None,
            letter => {
                refuse(&arguments, format.control(letter))?;
                None
            }
        };
        results.extend(result);
        position += size;
    }
    results.push_back(Value::Integer(position.wrapping_add(1) as i64));
    Ok(results)
}

fn part(data: &[u8], position: usize, size: usize) -> Option<&[u8]> {
    data.get(position..position.checked_add(size)?)
}

fn read_real(bytes: &[u8], is_big_endian: bool) -> f64 {
    let mut bytes = bytes.to_vec();
    if is_big_endian {
        bytes.reverse();
    }
    match *bytes {
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}

/// The size that `c0` takes from the result before it, which is no result then.
fn previous_size(arguments: &Arguments<'_>, results: &mut MultiValue) -> mlua::Result<usize> {
    let previous = results.pop_back().unwrap_or(Value::Nil);
    match arguments.lua().coerce_number(previous)? {
        Some(size) => Ok(to_unsigned_long(size) as usize),
        None => Err(arguments.raise("format 'c0' needs a previous size")),
    }
}

fn size(lua: &Lua, values: MultiValue) -> mlua::Result<i64> {
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let mut position = 0usize;
    while let Some(piece) = refuse(&arguments, format.next_piece(position))? {
        arguments.check(piece.letter != b's', 1, "option 's' has no fixed size")?;
        let is_open = piece.letter == b'c' && piece.size == 0;
        arguments.check(!is_open, 1, "option 'c0' has no fixed size")?;
        // Letters and digits that mean nothing pass here, as they do in the library.
        if !piece.letter.is_ascii_alphanumeric() {
            refuse(&arguments, format.control(piece.letter))?;
        }
        position += piece.padding + piece.size;
    }
    Ok(position as i64)
}

fn refuse<T>(arguments: &Arguments<'_>, result: Result<T, WrongFormat>) -> mlua::Result<T> {
    result.map_err(|wrong| -> Error {
        match wrong {
            WrongFormat::Call(text) => arguments.raise(&text),
            WrongFormat::Argument(text) => arguments.refuse(1, &String::from_utf8_lossy(&text)),
        }
    })
}

#[cfg(test)]
#[path = "structs_tests.rs"]
mod tests;
