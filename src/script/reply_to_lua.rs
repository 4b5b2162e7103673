//! A command's reply as a value of Lua.
//!
//! | reply | Lua |
//! |---|---|
//! | integer | number |
//! | string | string |
//! | null | false; nil in RESP3 |
//! | status, error | table with `ok` or `err` |
//! | array | table |
//! | map, set, double, big number, verbatim string | table with a field of that name |
//!
//! The reply is ours, so it is not checked; should it be cut short all the same, what is missing is nil.
//! Cost: one allocation of Lua per string and table.
use crate::proto::reply::Resp;
use crate::script::fail::with_code;
use crate::script::raise::{Raise, push_error};
use crate::script::stack::Stack;

/// Pushes what a reply in the protocol `resp` says.
pub fn push_reply(stack: &mut Stack<'_>, encoded: &[u8], resp: Resp) -> Result<(), Raise> {
    Reader { stack, rest: encoded, has_nils: resp == Resp::V3 }.value()
}

/// The text of an error reply, without `-` and line end; `None` if it is none.
pub fn error_of(encoded: &[u8]) -> Option<&[u8]> {
    let line = encoded.strip_prefix(b"-")?;
    let end = memchr::memchr(b'\r', line).unwrap_or(line.len());
    line.get(..end)
}

struct Reader<'r, 'k, 's> {
    stack: &'k mut Stack<'s>,
    rest: &'r [u8],
    /// Arrays may have nils in them.
    has_nils: bool,
}

impl<'r> Reader<'r, '_, '_> {
    fn line(&mut self) -> &'r [u8] {
        let end = memchr::memchr(b'\r', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(2..).unwrap_or(&[]);
        line
    }

    /// A line that is a decimal number.
    fn number(&mut self) -> i64 {
        let line = self.line();
        let (is_negative, figures) = match line.strip_prefix(b"-") {
            Some(figures) => (true, figures),
            None => (false, line),
        };
        let value = figures.iter().fold(0i64, |value, figure| {
            value.wrapping_mul(10).wrapping_add(i64::from(figure.wrapping_sub(b'0')))
        });
        if is_negative { value.wrapping_neg() } else { value }
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()).ok()
    }

    fn bytes(&mut self, len: usize) -> &'r [u8] {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest.get(2..).unwrap_or(&[]);
        bytes
    }

    /// Pushes one value.
    fn value(&mut self) -> Result<(), Raise> {
        let Some((kind, rest)) = self.rest.split_first() else {
            self.stack.push_nil();
            return Ok(());
        };
        self.rest = rest;
        match kind {
            b'$' => match self.count() {
                Some(len) => {
                    let bytes = self.bytes(len);
                    self.stack.push_text(bytes);
                }
                None => self.stack.push_boolean(false),
            },
            b':' => {
                let number = self.number();
                self.stack.push_number(number as f64);
            }
            b'+' => {
                let line = self.line();
                self.stack.push_table(0, 1);
                self.stack.push_text(line);
                self.stack.set_named(self.stack.top() - 1, "ok");
            }
            b'-' => {
                let text = with_code(&[b"-", self.line()].concat());
                push_error(self.stack, &text, true);
            }
            b'*' | b'>' => match self.count() {
                Some(count) => self.array(count)?,
                None => self.stack.push_boolean(false),
            },
            b'_' => {
                self.line();
                self.stack.push_nil();
            }
            b'#' => {
                let is_true = self.line() == b"t";
                self.stack.push_boolean(is_true);
            }
            _ => self.resp3(*kind)?,
        }
        Ok(())
    }

    /// Makes room for a table within a table, a key and a value, and for what is pushed with a name.
    fn make_room(&mut self) -> Result<(), Raise> {
        if self.stack.reserve(8) { Ok(()) } else { Err(Raise::bare("stack overflow")) }
    }

    fn array(&mut self, count: usize) -> Result<(), Raise> {
        self.make_room()?;
        // What `#` says of a table with nils in it depends on how it grew.
        self.stack.push_table(if self.has_nils { 0 } else { count.min(self.rest.len()) }, 0);
        let table = self.stack.top();
        for index in 1..=count {
            self.value()?;
            self.stack.set_element(table, index)?;
        }
        Ok(())
    }

    /// Types that have a table with one field of their name.
    fn resp3(&mut self, kind: u8) -> Result<(), Raise> {
        self.make_room()?;
        self.stack.push_table(0, 1);
        let outer = self.stack.top();
        match kind {
            b'%' => {
                let pairs = self.count().unwrap_or(0);
                self.stack.push_table(0, 0);
                for len in 0..pairs {
                    self.value()?;
                    self.value()?;
                    if self.stack.is_nil(outer + 2) {
                        self.stack.pop(2);
                    } else {
                        self.stack.set_field(outer + 1, len)?;
                    }
                }
                self.stack.set_named(outer, "map");
            }
            b'~' => {
                let count = self.count().unwrap_or(0);
                self.stack.push_table(0, 0);
                for len in 0..count {
                    self.value()?;
                    if self.stack.is_nil(outer + 2) {
                        self.stack.pop(1);
                    } else {
                        self.stack.push_boolean(true);
                        self.stack.set_field(outer + 1, len)?;
                    }
                }
                self.stack.set_named(outer, "set");
            }
            b',' => {
                let text = std::str::from_utf8(self.line()).unwrap_or("");
                self.stack.push_number(text.parse::<f64>().unwrap_or(f64::NAN));
                self.stack.set_named(outer, "double");
            }
            b'(' => {
                let line = self.line();
                self.stack.push_text(line);
                self.stack.set_named(outer, "big_number");
            }
            b'=' => {
                let len = self.count().unwrap_or(0);
                let whole = self.bytes(len);
                self.stack.push_table(0, 2);
                self.stack.push_text(whole.get(4..).unwrap_or(&[]));
                self.stack.set_named(outer + 1, "string");
                self.stack.push_text(whole.get(..3).unwrap_or(&[]));
                self.stack.set_named(outer + 1, "format");
                self.stack.set_named(outer, "verbatim_string");
            }
            // Attributes, which scripts do not see, stand before what they belong to.
            b'|' => {
                let pairs = self.count().unwrap_or(0);
                for _ in 0..pairs * 2 {
                    self.value()?;
                    self.stack.pop(1);
                }
                self.stack.pop(1);
                return self.value();
            }
            _ => {
                self.stack.pop(1);
                self.stack.push_nil();
            }
        }
        Ok(())
    }
}
