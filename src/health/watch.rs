//! Passive safety: whether every engine does what it has to, and what is done about one that does not.
//!
//! All engines share one thread, so none can sleep on its own. What can go wrong with one, and how it is seen:
//!
//! * **overdue**: it was given its turn and still says that something was due before now. The loop would turn without a pause.
//! * **no progress**: for half an hour it has had work under way and none of its counters has moved. An answer was lost on
//!   which it waits without a deadline.
//! * **full**: for half an hour a table that should drain has been full whenever somebody looked.
//!
//! The cure is the same: the engine is made anew from the configuration (`core/care/mod.rs` hands over what it must keep), again
//! after a rest that doubles. The exchange gets [`limits::WATCH_VAIN`] such cures; then the process ends, the last resort.
//!
//! Deliberately not here: an engine that never returns. Nothing in the process runs then; the shell has the kernel end it
//! (`rt/stall.rs`). And a panic: it ends the process, whatever the build, because an engine that broke off in the middle is in no state
//! to be asked for what it must keep.

use std::time::Duration;

use crate::engine::{Counter, Part, Table};
use crate::limits;
use crate::time::{Instant, sooner};

/// Tables that are empty when no work is under way. All others keep what they have.
pub const DRAINING: &[&str] = &[
    "sip_questions",
    "sip_transactions",
    "phonebook_presence_questions",
    "dns_questions",
    "dns_askers",
    "http_fetches",
    "http_connections",
    "http_requests",
    "http_lingering",
    "mesh_queue",
    "mesh_questions",
    "probe_questions",
    "probe_tests",
    "probe_in_flight",
    "probe_outbox",
    "probe_rings",
    "probe_reports",
];

/// Tables whose places are free again within seconds or minutes. The others fill because their owner works at a measured pace.
pub const PASSING: &[&str] = &[
    "sip_outbox_bytes",
    "sip_questions",
    "sip_transactions",
    "sip_transaction_bytes",
    "dns_questions",
    "dns_askers",
    "http_fetches",
    "http_connections",
    "http_requests",
    "http_lingering",
];

/// What is wrong with an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What was due is not done.
    Overdue,
    /// Work is under way, and nothing comes of it.
    NoProgress,
    /// A table that should drain does not.
    Full,
}

impl Trouble {
    /// For people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Overdue => "left undone what was due",
            Self::NoProgress => "made no progress",
            Self::Full => "had a table that stayed full",
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// Make this engine anew.
    Restart(Part, Trouble),
    /// End the process: that did not help.
    Exit(Part, Trouble),
}

/// One engine under watch.
#[derive(Clone, Copy, Debug, Default)]
struct Patient {
    /// When it was last seen with everything done, if that is not now.
    well: Option<Instant>,
    /// Since when something has been left undone.
    overdue: Option<Instant>,
    /// When it was last given a turn in vain.
    tried: Instant,
    /// The sum of its counters while work is under way, and since when that has not changed.
    work: Option<(u64, Instant)>,
    /// Since when a table has been full.
    full: Option<Instant>,
    restarts: u32,
    /// Restarts without lasting success.
    vain: u32,
    /// When it was restarted last, and how long it is left alone after that.
    rested: Option<(Instant, Duration)>,
}

/// The watch over all engines.
#[derive(Debug)]
pub struct Watch {
    patients: [Patient; Part::ALL.len()],
    /// How long work may be under way in silence.
    patience: Duration,
    /// When everything due was last done by all engines.
    well: Instant,
    /// Whether any engine is overdue: then `well` does not speak for that one.
    any_overdue: bool,
    given_up: bool,
}

impl Watch {
    /// Everybody is well.
    pub fn new(now: Instant) -> Self {
        Self {
            patients: Default::default(),
            patience: limits::WATCH_PATIENCE,
            well: now,
            any_overdue: false,
            given_up: false,
        }
    }

    /// How long work may be under way in silence: a call may ring as long as the configuration says.
    pub fn set_ringing(&mut self, longest: Duration) {
        self.patience = limits::WATCH_PATIENCE.max(longest.saturating_mul(2));
    }

    /// Everything that was due is done, by all engines but those that rest.
    pub fn handle_well(&mut self, now: Instant) {
        self.well = now;
    }

    /// The engine has nothing overdue any more.
    pub fn handle_done(&mut self, part: Part) {
        if self.any_overdue {
            self.patient_mut(part).overdue = None;
            self.any_overdue = self.patients.iter().any(|patient| patient.overdue.is_some());
        }
    }

