//! The client side of an INVITE: RFC 3261 §17.1.1 as amended by RFC 6026 §7.2.
//!
//! ```text
//!               sent
//!          ┌─────▼─────┐  A: send again, intervals double without a cap
//!          │  Calling  │────────────────────── B = 64*T1: gave up ──┐
//!          └─┬───┬───┬─┘                                            │
//!        1xx │   │   │ 2xx                                          │
//!   ┌────────▼─┐ │   └─────────────────┐                            │
//!   │Proceeding│ │ 300-699: ACK        │                            │
//!   └─┬──────┬─┘ │                     │                            │
//!     │      │2xx│                     │                            │
//!     │      └───┼──────────────────┐  │                            │
//!   ┌─▼──────────▼─┐            ┌───▼──▼───┐                        │
//!   │  Completed   │ 300-699:   │ Accepted │ 2xx: pass on           │
//!   │              │ ACK again  │          │                        │
//!   └──────┬───────┘            └────┬─────┘                        │
//!          │ D = 64*T1               │ M = 64*T1                    │
//!          └──────────────────► Ended ◄─────────────────────────────┘
//! ```
//!
//! How long Proceeding may last is the proxy's timer C, not this machine's business.

use super::{Due, Heard, LINGER, Repeat};
use crate::time::{Instant, sooner};

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInvite(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling { repeat: Repeat, gives_up: Instant },
    Proceeding,
    Completed { ends: Instant },
    Accepted { ends: Instant },
    Ended,
}

impl ClientInvite {
    /// An INVITE sent at `now`.
    pub fn new(now: Instant) -> Self {
        Self(State::Calling { repeat: Repeat::start(now), gives_up: now + LINGER })
    }

    /// A response arrived.
    pub fn handle_response(&mut self, status: u16, now: Instant) -> Heard {
        match (self.0, status) {
            (State::Calling { .. } | State::Proceeding, 100..=199) => {
                self.0 = State::Proceeding;
                Heard::News
            }
            (State::Calling { .. } | State::Proceeding, 200..=299) => {
                self.0 = State::Accepted { ends: now + LINGER };
                Heard::News
            }
            (State::Calling { .. } | State::Proceeding, 300..=699) => {
                self.0 = State::Completed { ends: now + LINGER };
                Heard::News
            }
            (State::Accepted { .. }, 200..=299) => Heard::News,
            (State::Completed { .. }, 300..=699) => Heard::AckAgain,
            _ => Heard::Absorb,
        }
    }

    /// The network says that nobody is there (RFC 3261 §17.1.4): the machine ends.
    pub fn handle_failure(&mut self) {
        self.0 = State::Ended;
    }

    /// Whether no final answer came yet.
    pub fn is_pending(&self) -> bool {
        matches!(self.0, State::Calling { .. } | State::Proceeding)
    }

    /// Whether anything at all came back; only then may a CANCEL follow (§9.1).
    pub fn is_proceeding(&self) -> bool {
        self.0 == State::Proceeding
    }

    /// Timers A, B, D and M.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self.0 {
            State::Calling { gives_up, .. } if gives_up <= now => {
                self.0 = State::Ended;
                Due::GaveUp
            }
            State::Calling { repeat, gives_up } if repeat.at <= now => {
                self.0 = State::Calling { repeat: repeat.next(LINGER, now), gives_up };
                Due::Repeat
            }
            State::Completed { ends } | State::Accepted { ends } if ends <= now => {
                self.0 = State::Ended;
                Due::Ended
            }
            _ => Due::Nothing,
        }
    }

    /// When [`ClientInvite::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Calling { repeat, gives_up } => sooner(Some(repeat.at), Some(gives_up)),
            State::Completed { ends } | State::Accepted { ends } => Some(ends),
            State::Proceeding | State::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, run};
    use super::*;

    #[test]
    fn an_unanswered_invite_is_sent_seven_times_in_all() {
        let mut machine = ClientInvite::new(at(0));
        let log = run(&mut machine, ClientInvite::deadline, ClientInvite::handle_timeout);
        let mut expected: Vec<_> =
            [500, 1_500, 3_500, 7_500, 15_500, 31_500].iter().map(|ms| (*ms, Due::Repeat)).collect();
        expected.push((32_000, Due::GaveUp));
        assert_eq!(log, expected, "A doubles without a cap, B ends it");
    }

    #[test]
    fn any_provisional_answer_stops_the_repeats() {
        let mut machine = ClientInvite::new(at(0));
        assert_eq!(machine.handle_response(100, at(300)), Heard::News);
        assert_eq!(machine.deadline(), None);
        assert!(machine.is_pending() && machine.is_proceeding());
    }

    #[test]
    fn every_repeated_refusal_is_acknowledged_until_d() {
        let mut machine = ClientInvite::new(at(0));
        assert_eq!(machine.handle_response(486, at(100)), Heard::News);
        assert_eq!(machine.handle_response(486, at(600)), Heard::AckAgain);
        assert_eq!(machine.handle_response(180, at(700)), Heard::Absorb);
        assert_eq!(machine.handle_response(200, at(800)), Heard::Absorb);
        assert_eq!(run(&mut machine, ClientInvite::deadline, ClientInvite::handle_timeout), [(32_100, Due::Ended)]);
        assert_eq!(machine.handle_response(486, at(33_000)), Heard::Absorb);
    }

    #[test]
    fn every_2xx_is_news_until_m() {
        let mut machine = ClientInvite::new(at(0));
        assert_eq!(machine.handle_response(200, at(100)), Heard::News);
        assert_eq!(machine.handle_response(200, at(600)), Heard::News);
        assert_eq!(machine.handle_response(486, at(700)), Heard::Absorb);
        assert_eq!(run(&mut machine, ClientInvite::deadline, ClientInvite::handle_timeout), [(32_100, Due::Ended)]);
    }

    #[test]
    fn a_late_turn_of_the_loop_neither_bursts_nor_stretches() {
        let mut machine = ClientInvite::new(at(0));
        assert_eq!(machine.handle_timeout(at(520)), Due::Repeat);
        assert_eq!(machine.deadline(), Some(at(1_500)), "the schedule holds after a small delay");
        assert_eq!(machine.handle_timeout(at(9_000)), Due::Repeat);
        assert_eq!(machine.handle_timeout(at(9_000)), Due::Nothing, "one repeat, however long the pause");
    }
}
