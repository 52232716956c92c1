//! Bindings in the file that survives a restart of the daemon (`sip/state.rs` writes it).

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;
use serde_json::Value;

use super::{Binding, Registrar, request};
use crate::limits;
use crate::sip::ours::Number;
use crate::sip::text::{escape, shown, unescape};
use crate::time::{Instant, sooner};

/// A binding in the file that survives a restart of the daemon. Instants are microseconds of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedBinding {
    user: String,
    contact: String,
    source: SocketAddrV4,
    local: Ipv4Addr,
    q: u16,
    expires_at: u64,
    since: u64,
    call_id: String,
    cseq: u32,
    display: String,
    user_agent: String,
}

impl SavedBinding {
    /// Reads one; `None`: a field is missing or makes no sense. By hand, because a derived reader is ten times as large.
    pub fn read(saved: &Value) -> Option<Self> {
        let text = |name: &str| Some(saved.get(name)?.as_str()?.to_owned());
        let number = |name: &str| saved.get(name)?.as_u64();
        Some(Self {
            user: text("user")?,
            contact: text("contact")?,
            source: text("source")?.parse().ok()?,
            local: text("local")?.parse().ok()?,
            q: u16::try_from(number("q")?).ok()?,
            expires_at: number("expires_at")?,
            since: number("since")?,
            call_id: text("call_id")?,
            cseq: u32::try_from(number("cseq")?).ok()?,
            display: text("display")?,
            user_agent: text("user_agent")?,
        })
    }
}

impl Registrar {
    /// What must survive a restart.
    pub fn saved(&self) -> impl Iterator<Item = SavedBinding> {
        self.bindings().map(|binding| SavedBinding {
            user: escape(&binding.user),
            contact: escape(&binding.contact),
            source: binding.source,
            local: binding.local,
            q: binding.q,
            expires_at: binding.expires_at.as_micros(),
            since: binding.since.as_micros(),
            call_id: escape(&binding.call_id),
            cseq: binding.cseq,
            display: binding.display.as_ref().into(),
            user_agent: binding.user_agent.as_ref().into(),
        })
    }

    /// Takes back a binding of the process before. False if it cannot be one, is there already, or there is no room; one that
    /// has expired meanwhile is left out quietly.
    pub fn restore(&mut self, saved: &SavedBinding, now: Instant) -> bool {
        let (Some(user), Some(contact), Some(call_id)) =
            (unescape(&saved.user), unescape(&saved.contact), unescape(&saved.call_id))
        else {
            return false;
        };
        let (since, expires_at) = (Instant::from_micros(saved.since), Instant::from_micros(saved.expires_at));
        let bindings = self.users.get(user.as_slice()).map(Vec::as_slice).unwrap_or_default();
        if user.is_empty()
            || user.len() > limits::SIP_USER
            || request::contact_uri(&contact).is_err()
            || call_id.len() > limits::SIP_CALL_ID
            || saved.q > 1_000
            || since > now
            || self.total >= self.max_total
            || bindings.len() >= self.per_user
            || bindings.iter().any(|b| *b.contact == *contact)
        {
            return false;
        }
        let expires_at = expires_at.min(now + self.max_expires);
        if expires_at <= now {
            return true;
        }
        let user = Number::from_key(&user);
        self.next_end = sooner(self.next_end, Some(expires_at));
        self.total += 1;
        self.revision = self.revision.wrapping_add(1);
        self.presence_revision = self.presence_revision.wrapping_add(1);
        self.users.or_default(user.clone()).push(Binding {
            user,
            contact: contact.into(),
            source: saved.source,
            local: saved.local,
            q: saved.q,
            expires_at,
            since,
            call_id: call_id.into(),
            cseq: saved.cseq,
            display: shown(saved.display.as_bytes(), limits::SIP_SHOWN_NAME).into(),
            user_agent: shown(saved.user_agent.as_bytes(), limits::SIP_SHOWN_NAME).into(),
        });
        true
    }
}
