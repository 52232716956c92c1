//! One schedule for everything that is sent: how fast, and what comes next.
//!
//! Deliberately not here: what a probe is. The order is: what people wait for, repeats and further probes of tests that have
//! begun, and only when none of these is due something new. So tests end one after the other instead of all at the end, and
//! the rate is used up whenever there is anything to do.

use std::time::Duration;

use crate::limits;
use crate::sorted::SortedSet;
use crate::time::{Instant, micros};

/// What the shell may come late and all is made up for.
const LATE: Duration = Duration::from_millis(20);

/// Packets a second.
#[derive(Clone, Debug)]
pub struct Pace {
    gap: Duration,
    /// What is due within so much time goes out together: the shell is not woken more often for the sake of the rate.
    quantum: Duration,
    /// When the next packet would go out if the rate were kept to the microsecond.
    next: Instant,
    /// When it goes out.
    wake: Instant,
    /// The second of the last packet, and how many went out in it and in the one before.
    second: u64,
    sent: [usize; 2],
}

impl Pace {
    /// So many packets a second.
    pub fn new(rate: usize) -> Self {
        let (gap, quantum) = gaps(rate);
        Self { gap, quantum, next: Instant::default(), wake: Instant::default(), second: 0, sent: [0; 2] }
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, rate: usize) {
        (self.gap, self.quantum) = gaps(rate);
    }

    /// Whether a packet may go out.
    pub fn is_free(&self, now: Instant) -> bool {
        self.wake <= now
    }

    /// When the next packet may go out.
    pub fn wake(&self) -> Instant {
        self.wake
    }

    /// A packet went out.
    pub fn take(&mut self, now: Instant) {
        let earliest = Instant::from_micros(now.as_micros().saturating_sub(micros(self.quantum + LATE)));
        self.next = self.next.max(earliest) + self.gap;
        self.wake = if self.next > now && self.gap < self.quantum { now + self.quantum } else { self.next };
        let [before, current] = self.counted(now);
        (self.second, self.sent) = (second(now), [before, current.saturating_add(1)]);
    }

    /// How many packets went out in the last whole second.
    pub fn rate(&self, now: Instant) -> usize {
        let [last, _] = self.counted(now);
        last
    }

    /// In the second before this one, and in this one.
    fn counted(&self, now: Instant) -> [usize; 2] {
        let [_, current] = self.sent;
        match second(now).saturating_sub(self.second) {
            0 => self.sent,
            1 => [current, 0],
            _ => [0; 2],
        }
    }
}

fn second(now: Instant) -> u64 {
    now.as_micros() / 1_000_000
}

/// Between two packets, and between two that the shell is woken for.
fn gaps(rate: usize) -> (Duration, Duration) {
    let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
    let gap = Duration::from_micros(1_000_000_u64.div_ceil(rate));
    let most = limits::PROBE_QUANTUM;
    (gap, gap.saturating_mul(limits::PROBE_TOGETHER).clamp(most / 2, most))
}

/// What wants to be sent, when. The order within a class is that of time.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    /// Traces that people wait for, by their number.
    traces: SortedSet<(Instant, u32)>,
    /// OPTIONS that were not answered, by the sequence of their flight.
    repeats: SortedSet<(Instant, u16)>,
    /// Tests that have begun, by their place; people's first.
    tests: [SortedSet<(Instant, u16)>; 2],
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A trace that somebody waits for.
    Trace(u32),
    /// The repeat of an OPTIONS.
    Repeat(u16),
    /// A test.
    Test(u16),
}

/// Who waits for a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody.
    Live = 0,
    /// The next cycle.
    Cycle = 1,
}

impl Agenda {
    /// A trace has something to send.
    pub fn add_trace(&mut self, at: Instant, trace: u32) {
        self.traces.insert((at, trace));
    }

    /// An OPTIONS is to be repeated.
    pub fn add_repeat(&mut self, at: Instant, sequence: u16) {
        self.repeats.insert((at, sequence));
    }

    /// A test has something to send.
    pub fn add_test(&mut self, urgency: Urgency, at: Instant, test: u16) {
        if let Some(tests) = self.tests.get_mut(urgency as usize) {
            tests.insert((at, test));
        }
    }

    /// The test is over.
    pub fn remove_test(&mut self, at: Instant, test: u16) {
        for tests in &mut self.tests {
            tests.remove(&(at, test));
        }
    }

    /// The flight is over.
    pub fn remove_repeat(&mut self, at: Instant, sequence: u16) {
        self.repeats.remove(&(at, sequence));
    }

