//! The list of calls that people look at: who talks to whom, since when, with which codec.
//!
//! An observer: it is told what passes and never decides where anything goes, so a message that it misunderstands can spoil a
//! line on a screen and nothing else. It deliberately keeps no routes, no addresses to send to and no message. What it is told:
//!
//! * every request that is passed on ([`Calls::observe_request`]): a CANCEL only if it matched a transaction;
//! * every response that leaves towards the asker, whether a phone or the proxy itself made it ([`Calls::observe_response`]):
//!   not the 486 of a branch while others still ring;
//! * where an INVITE was sent ([`Calls::observe_target`]);
//! * that a request within a dialog was not answered ([`Calls::observe_no_answer`]).
//!
//! ```text
//!            INVITE          180, 183           2xx to INVITE          BYE
//!   (nothing) ────▶ INVITE_SENT ────▶ RINGING ────▶ ESTABLISHED ────▶ TERMINATING ────▶ (nothing)
//!                       │                │  CANCEL       ▲                 ▲    answer to BYE, 64*T1
//!                       ├────────────────┴───────────────┼─────────────────┘
//!                       │ 3xx-6xx, silence               └── 2xx that crossed the CANCEL
//!                       ▼
//!                   (nothing)
//! ```
//!
//! An established call also ends when its session timer is not refreshed (RFC 4028 §9), after `max_call_duration`, and when
//! a phone answers nothing or 481 within it. Dialogs are told apart by Call-ID and both tags (RFC 3261 §12), so a stranger who
//! knows the Call-ID alone changes nothing, and two phones that answer the same forked INVITE are two calls.
//!
//! Read first: RFC 3261 §12, §13.2.2.4, §15; RFC 4028 §7.2, §9; RFC 5057 §5.1 (which answers end a dialog).

mod saved;
#[cfg(test)]
mod tests;
mod texts;

use std::hash::Hasher;
use std::net::SocketAddrV4;
use std::time::Duration;

use log::debug;
use serde::Serialize;
use siphasher::sip::SipHasher13;

pub use self::saved::SavedCall;
use self::texts::{Field, Texts};
use super::ours::Folding;
use super::text::shown;
use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::limits;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::Instant;
use crate::wire::sip::{Essentials, Message, Method, Name, Uri, codec, expires};

/// 64*T1 (RFC 3261 §17.1.1.1): how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(32);

/// RFC 4028 §5: no session interval is below 90 seconds; a smaller one would flicker.
const MIN_SESSION: Duration = Duration::from_secs(90);

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallState {
    /// Dialled; nothing was heard of the callee's phone yet.
    InviteSent,
    /// 180 or 183 was heard.
    Ringing,
    /// Answered by 2xx.
    Established,
    /// BYE or CANCEL was sent.
    Terminating,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    texts: Texts,
    /// A digest of the From tag of the INVITE.
    caller_tag: u64,
    /// A digest of the To tag of the 2xx; `None` until then.
    callee_tag: Option<u64>,
    /// Of the INVITE.
    cseq: u32,
    /// Where the INVITE came from.
    pub caller_address: SocketAddrV4,
    /// How far it is.
    pub state: CallState,
    /// When it was dialled.
    pub since: Instant,
    /// When it was answered.
    pub answered: Option<Instant>,
    /// When the session timer runs out, some patience included; `None` without one.
    session_end: Option<Instant>,
    /// When it is taken off the list if nothing happens.
    deadline: Instant,
}

impl Call {
    /// The Call-ID, any bytes.
    pub fn call_id(&self) -> &[u8] {
        self.texts.bytes(Field::CallId)
    }

    /// The caller's number, without country prefix.
    pub fn caller(&self) -> &str {
        self.texts.text(Field::Caller)
    }

    /// As the caller's phone calls itself; may be empty.
    pub fn caller_display(&self) -> &str {
        self.texts.text(Field::CallerDisplay)
    }

    /// The number that was dialled, without country prefix.
    pub fn callee(&self) -> &str {
        self.texts.text(Field::Callee)
    }

    /// As the caller's phone calls the callee; mostly empty.
    pub fn callee_display(&self) -> &str {
        self.texts.text(Field::CalleeDisplay)
    }

    /// Where the call was sent, as [`Calls::observe_target`] was told; empty before.
    pub fn callee_host(&self) -> &str {
        self.texts.text(Field::Host)
    }

    /// That of the answer, or of the offer while there is none; empty when neither was seen.
    pub fn codec(&self) -> &str {
        self.texts.text(Field::Codec)
    }

