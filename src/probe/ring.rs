//! The ring test: a phone is called, and the call ended with its first sign of life.
//!
//! ```text
//!   Calling ─100─▶ Waiting ─18x, or 8 s─▶ Cancelling ─487─▶ Over      3xx to 6xx: ACK, Over
//!      │ 8 s without a word                   │ 64*T1                 2xx: ACK, then
//!      ▼                                      ▼                       Hanging up ─answer, 64*T1─▶ Over
//!     Over                                   Over
//! ```
//!
//! CANCEL is sent only after a provisional answer (RFC 3261 §9.1), and given up 64*T1 later. A call that is over is remembered
//! for 64*T1 more: an answer may still be under way, and then it is acknowledged, cancelled or hung up all the same.
//!
//! Deliberately not here: who may be rung, and when (`ringing.rs`). Read RFC 3261 §9.1, §13.2.2.4, §15.1.1, §17.1.1 first.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::sipmsg::{self, Answer, Caller, Request};
use crate::time::Instant;
use crate::wire::sip::{HeaderTable, Message, Method, ack, cancel};

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// The longest pause between repeats of what is no INVITE (§17.1.2.2).
const T2: Duration = Duration::from_secs(4);
/// How long a call is cared for after its last turn: 64*T1.
const LINGER: Duration = Duration::from_secs(32);
/// How long a phone may say nothing, or nothing but 100.
const SILENCE: Duration = Duration::from_secs(8);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingOutcome {
    /// It rang, and was cancelled.
    Rang,
    /// Somebody answered; the call was ended at once.
    Answered,
    /// It answered with this status, or only with 100: it is alive.
    Refused(u16),
    /// It said nothing.
    Silent,
    /// Its address is not known, or the network does not reach it.
    Unreachable,
    /// It had to be broken off, because the phone is wanted for a call or the tests were switched off.
    BrokenOff,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Calling,
    Waiting,
    Cancelling,
    HangingUp,
    Over,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Whom.
    pub number: Box<str>,
    /// Where.
    pub to: SocketAddrV4,
    /// Its name on the wire.
    pub call: u64,
    /// Somebody who waits for the outcome.
    pub asker: Option<u32>,
    stage: Stage,
    /// What came of it, until it was told.
    outcome: Option<RingOutcome>,
    told: bool,
    invite: Vec<u8>,
    /// What is repeated: the INVITE, the CANCEL or the BYE.
    request: Vec<u8>,
    repeat: Option<Instant>,
    pause: Duration,
    end: Instant,
    /// The INVITE has its final answer.
    answered: bool,
    /// A BYE was sent.
    hung_up: bool,
}

impl Ring {
    /// Calls a phone.
    pub fn new(number: &str, to: SocketAddrV4, call: u64, asker: Option<u32>, caller: &Caller, now: Instant) -> Self {
        let target = sipmsg::uri(number, to);
        let (to_value, offer) = (format!("<{target}>"), sipmsg::offer(caller, call));
        let request =
            Request { method: "INVITE", uri: &target, to: &to_value, branch: 1, call, cseq: 1, offer: Some(&offer) };
        let invite = sipmsg::write(caller, &request);
        Self {
            number: number.into(),
            to,
            call,
            asker,
            stage: Stage::Calling,
            outcome: None,
            told: false,
            request: invite.clone(),
            invite,
            repeat: Some(now + T1),
            pause: T1,
            end: now + SILENCE,
            answered: false,
            hung_up: false,
        }
    }

    /// The INVITE, for the first time.
    pub fn invite(&self) -> Vec<u8> {
        self.invite.clone()
    }

    /// Whether the phone may be ringing or off the hook because of it.
    pub fn is_under_way(&self) -> bool {
        self.stage != Stage::Over
    }

    /// When there is something to do.
    pub fn next_deadline(&self) -> Instant {
        self.repeat.map_or(self.end, |repeat| repeat.min(self.end))
    }

    /// Whether it can be forgotten.
    pub fn is_gone(&self, now: Instant) -> bool {
        self.stage == Stage::Over && self.end <= now
    }

    /// What came of it, once.
    pub fn poll_outcome(&mut self) -> Option<RingOutcome> {
        let outcome = self.outcome.filter(|_| !self.told)?;
        self.told = true;
        Some(outcome)
    }