    /// The engine was given its turn, and something is still overdue.
    pub fn handle_overdue(&mut self, part: Part, now: Instant) {
        let well = self.well;
        let patient = self.patient_mut(part);
        if patient.overdue.is_none() {
            (patient.overdue, patient.well) = (Some(now), Some(well));
        }
        patient.tried = now;
        self.any_overdue = true;
    }

    /// A look at what the engine holds and has done.
    pub fn handle_look(&mut self, part: Part, tables: &[Table], counters: &[Counter], now: Instant) {
        let working = tables.iter().any(|table| table.used > 0 && DRAINING.contains(&table.name));
        let full = tables.iter().any(|table| table.used >= table.limit && PASSING.contains(&table.name));
        let mark = counters.iter().fold(0_u64, |sum, counter| sum.wrapping_add(counter.count));
        let patient = self.patient_mut(part);
        patient.work = match patient.work {
            _ if !working => None,
            Some((before, since)) if before == mark => Some((before, since)),
            _ => Some((mark, now)),
        };
        patient.full = full.then_some(patient.full.unwrap_or(now));
    }

    /// Before that, the engine is not given a turn: it was given one in vain a moment ago.
    pub fn rests_until(&self, part: Part) -> Option<Instant> {
        if !self.any_overdue {
            return None;
        }
        let patient = self.patient(part);
        patient.overdue.map(|_| patient.tried + limits::WATCH_PAUSE)
    }

    /// Whether any engine has left something undone.
    pub fn is_worried(&self) -> bool {
        self.any_overdue
    }

    /// Whether the engine does its work.
    pub fn responds(&self, part: Part, now: Instant) -> bool {
        self.trouble(self.patient(part), now).is_none()
    }

    /// When it was last seen with everything done.
    pub fn heartbeat(&self, part: Part) -> Instant {
        let patient = self.patient(part);
        match patient.overdue {
            Some(_) => patient.well.unwrap_or(self.well),
            None => self.well,
        }
    }

    /// How often the engine was restarted.
    pub fn restarts(&self, part: Part) -> u32 {
        self.patient(part).restarts
    }

    /// How often any was.
    pub fn all_restarts(&self) -> u32 {
        self.patients.iter().map(|patient| patient.restarts).fold(0, u32::saturating_add)
    }

    /// The next engine that needs a cure at this moment. It is taken for cured.
    pub fn poll_cure(&mut self, now: Instant) -> Option<Cure> {
        if self.given_up {
            return None;
        }
        let ripe = |part: &Part| {
            let patient = self.patient(*part);
            let rests = patient.rested.is_some_and(|(at, rest)| now.since(at) < rest);
            self.trouble(patient, now).filter(|_| !rests)
        };
        let (part, trouble) = Part::ALL.into_iter().find_map(|part| Some((part, ripe(&part)?)))?;
        let patient = self.patient_mut(part);
        let began =
            [patient.overdue, patient.work.map(|(_, since)| since), patient.full].into_iter().fold(None, sooner);
        let lasted = patient.rested.zip(began).is_some_and(|((at, _), began)| began.since(at) >= limits::WATCH_LASTS);
        patient.vain = if lasted { 1 } else { patient.vain.saturating_add(1) };
        if part == Part::Sip && patient.vain > limits::WATCH_VAIN {
            self.given_up = true;
            return Some(Cure::Exit(part, trouble));
        }
        let doubled = limits::WATCH_REST.saturating_mul(1 << patient.vain.saturating_sub(1).min(16));
        let rest = doubled.min(limits::WATCH_LONGEST_REST);
        *patient = Patient {
            restarts: patient.restarts.saturating_add(1),
            vain: patient.vain,
            rested: Some((now, rest)),
            ..Patient::default()
        };
        self.any_overdue = self.patients.iter().any(|patient| patient.overdue.is_some());
        Some(Cure::Restart(part, trouble))
    }