    fn is_early(&self) -> bool {
        self.callee_tag.is_none()
    }
}

/// Calls with one Call-ID stand side by side; the serial keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    call_id: u64,
    serial: u32,
}

/// What a change touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Nothing,
    /// Something that only the saved state holds.
    Kept,
    /// Something that people see.
    Seen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    seen: u64,
    answered: u64,
    not_shown: u64,
    out_of_sight: u64,
    no_answer: u64,
    expired_early: u64,
    expired_ending: u64,
    expired_session: u64,
    expired_duration: u64,
}

/// All calls that are going on, as far as they pass here.
#[derive(Debug)]
pub struct Calls {
    calls: SortedMap<Key, Call>,
    /// Exactly one entry for each call.
    deadlines: SortedSet<(Instant, Key)>,
    serial: u32,
    folding: Folding,
    record_route: bool,
    max_calls: usize,
    max_duration: Duration,
    early_patience: Duration,
    revision: u64,
    shown_revision: u64,
    counts: Counts,
}

impl Calls {
    /// An empty list.
    pub fn new(config: &config::Sip) -> Self {
        let mut calls = Self {
            calls: SortedMap::new(),
            deadlines: SortedSet::new(),
            serial: 0,
            folding: Folding::default(),
            record_route: true,
            max_calls: 0,
            max_duration: Duration::ZERO,
            early_patience: Duration::ZERO,
            revision: 0,
            shown_revision: 0,
            counts: Counts::default(),
        };
        calls.set_config(config);
        calls
    }

    /// Takes over a changed configuration. Calls that are listed stay, even above a lower bound.
    pub fn set_config(&mut self, config: &config::Sip) {
        self.folding = Folding::new(&config.country_prefix);
        self.record_route = config.record_route;
        self.max_calls = config.max_calls;
        self.max_duration = config.max_call_duration;
        // Timer C ends a silent INVITE (RFC 3261 §16.8), and its CANCEL has 64*T1 to work (§9.1).
        self.early_patience = config.timer_c + PATIENCE + PATIENCE;
    }

    /// All calls, in no order that means anything.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }

    /// How many calls are listed.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is listed.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Another number whenever what must survive a restart has changed, a refreshed session timer included.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Another number whenever what people see has changed.
    pub fn shown_revision(&self) -> u64 {
        self.shown_revision
    }

    /// A request is passed on, as it came from `source`.
    pub fn observe_request(
        &mut self,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        source: SocketAddrV4,
        now: Instant,
    ) {
        match essentials.cseq.method {
            // A re-INVITE changes nothing before its answer.
            Method::Invite if essentials.to_tag.is_none() => self.dialled(message, essentials, source, now),
            Method::Cancel => {
                let tag = digest(essentials.from_tag);
                let cseq = essentials.cseq.number;
                if let Some(key) =
                    self.find(essentials.call_id, |c| c.is_early() && c.caller_tag == tag && c.cseq == cseq)
                {
                    self.ending(key, now);
                }
            }
            Method::Bye => {
                // A caller may also hang up by BYE what only rings (RFC 3261 §15).
                let tag = digest(essentials.from_tag);
                let key = self
                    .dialog(essentials)
                    .or_else(|| self.find(essentials.call_id, |c| c.is_early() && c.caller_tag == tag));
                if let Some(key) = key {
                    self.ending(key, now);
                }
            }
            // The answer to an offer that came in the 2xx (RFC 3261 §13.2.1).
            Method::Ack => {
                if let Some(key) = self.dialog(essentials) {
                    self.change(key, |call| heard_codec(call, message));
                }
            }
            _ => {}
        }
    }

    /// A response is passed back to the asker.
    pub fn observe_response(&mut self, message: &Message<'_>, essentials: &Essentials<'_>, now: Instant) {
        let Some(status) = message.status() else { return };
        let dialog = self.dialog(essentials);
        match (essentials.cseq.method, dialog) {
            (Method::Invite, None) => self.answered(message, essentials, status, now),
            (Method::Invite | Method::Update, Some(key)) if (200..300).contains(&status) => {
                self.refreshed(key, message, now);
            }
            (Method::Bye, Some(key)) => match status {
                100..=199 => {}
                // The phone will say BYE again, with credentials.
                401 | 407 => self.not_ending(key),
                _ => self.remove(key),
            },
            // RFC 5057 §5.1: these end the dialog. Those of a subscription within it end the subscription alone.
            (Method::Notify | Method::Subscribe | Method::Refer, _) => {}
            (_, Some(key)) if matches!(status, 408 | 481) => {
                self.counts.no_answer += 1;
                self.remove(key);
            }
            _ => {}
        }
    }

