//! Calls in the file that survives a restart of the daemon (`sip/state.rs` writes it).

use std::net::SocketAddrV4;

use serde::Serialize;
use serde_json::Value;

use super::texts::Texts;
use super::{Call, CallState, Calls, PATIENCE, established_until};
use crate::limits;
use crate::sip::text::{escape, shown, unescape};
use crate::time::Instant;

/// A call in the file that survives a restart of the daemon. Instants are microseconds of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedCall {
    call_id: String,
    caller_tag: u64,
    callee_tag: Option<u64>,
    cseq: u32,
    caller_address: SocketAddrV4,
    caller: String,
    caller_display: String,
    callee: String,
    callee_display: String,
    host: String,
    codec: String,
    state: CallState,
    since: u64,
    answered: Option<u64>,
    session_end: Option<u64>,
    deadline: u64,
}

/// How states are called in the file.
const STATES: [(CallState, &str); 4] = [
    (CallState::InviteSent, "INVITE_SENT"),
    (CallState::Ringing, "RINGING"),
    (CallState::Established, "ESTABLISHED"),
    (CallState::Terminating, "TERMINATING"),
];

impl SavedCall {
    /// Reads one; `None`: a field is missing or makes no sense. By hand, because a derived reader is ten times as large.
    pub fn read(saved: &Value) -> Option<Self> {
        let text = |name: &str| Some(saved.get(name)?.as_str()?.to_owned());
        let number = |name: &str| saved.get(name)?.as_u64();
        // What may be missing: `None` is a number that makes no sense.
        let maybe = |name: &str| match saved.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_u64().map(Some),
        };
        Some(Self {
            call_id: text("call_id")?,
            caller_tag: number("caller_tag")?,
            callee_tag: maybe("callee_tag")?,
            cseq: u32::try_from(number("cseq")?).ok()?,
            caller_address: text("caller_address")?.parse().ok()?,
            caller: text("caller")?,
            caller_display: text("caller_display")?,
            callee: text("callee")?,
            callee_display: text("callee_display")?,
            host: text("host")?,
            codec: text("codec")?,
            state: STATES.iter().find(|(_, name)| Some(*name) == saved.get("state").and_then(Value::as_str))?.0,
            since: number("since")?,
            answered: maybe("answered")?,
            session_end: maybe("session_end")?,
            deadline: number("deadline")?,
        })
    }
}

impl Calls {
    /// What must survive a restart.
    pub fn saved(&self) -> impl Iterator<Item = SavedCall> {
        self.calls.values().map(|call| SavedCall {
            call_id: escape(call.call_id()),
            caller_tag: call.caller_tag,
            callee_tag: call.callee_tag,
            cseq: call.cseq,
            caller_address: call.caller_address,
            caller: call.caller().into(),
            caller_display: call.caller_display().into(),
            callee: call.callee().into(),
            callee_display: call.callee_display().into(),
            host: call.callee_host().into(),
            codec: call.codec().into(),
            state: call.state,
            since: call.since.as_micros(),
            answered: call.answered.map(Instant::as_micros),
            session_end: call.session_end.map(Instant::as_micros),
            deadline: call.deadline.as_micros(),
        })
    }

    /// Lists a call of the process before. False if it cannot be one, or there is no room; one that has ended meanwhile is
    /// left out quietly.
    pub fn restore(&mut self, saved: &SavedCall, now: Instant) -> bool {
        let Some(call_id) = unescape(&saved.call_id) else { return false };
        let established = matches!(saved.state, CallState::Established);
        let past = |micros: u64| Some(Instant::from_micros(micros)).filter(|instant| *instant <= now);
        let (Some(since), Ok(answered)) = (past(saved.since), saved.answered.map(|a| past(a).ok_or(())).transpose())
        else {
            return false;
        };
        if call_id.len() > limits::SIP_CALL_ID
            || established && (saved.callee_tag.is_none() || answered.is_none())
            || self.with_call_id(&call_id).count() >= limits::SIP_CALLS_PER_CALL_ID
            || self.calls.len() >= self.max_calls
        {
            return false;
        }
        let text = |text: &str, limit| shown(text.as_bytes(), limit);
        let mut call = Call {
            texts: Texts::new([
                &call_id,
                text(&saved.caller, limits::SIP_USER).as_bytes(),
                text(&saved.caller_display, limits::SIP_SHOWN_NAME).as_bytes(),
                text(&saved.callee, limits::SIP_USER).as_bytes(),
                text(&saved.callee_display, limits::SIP_SHOWN_NAME).as_bytes(),
                text(&saved.host, limits::SIP_SHOWN_HOST).as_bytes(),
                text(&saved.codec, limits::SIP_SHOWN_NAME).as_bytes(),
            ]),
            caller_tag: saved.caller_tag,
            callee_tag: saved.callee_tag,
            cseq: saved.cseq,
            caller_address: saved.caller_address,
            state: saved.state,
            since,
            answered,
            session_end: saved.session_end.map(Instant::from_micros),
            deadline: Instant::from_micros(saved.deadline),
        };
        // The bounds of today's configuration hold.
        let longest = match call.state {
            CallState::InviteSent | CallState::Ringing => now + self.early_patience,
            CallState::Established => established_until(&call, self.max_duration),
            CallState::Terminating => now + PATIENCE,
        };
        call.deadline = call.deadline.min(longest);
        if call.deadline > now {
            self.insert(call);
        }
        true
    }
}
