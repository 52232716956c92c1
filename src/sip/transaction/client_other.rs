//! The client side of every request but INVITE and ACK: RFC 3261 §17.1.2.
//!
//! ```text
//!            sent
//!      ┌───────▼───────┐  E: send again, intervals double up to T2
//!      │    Trying     │───────────────────┐
//!      └──┬─────────┬──┘                   │
//!     1xx │         │ final                │
//!   ┌─────▼──────┐  │  E: every T2         │ F = 64*T1: gave up
//!   │ Proceeding │──┼──────────────────────┤
//!   └─────┬──────┘  │                      │
//!   final │         │                      │
//!      ┌──▼─────────▼──┐  responses:       │
//!      │   Completed   │  absorb           │
//!      └───────┬───────┘                   │
//!              │ K = T4                    │
//!            Ended ◄───────────────────────┘
//! ```

use super::{Due, Heard, LINGER, Repeat, T2, T4};
use crate::time::{Instant, sooner};

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOther(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying { repeat: Repeat, gives_up: Instant },
    Proceeding { repeat: Instant, gives_up: Instant },
    Completed { ends: Instant },
    Ended,
}

impl ClientOther {
    /// A request sent at `now`.
    pub fn new(now: Instant) -> Self {
        Self(State::Trying { repeat: Repeat::start(now), gives_up: now + LINGER })
    }

    /// A response arrived.
    pub fn handle_response(&mut self, status: u16, now: Instant) -> Heard {
        match (self.0, status) {
            (State::Trying { repeat, gives_up }, 100..=199) => {
                // The repeat that is under way stays; those after it come every T2 (§17.1.2.2).
                self.0 = State::Proceeding { repeat: repeat.at, gives_up };
                Heard::News
            }
            (State::Proceeding { .. }, 100..=199) => Heard::News,
            (State::Trying { .. } | State::Proceeding { .. }, 200..=699) => {
                self.0 = State::Completed { ends: now + T4 };
                Heard::News
            }
            _ => Heard::Absorb,
        }
    }

    /// The network says that nobody is there (RFC 3261 §17.1.4): the machine ends.
    pub fn handle_failure(&mut self) {
        self.0 = State::Ended;
    }

    /// Whether no final answer came yet.
    pub fn is_pending(&self) -> bool {
        matches!(self.0, State::Trying { .. } | State::Proceeding { .. })
    }

    /// Timers E, F and K.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self.0 {
            State::Trying { gives_up, .. } | State::Proceeding { gives_up, .. } if gives_up <= now => {
                self.0 = State::Ended;
                Due::GaveUp
            }
            State::Trying { repeat, gives_up } if repeat.at <= now => {
                self.0 = State::Trying { repeat: repeat.next(T2, now), gives_up };
                Due::Repeat
            }
            State::Proceeding { repeat, gives_up } if repeat <= now => {
                self.0 = State::Proceeding { repeat: now + T2, gives_up };
                Due::Repeat
            }
            State::Completed { ends } if ends <= now => {
                self.0 = State::Ended;
                Due::Ended
            }
            _ => Due::Nothing,
        }
    }

    /// When [`ClientOther::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Trying { repeat, gives_up } => sooner(Some(repeat.at), Some(gives_up)),
            State::Proceeding { repeat, gives_up } => sooner(Some(repeat), Some(gives_up)),
            State::Completed { ends } => Some(ends),
            State::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, run};
    use super::*;

    #[test]
    fn an_unanswered_request_is_sent_eleven_times_in_all() {
        let mut machine = ClientOther::new(at(0));
        let log = run(&mut machine, ClientOther::deadline, ClientOther::handle_timeout);
        let repeats = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let mut expected: Vec<_> = repeats.iter().map(|ms| (*ms, Due::Repeat)).collect();
        expected.push((32_000, Due::GaveUp));
        assert_eq!(log, expected);
    }

    #[test]
    fn after_a_provisional_answer_repeats_come_every_t2() {
        let mut machine = ClientOther::new(at(0));
        assert_eq!(machine.handle_response(100, at(600)), Heard::News, "one repeat was sent by then in real life");
        let log = run(&mut machine, ClientOther::deadline, ClientOther::handle_timeout);
        let times: Vec<_> = log.iter().map(|(ms, _)| *ms).collect();
        assert_eq!(times, [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500, 32_000]);
        assert_eq!(log.last(), Some(&(32_000, Due::GaveUp)), "F runs from the start");
    }

    #[test]
    fn the_final_answer_is_news_once_and_k_absorbs() {
        let mut machine = ClientOther::new(at(0));
        assert_eq!(machine.handle_response(200, at(40)), Heard::News);
        assert_eq!(machine.handle_response(200, at(60)), Heard::Absorb);
        assert!(!machine.is_pending());
        assert_eq!(run(&mut machine, ClientOther::deadline, ClientOther::handle_timeout), [(5_040, Due::Ended)]);
    }
}