    /// The INVITE of this Call-ID was sent to `host`; said again for another target, and for the one that answered.
    pub fn observe_target(&mut self, call_id: &[u8], host: &str) {
        let host = shown(host.as_bytes(), limits::SIP_SHOWN_HOST);
        let early = self.find(call_id, Call::is_early);
        if let Some(key) = early.or_else(|| self.find(call_id, |_| true)) {
            self.change(key, |call| seen_if(call.texts.set(Field::Host, host.as_bytes())));
        }
    }

    /// A request within a dialog was not answered in time, or the network says that its target is gone: the phone is not
    /// there any more (RFC 3261 §12.2.1.2), whatever else its call may be doing. A request outside a dialog changes nothing.
    pub fn observe_no_answer(&mut self, request: &Essentials<'_>, now: Instant) {
        let Some(key) = self.dialog(request) else { return };
        self.counts.no_answer += 1;
        if let Some(call) = self.calls.get(&key) {
            debug!(
                "call from {} to {}: a phone does not answer any more after {:?}",
                call.caller(),
                call.callee(),
                now.since(call.since)
            );
        }
        self.remove(key);
    }

    fn dialled(&mut self, message: &Message<'_>, essentials: &Essentials<'_>, source: SocketAddrV4, now: Instant) {
        let (call_id, cseq, caller_tag) = (essentials.call_id, essentials.cseq.number, digest(essentials.from_tag));
        if call_id.len() > limits::SIP_CALL_ID {
            self.counts.not_shown += 1;
            return;
        }
        if let Some(key) = self.find(call_id, |c| c.caller_tag == caller_tag && (c.is_early() || c.cseq == cseq)) {
            // A retransmission, or the same INVITE that comes by again. With a higher CSeq it is another attempt, after a
            // redirection or a challenge.
            if self.calls.get(&key).is_some_and(|call| call.cseq >= cseq) {
                return;
            }
            self.remove(key);
        }
        if self.with_call_id(call_id).count() >= limits::SIP_CALLS_PER_CALL_ID || !self.make_room(now) {
            self.counts.not_shown += 1;
            return;
        }
        self.counts.seen += 1;
        let number_in = |uri: &[u8]| -> Option<String> {
            let user = Uri::parse(uri).ok()?.user_unescaped()?;
            Some(shown(&self.folding.number(&user), limits::SIP_USER))
        };
        let caller = number_in(essentials.from.uri).unwrap_or_default();
        let callee =
            message.request_uri().and_then(number_in).or_else(|| number_in(essentials.to.uri)).unwrap_or_default();
        let caller_display = shown(essentials.from.display, limits::SIP_SHOWN_NAME);
        let callee_display = shown(essentials.to.display, limits::SIP_SHOWN_NAME);
        let codec = codec(message.body()).unwrap_or_default();
        self.insert(Call {
            texts: Texts::new([
                call_id,
                caller.as_bytes(),
                caller_display.as_bytes(),
                callee.as_bytes(),
                callee_display.as_bytes(),
                b"",
                codec.as_bytes(),
            ]),
            caller_tag,
            callee_tag: None,
            cseq,
            caller_address: source,
            state: CallState::InviteSent,
            since: now,
            answered: None,
            session_end: None,
            deadline: now + self.early_patience,
        });
    }

    /// An answer to an INVITE outside any dialog that is established.
    fn answered(&mut self, message: &Message<'_>, essentials: &Essentials<'_>, status: u16, now: Instant) {
        let (caller_tag, cseq) = (digest(essentials.from_tag), essentials.cseq.number);
        let same_invite = |call: &Call| call.caller_tag == caller_tag && call.cseq == cseq;
        let Some(key) = self
            .find(essentials.call_id, |call| call.is_early() && same_invite(call))
            .or_else(|| self.find(essentials.call_id, same_invite))
        else {
            return;
        };
        let early = self.calls.get(&key).is_some_and(Call::is_early);
        match status {
            ..=100 => {}
            101..=199 if early => {
                let deadline = now + self.early_patience;
                self.change(key, |call| {
                    if call.state == CallState::Terminating {
                        return Touched::Nothing;
                    }
                    call.deadline = deadline;
                    let rings = (180..190).contains(&status) && call.state == CallState::InviteSent;
                    if rings {
                        call.state = CallState::Ringing;
                    }
                    seen_if(rings).max(heard_codec(call, message)).max(Touched::Kept)
                });
            }
            101..=199 => {}
            200..=299 => {
                self.counts.answered += 1;
                if !self.record_route {
                    // Its BYE will not come by: better not shown than shown for half a day.
                    self.counts.out_of_sight += 1;
                    self.remove(key);
                    return;
                }
                if !early {
                    self.another_answer(key, message, essentials, now);
                    return;
                }
                let callee_tag = digest(essentials.to_tag);
                let session_end = session_end(message, now);
                let max_duration = self.max_duration;
                self.change(key, |call| {
                    establish(call, callee_tag, session_end, max_duration, now);
                    heard_codec(call, message);
                    Touched::Seen
                });
            }
            _ if early => self.remove(key),
            _ => {}
        }
    }

