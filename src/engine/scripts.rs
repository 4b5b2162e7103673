//! The scripts of EVAL: their sources by SHA1, compiled once, and the one that keeps the server busy.
//!
//! Sources stay until SCRIPT FLUSH, as in Redis. The interpreter that compiled them stands on the shelf of its thread
//! ([`Shelved`]); where that is a new one, a script is compiled again when it is next called.
//! Cost: a lookup by 20 bytes per call.
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::base::pieces::{Garbage, Progress};
use crate::script::exchange::{Done, Event, Task};
use crate::script::guest::Kind;
use crate::script::shebang::{self, Flags};
use crate::script::shelf::Shelved;

/// What a script is known by.
pub type Sha = [u8; 20];

/// What others are told while a script of EVAL takes long.
pub const BUSY_SCRIPT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
/// What others are told while a function takes long.
pub const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

/// All about scripts that outlives one of them.
#[derive(Debug)]
pub struct Scripts {
    cached: HashMap<Sha, Script, RandomState>,
    /// Bytes of the sources.
    source_bytes: usize,
    /// The interpreter of EVAL.
    pub interpreter: Shelved,
    /// Bytes that interpreter uses, as of the last script.
    pub interpreter_bytes: usize,
    /// The interpreter of FCALL.
    pub functions: Shelved,
    /// Interpreters that nobody needs any more, with what they still keep.
    retired: Vec<Shelved>,
    /// Bytes that interpreter uses, as of the last function.
    pub functions_bytes: usize,
    /// The script that takes longer than `busy-reply-threshold`.
    pub slow: Option<Slow>,
}

/// One script of the cache.
#[derive(Debug)]
struct Script {
    source: Arc<[u8]>,
    flags: Flags,
    /// Where it is compiled: generation of the interpreter, and slot.
    compiled: Option<(u64, usize)>,
}

/// Scripts that nobody can call any more.
pub struct Forgotten(std::collections::hash_map::IntoIter<Sha, Script>);

/// Sources that are as long to free as a megabyte.
const SOURCES_PER_UNIT: usize = 64;

impl Garbage for Forgotten {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self.0.by_ref().take(units * SOURCES_PER_UNIT).last() {
            Some(_) => Progress::More,
            None => Progress::Done,
        }
    }
}

/// A script that keeps the server busy.
#[derive(Debug)]
pub struct Slow {
    /// Whether it is one of EVAL, and no function.
    pub is_eval: bool,
    /// SHA1 of the script, or name of the function.
    pub name: Vec<u8>,
    /// The request, for FUNCTION STATS.
    pub command: Vec<Vec<u8>>,
    /// When it began, in ticks.
    pub started_ticks: u64,
    /// It has called a command that writes: nobody may end it half-way.
    pub has_written: bool,
    /// SCRIPT KILL or FUNCTION KILL asked for its end.
    pub is_killed: bool,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            cached: HashMap::default(),
            source_bytes: 0,
            interpreter: Shelved::new(Kind::Scripts),
            interpreter_bytes: 0,
            functions: Shelved::new(Kind::Functions),
            retired: Vec::new(),
            functions_bytes: 0,
            slow: None,
        }
    }
}

/// The SHA1 of a source.
pub fn sha_of(source: &[u8]) -> Sha {
    sha1_smol::Sha1::from(source).digest().bytes()
}

/// A SHA1 from its 40 digits, of either case.
pub fn sha_from_hex(text: &[u8]) -> Option<Sha> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut sha = Sha::default();
    if text.len() != 2 * sha.len() {
        return None;
    }
    for (byte, pair) in sha.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(sha)
}

/// The 40 digits of a SHA1.
pub fn hex_of(sha: &Sha) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = sha.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| DIGITS.get(usize::from(digit)).map(|&digit| digit as char)).collect()
}

impl Scripts {
    /// How many scripts are kept.
    pub fn len(&self) -> usize {
        self.cached.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.cached.is_empty()
    }

    /// Bytes that the cache takes beside the interpreter.
    pub fn cache_bytes(&self) -> usize {
        self.source_bytes + self.cached.capacity() * (size_of::<Script>() + size_of::<Sha>() + 1)
    }

    /// Whether this script is kept.
    pub fn contains(&self, sha: &Sha) -> bool {
        self.cached.contains_key(sha)
    }

    /// What a kept script says of itself.
    pub fn flags(&self, sha: &Sha) -> Option<Flags> {
        self.cached.get(sha).map(|script| script.flags)
    }

