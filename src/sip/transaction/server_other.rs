//! The server side of every request but INVITE and ACK: RFC 3261 §17.2.2 with RFC 4320 §4.
//!
//! ```text
//!              request
//!      ┌─────────▼─────────┐  request: absorb
//!      │      Trying       │  3.5 s without an answer: send 100
//!      └──┬──────────────┬─┘
//!    100  │              │ final
//!      ┌──▼─────────┐    │    request: 100 again
//!      │ Proceeding │    │
//!      └──┬─────────┘    │
//!   final │              │
//!      ┌──▼──────────────▼─┐
//!      │     Completed     │  request: answer again
//!      └─────────┬─────────┘
//!                │ J = 64*T1
//!              Ended
//! ```
//!
//! Trying and Proceeding end after 64*T1 as well, without a word: the client has given up by then, and a 408 that comes
//! when it is over would only start trouble (RFC 4320 §4.2).

use std::time::Duration;

use super::{Again, Due, LINGER};
use crate::time::{Instant, sooner};

/// RFC 4320 §4.1: 100 goes out when the client's timer E has grown to T2, after 0.5 + 1 + 2 s, and not before.
const TRYING_AFTER: Duration = Duration::from_millis(3_500);

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOther(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying { trying: Instant, ends: Instant },
    Proceeding { ends: Instant },
    Completed { ends: Instant },
    Ended,
}

impl ServerOther {
    /// A request that arrived at `now`.
    pub fn new(now: Instant) -> Self {
        Self(State::Trying { trying: now + TRYING_AFTER, ends: now + LINGER })
    }

    /// The request arrived once more.
    pub fn handle_repeat(&self) -> Again {
        match self.0 {
            State::Proceeding { .. } | State::Completed { .. } => Again::RepeatAnswer,
            State::Trying { .. } | State::Ended => Again::Absorb,
        }
    }

    /// An answer wants to go out; true if it may. Provisional ones never do (RFC 4320 §4.1); the 100 is the machine's own.
    pub fn handle_answer(&mut self, status: u16, now: Instant) -> bool {
        match self.0 {
            State::Trying { .. } | State::Proceeding { .. } if status >= 200 => {
                self.0 = State::Completed { ends: now + LINGER };
                true
            }
            _ => false,
        }
    }

    /// Whether no final answer went out yet.
    pub fn is_open(&self) -> bool {
        matches!(self.0, State::Trying { .. } | State::Proceeding { .. })
    }

    /// The 100 of RFC 4320, timer J, and the silent end of what nobody answered.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self.0 {
            State::Trying { ends, .. } | State::Proceeding { ends } if ends <= now => {
                self.0 = State::Ended;
                Due::GaveUp
            }
            State::Trying { trying, ends } if trying <= now => {
                self.0 = State::Proceeding { ends };
                Due::Trying
            }
            State::Completed { ends } if ends <= now => {
                self.0 = State::Ended;
                Due::Ended
            }
            _ => Due::Nothing,
        }
    }

    /// When [`ServerOther::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Trying { trying, ends } => sooner(Some(trying), Some(ends)),
            State::Proceeding { ends } | State::Completed { ends } => Some(ends),
            State::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, run};
    use super::*;

    #[test]
    fn silence_gets_one_100_and_never_a_408() {
        let mut machine = ServerOther::new(at(0));
        assert_eq!(machine.handle_repeat(), Again::Absorb);
        assert_eq!(
            run(&mut machine, ServerOther::deadline, ServerOther::handle_timeout),
            [(3_500, Due::Trying), (32_000, Due::GaveUp)]
        );
    }

    #[test]
    fn the_answer_is_kept_for_repeats_until_j() {
        let mut machine = ServerOther::new(at(0));
        assert!(!machine.handle_answer(180, at(10)), "RFC 4320: no provisional answers");
        assert!(machine.handle_answer(200, at(20)));
        assert!(!machine.handle_answer(200, at(30)), "one final answer");
        assert_eq!(machine.handle_repeat(), Again::RepeatAnswer);
        assert_eq!(run(&mut machine, ServerOther::deadline, ServerOther::handle_timeout), [(32_020, Due::Ended)]);
    }

    #[test]
    fn a_repeat_after_the_100_gets_it_again() {
        let mut machine = ServerOther::new(at(0));
        assert_eq!(machine.handle_timeout(at(3_499)), Due::Nothing);
        assert_eq!(machine.handle_timeout(at(3_500)), Due::Trying);
        assert_eq!(machine.handle_repeat(), Again::RepeatAnswer);
        assert!(machine.is_open() && machine.handle_answer(404, at(4_000)) && !machine.is_open());
    }
}