    /// RFC 3261 §13.2.2.4: a second phone answered the same INVITE; that is a dialog of its own.
    fn another_answer(&mut self, first: Key, message: &Message<'_>, essentials: &Essentials<'_>, now: Instant) {
        // Later than that it can only be a 2xx that lost its way, of a call that has been hung up since.
        let recent = |call: &&Call| call.answered.is_some_and(|answered| now <= answered + PATIENCE);
        let Some(mut call) = self.calls.get(&first).filter(recent).cloned() else { return };
        if self.with_call_id(essentials.call_id).count() >= limits::SIP_CALLS_PER_CALL_ID || !self.make_room(now) {
            self.counts.not_shown += 1;
            return;
        }
        establish(&mut call, digest(essentials.to_tag), session_end(message, now), self.max_duration, now);
        heard_codec(&mut call, message);
        self.insert(call);
    }

    /// A 2xx to a re-INVITE or UPDATE: the session goes on (RFC 4028 §9). Also the first 2xx once more.
    fn refreshed(&mut self, key: Key, message: &Message<'_>, now: Instant) {
        let session_end = session_end(message, now);
        let max_duration = self.max_duration;
        self.change(key, |call| {
            let mut touched = heard_codec(call, message);
            if call.session_end != session_end {
                call.session_end = session_end;
                touched = touched.max(Touched::Kept);
            }
            if call.state == CallState::Established {
                call.deadline = established_until(call, max_duration);
            }
            touched
        });
    }

    fn ending(&mut self, key: Key, now: Instant) {
        self.change(key, |call| {
            if call.state == CallState::Terminating {
                return Touched::Nothing;
            }
            call.state = CallState::Terminating;
            call.deadline = now + PATIENCE;
            Touched::Seen
        });
    }

    fn not_ending(&mut self, key: Key) {
        let max_duration = self.max_duration;
        self.change(key, |call| {
            let ending = call.state == CallState::Terminating;
            if ending {
                call.state = CallState::Established;
                call.deadline = established_until(call, max_duration);
            }
            seen_if(ending)
        });
    }

    /// Whether a request travels within a call of the list. A To tag alone says nothing: anybody can write one.
    pub fn holds(&self, essentials: &Essentials<'_>) -> bool {
        self.dialog(essentials).is_some()
    }

    /// The call in which a message with these tags travels, in either direction (RFC 3261 §12).
    fn dialog(&self, essentials: &Essentials<'_>) -> Option<Key> {
        essentials.to_tag?;
        let (from, to) = (digest(essentials.from_tag), digest(essentials.to_tag));
        self.find(essentials.call_id, |call| {
            call.callee_tag.is_some_and(|callee| {
                (call.caller_tag, callee) == (from, to) || (callee, call.caller_tag) == (from, to)
            })
        })
    }

