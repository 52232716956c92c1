//! A REGISTER read: whom it is for, what it wants, and what may be wrong with it. No state.
//!
//! Read first: RFC 3261 §10.2.1 (Contact, expires, q), §10.2.2 (removal), §10.3 steps 2, 5, 6.

use std::time::Duration;

use super::RegisterAnswer;
use crate::limits;
use crate::wire::sip::{Essentials, Message, Name, NameAddr, Scheme, Uri, expires, q};

/// Why a REGISTER is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The option tags of all Require lines.
    Extension(Vec<u8>),
    MalformedTo,
    NoUser,
    CallIdTooLong,
    MalformedContact,
    ContactScheme,
    ContactTooLong,
    StarNotAlone,
    StarWithoutExpires0,
    TooManyContacts,
    /// The least that would do, in seconds.
    TooBrief(u64),
    OutOfOrder,
    Taken,
    /// Seconds.
    Full {
        retry_after: u32,
    },
}

impl Refusal {
    pub(super) fn answer(self) -> RegisterAnswer {
        let (status, reason) = match &self {
            Self::Extension(_) => (420, "Bad Extension"),
            Self::MalformedTo => (400, "Malformed To"),
            Self::NoUser => (404, "No User in To"),
            Self::CallIdTooLong => (400, "Call-ID Too Long"),
            Self::MalformedContact => (400, "Malformed Contact"),
            Self::ContactScheme => (400, "Contact Is Not a sip URI"),
            Self::ContactTooLong => (400, "Contact Too Long"),
            Self::StarNotAlone => (400, "Contact * Beside Others"),
            Self::StarWithoutExpires0 => (400, "Contact * Without Expires 0"),
            Self::TooManyContacts => (403, "Too Many Contacts"),
            Self::TooBrief(_) => (423, "Interval Too Brief"),
            Self::OutOfOrder => (500, "CSeq Out of Order"),
            Self::Taken => (403, "Number Is Taken"),
            Self::Full { .. } => (503, "Registrar Full"),
        };
        let headers = match self {
            Self::Extension(tags) => vec![("Unsupported", tags)],
            Self::TooBrief(seconds) => vec![("Min-Expires", seconds.to_string().into_bytes())],
            Self::Full { retry_after } => vec![("Retry-After", retry_after.to_string().into_bytes())],
            _ => Vec::new(),
        };
        RegisterAnswer { status, reason, headers }
    }
}

/// What a REGISTER wants.
#[derive(Debug)]
pub(super) enum Wish<'a> {
    /// No Contact: to know the bindings.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// At least one; no two of them are the same URI.
    Contacts(Vec<Wanted<'a>>),
}

impl Wish<'_> {
    /// How many Contacts it could add.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Query | Self::RemoveAll => 0,
            Self::Contacts(wanted) => wanted.len(),
        }
    }
}

/// One Contact of a REGISTER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The URI as it came.
    pub(super) contact: &'a [u8],
    pub(super) uri: Uri<'a>,
    /// How long it is granted; `None`: it is to go.
    pub(super) expires: Option<Duration>,
    /// In thousandths.
    pub(super) q: u16,
}

/// What is granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) min: Duration,
    pub(super) max: Duration,
    pub(super) default: Duration,
}

impl Times {
    /// RFC 3261 §10.3 step 7: shortened if need be, never lengthened; 0 removes.
    fn grant(&self, asked: Duration) -> Result<Option<Duration>, Refusal> {
        match asked {
            Duration::ZERO => Ok(None),
            asked if asked < self.min => Err(Refusal::TooBrief(self.min.as_secs())),
            asked => Ok(Some(asked.min(self.max))),
        }
    }
}

/// RFC 3261 §10.3 step 2: this registrar has no extensions, so a REGISTER that requires one is refused.
pub(super) fn extensions(message: &Message<'_>) -> Result<(), Refusal> {
    let tags: Vec<&[u8]> =
        message.elements(Name::Require).map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty()).collect();
    if tags.is_empty() {
        return Ok(());
    }
    // Folded lines end here: the answer is one line.
    let tags = tags.join(&b", "[..]).into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
    Err(Refusal::Extension(tags))
}

