//! Time as plain data. Nothing here reads a clock: `src/rt` does, and passes `now` down.
//!
//! [`Instant`] orders everything the daemon does. [`Clock`] turns an instant into a date for people, at the moment of
//! writing: a router boots in 1970 and learns the date later, and what was recorded before is then right as well.

use std::time::Duration;

/// A point on the monotonic clock, in microseconds since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The instant `micros` after the machine started.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the machine started.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time that passed since `earlier`, zero if it is later.
    #[inline(never)] // it has a division of 64 bits, and callers everywhere
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a deadline beyond the end of time is the end of time.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

/// Seconds since 1970-01-01 UTC, for records that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UnixTime(pub u64);

/// What the wall clock says, as an offset to the monotonic one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    started: u64,
}

impl Clock {
    /// A clock that shows `wall` at the instant `now`.
    pub fn new(wall: UnixTime, now: Instant) -> Self {
        let up = now.since(Instant::default()).as_secs();
        Self { started: wall.0.saturating_sub(up) }
    }

    /// The date of `instant`.
    pub fn date(&self, instant: Instant) -> UnixTime {
        UnixTime(self.started.saturating_add(instant.since(Instant::default()).as_secs()))
    }
}

/// In whole microseconds. The standard library says it in 128 bits, which small processors have no instructions for.
pub const fn micros(duration: Duration) -> u64 {
    const MOST: u64 = u64::MAX / 1_000_000 - 1;
    let seconds = duration.as_secs();
    (if seconds > MOST { MOST } else { seconds }) * 1_000_000 + duration.subsec_micros() as u64
}

/// In whole milliseconds.
pub const fn millis(duration: Duration) -> u64 {
    micros(duration) / 1_000
}

/// The sooner of two deadlines; `None` is never.
#[inline(never)] // every engine calls it
pub fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl UnixTime {
    /// `2026-07-23T10:00:00Z` (RFC 3339, UTC).
    pub fn rfc3339(self) -> String {
        let (year, month, day) = civil(self.0 / 86_400);
        let (h, m, s) = self.clock();
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }

    /// `Thu, 23 Jul 2026 10:00:00 GMT` (RFC 9110 §5.6.7), as HTTP and the SIP `Date` header want it.
    pub fn http_date(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let days = self.0 / 86_400;
        let (year, month, day) = civil(days);
        let weekday = usize::try_from(days % 7).ok().and_then(|d| DAYS.get(d)).unwrap_or(&"Thu");
        let month = usize::try_from(month.saturating_sub(1)).ok().and_then(|m| MONTHS.get(m)).unwrap_or(&"Jan");
        let (h, m, s) = self.clock();
        format!("{weekday}, {day:02} {month} {year:04} {h:02}:{m:02}:{s:02} GMT")
    }

    fn clock(self) -> (u64, u64, u64) {
        let second = self.0 % 86_400;
        (second / 3_600, second / 60 % 60, second % 60)
    }
}

/// Year, month and day of a day number since 1970-01-01, by counting eras of 400 years from 1 March 0000.
// Cannot overflow: every operand stays below 2^48 and every divisor is a constant.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days.min(1 << 40) + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, rfc3339, http) in [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_827_696, "2000-02-29T12:34:56Z", "Tue, 29 Feb 2000 12:34:56 GMT"),
            (1_784_800_800, "2026-07-23T10:00:00Z", "Thu, 23 Jul 2026 10:00:00 GMT"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(UnixTime(seconds).rfc3339(), rfc3339);
            assert_eq!(UnixTime(seconds).http_date(), http);
        }
        UnixTime(u64::MAX).rfc3339();
    }

    #[test]
    fn a_clock_set_late_dates_the_past_rightly() {
        let boot = Instant::from_micros(5_000_000);
        let clock = Clock::new(UnixTime(1_784_800_800), Instant::from_micros(65_000_000));
        assert_eq!(clock.date(boot), UnixTime(1_784_800_740));
    }
}
