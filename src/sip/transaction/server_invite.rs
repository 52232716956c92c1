//! The server side of an INVITE: RFC 3261 §17.2.1 as amended by RFC 6026 §7.1.
//!
//! ```text
//!                     INVITE
//!                       │ (the proxy sends 100)
//!                 ┌─────▼──────┐  INVITE: last provisional again
//!                 │ Proceeding │◄─┐ 1xx: send
//!                 └─┬────────┬─┘──┘
//!         300-699   │        │ 2xx
//!   ┌───────────────▼──┐  ┌──▼───────┐ INVITE: absorb
//!   │ Completed        │  │ Accepted │ 2xx: send, ACK: pass on
//!   │ G: answer again  │  └──┬───────┘
//!   │ INVITE: likewise │     │ L = 64*T1
//!   └─┬─────────────┬──┘     │
//! ACK │             │ H = 64*T1: gave up
//!   ┌─▼─────────┐   │        │
//!   │ Confirmed │   │        │ ACK: absorb
//!   └─┬─────────┘   │        │
//!     │ I = T4      │        │
//!     └─────────► Ended ◄────┘
//! ```

use super::{Again, Due, LINGER, Repeat, T2, T4};
use crate::time::{Instant, sooner};

/// The machine; starts as [`ServerInvite::Proceeding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerInvite(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Accepted { ends: Instant },
    Completed { repeat: Repeat, ends: Instant },
    Confirmed { ends: Instant },
    Ended,
}

/// What an ACK with the transaction's branch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckIs {
    /// For our 300-699: it goes no further.
    Absorbed,
    /// For a 2xx, from a phone that reuses the branch: it belongs to the callee.
    ForCallee,
}

impl ServerInvite {
    /// An INVITE that has just arrived.
    pub const fn new() -> Self {
        Self(State::Proceeding)
    }

    /// The INVITE arrived once more.
    pub fn handle_repeat(&self) -> Again {
        match self.0 {
            State::Proceeding | State::Completed { .. } => Again::RepeatAnswer,
            // RFC 6026 §7.1: in Accepted the callee repeats the 2xx, not we.
            State::Accepted { .. } | State::Confirmed { .. } | State::Ended => Again::Absorb,
        }
    }

    /// An answer wants to go out; true if it may.
    pub fn handle_answer(&mut self, status: u16, now: Instant) -> bool {
        match (self.0, status) {
            (State::Proceeding, 100..=199) | (State::Accepted { .. }, 200..=299) => true,
            (State::Proceeding, 200..=299) => {
                self.0 = State::Accepted { ends: now + LINGER };
                true
            }
            (State::Proceeding, _) => {
                self.0 = State::Completed { repeat: Repeat::start(now), ends: now + LINGER };
                true
            }
            _ => false,
        }
    }

    /// An ACK with this branch arrived.
    pub fn handle_ack(&mut self, now: Instant) -> AckIs {
        match self.0 {
            State::Completed { .. } => {
                self.0 = State::Confirmed { ends: now + T4 };
                AckIs::Absorbed
            }
            State::Accepted { .. } => AckIs::ForCallee,
            State::Proceeding | State::Confirmed { .. } | State::Ended => AckIs::Absorbed,
        }
    }

    /// Whether no final answer went out yet.
    pub fn is_open(&self) -> bool {
        self.0 == State::Proceeding
    }

    /// Whether 2xx may still pass.
    pub fn is_accepted(&self) -> bool {
        matches!(self.0, State::Accepted { .. })
    }

    /// Whether the last answer may have to be sent again.
    pub fn may_repeat(&self) -> bool {
        matches!(self.0, State::Proceeding | State::Completed { .. })
    }

    /// Timers G, H, I and L.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self.0 {
            State::Completed { ends, .. } if ends <= now => {
                self.0 = State::Ended;
                Due::GaveUp
            }
            State::Completed { repeat, ends } if repeat.at <= now => {
                self.0 = State::Completed { repeat: repeat.next(T2, now), ends };
                Due::Repeat
            }
            State::Accepted { ends } | State::Confirmed { ends } if ends <= now => {
                self.0 = State::Ended;
                Due::Ended
            }
            _ => Due::Nothing,
        }
    }

    /// When [`ServerInvite::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Completed { repeat, ends } => sooner(Some(repeat.at), Some(ends)),
            State::Accepted { ends } | State::Confirmed { ends } => Some(ends),
            State::Proceeding | State::Ended => None,
        }
    }
}

impl Default for ServerInvite {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, run};
    use super::*;

    #[test]
    fn a_refusal_is_repeated_with_doubling_intervals_up_to_t2_until_h() {
        let mut machine = ServerInvite::new();
        assert!(machine.handle_answer(486, at(0)));
        let log = run(&mut machine, ServerInvite::deadline, ServerInvite::handle_timeout);
        let repeats = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let mut expected: Vec<_> = repeats.iter().map(|ms| (*ms, Due::Repeat)).collect();
        expected.push((32_000, Due::GaveUp));
        assert_eq!(log, expected);
    }

    #[test]
    fn ack_ends_the_repeats_and_i_absorbs_for_t4() {
        let mut machine = ServerInvite::new();
        assert!(machine.handle_answer(404, at(0)));
        assert_eq!(machine.handle_repeat(), Again::RepeatAnswer);
        assert_eq!(machine.handle_ack(at(100)), AckIs::Absorbed);
        assert_eq!(machine.handle_repeat(), Again::Absorb);
        assert_eq!(machine.handle_ack(at(200)), AckIs::Absorbed);
        assert_eq!(
            run(&mut machine, ServerInvite::deadline, ServerInvite::handle_timeout),
            [(5_100, Due::Ended)],
            "counted from the first ACK"
        );
    }

    #[test]
    fn after_a_2xx_further_ones_pass_until_l_and_nothing_is_repeated() {
        let mut machine = ServerInvite::new();
        assert!(machine.handle_answer(180, at(0)) && machine.handle_answer(200, at(1)));
        assert!(machine.handle_answer(200, at(900)), "RFC 6026: the callee repeats its 2xx through us");
        assert!(!machine.handle_answer(486, at(901)) && !machine.handle_answer(180, at(902)));
        assert_eq!(machine.handle_repeat(), Again::Absorb);
        assert_eq!(machine.handle_ack(at(950)), AckIs::ForCallee);
        assert_eq!(run(&mut machine, ServerInvite::deadline, ServerInvite::handle_timeout), [(32_001, Due::Ended)]);
    }

    #[test]
    fn one_final_answer_only() {
        let mut machine = ServerInvite::new();
        assert!(machine.handle_answer(603, at(0)));
        assert!(!machine.handle_answer(486, at(1)) && !machine.handle_answer(200, at(2)));
    }

    #[test]
    fn proceeding_waits_without_a_timer_of_its_own() {
        assert_eq!(ServerInvite::new().deadline(), None);
        assert_eq!(ServerInvite::new().handle_repeat(), Again::RepeatAnswer);
    }
}
