//! The cycle: all phones once, a few at a time, and then a pause.

use std::collections::VecDeque;
use std::time::Duration;

use super::phone::{Phone, Status};
use super::schedule::Urgency;
use super::trial::{Owner, Phase, Trial};
use super::ways::{Errand, Found};
use super::{IcmpMode, Probe, Question, Report, TestReport, Whereabouts};
use crate::limits;
use crate::time::{Instant, millis};

/// Before the first cycle: host files, the book and registrations of a node that just started come in.
const START: Duration = Duration::from_secs(10);
/// Between two cycles when one takes longer than the interval.
const BREATH: Duration = Duration::from_secs(1);

/// A cycle under way.
#[derive(Clone, Debug)]
pub struct Cycle {
    started: Instant,
    /// Phones whose address was asked for, from the first on.
    asked: usize,
    /// Phones that are through.
    done: usize,
    /// Phones whose address is known and whose test has not begun.
    ready: VecDeque<u32>,
}

/// How far a cycle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When the one under way began; `None`: none is under way.
    pub started: Option<Instant>,
    /// Phones that are through.
    pub done: usize,
    /// Phones in all.
    pub total: usize,
    /// When it will probably end.
    pub estimated_end: Option<Instant>,
    /// When the next one is planned.
    pub next: Option<Instant>,
}

impl Probe {
    /// How far the cycle is.
    pub fn progress(&self, now: Instant) -> Progress {
        let total = self.phones.len();
        let (started, done) = match &self.cycle {
            Some(cycle) => (Some(cycle.started), cycle.done),
            None => (None, if self.cycle_number > 0 { total } else { 0 }),
        };
        let estimated_end = started.map(|started| {
            let left = u32::try_from(total.saturating_sub(done)).unwrap_or(u32::MAX);
            let by_experience = u32::try_from(done)
                .ok()
                .and_then(|done| now.since(started).checked_div(done))
                .map_or(Duration::ZERO, |each| each.saturating_mul(left));
            let (pings, options) = self.plan();
            let packets = u64::from(left).saturating_mul(u64::from(pings).saturating_add(u64::from(options)));
            let rate = u64::try_from(self.config.rate).unwrap_or(u64::MAX);
            let by_rate = Duration::from_millis(packets.saturating_mul(1_000).checked_div(rate).unwrap_or(0));
            now + by_experience.max(by_rate)
        });
        Progress { started, done, total, estimated_end, next: self.next_cycle }
    }

    /// Plans the first cycle as soon as there is somebody to test, and none when there is nobody.
    pub(super) fn schedule_cycle(&mut self, now: Instant) {
        if self.plan() == (0, 0) || (self.phones.is_empty() && self.cycle.is_none()) {
            self.next_cycle = None;
        } else if self.next_cycle.is_none() {
            // Nodes that got their power back together do not begin together.
            self.next_cycle = Some(now + START + Duration::from_micros(self.rng.below(10_000_000)));
        }
    }

    pub(super) fn cycle_deadline(&self) -> Option<Instant> {
        self.next_cycle.filter(|_| self.cycle.is_none())
    }

    pub(super) fn handle_cycle_timeout(&mut self, now: Instant) {
        if self.cycle_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.cycle_number = self.cycle_number.wrapping_add(1);
        self.next_cycle = Some(now + self.config.interval);
        self.ways.begin(self.cycle_number);
        self.to_ring.clear();
        self.cycle = Some(Cycle { started: now, asked: 0, done: 0, ready: VecDeque::new() });
        self.revision = self.revision.wrapping_add(1);
    }

    /// Switched off: the cycle is not finished, and who rings is hung up on.
    pub(super) fn stop(&mut self, now: Instant) {
        self.cycle = None;
        self.next_cycle = None;
        self.to_ring.clear();
        self.questions.retain(|(_, question)| matches!(question, Question::Wish(_)));
        let gone: Vec<u16> = self.trials.iter().filter(|(_, t)| is_cycle(t)).map(|(key, _)| *key).collect();
        for key in gone {
            self.drop_trial(key);
        }
        self.ways.drop_questions();
        self.drop_ask_flights();
        for index in 0..self.rings.len() {
            let Some(ring) = self.rings.get_mut(index).filter(|ring| ring.asker.is_none()) else { continue };
            let (to, bytes) = (ring.to, ring.break_off(now));
            self.send_sip(to, bytes);
        }
    }

