//! The daemon's watch over itself: what it uses, what it did, how well it is; when that is reported, and what is done about an
//! engine that does not do its work.
//!
//! ```text
//!   every interval ──▶ Measure ──usage──▶ report: score, checks ──▶ the file in RAM (core/keep.rs), the API
//!                                             └──▶ something to say? ──▶ Post ──▶ collector
//!   every minute   ──▶ a look at all engines ──▶ watch.rs ──▶ Cure: an engine anew, in the last resort the process
//! ```
//!
//! Dashboards and collectors know the tasks of another program, which had a thread for each. Here they are engines in one loop:
//! a heartbeat is the last moment at which the engine had done everything that was due by its own deadlines.
//!
//! Not here: reading `/proc` (`rt`), the words of the report (`api/health.rs`), what a crash leaves behind (`rt/crash.rs`).

pub mod collector;
mod memory;
mod starts;
pub mod watch;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use collector::Collector;
pub use collector::Reason;
use memory::Trend;
use starts::Starts;
pub use watch::{Cure, Trouble, Watch};

use crate::config;
use crate::engine::{Counter, Engine, Part, Table};
use crate::files::{Step, replace};
use crate::limits;
use crate::time::{Instant, micros, millis, sooner};

/// More than this of the processor is not normal, in thousandths.
const BUSY: u32 = 200;

/// More than this much memory is too much for a small router, in kB.
const LARGE: u32 = 12 << 10;

/// What the process uses, as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since the process started.
    pub cpu: Duration,
    /// Resident memory, in kB.
    pub resident_kb: u32,
    /// Of it what is no page of a file, in kB: only that can leak.
    pub anonymous_kb: u32,
}

/// How the phonebook is doing, in the words that dashboards know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Book {
    /// There is none on this node.
    #[default]
    Unknown,
    /// No download has ended yet.
    Boot,
    /// The last one succeeded.
    Success,
    /// It failed.
    Failed,
    /// None has succeeded for long.
    Stale,
}

/// What others know and the score depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The phonebook.
    pub book: Book,
    /// Crashes in the last 24 hours.
    pub crashes: u32,
}

/// How the daemon is, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// When it was measured.
    pub at: Instant,
    /// The processor's share since the measurement before, in thousandths.
    pub cpu_permille: u32,
    /// Processor time since the process started.
    pub cpu: Duration,
    /// Resident memory, in kB.
    pub resident_kb: u32,
    /// Starts in the last 24 hours, without the first after power-on.
    pub restarts: u32,
    /// Crashes in the last 24 hours.
    pub crashes: u32,
    /// Engines that were restarted, since the process started.
    pub cures: u32,
    /// 0 to 100.
    pub score: u8,
    /// Whether memory does not grow without end.
    pub memory_stable: bool,
    /// Whether the book is what the servers have.
    pub book_current: bool,
    /// Whether the exchange does its work.
    pub sip_ok: bool,
    /// Whether the processor's share is normal.
    pub cpu_normal: bool,
    /// Whether every engine does its work.
    pub all_respond: bool,
}

/// A turn of the loop that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowTurn {
    /// When it ended.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// What took most of it.
    pub cause: &'static str,
    /// How much of it that took.
    pub share: Duration,
    /// How much of all of it, at most, was work of ours.
    pub cpu: Duration,
    /// The engines whose timers were due in it, a bit each.
    pub due: u16,
}

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Ask the system what the process uses; the answer goes to [`Health::handle_usage`].
    Measure,
    /// Look at every engine: [`Health::watch`].
    Look,
    /// Read the file of starts; the answer goes to [`Health::handle_starts`].
    Read(PathBuf),
    /// Write it.
    Write(Vec<Step>),
    /// Make an engine anew, or end the process.
    Cure(Cure),
    /// Send the report, or that of a crash; the answer goes to [`Health::handle_delivery`].
    Post(Reason),
}

#[derive(Debug, Default)]
struct Counts {
    measured: u64,
    slow_turns: u64,
    unexpected: u64,
}

/// The engine.
#[derive(Debug)]
pub struct Health {
    config: config::Health,
    started: Instant,
    /// The next measurement, the next look at the engines.
    measure_at: Option<Instant>,
    look_at: Option<Instant>,
    /// The usage that was measured last, and when.
    usage: Option<(Usage, Instant)>,
    /// Whether a measurement is under way.
    measuring: bool,
    /// Whether the file of starts is awaited.
    reading: bool,
    report: Option<Report>,
    revision: u64,
    trend: Trend,
    starts: Starts,
    /// Passive safety.
    pub watch: Watch,
    collector: Collector,
    slow: heapless::Deque<SlowTurn, { limits::SLOW_TURNS }>,
    slowest: Duration,
    /// No word about slow turns before.
    quiet_until: Instant,
    requests: VecDeque<Request>,
    counts: Counts,
}

