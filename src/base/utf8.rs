//! Whether bytes are UTF-8, asked in pieces.
use crate::base::pieces::Progress;

/// Bytes looked at per unit: about 1 us of ASCII, some more of other text.
const BYTES_PER_UNIT: usize = 8 * 1024;
/// A piece has room for a whole character, so that every step gets on.
const PIECE_BYTES_MIN: usize = 4;

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

/// `std::str::from_utf8` in pieces.
#[derive(Debug, Default)]
pub struct Utf8Check {
    /// Bytes that are whole characters.
    done: usize,
}

impl Utf8Check {
    /// Goes on over `bytes`, which are the same at every step.
    pub fn step(&mut self, bytes: &[u8], units: usize) -> Result<Progress, NotUtf8> {
        self.step_bytes(bytes, units.saturating_mul(BYTES_PER_UNIT))
    }

    fn step_bytes(&mut self, bytes: &[u8], bytes_max: usize) -> Result<Progress, NotUtf8> {
        let end = self.done.saturating_add(bytes_max.max(PIECE_BYTES_MIN)).min(bytes.len());
        let piece = bytes.get(self.done..end).ok_or(NotUtf8)?;
        match std::str::from_utf8(piece) {
            Ok(_) => self.done = end,
            // The piece ends within a character.
            Err(error) if error.error_len().is_none() && end < bytes.len() => {
                self.done += error.valid_up_to();
            }
            Err(_) => return Err(NotUtf8),
        }
        Ok(if self.done == bytes.len() { Progress::Done } else { Progress::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_utf8(bytes: &[u8], piece: usize) -> bool {
        let mut check = Utf8Check::default();
        loop {
            let before = check.done;
            match check.step_bytes(bytes, piece) {
                Ok(Progress::Done) => return true,
                Ok(Progress::More) => assert!(check.done > before),
                Err(NotUtf8) => return false,
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_std(
            text in "\\PC{0,40}",
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in 0usize..3,
            piece in 1usize..9,
        ) {
            let mut bytes = text.into_bytes();
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let (Some((index, byte)), false) = (damage, bytes.is_empty()) {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert_eq!(is_utf8(&bytes, piece), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
