//! Whether memory grows and grows: a judgement by the trend of hours, never by a comparison with the first sample.
//!
//! A program grows when it starts, when the book comes, when the map fills, when a hundred phones register, and keeps what it has
//! once needed. So of every hour the least is kept, which no passing peak raises, and a leak is a least that rises hour after hour.

use std::time::Duration;

use crate::time::Instant;

/// How long one sample stands for.
const HOUR: Duration = Duration::from_secs(3_600);

/// Hours that are remembered.
const HOURS: usize = 24;

/// A fast leak: in each of so many hours more than in the one before, and so much in all (kB).
const FAST: (usize, u32) = (6, 512);

/// A slow one: in all but a few of [`HOURS`], and so much in all.
const SLOW: (usize, u32) = (20, 256);

/// Less than a page a step is no growth (kB).
const STEP: u32 = 4;

/// The least of each hour.
#[derive(Debug, Default)]
pub struct Trend {
    hours: heapless::Deque<u32, HOURS>,
    /// The hour that is going on: since when, and its least.
    running: Option<(Instant, u32)>,
}

impl Trend {
    /// So much memory is in use, in kB.
    pub fn handle(&mut self, kb: u32, now: Instant) {
        match &mut self.running {
            Some((since, least)) if now.since(*since) < HOUR => *least = kb.min(*least),
            running => {
                if let Some((_, least)) = running.replace((now, kb)) {
                    if self.hours.is_full() {
                        self.hours.pop_front();
                    }
                    let _ = self.hours.push_back(least); // there is room now
                }
            }
        }
    }

    /// Whether it grows and grows.
    pub fn rises(&self) -> bool {
        self.rose(FAST.0, FAST.0.saturating_sub(1), FAST.1) || self.rose(HOURS, SLOW.0, SLOW.1)
    }

    /// Whether in at least `steps` steps between the last `hours` hours there was growth, and `kb` in all.
    fn rose(&self, hours: usize, steps: usize, kb: u32) -> bool {
        let Some(skipped) = self.hours.len().checked_sub(hours) else { return false };
        let last = || self.hours.iter().skip(skipped);
        let grew = last().zip(last().skip(1)).filter(|(before, after)| **after >= before.saturating_add(STEP)).count();
        let all = last().next_back().zip(last().next()).map_or(0, |(last, first)| last.saturating_sub(*first));
        grew >= steps && all >= kb
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: [u32; 0] = [];

    /// Lives through hours with a sample a minute; says in which hours it was taken for a leak.
    fn verdicts(hours: u32, kb: impl Fn(u32, u32) -> u32) -> Vec<u32> {
        let mut trend = Trend::default();
        let mut now = Instant::from_micros(5_000_000);
        let mut found = Vec::new();
        for hour in 0..hours {
            for minute in 0..60 {
                trend.handle(kb(hour, minute), now);
                now = now + Duration::from_secs(60);
            }
            if trend.rises() {
                found.push(hour);
            }
        }
        found
    }

    #[test]
    fn growth_that_comes_to_an_end_is_no_leak() {
        assert_eq!(
            verdicts(72, |hour, _| 900 + 400 * hour.min(4)),
            NEVER,
            "the book, the map, the phones of a morning"
        );
        assert_eq!(verdicts(72, |hour, minute| 2_000 + u32::from(minute == 7) * 3_000 * (1 + hour)), NEVER, "peaks");
        assert_eq!(verdicts(72, |hour, _| 2_000 + hour * 3), NEVER, "less than a page an hour");
        assert_eq!(verdicts(72, |hour, _| 2_000 + hour * 3 + 400 * u32::from(hour > 30)), NEVER, "and a new book");
        assert_eq!(verdicts(200, |hour, _| 2_000 + 40 * (hour % 24).min(24 - hour % 24)), NEVER, "day and night");
        assert_eq!(verdicts(3, |hour, _| 2_000 + 5_000 * hour), NEVER, "nobody knows yet");
    }

    #[test]
    fn growth_without_end_is_one() {
        let fast = verdicts(12, |hour, minute| 2_000 + 2 * (hour * 60 + minute));
        assert_eq!(fast.first(), Some(&6), "120 kB an hour, after six whole hours");
        let slow = verdicts(48, |hour, _| 2_000 + 12 * hour);
        assert_eq!(slow.first(), Some(&24), "12 kB an hour, after a day");
        let uneven = verdicts(48, |hour, _| 2_000 + 40 * (hour - hour / 8));
        assert_eq!(uneven.first(), Some(&24), "with hours in which it rests");
    }

    #[test]
    fn a_leak_that_ended_is_forgotten() {
        let found = verdicts(72, |hour, _| 2_000 + 200 * hour.min(20));
        assert!(found.contains(&10) && !found.contains(&48), "{found:?}");
    }
}