impl Health {
    /// The process started at `now`, in the run of the machine of that name.
    pub fn new(config: &config::Health, boot_id: String, now: Instant) -> Self {
        let mut health = Self {
            config: config.clone(),
            started: now,
            measure_at: None,
            look_at: None,
            usage: None,
            measuring: false,
            reading: false,
            report: None,
            revision: 0,
            trend: Trend::default(),
            starts: Starts::new(boot_id, now),
            watch: Watch::new(now),
            collector: Collector::new(now),
            slow: heapless::Deque::new(),
            slowest: Duration::ZERO,
            quiet_until: now,
            requests: VecDeque::new(),
            counts: Counts::default(),
        };
        health.read_starts();
        health.schedule(now + limits::HEALTH_FIRST, now);
        health
    }

    /// One that takes over from one that did not do its work: what it counted and remembers of others lives on.
    pub fn anew(self, now: Instant) -> Self {
        let Self { config, started, report, revision, trend, starts, watch, collector, slow, slowest, counts, .. } =
            self;
        let mut health = Self {
            config,
            started,
            measure_at: None,
            look_at: None,
            usage: None,
            measuring: false,
            reading: false,
            report,
            revision,
            trend,
            starts,
            watch,
            collector: collector.anew(now),
            slow,
            slowest,
            quiet_until: now,
            requests: VecDeque::new(),
            counts,
        };
        health.schedule(now + limits::HEALTH_FIRST, now);
        health
    }

    fn read_starts(&mut self) {
        self.reading = true;
        self.requests.push_back(Request::Read(self.config.starts_file.clone()));
    }

    fn schedule(&mut self, first: Instant, now: Instant) {
        self.measure_at = self.config.enabled.then_some(first);
        self.look_at = self.is_safe().then_some(now + limits::WATCH_LOOK);
    }

    /// Another configuration.
    pub fn handle_config(&mut self, config: &config::Health, now: Instant) {
        let old = std::mem::replace(&mut self.config, config.clone());
        if (old.collector, &old.collector_url) != (config.collector, &config.collector_url) {
            self.collector.forget(now);
        }
        if old.starts_file != config.starts_file {
            self.read_starts();
        }
        if (old.enabled, old.passive_safety, old.interval) != (config.enabled, config.passive_safety, config.interval) {
            self.schedule(now + limits::HEALTH_FIRST, now);
            if !config.enabled {
                self.collector.forget(now);
                (self.report, self.usage) = (None, None);
                self.revision = self.revision.wrapping_add(1);
            }
        }
    }

    /// What the processes before left in the file of starts.
    pub fn handle_starts(&mut self, bytes: Option<&[u8]>) {
        if !std::mem::take(&mut self.reading) {
            self.counts.unexpected += 1;
            return;
        }
        let text = self.starts.handle_read(bytes);
        self.requests.push_back(Request::Write(replace(&self.config.starts_file, text)));
    }

    /// What the process uses. It is followed by a report.
    pub fn handle_usage(&mut self, usage: Usage, facts: Facts, now: Instant) {
        if !std::mem::take(&mut self.measuring) {
            self.counts.unexpected += 1;
            return;
        }
        self.counts.measured += 1;
        let (before, since) = self.usage.unwrap_or((Usage::default(), self.started));
        let (used, passed) = (usage.cpu.saturating_sub(before.cpu), now.since(since));
        // A start is busy, and a few seconds are no measure.
        let first = self.usage.is_none();
        self.usage = Some((usage, now));
        self.trend.handle(usage.anonymous_kb, now);
        let cpu_permille = micros(used).saturating_mul(1_000).checked_div(micros(passed)).unwrap_or(0);
        let cpu_permille = u32::try_from(cpu_permille).unwrap_or(u32::MAX).min(1_000);
        let silent = Part::ALL.iter().filter(|part| !self.watch.responds(**part, now)).count();
        let mut report = Report {
            at: now,
            cpu_permille,
            cpu: usage.cpu,
            resident_kb: usage.resident_kb,
            restarts: self.starts.restarts(now),
            crashes: facts.crashes,
            cures: self.watch.all_restarts(),
            score: 0,
            memory_stable: !self.trend.rises(),
            book_current: !matches!(facts.book, Book::Failed | Book::Stale),
            sip_ok: self.watch.responds(Part::Sip, now),
            cpu_normal: first || cpu_permille <= BUSY,
            all_respond: silent == 0,
        };
        report.score = score(&report, facts.book, silent);
        self.report = Some(report);
        self.revision = self.revision.wrapping_add(1);
        self.correspond(now);
    }

