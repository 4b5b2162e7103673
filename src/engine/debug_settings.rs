//! Switches that only the DEBUG command moves.
//!
//! They exist so that test suites can stop a mechanism or speed it up; none of them is configuration.
//! Whoever owns a mechanism reads its switch here.

/// Time between two resets of a client's reply buffer peak, as in Redis (`REPLY_BUFFER_DEFAULT_PEAK_RESET_TIME`).
const REPLY_PEAK_RESET_MS: i64 = 5000;

/// The switches; [`Default`] is how a server starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugSettings {
    /// PAUSE-CRON: nothing periodic runs.
    pub is_cron_paused: bool,
    /// REPLYBUFFER PEAK-RESET-TIME in milliseconds; `None` is never.
    pub reply_peak_reset_ms: Option<i64>,
    /// REPLYBUFFER RESIZING: reply buffers follow their peak.
    pub is_reply_resizing_on: bool,
    /// SET-DISABLE-DENY-SCRIPTS: scripts may call what is denied to them.
    pub is_deny_script_off: bool,
    /// SET-SKIP-CHECKSUM-VALIDATION: checksums of dumped values are not compared.
    pub skips_checksums: bool,
}

impl Default for DebugSettings {
    fn default() -> DebugSettings {
        DebugSettings {
            is_cron_paused: false,
            reply_peak_reset_ms: Some(REPLY_PEAK_RESET_MS),
            is_reply_resizing_on: true,
            is_deny_script_off: false,
            skips_checksums: false,
        }
    }
}