    /// What is due first. While there is `room` for nothing new in flight, only repeats.
    pub fn pop(&mut self, now: Instant, room: bool) -> Option<Next> {
        let due = |at: Instant| at <= now;
        if room {
            if let Some((at, trace)) = self.traces.first().copied().filter(|(at, _)| due(*at)) {
                self.traces.remove(&(at, trace));
                return Some(Next::Trace(trace));
            }
        }
        if let Some((at, sequence)) = self.repeats.first().copied().filter(|(at, _)| due(*at)) {
            self.repeats.remove(&(at, sequence));
            return Some(Next::Repeat(sequence));
        }
        if !room {
            return None;
        }
        for tests in &mut self.tests {
            if let Some((at, test)) = tests.first().copied().filter(|(at, _)| due(*at)) {
                tests.remove(&(at, test));
                return Some(Next::Test(test));
            }
        }
        None
    }

    /// When something is due, as for [`Agenda::pop`].
    pub fn next(&self, room: bool) -> Option<Instant> {
        let first = |tests: &SortedSet<(Instant, u16)>| tests.first().map(|(at, _)| *at);
        let repeats = first(&self.repeats);
        let rest = self.tests.iter().filter_map(first).chain(self.traces.first().map(|(at, _)| *at));
        rest.filter(|_| room).chain(repeats).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    /// Sends whenever it may, with a shell that is as late as `late` says.
    fn sent_in_ten_seconds(rate: usize, late: impl Fn(u64) -> u64) -> (u64, u64) {
        let mut pace = Pace::new(rate);
        let (mut sent, mut turns, mut now) = (0, 0, at(1_000));
        while now < at(11_000) {
            turns += 1;
            while pace.is_free(now) {
                pace.take(now);
                sent += 1;
            }
            assert!(pace.wake() > now);
            now = pace.wake() + Duration::from_micros(late(turns));
        }
        (sent, turns)
    }

    #[test]
    fn the_rate_is_kept_and_never_passed() {
        for rate in [1, 7, 200, 1_000, 5_000] {
            let wanted = u64::try_from(rate).unwrap() * 10;
            for late in [|_| 0, |_| 999, |turn: u64| turn % 7 * 300] {
                let (sent, turns) = sent_in_ten_seconds(rate, late);
                let burst = wanted / 250 + 1;
                assert!(sent <= wanted + burst, "{rate}: {sent}");
                assert!(sent * 100 >= wanted * 97, "{rate}: {sent}");
                let most = wanted.min(if rate > 200 { 500 } else { 250 });
                assert!(turns <= most + 1, "{rate}: {turns} turns");
            }
        }
    }

    #[test]
    fn what_went_out_in_the_last_second_is_shown_and_forgotten() {
        let mut pace = Pace::new(200);
        let mut sent = [0; 3];
        for millis in 0..2_400 {
            while pace.is_free(at(millis)) {
                pace.take(at(millis));
                sent[usize::try_from(millis / 1_000).unwrap()] += 1;
            }
            let last = usize::try_from(millis / 1_000).unwrap().checked_sub(1);
            assert_eq!(pace.rate(at(millis)), last.map_or(0, |last| sent[last]), "{millis}");
        }
        let [first, second, third] = sent;
        assert!([first, second].iter().all(|sent| (192..=208).contains(sent)), "{sent:?}");
        assert_eq!([2_999, 3_000, 3_999, 4_000].map(|millis| pace.rate(at(millis))), [second, third, third, 0]);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(1_000);
        pace.take(at(1_000));
        let mut sent = 0;
        while pace.is_free(at(60_000)) {
            pace.take(at(60_000));
            sent += 1;
        }
        assert!((40..=41).contains(&sent), "{sent}");
    }

    #[test]
    fn people_come_first_and_repeats_need_no_room() {
        let mut agenda = Agenda::default();
        agenda.add_test(Urgency::Cycle, at(1), 1);
        agenda.add_test(Urgency::Live, at(3), 2);
        agenda.add_repeat(at(2), 3);
        agenda.add_trace(at(4), 4);
        assert_eq!((agenda.next(true), agenda.next(false)), (Some(at(1)), Some(at(2))));
        assert_eq!(agenda.pop(at(0), true), None);
        assert_eq!(agenda.pop(at(1), false), None);
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop(at(9), true)).collect();
        assert_eq!(order, [Next::Trace(4), Next::Repeat(3), Next::Test(2), Next::Test(1)]);
        assert_eq!(agenda.next(true), None);
    }
}