    /// The process before crashed, and that was not reported yet.
    pub fn handle_crash(&mut self, now: Instant) {
        self.collector.handle_crash();
        self.correspond(now);
    }

    /// The collector took the report, or did not.
    pub fn handle_delivery(&mut self, taken: bool, now: Instant) {
        self.collector.handle_outcome(&self.config, taken, now);
    }

    /// A turn of the loop took too long.
    pub fn handle_slow_turn(&mut self, turn: SlowTurn) {
        self.counts.slow_turns += 1;
        self.slowest = self.slowest.max(turn.took);
        if self.slow.is_full() {
            self.slow.pop_front();
        }
        let _ = self.slow.push_back(turn); // there is room now
        if turn.took >= limits::VERY_SLOW_TURN && turn.at >= self.quiet_until {
            self.quiet_until = turn.at + Duration::from_secs(3_600);
            let (took, cpu) = (millis(turn.took), millis(turn.cpu));
            log::info!("a turn of the loop took {took} ms, most of it for {}; {cpu} ms were work", turn.cause);
        }
    }

    /// An engine was restarted: people want to know at once.
    pub fn handle_cure(&mut self, now: Instant) {
        if self.config.enabled {
            self.measure_at = Some(now);
        }
    }

    /// A look at what an engine holds and has done; [`Health::handle_looked`] after the last one.
    pub fn handle_look(&mut self, part: Part, tables: &[Table], counters: &[Counter], now: Instant) {
        self.watch.handle_look(part, tables, counters, now);
    }

    /// Every engine was looked at.
    pub fn handle_looked(&mut self, now: Instant) {
        if self.is_safe() {
            let cures = std::iter::from_fn(|| self.watch.poll_cure(now));
            self.requests.extend(cures.map(Request::Cure));
        }
    }

    /// Whether engines are restarted.
    fn is_safe(&self) -> bool {
        self.config.enabled && self.config.passive_safety
    }

    /// What is to be done. Poll after every `handle_*`.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// How the daemon was when it was measured last.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Another number whenever [`Health::report`] is another one.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The slow turns that are remembered, the oldest first; how many there were, and the slowest.
    pub fn slow_turns(&self) -> (impl Iterator<Item = &SlowTurn>, u64, Duration) {
        (self.slow.iter(), self.counts.slow_turns, self.slowest)
    }

    fn correspond(&mut self, now: Instant) {
        let Some(report) = &self.report else { return };
        let reason = self.collector.report(&self.config, report, now);
        self.requests.extend(reason.map(Request::Post));
    }
}

/// As the C program reckoned (and as OpenWISP's panels show it), with a fall for each silent engine and each crash.
fn score(report: &Report, book: Book, silent: usize) -> u8 {
    let falls = |fell: bool, points: u32| if fell { points } else { 0 };
    let silent = u32::try_from(silent).unwrap_or(u32::MAX);
    let lost = [
        falls(!report.cpu_normal, 10),
        falls(report.resident_kb > LARGE, 10),
        silent.saturating_mul(30),
        falls(report.restarts > 0, 20),
        report.crashes.saturating_mul(25),
        falls(book == Book::Failed, 10),
        falls(!report.memory_stable, 15),
    ];
    let lost = lost.into_iter().fold(0, u32::saturating_add);
    u8::try_from(100_u32.saturating_sub(lost)).unwrap_or(0)
}

