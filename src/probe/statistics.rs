//! Round trips of one phase of one phone, and what is said about them: whole microseconds, no floats.
//!
//! Loss, jitter and the rest are those that dashboards have always shown: jitter is the mean absolute difference of
//! consecutive round trips, not the running estimate of RFC 3550 §6.4.1.

/// Probes of one phase at most; the configuration allows no more.
pub const MOST: usize = 20;

/// What is kept of a phase that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Probes sent.
    pub sent: u8,
    /// Probes answered.
    pub received: u8,
    /// Round trips, in microseconds; `None` if none was measured.
    pub rtt: Option<Rtt>,
}

/// Round trips, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// The shortest.
    pub min_us: u32,
    /// The mean.
    pub avg_us: u32,
    /// The longest.
    pub max_us: u32,
    /// The one in the middle; of an even number the mean of the two in the middle.
    pub median_us: u32,
    /// The mean of how much each differs from the one before.
    pub jitter_us: u32,
}

impl Stats {
    /// Lost probes, in thousandths of those sent.
    pub fn loss_permille(&self) -> u16 {
        let lost = u16::from(self.sent.saturating_sub(self.received));
        lost.saturating_mul(1_000).checked_div(u16::from(self.sent)).unwrap_or(0)
    }
}

/// A phase that is going on.
#[derive(Clone, Debug, Default)]
pub struct Series {
    sent: u8,
    received: u8,
    /// By the number of the probe; 0: none was measured.
    rtt_us: heapless::Vec<u32, MOST>,
}

impl Series {
    /// One more probe was sent; its number is how many there were before.
    pub fn add_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
        // More than the configuration allows are counted, not measured.
        let _ = self.rtt_us.push(0);
    }

    /// How many were sent.
    pub fn sent(&self) -> u8 {
        self.sent
    }

    /// A probe was answered, for the first time. `None`: nobody can say how long it took.
    pub fn add_received(&mut self, index: u8, rtt_us: Option<u32>) {
        self.received = self.received.saturating_add(1);
        if let (Some(rtt), Some(place)) = (rtt_us, self.rtt_us.get_mut(usize::from(index))) {
            // Answers that come within the same microsecond took one.
            *place = rtt.max(1);
        }
    }

    /// The longest round trip so far, in microseconds.
    pub fn longest_us(&self) -> u32 {
        self.rtt_us.iter().copied().max().unwrap_or(0)
    }

    /// What is to be said about it.
    pub fn stats(&self) -> Stats {
        let mut measured: heapless::Vec<u32, MOST> = self.rtt_us.iter().copied().filter(|rtt| *rtt > 0).collect();
        let differences = measured.windows(2).map(|pair| match pair {
            [before, after] => before.abs_diff(*after),
            _ => 0,
        });
        let jitter_us = mean(differences);
        let avg_us = mean(measured.iter().copied());
        measured.sort_unstable();
        let middle = measured.len() / 2;
        let upper = measured.get(middle).copied().unwrap_or(0);
        let lower = if measured.len() % 2 == 0 { measured.get(middle.saturating_sub(1)).copied() } else { None };
        let median_us = mean([lower.unwrap_or(upper), upper].into_iter());
        let rtt = match (measured.first(), measured.last()) {
            (Some(min), Some(max)) => Some(Rtt { min_us: *min, avg_us, max_us: *max, median_us, jitter_us }),
            _ => None,
        };
        Stats { sent: self.sent, received: self.received, rtt }
    }
}

/// Rounded to the nearest; 0 of nothing.
fn mean(values: impl Iterator<Item = u32>) -> u32 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for value in values {
        sum = sum.saturating_add(u64::from(value));
        count = count.saturating_add(1);
    }
    let rounded = sum.saturating_add(count / 2).checked_div(count).unwrap_or(0);
    u32::try_from(rounded).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 is a lost one.
    fn stats(rtts: &[u32]) -> Stats {
        let mut series = Series::default();
        for _ in rtts {
            series.add_sent();
        }
        // Answers come in any order.
        for (index, rtt) in rtts.iter().enumerate().rev().filter(|(_, rtt)| **rtt > 0) {
            series.add_received(u8::try_from(index).unwrap(), Some(*rtt));
        }
        series.stats()
    }

    #[test]
    fn the_numbers_are_those_of_the_definitions() {
        for (rtts, (received, loss), rtt) in [
            (&[][..], (0, 0), None),
            (&[0, 0, 0], (0, 1_000), None),
            (&[700], (1, 0), Some((700, 700, 700, 700, 0))),
            (&[10, 20], (2, 0), Some((10, 15, 20, 15, 10))),
            (&[30, 10, 20], (3, 0), Some((10, 20, 30, 20, 15))),
            (&[10, 0, 30, 20, 0], (3, 400), Some((10, 20, 30, 20, 15))),
            (&[1, 1, 2], (3, 0), Some((1, 1, 2, 1, 1))),
            (&[u32::MAX, 1], (2, 0), Some((1, 1 << 31, u32::MAX, 1 << 31, u32::MAX - 1))),
        ] {
            let expected = rtt.map(|(min_us, avg_us, max_us, median_us, jitter_us)| Rtt {
                min_us,
                avg_us,
                max_us,
                median_us,
                jitter_us,
            });
            let found = stats(rtts);
            assert_eq!((found.received, found.loss_permille(), found.rtt), (received, loss, expected), "{rtts:?}");
        }
    }

    #[test]
    fn an_answer_of_unknown_age_counts_as_one_and_is_not_averaged() {
        let mut series = Series::default();
        (0..3).for_each(|_| series.add_sent());
        series.add_received(0, Some(10));
        series.add_received(1, None);
        series.add_received(2, Some(20));
        let stats = series.stats();
        assert_eq!((stats.sent, stats.received, stats.rtt.unwrap().avg_us), (3, 3, 15));
        assert_eq!(stats.rtt.unwrap().jitter_us, 10);
    }

    #[test]
    fn more_than_the_most_are_counted() {
        let mut series = Series::default();
        (0..=MOST).for_each(|_| series.add_sent());
        series.add_received(u8::try_from(MOST).unwrap(), Some(5));
        assert_eq!((series.sent(), series.stats().received, series.stats().rtt), (21, 1, None));
    }
}