    /// Takes over whom to test. No cycle may be under way.
    pub(super) fn take_targets(&mut self) {
        let Some(targets) = self.targets.take() else { return };
        let mut before = std::mem::take(&mut self.phones).into_iter().peekable();
        for number in targets.iter() {
            while before.next_if(|phone| phone.number() < number.as_str()).is_some() {}
            let known = before.next_if(|phone| phone.number() == number.as_str());
            self.phones.push(known.unwrap_or_else(|| Phone::new(number)));
        }
        self.revision = self.revision.wrapping_add(1);
    }

    /// The next phone of the cycle whose address is needed.
    pub(super) fn ask_for_cycle(&mut self) -> Option<(u32, String)> {
        let under_way = self.questions.iter().filter(|(_, question)| matches!(question, Question::Cycle(_))).count();
        let cycle = self.cycle.as_mut().filter(|_| under_way < limits::PROBE_QUESTIONS)?;
        let number = self.phones.get(cycle.asked)?.number().to_owned();
        let index = u32::try_from(cycle.asked).ok()?;
        cycle.asked = cycle.asked.saturating_add(1);
        Some((self.ask(Question::Cycle(index)), number))
    }

    pub(super) fn found_for_cycle(&mut self, index: u32, whereabouts: Option<Whereabouts>, now: Instant) {
        let plan = self.plan();
        let Some(phone) = self.phone_mut(index) else { return };
        match whereabouts {
            Some(Whereabouts { address, node }) => {
                (phone.address, phone.node) = (Some(address), node);
                if let Some(cycle) = &mut self.cycle {
                    cycle.ready.push_back(index);
                }
            }
            None => {
                phone.has_no_address(plan, now);
                self.one_more_done();
            }
        }
    }

    /// Whether a phone could be tested next.
    pub(super) fn has_ready_phone(&self) -> bool {
        let room = self.trials.len() < limits::PROBE_TESTS.saturating_sub(limits::PROBE_LIVE);
        room && self.cycle.as_ref().is_some_and(|cycle| !cycle.ready.is_empty())
    }

    /// Begins the test of the next phone of the cycle.
    pub(super) fn begin_next(&mut self, now: Instant) {
        let Some(index) = self.cycle.as_mut().and_then(|cycle| cycle.ready.pop_front()) else { return };
        let (plan, call) = (self.plan(), self.rng.next_u64());
        let Some(phone) = self.phone(index) else { return };
        let Some(address) = phone.address else { return };
        let trial = Trial::new(Owner::Cycle(index), phone.number(), address, plan, call);
        self.begin(trial, Urgency::Cycle, now);
    }

    pub(super) fn begin(&mut self, trial: Trial, urgency: Urgency, now: Instant) {
        let mut key = u16::try_from(self.trials.len()).unwrap_or(u16::MAX);
        while self.trials.contains_key(&key) {
            key = key.wrapping_add(1);
        }
        let has_more = trial.has_more();
        self.trials.insert(key, trial);
        if has_more {
            self.put_on_agenda(key, urgency, now);
        } else {
            self.go_on(key, now);
        }
    }

    /// What follows once a probe of a test was answered or lost.
    pub(super) fn go_on(&mut self, key: u16, now: Instant) {
        let Some(trial) = self.trials.get_mut(&key) else { return };
        if trial.is_phase_over() && trial.phase() == Phase::Ping {
            let received = trial.end_ping().received;
            if received > 0 {
                self.look_for_way(key, now);
            }
        }
        let Some(trial) = self.trials.get(&key) else { return };
        if trial.is_phase_over() {
            let (ping, options) = trial.results();
            if ping.received == 0 && options.received > 0 {
                self.look_for_way(key, now);
            }
            self.finish(key, now);
        } else if trial.has_more() && trial.due.is_none() {
            self.put_on_agenda(key, urgency(trial), now);
        }
    }

    pub(super) fn put_on_agenda(&mut self, key: u16, urgency: Urgency, at: Instant) {
        let Some(trial) = self.trials.get_mut(&key) else { return };
        if let Some(before) = trial.due.replace(at) {
            self.agenda.remove_test(before, key);
        }
        self.agenda.add_test(urgency, at, key);
    }