impl Engine for Health {
    fn handle_timeout(&mut self, now: Instant) {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = Some(now + limits::WATCH_LOOK);
            self.requests.push_back(Request::Look);
        }
        if self.measure_at.is_some_and(|at| at <= now) {
            self.measure_at = Some(now + self.config.interval);
            self.measuring = true;
            self.requests.push_back(Request::Measure);
        }
        if self.collector.next_deadline().is_some_and(|at| at <= now) {
            self.correspond(now);
        }
        self.handle_looked(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let cure = self.watch.next_deadline().filter(|_| self.is_safe());
        sooner(sooner(self.measure_at, self.look_at), sooner(self.collector.next_deadline(), cure))
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table { name: "health_slow_turns", used: self.slow.len(), limit: limits::SLOW_TURNS }]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts { measured, slow_turns, unexpected } = self.counts;
        let ours = [("measurements", measured), ("slow_turns", slow_turns), ("answers_unexpected", unexpected)];
        ours.map(|(name, count)| Counter { name, count }).into_iter().chain(self.collector.counters()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn new() -> Health {
        let mut health = Health::new(&config::Health::default(), "boot".into(), at(0));
        assert_eq!(health.poll_request(), Some(Request::Read("/tmp/switchboard/starts".into())));
        health.handle_starts(None);
        assert!(matches!(health.poll_request(), Some(Request::Write(_))));
        health
    }

    fn usage(cpu_ms: u64, resident_kb: u32) -> Usage {
        Usage { cpu: Duration::from_millis(cpu_ms), resident_kb, anonymous_kb: resident_kb / 2 }
    }

    /// Lets it measure when it wants to.
    fn measure(health: &mut Health, usage: Usage, facts: Facts) -> Report {
        let now = health.measure_at.unwrap();
        health.watch.handle_well(now);
        health.handle_timeout(now);
        while health.poll_request().is_some_and(|request| request != Request::Measure) {}
        health.handle_usage(usage, facts, now);
        *health.report().unwrap()
    }

    #[test]
    fn the_first_report_comes_soon_and_the_others_every_minute() {
        let mut health = new();
        assert_eq!(health.report(), None);
        let first = measure(&mut health, usage(3_000, 2_000), Facts { book: Book::Boot, crashes: 0 });
        assert_eq!((first.at, first.cpu_permille, first.cpu_normal, first.score), (at(5), 600, true, 100));
        let second = measure(&mut health, usage(3_300, 2_000), Facts { book: Book::Success, crashes: 0 });
        assert_eq!((second.at, second.cpu_permille), (at(65), 5), "300 ms of 60 s");
        assert!(second.memory_stable && second.book_current && second.sip_ok && second.all_respond);
        assert_eq!(
            measure(&mut health, usage(90_000, 2_000), Facts::default()).cpu_permille,
            1_000,
            "not more than all"
        );
        // A clock of the kernel that runs back, and one that cannot be read.
        assert_eq!(measure(&mut health, usage(0, 2_000), Facts::default()).cpu_permille, 0);
    }

    #[test]
    fn the_score_falls_as_dashboards_know_it() {
        let well = Facts { book: Book::Success, crashes: 0 };
        let score = |change: fn(&mut Health), used: Usage, facts: Facts| {
            let mut health = new();
            measure(&mut health, usage(0, 2_000), well);
            change(&mut health);
            measure(&mut health, used, facts).score
        };
        let nothing = |_: &mut Health| {};
        assert_eq!(score(nothing, usage(12_000, 12 << 10), well), 100, "just not too much of anything");
        assert_eq!(score(nothing, usage(12_100, 2_000), well), 90, "more than 20 % of the processor");
        assert_eq!(score(nothing, usage(0, (12 << 10) + 1), well), 90, "more than 12 MB");
        assert_eq!(score(nothing, usage(0, 2_000), Facts { book: Book::Failed, ..well }), 90);
        assert_eq!(score(nothing, usage(0, 2_000), Facts { book: Book::Stale, ..well }), 100);
        assert_eq!(score(nothing, usage(0, 2_000), Facts { crashes: 2, ..well }), 50);
        assert_eq!(score(nothing, usage(0, 2_000), Facts { crashes: 99, ..well }), 0);
        for (book, current) in [(Book::Boot, true), (Book::Failed, false), (Book::Stale, false), (Book::Unknown, true)]
        {
            assert_eq!(measure(&mut new(), usage(0, 2_000), Facts { book, ..well }).book_current, current, "{book:?}");
        }
        for (part, sip_ok) in [(Part::Sip, false), (Part::Mesh, true)] {
            let mut health = new();
            health.config.passive_safety = false;
            health.watch.handle_overdue(part, at(0));
            let report = measure(&mut health, usage(0, 2_000), well);
            assert_eq!((report.sip_ok, report.all_respond), (sip_ok, false), "{part:?}");
        }
        let silent = |health: &mut Health| {
            health.config.passive_safety = false;
            health.watch.handle_overdue(Part::Mesh, at(6));
        };
        assert_eq!(score(silent, usage(0, 2_000), well), 70);
        let restarted = |health: &mut Health| {
            health.read_starts();
            health.handle_starts(Some(b"boot\n0\n"));
        };
        assert_eq!(score(restarted, usage(0, 2_000), well), 80);
        let leaking = |health: &mut Health| {
            for hour in 0..8 {
                health.trend.handle(2_000 + 1_000 * u32::try_from(hour).unwrap(), at(hour * 3_600));
            }
        };
        assert_eq!(score(leaking, usage(0, 2_000), well), 85);
    }

    #[test]
    fn a_loop_that_is_slow_is_remembered_and_seldom_spoken_of() {
        let mut health = new();
        for number in 0..20_u64 {
            let took = Duration::from_millis(100 + number);
            let share = Duration::from_millis(90);
            health.handle_slow_turn(SlowTurn { at: at(number), took, cause: "timers", share, cpu: share, due: 1 });
        }
        let (last, count, longest) = health.slow_turns();
        let last: Vec<Instant> = last.map(|turn| turn.at).collect();
        assert_eq!((last.len(), last.first(), last.last()), (limits::SLOW_TURNS, Some(&at(12)), Some(&at(19))));
        assert_eq!((count, longest), (20, Duration::from_millis(119)));
    }

    #[test]
    fn what_is_off_does_nothing() {
        let mut health = new();
        measure(&mut health, usage(0, 2_000), Facts::default());
        let revision = health.revision();
        health.handle_config(&config::Health { enabled: false, ..config::Health::default() }, at(10));
        assert_eq!((health.next_deadline(), health.report()), (None, None));
        assert_ne!(health.revision(), revision);
        health.watch.handle_overdue(Part::Mesh, at(10));
        assert_eq!(health.next_deadline(), None);
        health.handle_looked(at(100));
        assert_eq!(health.poll_request(), None, "nobody is restarted");
        health.handle_config(&config::Health { passive_safety: false, ..config::Health::default() }, at(20));
        assert_eq!(health.next_deadline(), Some(at(25)));
    }

    /// A collector that did not take the first report.
    fn refused() -> (Health, config::Health) {
        let config = config::Health { collector: true, ..config::Health::default() };
        let mut health = new();
        health.handle_config(&config, at(0));
        measure(&mut health, usage(0, 2_000), Facts::default());
        assert_eq!(health.poll_request(), Some(Request::Post(Reason::Restart)));
        health.handle_delivery(false, at(6));
        assert_eq!(health.next_deadline(), Some(at(16)));
        (health, config)
    }

    #[test]
    fn another_configuration_is_taken_over_at_once() {
        let (mut health, config) = refused();
        health.handle_timeout(at(16));
        assert_eq!(health.poll_request(), Some(Request::Post(Reason::Restart)));
        health.handle_delivery(true, at(17));
        let other = config::Health { collector_url: "http://10.0.0.2/".into(), ..config.clone() };
        health.handle_config(&other, at(20));
        measure(&mut health, usage(0, 2_000), Facts::default());
        assert_eq!(health.poll_request(), Some(Request::Post(Reason::Restart)), "the other one knows nothing");
        let other = config::Health { starts_file: "/elsewhere".into(), interval: Duration::from_secs(9), ..other };
        health.handle_config(&other, at(70));
        assert_eq!(health.poll_request(), Some(Request::Read("/elsewhere".into())));
        assert_eq!(health.next_deadline(), Some(at(75)), "it does not wait for the end of the longer interval");

        let (mut health, config) = refused();
        health.handle_config(&config::Health { enabled: false, ..config }, at(7));
        assert_eq!(health.next_deadline(), None, "nor is the report sent once more");
    }

    #[test]
    fn an_engine_that_was_restarted_is_told_at_once() {
        let mut health = new();
        measure(&mut health, usage(0, 2_000), Facts::default());
        health.handle_cure(at(30));
        assert_eq!(health.next_deadline(), Some(at(30)));
        health.handle_config(&config::Health { enabled: false, ..config::Health::default() }, at(31));
        health.handle_cure(at(32));
        assert_eq!(health.next_deadline(), None);
    }

    #[test]
    fn a_new_one_goes_on_where_the_old_one_was() {
        let (mut health, _) = refused();
        health.handle_crash(at(7));
        let mut anew = health.anew(at(8));
        let report = measure(&mut anew, usage(130, 2_000), Facts::default());
        assert_eq!((report.at, report.cpu_permille), (at(13), 10), "of all the time since the process started");
        assert_eq!(anew.poll_request(), Some(Request::Post(Reason::Crash)), "nobody has heard of it yet");

        let mut health = new();
        health.read_starts();
        health.handle_starts(Some(b"boot\n0\n"));
        measure(&mut health, usage(0, 2_000), Facts::default());
        health.watch.handle_overdue(Part::Health, at(10));
        health.handle_looked(at(15));
        assert!(
            std::iter::from_fn(|| health.poll_request())
                .any(|request| request == Request::Cure(Cure::Restart(Part::Health, Trouble::Overdue)))
        );
        let mut health = health.anew(at(15));
        assert_eq!(health.next_deadline(), Some(at(20)));
        let report = measure(&mut health, usage(0, 2_000), Facts::default());
        assert_eq!((report.restarts, report.cures), (1, 1));
    }
}
