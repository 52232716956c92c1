//! How long a turn of the loop takes, and what takes it: everybody else waits for as long.

use std::time::Duration;

use super::{clock, usage};
use crate::core::event::Event;
use crate::limits;
use crate::time::Instant;

/// The turn that is going on.
#[derive(Debug, Default)]
pub struct Meter {
    began: Instant,
    marked: Instant,
    /// What took longest until now.
    worst: (Duration, &'static str),
    /// Processor time at the beginning of some turn: this one, or one so soon before that little came between. To ask at every turn
    /// would be one call of the system more for each message.
    cpu: (Instant, Duration),
}

impl Meter {
    /// A turn begins.
    pub fn begin(&mut self, now: Instant) {
        let recent = now.since(self.cpu.0) < limits::SLOW_TURN;
        let cpu = if recent { self.cpu } else { (now, usage::cpu()) };
        *self = Self { began: now, marked: now, worst: (Duration::ZERO, "nothing"), cpu };
    }

    /// What was done since the mark before was this.
    pub fn mark(&mut self, what: &'static str) {
        let now = clock::now();
        let took = now.since(self.marked);
        if took > self.worst.0 {
            self.worst = (took, what);
        }
        self.marked = now;
    }

    /// The turn is over: when, and what is to be told if it took too long.
    pub fn end(&self) -> (Instant, Option<Event<'static>>) {
        let took = self.marked.since(self.began);
        let (share, cause) = self.worst;
        let slow = (took >= limits::SLOW_TURN).then(|| {
            let cpu = usage::cpu().saturating_sub(self.cpu.1).min(took);
            Event::SlowTurn { took, cause, share, cpu }
        });
        (self.marked, slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_takes_too_long_is_told_with_what_took_longest() {
        let ago = |millis: u64| Instant::from_micros(clock::now().as_micros() - millis * 1_000);
        let mut meter = Meter::default();
        meter.begin(ago(0));
        meter.mark("timers");
        assert!(meter.end().1.is_none());
        meter.begin(ago(5_000));
        meter.mark("SIP messages");
        meter.mark("timers");
        let (end, slow) = meter.end();
        assert!(end <= clock::now());
        let Some(Event::SlowTurn { took, cause: "SIP messages", share, .. }) = slow else { panic!("{slow:?}") };
        assert!(took >= share && share >= Duration::from_secs(5), "{took:?} {share:?}");
    }

    #[test]
    fn work_is_told_from_waiting() {
        let mut meter = Meter::default();
        let began = clock::now();
        meter.begin(began);
        let begun = meter.cpu.1;
        // Threads of other tests work besides: on two processors that much is used in half the time.
        let enough =
            |cpu: &Duration| *cpu >= begun + limits::SLOW_TURN && clock::now().since(began) >= limits::SLOW_TURN;
        let worked = std::iter::repeat_with(usage::cpu).find(enough).unwrap();
        meter.mark("timers");
        let Some(Event::SlowTurn { took, cpu, .. }) = meter.end().1 else { panic!("{meter:?}") };
        assert!(cpu >= (worked - begun).min(took), "{cpu:?} of {took:?}");
        // Within the next tenth of a second it is not asked again.
        meter.begin(meter.cpu.0 + Duration::from_millis(99));
        assert_eq!(meter.cpu.1, begun);
        meter.begin(meter.cpu.0 + limits::SLOW_TURN);
        assert!(meter.cpu.1 >= worked);
    }
}