    /// When a cure may be due.
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.any_overdue || self.given_up {
            return None;
        }
        let ripe = |patient: &Patient| {
            let since = patient.overdue?;
            let rested = patient.rested.map_or(since, |(at, rest)| at + rest);
            Some((since + limits::WATCH_OVERDUE).max(rested))
        };
        self.patients.iter().map(ripe).fold(None, sooner)
    }

    fn trouble(&self, patient: &Patient, now: Instant) -> Option<Trouble> {
        let longer = |since: Option<Instant>, bound: Duration| since.is_some_and(|since| now.since(since) >= bound);
        if longer(patient.overdue, limits::WATCH_OVERDUE) {
            return Some(Trouble::Overdue);
        }
        if longer(patient.work.map(|(_, since)| since), self.patience) {
            return Some(Trouble::NoProgress);
        }
        longer(patient.full, limits::WATCH_PATIENCE).then_some(Trouble::Full)
    }

    // The array has a place for every part.
    #[allow(clippy::indexing_slicing)]
    fn patient(&self, part: Part) -> &Patient {
        &self.patients[part as usize]
    }

    #[allow(clippy::indexing_slicing)]
    fn patient_mut(&mut self, part: Part) -> &mut Patient {
        &mut self.patients[part as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    /// An engine that is overdue from `from` on, whatever is done; the cures until `to`, in seconds.
    fn cures(part: Part, from: u64, to: u64) -> Vec<(u64, Cure)> {
        let mut watch = Watch::new(at(0));
        let mut cures = Vec::new();
        let mut now = at(from * 1_000);
        while now < at(to * 1_000) {
            watch.handle_overdue(part, now);
            watch.handle_well(now);
            while let Some(cure) = watch.poll_cure(now) {
                cures.push((now.as_micros() / 1_000_000, cure));
                if matches!(cure, Cure::Exit(..)) {
                    return cures;
                }
                // The new one is overdue at once.
                watch.handle_overdue(part, now);
            }
            let next = [watch.rests_until(part), watch.next_deadline()].into_iter().fold(None, sooner).unwrap();
            // Not a thousand turns a second; nothing is slept through either.
            now = next.max(now + Duration::from_millis(100));
        }
        cures
    }

    #[test]
    fn who_leaves_things_undone_is_restarted_ever_more_rarely() {
        let restart = Cure::Restart(Part::Mesh, Trouble::Overdue);
        let times: Vec<u64> = cures(Part::Mesh, 100, 100 + 86_400)
            .into_iter()
            .map(|(second, cure)| {
                assert_eq!(cure, restart, "never the whole process for the map");
                second - 100
            })
            .collect();
        assert_eq!(times[..5], [5, 65, 185, 425, 905], "after 5 s, then after 1, 2, 4, 8 minutes");
        assert_eq!(times.len(), 12, "{times:?}");
        assert_eq!(times[11] - times[10], 6 * 3_600, "in the end every six hours");
    }

    #[test]
    fn the_process_ends_when_three_new_exchanges_are_no_better() {
        let cures = cures(Part::Sip, 100, 86_400);
        let restart = Cure::Restart(Part::Sip, Trouble::Overdue);
        let exit = Cure::Exit(Part::Sip, Trouble::Overdue);
        assert_eq!(cures, [(105, restart), (165, restart), (285, restart), (525, exit)]);
    }

    #[test]
    fn a_moment_of_trouble_is_forgiven() {
        let mut watch = Watch::new(at(0));
        watch.handle_overdue(Part::Dns, at(1_000));
        assert_eq!(watch.rests_until(Part::Dns), Some(at(1_100)));
        assert_eq!(watch.rests_until(Part::Sip), None);
        watch.handle_overdue(Part::Dns, at(5_900));
        watch.handle_well(at(5_900));
        assert_eq!((watch.poll_cure(at(5_999)), watch.responds(Part::Dns, at(5_999))), (None, true));
        assert_eq!(watch.heartbeat(Part::Sip), at(5_900));
        assert_eq!(watch.heartbeat(Part::Dns), at(0));
        watch.handle_done(Part::Dns);
        watch.handle_well(at(6_000));
        assert_eq!((watch.poll_cure(at(9_000)), watch.next_deadline()), (None, None));
        assert_eq!(watch.heartbeat(Part::Dns), at(6_000));
    }

    #[test]
    fn each_has_its_own_trouble_and_its_own_rest() {
        let mut watch = Watch::new(at(0));
        for (part, since) in [(Part::Dns, 1_000), (Part::Mesh, 3_000), (Part::Hosts, 3_500)] {
            watch.handle_overdue(part, at(since));
        }
        watch.handle_done(Part::Hosts);
        assert_eq!(watch.next_deadline(), Some(at(6_000)));
        assert_eq!(watch.poll_cure(at(6_000)), Some(Cure::Restart(Part::Dns, Trouble::Overdue)));
        assert_eq!((watch.poll_cure(at(6_000)), watch.next_deadline()), (None, Some(at(8_000))));
        // The new one is overdue at once, and rests a minute; nobody looks before.
        watch.handle_overdue(Part::Dns, at(6_100));
        assert_eq!(watch.poll_cure(at(8_000)), Some(Cure::Restart(Part::Mesh, Trouble::Overdue)));
        assert_eq!((watch.poll_cure(at(65_999)), watch.next_deadline()), (None, Some(at(66_000))));
        assert_eq!(watch.poll_cure(at(66_000)), Some(Cure::Restart(Part::Dns, Trouble::Overdue)));
    }

    #[test]
    fn an_hour_without_trouble_is_a_cure() {
        let mut watch = Watch::new(at(0));
        let restart = Some(Cure::Restart(Part::Sip, Trouble::Overdue));
        for turn in 0..9_u64 {
            let now = at(turn * 3_700_000);
            watch.handle_overdue(Part::Sip, now);
            assert_eq!(watch.poll_cure(now + limits::WATCH_OVERDUE), restart, "{turn}");
        }
        // One that comes sooner is one more in vain.
        for (turn, expected) in [(1, restart), (2, restart), (3, Some(Cure::Exit(Part::Sip, Trouble::Overdue)))] {
            let now = at(8 * 3_700_000 + turn * 1_800_000);
            watch.handle_overdue(Part::Sip, now);
            assert_eq!(watch.poll_cure(now + limits::WATCH_OVERDUE), expected, "{turn}");
        }
    }

    fn table(name: &'static str, used: usize) -> Table {
        Table { name, used, limit: 10 }
    }

    fn counter(count: u64) -> [Counter; 1] {
        [Counter { name: "x", count }]
    }

    #[test]
    fn silence_while_work_is_under_way_is_trouble_and_silence_at_rest_is_none() {
        let mut watch = Watch::new(at(0));
        let minutes = |minutes: u64| at(minutes * 60_000);
        for minute in 0..120 {
            watch.handle_look(Part::Mesh, &[table("mesh_questions", 1)], &counter(minute / 20), minutes(minute));
            watch.handle_look(
                Part::Dns,
                &[table("dns_questions", 0), table("dns_cache", 10)],
                &counter(0),
                minutes(minute),
            );
            assert_eq!(watch.poll_cure(minutes(minute)), None, "{minute}");
        }
        for minute in 120..130 {
            watch.handle_look(Part::Mesh, &[table("mesh_questions", 1)], &counter(5), minutes(minute));
            assert_eq!(watch.poll_cure(minutes(minute)), None, "{minute}");
        }
        watch.handle_look(Part::Mesh, &[table("mesh_questions", 1)], &counter(5), minutes(130));
        assert!(!watch.responds(Part::Mesh, minutes(130)));
        assert_eq!(watch.poll_cure(minutes(130)), Some(Cure::Restart(Part::Mesh, Trouble::NoProgress)));
        assert_eq!((watch.restarts(Part::Mesh), watch.all_restarts()), (1, 1));
        assert!(watch.responds(Part::Mesh, minutes(130)));
    }

    #[test]
    fn a_table_that_stays_full_is_trouble_and_one_that_is_full_now_and_then_is_none() {
        let mut watch = Watch::new(at(0));
        let mut first = None;
        for minute in 0..200_u64 {
            let now = at(minute * 60_000);
            let used = if minute < 100 { 10 - usize::from(minute % 20 == 0) } else { 10 };
            watch.handle_look(Part::HttpServer, &[table("http_connections", used)], &counter(minute), now);
            watch.handle_look(Part::Sip, &[table("registrations", 10)], &counter(minute), now);
            if let Some(cure) = watch.poll_cure(now) {
                assert_eq!(cure, Cure::Restart(Part::HttpServer, Trouble::Full));
                first = first.or(Some(minute));
            }
        }
        assert_eq!(first, Some(111), "thirty minutes after minute 81; at 80 there was room");
    }

    #[test]
    fn a_phone_that_may_ring_for_an_hour_is_no_trouble() {
        let mut watch = Watch::new(at(0));
        watch.set_ringing(Duration::from_secs(3_600));
        for minute in 0..120 {
            let now = at(minute * 60_000);
            watch.handle_look(Part::Sip, &[table("sip_transactions", 1)], &counter(1), now);
            watch.handle_look(Part::HttpServer, &[table("http_connections", 10)], &counter(minute), now);
            let full = Some(Cure::Restart(Part::HttpServer, Trouble::Full));
            assert_eq!(watch.poll_cure(now), full.filter(|_| minute % 31 == 30), "{minute}");
        }
    }
}
