//! How much of a reply buffer a client uses.
//!
//! Redis gives each client a buffer of its own, which follows what is in it: half as big or less when it was less than
//! half full for five seconds, twice as big when it was full. Ours are lent for as long as replies are on their way, so
//! what is kept of a client is only how big its own would be. CLIENT LIST shows it (`rbs`, `rbp`), and it counts as no
//! memory. Rules and sizes are those of `clientsCronResizeOutputBuffer` of Redis 7.0. Cost: a comparison per flush.
use crate::engine::debug_settings::DebugSettings;
use crate::engine::session::ReplyUse;
use crate::proto::limits::REPLY_BUFFER_BYTES;

/// The largest size, with which each begins.
const SIZE_MAX: u32 = REPLY_BUFFER_BYTES as u32;
/// The smallest (`PROTO_REPLY_MIN_BYTES`).
const SIZE_MIN: u32 = 1024;

/// What a connection's replies fill.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplySize {
    shown: ReplyUse,
    /// When that was, in milliseconds since 1970.
    reset_ms: i64,
}

/// What [`ReplySize::follow`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is smaller now.
    Shrunk,
    /// It is larger now.
    Grown,
}

impl ReplySize {
    /// So many bytes of replies are in use.
    #[inline]
    pub fn note(&mut self, bytes: usize) {
        if bytes > self.shown.peak as usize {
            self.shown.peak = self.at_most_all(bytes);
        }
    }

    /// Adapts the size to the peak; some times per second.
    pub fn follow(&mut self, bytes: usize, now_ms: i64, settings: &DebugSettings) -> Change {
        if !settings.is_reply_resizing_on {
            return Change::None;
        }
        let ReplyUse { size: before, peak } = self.shown;
        if before / 2 >= SIZE_MIN && peak < before / 2 {
            self.shown.size = SIZE_MIN.max(peak + 1);
        } else if before < SIZE_MAX && peak == before {
            self.shown.size = SIZE_MAX.min(before * 2);
        }
        if settings.reply_peak_reset_ms.is_some_and(|after| now_ms - self.reset_ms > after) {
            self.shown.peak = self.at_most_all(bytes);
            self.reset_ms = now_ms;
        }
        match self.shown.size.cmp(&before) {
            std::cmp::Ordering::Less => Change::Shrunk,
            std::cmp::Ordering::Equal => Change::None,
            std::cmp::Ordering::Greater => Change::Grown,
        }
    }

    /// As CLIENT LIST shows it.
    pub fn shown(&self) -> ReplyUse {
        self.shown
    }

    fn at_most_all(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.shown.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_in_use() {
        let settings = DebugSettings::default();
        let mut use_of = ReplySize::default();
        assert_eq!(use_of.shown(), ReplyUse { size: 16384, peak: 16384 });
        // Full at the beginning, so that it stays for the time being.
        assert_eq!(use_of.follow(0, 10_000, &settings), Change::None);
        assert_eq!(use_of.follow(0, 10_100, &settings), Change::Shrunk);
        assert_eq!(use_of.shown(), ReplyUse { size: 1024, peak: 0 });
        assert_eq!(use_of.follow(0, 20_000, &settings), Change::None);
        for size in [2048, 4096, 8192, 16384] {
            use_of.note(100_000);
            assert_eq!(use_of.follow(0, 20_100, &settings), Change::Grown);
            assert_eq!(use_of.shown().size, size);
        }
        use_of.note(100_000);
        assert_eq!(use_of.follow(0, 20_200, &settings), Change::None);
        // A peak below the half, for five seconds.
        use_of.note(5000);
        assert_eq!(use_of.follow(5000, 26_000, &settings), Change::None);
        assert_eq!(use_of.shown().peak, 5000);
        assert_eq!(use_of.follow(0, 26_100, &settings), Change::Shrunk);
        assert_eq!(use_of.shown().size, 5001);
    }

    #[test]
    fn debug_can_keep_it_as_it_is() {
        let never = DebugSettings { reply_peak_reset_ms: None, ..DebugSettings::default() };
        let off = DebugSettings { is_reply_resizing_on: false, ..DebugSettings::default() };
        let mut use_of = ReplySize::default();
        for now_ms in [0, 10_000, 20_000, 30_000] {
            assert_eq!(use_of.follow(0, now_ms, &never), Change::None);
            assert_eq!(use_of.follow(0, now_ms, &off), Change::None);
        }
    }
}
