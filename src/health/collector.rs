//! When a report goes to the collector: every few hours, and when something happened since the one that arrived last.
//!
//! Nothing is kept to be sent later. What is to be said is found anew at every measurement by comparison with what the collector
//! knows, so a report that was lost is made good by the next one, with the figures of then. One that failed is sent once more
//! after ten seconds; then the collector is left alone for a while that doubles, up to the usual interval.

use std::time::Duration;

use super::Report;
use crate::config;
use crate::engine::Counter;
use crate::limits;
use crate::time::Instant;

/// Why a report is sent; the words that collectors know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing happened for a while.
    Scheduled,
    /// The processor's share is another one.
    CpuSpike,
    /// Memory has grown.
    MemoryIncrease,
    /// A part of the daemon does not do its work, or was restarted for that.
    ThreadHung,
    /// It is the first report of this process.
    Restart,
    /// The score has fallen.
    HealthDegraded,
    /// It is about the crash of the process before.
    Crash,
}

impl Reason {
    /// As it stands in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::CpuSpike => "cpu_spike",
            Self::MemoryIncrease => "memory_increase",
            Self::ThreadHung => "thread_hung",
            Self::Restart => "restart",
            Self::HealthDegraded => "health_degraded",
            Self::Crash => "crash",
        }
    }
}

/// What is on its way.
#[derive(Clone, Copy, Debug)]
struct Posted {
    reason: Reason,
    /// What it said, unless it was about a crash.
    said: Option<Report>,
    /// It went to a collector that is not ours any more.
    stale: bool,
}

/// The correspondence with the collector.
#[derive(Debug)]
pub struct Collector {
    /// What the collector knows.
    known: Option<Report>,
    /// A crash that it does not know of.
    crash: bool,
    /// The next report is due even if nothing happens.
    scheduled: Instant,
    posted: Option<Posted>,
    /// The report failed once; it is sent again then.
    again: Option<(Reason, Instant)>,
    /// It is left alone until then, and for how long after the next failure.
    rests_until: Instant,
    rest: Duration,
    /// How often the report at hand failed.
    failures: u8,
    sent: u64,
    failed: u64,
    stray: u64,
}