/// RFC 3261 §10.3 step 5: the user of To, without escapes.
pub(super) fn address_of_record(
    essentials: &Essentials<'_>,
) -> Result<heapless::Vec<u8, { limits::SIP_USER }>, Refusal> {
    let uri = Uri::parse(essentials.to.uri).map_err(|_| Refusal::MalformedTo)?;
    match uri.scheme {
        Scheme::Sip | Scheme::Sips | Scheme::Tel => {
            uri.user_unescaped().filter(|user| !user.is_empty()).ok_or(Refusal::NoUser)
        }
        Scheme::Other(_) => Err(Refusal::NoUser),
    }
}

/// RFC 3261 §10.3 step 6, and the times of step 7.
pub(super) fn wish<'a>(message: &Message<'a>, times: &Times) -> Result<Wish<'a>, Refusal> {
    let header = message.header(Name::Expires);
    let elements: Vec<&'a [u8]> =
        message.elements(Name::Contact).map(<[u8]>::trim_ascii).take(limits::SIP_CONTACTS.saturating_add(1)).collect();
    if elements.contains(&&b"*"[..]) {
        return match (elements.len(), header.and_then(expires)) {
            (1, Some(0)) => Ok(Wish::RemoveAll),
            (1, _) => Err(Refusal::StarWithoutExpires0),
            _ => Err(Refusal::StarNotAlone),
        };
    }
    if elements.len() > limits::SIP_CONTACTS {
        return Err(Refusal::TooManyContacts);
    }
    let mut wanted: Vec<Wanted<'a>> = Vec::with_capacity(elements.len());
    for element in elements {
        let next = contact(element, header, times)?;
        // Twice the same Contact in one request: the last one counts.
        wanted.retain(|earlier| !earlier.uri.same(&next.uri));
        wanted.push(next);
    }
    Ok(if wanted.is_empty() { Wish::Query } else { Wish::Contacts(wanted) })
}

fn contact<'a>(element: &'a [u8], header: Option<&[u8]>, times: &Times) -> Result<Wanted<'a>, Refusal> {
    let NameAddr { uri: contact, params, .. } = NameAddr::parse(element).map_err(|_| Refusal::MalformedContact)?;
    let uri = contact_uri(contact)?;
    // RFC 3261 §10.2.1.1: the parameter before the header field before the default; what cannot be read counts as one hour,
    // which is our default. An `expires=` without a value, as Cisco's SPA send it, says nothing.
    let default = || Some(times.default);
    let seconds = |value: &[u8]| expires(value).map(|seconds| Duration::from_secs(u64::from(seconds)));
    let asked =
        match (params.find("expires").flatten().map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()), header) {
            (Some(value), _) => seconds(value.strip_circumfix_quotes()),
            (None, Some(value)) => seconds(value),
            (None, None) => None,
        };
    let expires = match asked.or_else(default) {
        Some(asked) => times.grant(asked)?,
        None => None,
    };
    let q = params.find("q").flatten().and_then(q).unwrap_or(1_000);
    Ok(Wanted { contact, uri, expires, q })
}

/// A URI that calls can be sent to, and that can stand in a Request-URI and in an answer without harm.
pub(super) fn contact_uri(contact: &[u8]) -> Result<Uri<'_>, Refusal> {
    if contact.len() > limits::SIP_CONTACT {
        return Err(Refusal::ContactTooLong);
    }
    let plain = |byte: &u8| *byte > b' ' && *byte != 0x7f && !matches!(byte, b'<' | b'>' | b'"');
    if !contact.iter().all(plain) || std::str::from_utf8(contact).is_err() {
        return Err(Refusal::MalformedContact);
    }
    let uri = Uri::parse(contact).map_err(|_| Refusal::MalformedContact)?;
    match uri.scheme {
        Scheme::Sip => Ok(uri),
        // No phone is reached by TLS here, and none by mail.
        Scheme::Sips | Scheme::Tel | Scheme::Other(_) => Err(Refusal::ContactScheme),
    }
}

/// Some phones put numbers in quotes.
trait Quoted {
    fn strip_circumfix_quotes(&self) -> &[u8];
}

impl Quoted for [u8] {
    fn strip_circumfix_quotes(&self) -> &[u8] {
        self.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(self)
    }
}