    fn with_call_id<'a>(&'a self, call_id: &'a [u8]) -> impl Iterator<Item = (Key, &'a Call)> {
        let digest = digest(Some(call_id));
        let range = Key { call_id: digest, serial: 0 }..=Key { call_id: digest, serial: u32::MAX };
        self.calls.range(range).filter(move |(_, call)| call.call_id() == call_id).map(|(key, call)| (*key, call))
    }

    fn find(&self, call_id: &[u8], wanted: impl Fn(&Call) -> bool) -> Option<Key> {
        self.with_call_id(call_id).find(|(_, call)| wanted(call)).map(|(key, _)| key)
    }

    /// Whether one more call may be listed, at the cost of the one that has been ending longest.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.calls.len() < self.max_calls {
            return true;
        }
        // Calls that are ending are gone within 64*T1, so they stand before all others but a few.
        let soon = now + PATIENCE;
        let ending = self
            .deadlines
            .iter()
            .take_while(|(deadline, _)| *deadline <= soon)
            .find(|(_, key)| self.calls.get(key).is_some_and(|call| call.state == CallState::Terminating))
            .map(|(_, key)| *key);
        let Some(key) = ending else { return false };
        self.remove(key);
        true
    }

    fn insert(&mut self, call: Call) {
        self.serial = self.serial.wrapping_add(1);
        let key = Key { call_id: digest(Some(call.call_id())), serial: self.serial };
        self.remove(key); // Only after 2^32 calls.
        self.deadlines.insert((call.deadline, key));
        self.calls.insert(key, call);
        self.touch(Touched::Seen);
    }

    fn remove(&mut self, key: Key) {
        if let Some(call) = self.calls.remove(&key) {
            self.deadlines.remove(&(call.deadline, key));
            self.touch(Touched::Seen);
        }
    }

    /// The only way in which a listed call changes: deadlines and revisions follow.
    fn change(&mut self, key: Key, change: impl FnOnce(&mut Call) -> Touched) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let before = call.deadline;
        let touched = change(call);
        let after = call.deadline;
        if before != after {
            self.deadlines.remove(&(before, key));
            self.deadlines.insert((after, key));
        }
        self.touch(touched);
    }

    fn touch(&mut self, touched: Touched) {
        self.revision = self.revision.wrapping_add(u64::from(touched >= Touched::Kept));
        self.shown_revision = self.shown_revision.wrapping_add(u64::from(touched == Touched::Seen));
    }
}

impl Engine for Calls {
    fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, key)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            self.deadlines.remove(&(deadline, key));
            let Some(call) = self.calls.get(&key) else { continue };
            let count = match call.state {
                CallState::InviteSent | CallState::Ringing => &mut self.counts.expired_early,
                CallState::Terminating => &mut self.counts.expired_ending,
                CallState::Established if call.session_end == Some(deadline) => &mut self.counts.expired_session,
                CallState::Established => &mut self.counts.expired_duration,
            };
            *count += 1;
            debug!("call from {} to {}: {:?} for too long", call.caller(), call.callee(), call.state);
            self.remove(key);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table { name: "calls", used: self.calls.len(), limit: self.max_calls }]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts {
            seen,
            answered,
            not_shown,
            out_of_sight,
            no_answer,
            expired_early,
            expired_ending,
            expired_session,
            expired_duration,
        } = self.counts;
        [
            ("calls_seen", seen),
            ("calls_answered", answered),
            ("calls_not_shown", not_shown),
            ("calls_out_of_sight", out_of_sight),
            ("calls_phone_gone", no_answer),
            ("calls_expired_unanswered", expired_early),
            ("calls_expired_ending", expired_ending),
            ("calls_expired_session_timer", expired_session),
            ("calls_expired_duration", expired_duration),
        ]
        .into_iter()
        .map(|(name, count)| Counter { name, count })
        .collect()
    }
}

/// Tags are compared, never shown: eight bytes of each are enough. The key is fixed, because the digests outlive a restart;
/// who finds a collision can confuse a line on a screen about his own call.
fn digest(bytes: Option<&[u8]>) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes.unwrap_or_default());
    hasher.finish()
}

fn seen_if(changed: bool) -> Touched {
    if changed { Touched::Seen } else { Touched::Nothing }
}

/// The answer's codec is what they really use.
fn heard_codec(call: &mut Call, message: &Message<'_>) -> Touched {
    match codec(message.body()) {
        Some(codec) => seen_if(call.texts.set(Field::Codec, codec.as_bytes())),
        None => Touched::Nothing,
    }
}

fn establish(call: &mut Call, callee_tag: u64, session_end: Option<Instant>, max_duration: Duration, now: Instant) {
    call.callee_tag = Some(callee_tag);
    call.state = CallState::Established;
    call.answered = Some(now);
    call.session_end = session_end;
    call.deadline = established_until(call, max_duration);
}

fn established_until(call: &Call, max_duration: Duration) -> Instant {
    let longest = call.answered.unwrap_or(call.since) + max_duration;
    call.session_end.map_or(longest, |end| end.min(longest))
}

/// RFC 4028 §9: the session ends that long after the last 2xx to a refresh. The phones themselves say BYE a little earlier.
fn session_end(message: &Message<'_>, now: Instant) -> Option<Instant> {
    let value = message.header(Name::SessionExpires)?;
    let seconds = value.split(|byte| *byte == b';').next().and_then(|seconds| expires(seconds.trim_ascii()))?;
    Some(now + Duration::from_secs(u64::from(seconds)).max(MIN_SESSION) + PATIENCE)
}
