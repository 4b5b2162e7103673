//! What happens at times: rates, idle clients, the end of a pause, keys that expire.
//!
//! One tick per `hz`; each does a bounded piece of every duty. Between ticks the poll wakes when a key is due.
//! Where the system has an alarm the
//! poll can wait for, a turn that is not due costs no look at the clock.
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::base::clock::Clock;
use crate::base::sys::Alarm;
use crate::engine::config::Opt;
use crate::engine::session::{Waiting, restraint};
use crate::net::reactor::Reactor;
use crate::net::reply_use::Change;

/// Time between two measurements of the rates.
const RATES_EVERY: Duration = Duration::from_millis(100);
/// Connections looked at in one tick.
const CONNECTIONS_PER_TICK: usize = 500;

/// When the next tick is due. Moments are those of `Clock::monotonic`.
#[derive(Debug)]
pub struct Timers {
    next: Duration,
    every: Duration,
    rates_at: Duration,
    /// Where the sweep over connections stands.
    sweep: usize,
    is_background_due: bool,
    /// When the next key is due: in milliseconds of the engine's clock, and by ours.
    expiry: Option<(i64, Duration)>,
    /// Wakes the poll at the earlier of `next` and `expiry`; `None` where the system has none.
    alarm: Option<Alarm>,
    /// What the alarm is set to.
    alarm_at: Option<Duration>,
    /// The alarm has rung.
    has_rung: bool,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            // Both are due at once.
            next: Duration::ZERO,
            every: Duration::from_millis(100),
            rates_at: Duration::ZERO,
            sweep: 0,
            is_background_due: false,
            expiry: None,
            alarm: None,
            alarm_at: None,
            has_rung: false,
        }
    }
}

impl Timers {
    /// Ticks per second.
    pub fn set_hz(&mut self, hz: i64) {
        self.every = Duration::from_micros(1_000_000 / hz.clamp(1, 500) as u64);
    }

    /// Has the poll woken by an alarm, where there is one.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let Ok(alarm) = Alarm::new() else { return Ok(()) };
        SourceFd(&alarm.as_raw_fd()).register(registry, token, Interest::READABLE)?;
        self.alarm = Some(alarm);
        Ok(())
    }

    /// The alarm has woken the poll.
    pub fn ring(&mut self) {
        self.has_rung = true;
    }

    /// How long the poll may wait: for ever where the alarm will wake it.
    pub fn poll_timeout(&mut self, clock: &Clock) -> Option<Duration> {
        let wake_at = self.wake_at();
        if self.alarm_at == Some(wake_at) {
            return None;
        }
        let until_then = wake_at.saturating_sub(clock.monotonic());
        match &self.alarm {
            Some(alarm) if alarm.set(until_then).is_ok() => {
                self.alarm_at = Some(wake_at);
                None
            }
            _ => Some(until_then),
        }
    }

    /// When the poll is to wake.
    fn wake_at(&self) -> Duration {
        self.expiry.map_or(self.next, |(_, due_at)| due_at.min(self.next))
    }

    /// A key is due at `due_ms` of the engine's clock. Costs a look at the system's clock when that is another moment
    /// than last time.
    pub fn expect_expiry(&mut self, due_ms: Option<i64>, clock: &Clock) {
        let Some(due_ms) = due_ms else {
            self.expiry = None;
            return;
        };
        if self.expiry.is_none_or(|(known_ms, _)| known_ms != due_ms) {
            let delay_us = due_ms.saturating_mul(1000).saturating_sub(clock.unix_us()).max(0);
            // Ticks come earlier than this bound.
            let delay = Duration::from_micros(delay_us as u64).min(Duration::from_secs(60));
            self.expiry = Some((due_ms, clock.monotonic() + delay));
        }
    }

    /// How long until the next tick.
    pub fn until_next(&self, clock: &Clock) -> Duration {
        self.next.saturating_sub(clock.monotonic())
    }

    /// Something is due in `delay`, if not earlier.
    pub fn no_later_than(&mut self, delay: Duration, clock: &Clock) {
        self.next = self.next.min(clock.monotonic() + delay);
    }

    /// Whether a tick has asked for background work since the last call.
    pub fn take_background_due(&mut self) -> bool {
        std::mem::take(&mut self.is_background_due)
    }
}