    fn look_for_way(&mut self, key: u16, now: Instant) {
        let Some(trial) = self.trials.get(&key) else { return };
        let Owner::Cycle(index) = trial.owner else { return };
        if !self.config.traceroute || self.mode == IcmpMode::None || trial.distance == 0 {
            return;
        }
        let most = u8::try_from(self.config.max_hops).unwrap_or(u8::MAX);
        let (ping, options) = trial.results();
        let (stats, longest_us) = match ping.rtt {
            Some(_) => (ping, trial.longest_us()),
            None => (options, options.rtt.map_or(0, |rtt| rtt.max_us)),
        };
        let proven = ping.received > 0;
        let patience = Duration::from_micros(u64::from(longest_us).saturating_mul(4));
        let patience = patience.min(self.config.timeout).max(Duration::from_secs(1));
        let (distance, target, reply_ttl) = (trial.distance.min(most), *trial.to.ip(), trial.reply_ttl);
        // Where nothing was lost, two questions without an answer are no accident.
        let tries = if stats.loss_permille() == 0 { 2 } else { 3 };
        if let Some(trial) = self.trials.get_mut(&key) {
            trial.traced = true;
        }
        let Some(phone) = self.phone_mut(index) else { return };
        phone.reply_ttl = reply_ttl;
        let (node, before) = (phone.node, phone.link);
        self.ways.look_for(Errand { phone: index, target, distance, proven, node, before, patience, tries }, now);
    }

    /// A test has ended.
    pub(super) fn finish(&mut self, key: u16, now: Instant) {
        let Some(trial) = self.trials.remove(&key) else { return };
        if let Some(due) = trial.due {
            self.agenda.remove_test(due, key);
        }
        let (ping, options) = trial.results();
        let ping = (Status::of(trial.planned.0, &ping), ping);
        let options = (Status::of(trial.planned.1, &options), options);
        match trial.owner {
            Owner::Live(asker) => {
                let report = TestReport { number: trial.number.into(), address: Some(trial.to), ping, options };
                self.reports.push_back((asker, Report::Test(report)));
            }
            Owner::Cycle(index) => {
                let Some(phone) = self.phone_mut(index) else { return };
                (phone.ping, phone.options, phone.call) = (ping, options, Status::Unknown);
                if !trial.traced {
                    phone.link = None;
                }
                phone.end_cycle(now);
                if self.config.call_test && ping.0 != Status::Online && options.0 != Status::Online {
                    self.to_ring.push_back(trial.number);
                }
                self.one_more_done();
            }
        }
    }

    fn one_more_done(&mut self) {
        self.revision = self.revision.wrapping_add(1);
        if let Some(cycle) = &mut self.cycle {
            cycle.done = cycle.done.saturating_add(1);
        }
    }

    /// Forgets a test that nobody wants any more.
    fn drop_trial(&mut self, key: u16) {
        if let Some(due) = self.trials.remove(&key).and_then(|trial| trial.due) {
            self.agenda.remove_test(due, key);
        }
        self.drop_flights_of(key);
    }

    /// Brings together what belongs together after anything happened.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(Found { phone, distance, link }) = self.ways.poll_found() {
            if let Some(phone) = self.phone_mut(phone) {
                (phone.distance, phone.link) = (distance, Some(link));
                self.revision = self.revision.wrapping_add(1);
            }
        }
        self.ways.plan(now);
        self.tell_of_rings();
        let Some(cycle) = &self.cycle else { return };
        let all_asked = cycle.asked >= self.phones.len() && cycle.ready.is_empty();
        let waiting = self.questions.iter().any(|(_, question)| matches!(question, Question::Cycle(_)));
        if all_asked && !waiting && !self.trials.values().any(is_cycle) && !self.ways.is_busy() {
            log::debug!(
                "probe: {} phones in {} ms, {} online",
                self.phones.len(),
                millis(now.since(cycle.started)),
                self.phones.iter().filter(|phone| phone.status() == Status::Online).count()
            );
            self.cycle = None;
            self.counts.cycles += 1;
            self.next_cycle = self.next_cycle.map(|at| at.max(now + BREATH));
            self.revision = self.revision.wrapping_add(1);
            self.take_targets();
            self.schedule_cycle(now);
        }
    }
}

fn is_cycle(trial: &Trial) -> bool {
    matches!(trial.owner, Owner::Cycle(_))
}

pub(super) fn urgency(trial: &Trial) -> Urgency {
    if is_cycle(trial) { Urgency::Cycle } else { Urgency::Live }
}