    /// Does what is due; says what is to be sent.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.end <= now {
            return match self.stage {
                Stage::Waiting => {
                    self.outcome = self.outcome.or(Some(RingOutcome::Refused(100)));
                    self.cancel(now)
                }
                Stage::Calling | Stage::Cancelling | Stage::HangingUp => {
                    self.over(RingOutcome::Silent, now);
                    None
                }
                Stage::Over => None,
            };
        }
        self.repeat.filter(|repeat| *repeat <= now)?;
        self.pause = match self.stage {
            Stage::Calling => self.pause.saturating_mul(2),
            _ => self.pause.saturating_mul(2).min(T2),
        };
        self.repeat = Some(now + self.pause);
        Some(self.request.clone())
    }

    /// The phone answered; says what is to be sent.
    pub fn handle_answer(
        &mut self,
        answer: &Answer<'_>,
        message: &Message<'_>,
        caller: &Caller,
        now: Instant,
    ) -> Vec<Vec<u8>> {
        match (answer.method, answer.status) {
            (Method::Invite, 100..=199) => self.handle_provisional(answer.status, now),
            (Method::Invite, 200..=299) => self.handle_taken(answer, caller, now),
            (Method::Invite, status) => self.handle_refusal(status, message, now),
            // The INVITE is answered on its own; until then the CANCEL need not be repeated (§9.1).
            (Method::Cancel, 200..) if self.stage == Stage::Cancelling => {
                self.repeat = None;
                Vec::new()
            }
            (Method::Bye, 200..) if self.stage == Stage::HangingUp => {
                self.over(RingOutcome::Answered, now);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// The phone must not ring any longer; says what is to be sent.
    pub fn break_off(&mut self, now: Instant) -> Option<Vec<u8>> {
        match self.stage {
            Stage::Calling => {
                // §9.1: nothing to cancel yet. Should it answer after all, it is cancelled then.
                self.over(RingOutcome::BrokenOff, now);
                None
            }
            Stage::Waiting => {
                self.outcome = self.outcome.or(Some(RingOutcome::BrokenOff));
                self.cancel(now)
            }
            Stage::Cancelling | Stage::HangingUp | Stage::Over => None,
        }
    }

    /// The network does not reach the phone.
    pub fn handle_unreachable(&mut self, now: Instant) {
        if self.stage == Stage::Calling {
            self.over(RingOutcome::Unreachable, now);
        }
    }

    fn handle_provisional(&mut self, status: u16, now: Instant) -> Vec<Vec<u8>> {
        match self.stage {
            // Overtaken by the final answer.
            _ if self.answered => Vec::new(),
            Stage::Calling | Stage::Waiting if status > 100 => {
                self.outcome = Some(RingOutcome::Rang);
                self.cancel(now).into_iter().collect()
            }
            Stage::Calling => {
                self.stage = Stage::Waiting;
                (self.repeat, self.end) = (None, now + SILENCE);
                Vec::new()
            }
            // It wakes up when nobody waits for it any more: it must not go on ringing.
            Stage::Over if self.request == self.invite => self.cancel(now).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// §13.2.2.4: every 2xx is acknowledged, and a call that nobody wants is ended with BYE.
    fn handle_taken(&mut self, answer: &Answer<'_>, caller: &Caller, now: Instant) -> Vec<Vec<u8>> {
        let contact = answer.contact.and_then(|uri| std::str::from_utf8(uri).ok()).map(str::to_owned);
        let target = contact.unwrap_or_else(|| sipmsg::uri(&self.number, self.to));
        let to = String::from_utf8_lossy(answer.to).into_owned();
        let within = |method, branch, cseq| {
            let request = Request { method, uri: &target, to: &to, branch, call: self.call, cseq, offer: None };
            sipmsg::write(caller, &request)
        };
        let ack = within("ACK", 2, 1);
        self.answered = true;
        if std::mem::replace(&mut self.hung_up, true) {
            return vec![ack];
        }
        let bye = within("BYE", 3, 2);
        self.stage = Stage::HangingUp;
        self.outcome = Some(self.outcome.unwrap_or(RingOutcome::Answered));
        self.request.clone_from(&bye);
        (self.repeat, self.pause, self.end) = (Some(now + T1), T1, now + LINGER);
        vec![ack, bye]
    }

    /// §17.1.1.3: every final answer that is no 2xx is acknowledged, each time.
    fn handle_refusal(&mut self, status: u16, message: &Message<'_>, now: Instant) -> Vec<Vec<u8>> {
        self.answered = true;
        if self.stage != Stage::HangingUp {
            let outcome = match status {
                // What CANCEL brings about.
                487 => RingOutcome::Rang,
                status => RingOutcome::Refused(status),
            };
            self.over(outcome, now);
        }
        let mut table = HeaderTable::default();
        let mut out = Vec::new();
        if let Ok(invite) = Message::parse(&self.invite, &mut table) {
            ack(&invite, message, &mut out);
        }
        vec![out]
    }

    fn cancel(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.stage = Stage::Cancelling;
        (self.repeat, self.pause, self.end) = (Some(now + T1), T1, now + LINGER);
        let mut table = HeaderTable::default();
        let invite = Message::parse(&self.invite, &mut table).ok()?;
        let mut out = Vec::new();
        cancel(&invite, None, &mut out);
        self.request.clone_from(&out);
        Some(out)
    }

    /// An outcome that stands already is not made worse.
    fn over(&mut self, outcome: RingOutcome, now: Instant) {
        self.outcome = Some(self.outcome.unwrap_or(outcome));
        self.stage = Stage::Over;
        (self.repeat, self.end) = (None, now + LINGER);
    }
}