    /// Keeps a script that compiles.
    ///
    /// # Errors
    /// What the client is told of its first line, or of what the compiler found.
    pub fn load(&mut self, sha: Sha, source: &[u8]) -> Result<Flags, Vec<u8>> {
        if let Some(script) = self.cached.get(&sha) {
            return Ok(script.flags);
        }
        let (flags, skipped) = shebang::read(source)?;
        let slot = self.compile(source.get(skipped..).unwrap_or(&[]))?;
        let compiled = Some((self.interpreter.generation(), slot));
        self.source_bytes += source.len();
        self.cached.insert(sha, Script { source: source.into(), flags, compiled });
        Ok(flags)
    }

    /// Where a kept script is compiled; compiles it if the interpreter is a new one.
    ///
    /// # Errors
    /// It is not kept.
    pub fn slot(&mut self, sha: &Sha) -> Result<usize, Vec<u8>> {
        const MISSING: &[u8] = b"NOSCRIPT No matching script. Please use EVAL.";
        let Some(script) = self.cached.get(sha) else { return Err(MISSING.to_vec()) };
        if let Some((generation, slot)) = script.compiled
            && generation == self.interpreter.generation()
            && self.interpreter.is_here()
        {
            return Ok(slot);
        }
        let source = Arc::clone(&script.source);
        let skipped = shebang::read(&source)?.1;
        let slot = self.compile(source.get(skipped..).unwrap_or(&[]))?;
        let generation = self.interpreter.generation();
        if let Some(script) = self.cached.get_mut(sha) {
            script.compiled = Some((generation, slot));
        }
        Ok(slot)
    }

    fn compile(&mut self, source: &[u8]) -> Result<usize, Vec<u8>> {
        let Some(mut interpreter) = self.interpreter.take() else {
            return Err(b"ERR There is no memory for an interpreter".to_vec());
        };
        interpreter.exchange.source.replace(source.to_vec());
        let event = interpreter.begin(Task::Compile);
        self.interpreter_bytes = interpreter.exchange.memory_bytes.get();
        self.interpreter.put(interpreter);
        match event {
            Event::Done(Done::Compiled(slot)) => Ok(slot),
            Event::Done(Done::Failed(failed)) => {
                let before = b"ERR Error compiling script (new function): ";
                Err([before.as_slice(), &failed.text].concat())
            }
            _ => Err(b"ERR There is no memory for an interpreter".to_vec()),
        }
    }

    /// SCRIPT FLUSH: forgets all, and the interpreter with them. O(1): what it kept is freed in slices.
    pub fn flush(&mut self) -> Forgotten {
        self.source_bytes = 0;
        self.interpreter_bytes = 0;
        self.retired.push(self.interpreter.retire());
        Forgotten(std::mem::take(&mut self.cached).into_iter())
    }

    /// FUNCTION FLUSH: forgets the interpreter, as [`Scripts::flush`].
    pub fn forget_functions(&mut self) {
        self.functions_bytes = 0;
        self.retired.push(self.functions.retire());
    }

    /// Whether interpreters are left that nobody needs.
    pub fn is_waning(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Frees some of what such an interpreter keeps; true once none is left.
    pub fn wane(&mut self) -> bool {
        if self.retired.last_mut().is_some_and(Shelved::wane) {
            self.retired.pop();
        }
        self.retired.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_and_written() {
        let sha = sha_of(b"return 1");
        assert_eq!(hex_of(&sha), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(sha_from_hex(b"E0E1F9FABFC9d4800c877a703b823ac0578ff8db"), Some(sha));
        assert_eq!(sha_from_hex(b"e0e1"), None);
        assert_eq!(sha_from_hex(b"z0e1f9fabfc9d4800c877a703b823ac0578ff8db"), None);
    }

    #[test]
    fn scripts_are_compiled_once_and_again_after_a_flush() {
        let mut scripts = Scripts::default();
        let sha = sha_of(b"return 1");
        assert_eq!(scripts.load(sha, b"return 1"), Ok(Flags::COMPATIBLE));
        let slot = scripts.slot(&sha);
        assert!(slot.is_ok());
        assert_eq!(scripts.slot(&sha), slot);
        let wrong = scripts.load(sha_of(b"retur"), b"retur");
        assert!(wrong.is_err_and(|text| text.starts_with(b"ERR Error compiling script")));
        assert_eq!(scripts.len(), 1);
        scripts.flush();
        assert!(scripts.slot(&sha).is_err());
    }
}