impl Reactor {
    /// Runs what is due.
    pub(super) fn run_timers(&mut self) {
        self.take_changes();
        self.end_pause();
        // While the alarm is set to the next tick or earlier, the time until then needs no watching.
        let is_watched = self.timers.alarm_at.is_some_and(|alarm_at| alarm_at <= self.timers.next);
        if is_watched && !std::mem::take(&mut self.timers.has_rung) {
            return;
        }
        let now = self.engine.shared.clock.monotonic();
        if now < self.timers.next {
            // It rang for a key, or early: it is set again.
            self.timers.alarm_at = None;
            return;
        }
        self.timers.next = now + self.timers.every;
        // The engine's clock may have been set meanwhile: work out anew when that moment is. And an alarm that
        // has rung watches nothing.
        (self.timers.expiry, self.timers.alarm_at) = (None, None);
        self.engine.shared.jobs.wake_away(Some(now));
        if self.engine.shared.debug.is_cron_paused {
            return;
        }
        self.timers.is_background_due = true;
        let shared = &mut self.engine.shared;
        shared.remotes.close_idle(now);
        if let Some(host) = &mut self.engine.shared.host {
            host.reap();
        }
        if now >= self.timers.rates_at {
            self.timers.rates_at = now + RATES_EVERY;
            let shared = &mut self.engine.shared;
            shared.stats.sample_rates(shared.clock.unix_ms());
            self.engine.note_peak_memory();
        }
        self.sweep_connections();
    }

    /// Jobs that wait for other servers do so for a while only.
    pub(super) fn expect_remotes(&mut self) {
        let shared = &self.engine.shared;
        if let Some(until) = shared.jobs.away_until() {
            self.timers.next = self.timers.next.min(until);
        }
    }

    /// Once CLIENT PAUSE is over, those who waited go on.
    pub(super) fn end_pause(&mut self) {
        if self.paused.is_empty() && self.engine.shared.pause.is_none() {
            return;
        }
        let shared = &mut self.engine.shared;
        let now_ms = shared.clock.unix_ms();
        if let Some(pause) = shared.pause {
            let left_ms = pause.until_ms - now_ms;
            if left_ms > 0 {
                let left = Duration::from_millis(left_ms as u64);
                return self.timers.no_later_than(left, &shared.clock);
            }
            // CLOCK has moved time beyond its end within this turn.
            self.engine.end_pause();
        }
        for key in std::mem::take(&mut self.paused) {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            // One that was closed meanwhile has left its key to another, who may wait for something else.
            let session = self.engine.shared.clients.get(conn.client);
            let waiting = session.and_then(|session| session.waiting);
            if matches!(waiting, Some(Waiting::Pause | Waiting::Room)) {
                conn.is_waiting = false;
                self.make_ready(key);
            }
        }
    }

    /// Looks at some connections: `timeout`, and output above the soft limit for too long.
    fn sweep_connections(&mut self) {
        let timeout_ms = self.engine.shared.config.int(Opt::Timeout) * 1000;
        let now_ms = self.engine.shared.clock.unix_ms();
        let mut seen = 0;
        let capacity = self.conns.capacity().max(1);
        // At least all within a second, at most a bounded number per tick.
        let per_tick = (capacity / 10 + 1).clamp(50, CONNECTIONS_PER_TICK).min(capacity);
        while seen < per_tick {
            seen += 1;
            self.timers.sweep = (self.timers.sweep + 1) % capacity;
            let key = self.timers.sweep;
            let Some(conn) = self.conns.get_mut(key) else { continue };
            let shared = &mut self.engine.shared;
            match conn.reply_size.follow(conn.output.len(), now_ms, &shared.debug) {
                Change::None => {}
                Change::Shrunk => shared.stats.reply_buffer_shrinks += 1,
                Change::Grown => shared.stats.reply_buffer_expands += 1,
            }
            if let Some(session) = shared.clients.get_mut(conn.client) {
                session.reply_use = conn.reply_size.shown();
            }
            if conn.over_soft_limit_ms != 0 {
                self.mark_dirty(key);
                self.recheck_output_limit(key);
                continue;
            }
            let Some(session) = self.engine.shared.clients.get(conn.client) else { continue };
            let is_exempt = session.is(restraint::MONITOR)
                || session.subscriptions.is_any()
                || session.waiting.is_some();
            if timeout_ms > 0 && !is_exempt && now_ms - session.active_ms > timeout_ms {
                log::debug!("Closing idle client");
                conn.is_dead = true;
                self.mark_dirty(key);
            }
        }
    }
}