impl Collector {
    /// It knows nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            known: None,
            crash: false,
            scheduled: now,
            posted: None,
            again: None,
            rests_until: now,
            rest: limits::COLLECTOR_REST,
            failures: 0,
            sent: 0,
            failed: 0,
            stray: 0,
        }
    }

    /// Another collector, or one at last: it knows nothing.
    pub fn forget(&mut self, now: Instant) {
        let Self { crash, posted, sent, failed, stray, .. } = *self;
        // What the one before says to it is of no interest any more.
        let posted = posted.map(|posted| Posted { stale: true, ..posted });
        *self = Self { crash, posted, sent, failed, stray, ..Self::new(now) };
    }

    /// The engine is made anew: what was under way is lost, a crash that was not told yet is not.
    pub fn anew(self, now: Instant) -> Self {
        let Self { crash, sent, failed, stray, .. } = self;
        Self { crash, sent, failed, stray, ..Self::new(now) }
    }

    /// The process before crashed.
    pub fn handle_crash(&mut self) {
        self.crash = true;
    }

    /// What has to be said now that things are like this, if anything.
    pub fn report(&mut self, config: &config::Health, current: &Report, now: Instant) -> Option<Reason> {
        if !config.collector || self.posted.is_some() || self.again.is_some_and(|(_, at)| now < at) {
            return None;
        }
        let reason = match self.again.take() {
            Some((reason, _)) => reason,
            None if now < self.rests_until => return None,
            None => self.reason(config, current, now)?,
        };
        self.posted = Some(Posted { reason, said: (reason != Reason::Crash).then_some(*current), stale: false });
        Some(reason)
    }

    fn reason(&self, config: &config::Health, current: &Report, now: Instant) -> Option<Reason> {
        if self.crash {
            return Some(Reason::Crash);
        }
        let Some(known) = &self.known else { return Some(Reason::Restart) };
        let threshold = |number: usize, unit: u32| u32::try_from(number).unwrap_or(u32::MAX).saturating_mul(unit);
        if current.cures > known.cures || (known.all_respond && !current.all_respond) {
            return Some(Reason::ThreadHung);
        }
        if current.cpu_permille.abs_diff(known.cpu_permille) > threshold(config.cpu_threshold, 10) {
            return Some(Reason::CpuSpike);
        }
        if current.resident_kb.saturating_sub(known.resident_kb) > threshold(config.memory_threshold, 1_024) {
            return Some(Reason::MemoryIncrease);
        }
        if u32::from(known.score.saturating_sub(current.score)) > threshold(config.score_threshold, 1) {
            return Some(Reason::HealthDegraded);
        }
        (now >= self.scheduled).then_some(Reason::Scheduled)
    }

    /// The collector took what was sent, or did not.
    pub fn handle_outcome(&mut self, config: &config::Health, taken: bool, now: Instant) {
        let Some(Posted { reason, said, .. }) = self.posted.take().filter(|posted| !posted.stale) else {
            self.stray += 1;
            return;
        };
        if taken {
            self.sent += 1;
            if let Some(said) = said {
                (self.known, self.scheduled) = (Some(said), now + config.collector_interval);
                self.rests_until = now + limits::COLLECTOR_REST;
            } else {
                self.crash = false;
            }
            self.rest = limits::COLLECTOR_REST;
            self.failures = 0;
            return;
        }
        self.failed += 1;
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            self.again = Some((reason, now + limits::COLLECTOR_RETRY));
            return;
        }
        self.failures = 0;
        self.rests_until = now + self.rest;
        self.rest = self.rest.saturating_mul(2).min(config.collector_interval);
    }

    /// When the report that failed is sent again.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.again.map(|(_, at)| at)
    }

    /// What became of the reports.
    pub fn counters(&self) -> [Counter; 3] {
        [("reports_sent", self.sent), ("reports_failed", self.failed), ("reports_stray", self.stray)]
            .map(|(name, count)| Counter { name, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn on() -> config::Health {
        config::Health { collector: true, ..config::Health::default() }
    }

    fn well() -> Report {
        Report { cpu_permille: 10, resident_kb: 2_000, score: 100, all_respond: true, ..Report::default() }
    }

    /// A collector that knows `well()` since the start, and has had its rest.
    fn informed() -> Collector {
        let mut collector = Collector::new(at(0));
        assert_eq!(collector.report(&on(), &well(), at(0)), Some(Reason::Restart));
        collector.handle_outcome(&on(), true, at(0));
        collector
    }

    #[test]
    fn nothing_is_said_to_nobody() {
        let mut collector = Collector::new(at(0));
        collector.handle_crash();
        assert_eq!(collector.report(&config::Health::default(), &well(), at(0)), None);
        assert_eq!(collector.next_deadline(), None);
    }

    #[test]
    fn a_quiet_day_has_six_reports() {
        let mut collector = Collector::new(at(0));
        let mut reports = Vec::new();
        for minute in 0..24 * 60 {
            if let Some(reason) = collector.report(&on(), &well(), at(minute * 60)) {
                reports.push((minute, reason));
                collector.handle_outcome(&on(), true, at(minute * 60));
            }
        }
        let hours: Vec<u64> = reports.iter().map(|(minute, _)| minute / 60).collect();
        assert_eq!(hours, [0, 4, 8, 12, 16, 20]);
        assert_eq!(reports[0].1, Reason::Restart);
        assert!(reports[1..].iter().all(|(_, reason)| *reason == Reason::Scheduled));
    }

    #[test]
    fn what_happens_is_said_in_its_own_words() {
        for (reason, report) in [
            (Reason::CpuSpike, Report { cpu_permille: 211, ..well() }),
            (Reason::MemoryIncrease, Report { resident_kb: 2_001 + 10_240, ..well() }),
            (Reason::ThreadHung, Report { all_respond: false, score: 70, ..well() }),
            (Reason::ThreadHung, Report { cures: 1, ..well() }),
            (Reason::HealthDegraded, Report { score: 84, ..well() }),
        ] {
            let mut collector = informed();
            assert_eq!(collector.report(&on(), &report, at(299)), None, "the collector has just heard of us");
            assert_eq!(collector.report(&on(), &report, at(300)), Some(reason), "{report:?}");
            collector.handle_outcome(&on(), true, at(301));
            assert_eq!(collector.report(&on(), &report, at(1_000)), None, "once: {report:?}");
        }
        for report in [
            Report { cpu_permille: 210, ..well() },
            Report { resident_kb: 2_000 + 10_240, ..well() },
            Report { resident_kb: 0, ..well() },
            Report { score: 85, ..well() },
        ] {
            assert_eq!(informed().report(&on(), &report, at(300)), None, "{report:?}");
        }
        // The way back is news for the processor only.
        let mut collector = informed();
        let loud = Report { cpu_permille: 300, ..well() };
        assert_eq!(collector.report(&on(), &loud, at(300)), Some(Reason::CpuSpike));
        collector.handle_outcome(&on(), true, at(300));
        assert_eq!(collector.report(&on(), &well(), at(700)), Some(Reason::CpuSpike));
    }

    #[test]
    fn a_report_that_fails_is_sent_once_more_and_then_the_collector_is_left_alone() {
        let mut collector = Collector::new(at(0));
        let mut tries = Vec::new();
        let mut second = 0;
        while second < 86_400 {
            if let Some(reason) = collector.report(&on(), &well(), at(second)) {
                assert_eq!(reason, Reason::Restart, "it still has not heard of us");
                assert_eq!(collector.report(&on(), &well(), at(second)), None, "one at a time");
                tries.push(second);
                collector.handle_outcome(&on(), false, at(second));
            }
            second += 5;
        }
        assert_eq!(tries[..6], [0, 10, 310, 320, 920, 930], "5 minutes, then 10");
        assert!(tries.len() < 30, "a dead collector hears little: {}", tries.len());
        assert!(tries.windows(2).all(|pair| pair[1] - pair[0] <= 4 * 3_600));
        // When it is back, it hears of us with the figures of then.
        assert_eq!(collector.report(&on(), &well(), at(200_000)), Some(Reason::Restart));
        collector.handle_outcome(&on(), true, at(200_000));
        assert_eq!(collector.report(&on(), &well(), at(200_001)), None);
    }

    #[test]
    fn a_collector_that_came_back_is_trusted_as_if_it_had_never_been_away() {
        let mut collector = Collector::new(at(0));
        let mut post = |second, taken| {
            let posted = collector.report(&on(), &Report { cures: u32::MAX, ..well() }, at(second)).is_some();
            if posted {
                collector.handle_outcome(&on(), taken, at(second));
            }
            // What it took is not what is said: there is always something new.
            collector.known = None;
            posted
        };
        for (second, taken, posted) in [
            (0, false, true),
            (10, false, true),
            (309, false, false),
            (310, true, true),
            // Five minutes of rest after one that was taken; and what then fails once is sent once more.
            (609, true, false),
            (610, false, true),
            (620, false, true),
            (919, false, false),
            (920, true, true),
            // Two that failed once each are no two failures of one.
            (1_220, false, true),
            (1_230, true, true),
            (1_530, false, true),
            (1_540, true, true),
        ] {
            assert_eq!(post(second, taken), posted, "{second}");
        }
    }

    #[test]
    fn what_the_collector_before_says_does_not_count_for_the_next_one() {
        let mut collector = Collector::new(at(0));
        assert_eq!(collector.report(&on(), &well(), at(0)), Some(Reason::Restart));
        collector.forget(at(1));
        collector.handle_outcome(&on(), true, at(2));
        assert_eq!(collector.report(&on(), &well(), at(2)), Some(Reason::Restart), "the next one has not heard of us");

        let mut collector = Collector::new(at(0));
        collector.handle_crash();
        assert_eq!(collector.report(&on(), &well(), at(0)), Some(Reason::Crash));
        let mut anew = collector.anew(at(5));
        assert_eq!(anew.report(&on(), &well(), at(5)), Some(Reason::Crash), "nobody knows whether it was told");
    }

    #[test]
    fn a_crash_is_told_first_and_once() {
        let mut collector = Collector::new(at(0));
        collector.handle_crash();
        assert_eq!(collector.report(&on(), &well(), at(0)), Some(Reason::Crash));
        collector.handle_outcome(&on(), false, at(1));
        assert_eq!(collector.next_deadline(), Some(at(11)));
        assert_eq!(collector.report(&on(), &well(), at(10)), None);
        assert_eq!(collector.report(&on(), &well(), at(11)), Some(Reason::Crash));
        collector.handle_outcome(&on(), true, at(12));
        assert_eq!(
            collector.report(&on(), &well(), at(12)),
            Some(Reason::Restart),
            "the report itself waits for nothing"
        );
    }

    #[test]
    fn an_outcome_of_nothing_is_counted() {
        let mut collector = informed();
        collector.handle_outcome(&on(), true, at(1));
        assert_eq!(collector.counters()[2].count, 1);
    }

    #[test]
    fn another_collector_knows_nothing() {
        let mut collector = informed();
        collector.forget(at(5));
        assert_eq!(collector.report(&on(), &well(), at(5)), Some(Reason::Restart));
    }
}
