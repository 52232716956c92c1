//! A datagram read in one pass into a table of ranges: nothing is copied, nothing is allocated, nothing is judged that does
//! not stop a message from being read.
//!
//! Deliberately absent: stream framing (UDP only, RFC 3261 §18.3) and the meaning of values; see [`super::value`] and
//! [`super::essentials`].
//!
//! Read first: RFC 3261 §7, §18.3, §25.1; RFC 5626 §3.5.1 (keep-alives); RFC 4475 (what arrives in practice).
//!
//! Lines end with LF, a CR before it is taken off: every SIP stack in the field reads a bare LF as the end of a line.

use super::essentials::Fault;
use super::scan::{Elements, find, is_lws, is_token, trim};
use super::value::number;
use crate::limits;

/// Header fields that the exchange knows by name. The compact forms (RFC 3261 §7.3.3) are the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Name {
    Accept,
    Allow,
    AllowEvents,
    CallId,
    Contact,
    ContentLength,
    ContentType,
    CSeq,
    Event,
    Expires,
    From,
    MaxForwards,
    MinExpires,
    MinSe,
    ProxyRequire,
    RecordRoute,
    Require,
    RetryAfter,
    Route,
    SessionExpires,
    Supported,
    To,
    Unsupported,
    UserAgent,
    Via,
    /// Everything else, and lines without a colon.
    Other,
}

impl Name {
    fn bit(self) -> u32 {
        1_u32.wrapping_shl(self as u32)
    }

    /// In lower case, with the compact forms (RFC 3261 §7.3.3); the frequent ones first.
    const KNOWN: [(&str, Self); 36] = [
        ("via", Self::Via),
        ("v", Self::Via),
        ("from", Self::From),
        ("f", Self::From),
        ("to", Self::To),
        ("t", Self::To),
        ("call-id", Self::CallId),
        ("i", Self::CallId),
        ("cseq", Self::CSeq),
        ("contact", Self::Contact),
        ("m", Self::Contact),
        ("max-forwards", Self::MaxForwards),
        ("content-length", Self::ContentLength),
        ("l", Self::ContentLength),
        ("user-agent", Self::UserAgent),
        ("allow", Self::Allow),
        ("supported", Self::Supported),
        ("k", Self::Supported),
        ("expires", Self::Expires),
        ("content-type", Self::ContentType),
        ("c", Self::ContentType),
        ("route", Self::Route),
        ("record-route", Self::RecordRoute),
        ("accept", Self::Accept),
        ("allow-events", Self::AllowEvents),
        ("u", Self::AllowEvents), // RFC 6665 §8.2.2
        ("event", Self::Event),
        ("o", Self::Event), // RFC 6665 §8.2.1
        ("min-expires", Self::MinExpires),
        ("min-se", Self::MinSe),
        ("proxy-require", Self::ProxyRequire),
        ("require", Self::Require),
        ("retry-after", Self::RetryAfter),
        ("session-expires", Self::SessionExpires),
        ("x", Self::SessionExpires), // RFC 4028 §4
        ("unsupported", Self::Unsupported),
    ];

    fn of(name: &[u8]) -> Self {
        let mut lower = [0_u8; 16];
        let Some(lower) = lower.get_mut(..name.len()) else { return Self::Other };
        for (to, from) in lower.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        let known = Self::KNOWN.iter().find(|(known, _)| known.as_bytes() == &*lower);
        known.map_or(Self::Other, |(_, name)| *name)
    }
}

/// How many names there are.
const NAMES: usize = Name::Other as usize + 1;

/// In [`HeaderTable::first`]: no such line.
const NONE: u16 = u16::MAX;

/// One header field with its folds, as offsets into the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) name: Name,
    /// First byte of the name.
    at: u16,
    /// First and past-the-last byte of the trimmed value.
    value: u16,
    value_end: u16,
    /// Behind the line end.
    end: u16,
}

impl Line {
    pub(super) fn at(&self) -> usize {
        usize::from(self.at)
    }
    pub(super) fn value(&self) -> usize {
        usize::from(self.value)
    }
    pub(super) fn value_end(&self) -> usize {
        usize::from(self.value_end)
    }
    pub(super) fn end(&self) -> usize {
        usize::from(self.end)
    }
}

/// Where the header lines of one datagram are. One table serves all datagrams, one after the other; it grows to the longest
/// message seen, at most [`limits::SIP_HEADER_LINES`] lines.
#[derive(Debug)]
pub struct HeaderTable {
    lines: Vec<Line>,
    /// By name: index of its first line.
    first: [u16; NAMES],
    /// By name: a bit for a second line.
    repeated: u32,
}

impl Default for HeaderTable {
    fn default() -> Self {
        Self { lines: Vec::with_capacity(48), first: [NONE; NAMES], repeated: 0 }
    }
}

impl HeaderTable {
    fn clear(&mut self) {
        self.lines.clear();
        self.first = [NONE; NAMES];
        self.repeated = 0;
    }

    fn push(&mut self, line: Line) -> Result<(), NotSip> {
        if self.lines.len() >= limits::SIP_HEADER_LINES {
            return Err(NotSip::TooManyHeaders);
        }
        match self.first.get_mut(line.name as usize) {
            Some(first) if *first == NONE => *first = offset(self.lines.len()),
            _ => self.repeated |= line.name.bit(),
        }
        self.lines.push(line);
        Ok(())
    }

    /// Lines from the first one with this name on.
    fn starting_at(&self, name: Name) -> &[Line] {
        let first = self.first.get(name as usize).copied().unwrap_or(NONE);
        self.lines.get(usize::from(first)..).unwrap_or_default()
    }
}

/// Datagrams are checked to be shorter than 2^16 before any offset is made.
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// A request method (RFC 3261 §7.1): case-sensitive, any token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method<'a> {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Subscribe,
    Notify,
    Publish,
    Info,
    Refer,
    Message,
    Update,
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    /// Those with a name of their own, the frequent ones first.
    const KNOWN: [Self; 14] = [
        Self::Register,
        Self::Invite,
        Self::Ack,
        Self::Bye,
        Self::Options,
        Self::Cancel,
        Self::Subscribe,
        Self::Notify,
        Self::Publish,
        Self::Info,
        Self::Refer,
        Self::Message,
        Self::Update,
        Self::Prack,
    ];

    /// The method with this name.
    pub fn of(name: &'a [u8]) -> Self {
        Self::KNOWN.into_iter().find(|method| method.as_bytes() == name).unwrap_or(Self::Other(name))
    }

    /// As written on the wire.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Invite => b"INVITE",
            Self::Ack => b"ACK",
            Self::Bye => b"BYE",
            Self::Cancel => b"CANCEL",
            Self::Register => b"REGISTER",
            Self::Options => b"OPTIONS",
            Self::Prack => b"PRACK",
            Self::Subscribe => b"SUBSCRIBE",
            Self::Notify => b"NOTIFY",
            Self::Publish => b"PUBLISH",
            Self::Info => b"INFO",
            Self::Refer => b"REFER",
            Self::Message => b"MESSAGE",
            Self::Update => b"UPDATE",
            Self::Other(name) => name,
        }
    }
}

/// The first line (RFC 3261 §7.1, §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request; `version` as it came ("SIP/2.0"). Surplus white space is trimmed here and a [`Fault`] later.
    #[allow(missing_docs)]
    Request { method: Method<'a>, uri: &'a [u8], version: &'a [u8] },
    /// A response; `status` is 100 to 699.
    #[allow(missing_docs)]
    Response { status: u16, reason: &'a [u8] },
}

/// Not a SIP message, and nobody to answer: drop and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSip {
    /// Nothing, or only CR, LF, blanks and NULs (RFC 5626 §3.5.1).
    KeepAlive,
    /// A STUN message (RFC 5389 §6, RFC 3489 §11.1).
    Stun,
    /// No start line, or a response with an impossible status or version.
    Junk,
    /// More header lines than [`limits::SIP_HEADER_LINES`].
    TooManyHeaders,
}

/// One SIP message: ranges into the datagram that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    table: &'a HeaderTable,
    start: StartLine<'a>,
    /// Offset of the Request-URI.
    uri_at: u16,
    /// Offset behind the last header line.
    headers_end: u16,
    /// Offset of the body.
    body_at: u16,
    fault: Option<Fault>,
}

impl<'a> Message<'a> {
    /// Reads one datagram.
    pub fn parse(datagram: &'a [u8], table: &'a mut HeaderTable) -> Result<Message<'a>, NotSip> {
        table.clear();
        if is_stun(datagram) {
            return Err(NotSip::Stun);
        }
        // RFC 3261 §7.5: empty lines before the start line are skipped.
        let skip = datagram.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(datagram.len());
        let text = datagram.get(skip..).unwrap_or_default();
        if text.iter().all(|b| matches!(b, 0 | b' ' | b'\t' | b'\r' | b'\n')) {
            return Err(NotSip::KeepAlive);
        }
        if text.len() > limits::DATAGRAM {
            return Err(NotSip::Junk);
        }

        let first_end = find(text, b'\n').map_or(text.len(), |lf| lf.saturating_add(1));
        let first = strip_line_end(text.get(..first_end).unwrap_or_default());
        let (start, uri_at, mut fault) = if first.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"SIP/")) {
            (response_line(first).ok_or(NotSip::Junk)?, 0, None)
        } else {
            request_line(first).ok_or(NotSip::Junk)?
        };

        let mut at = first_end;
        // White space at the start of a line continues the line before, and a start line cannot be continued (§25.1).
        if text.get(at).is_some_and(|b| matches!(b, b' ' | b'\t')) {
            fault = fault.or(Some(Fault::StartLine));
        }
        let body_at = loop {
            match text.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] => break at.saturating_add(2),
                [b'\n', ..] => break at.saturating_add(1),
                [] => {
                    // Cut off in the middle of a line; a missing empty line alone is forgiven.
                    if text.last() != Some(&b'\n') {
                        fault = fault.or(Some(Fault::HeaderSection));
                    }
                    break at;
                }
                rest => {
                    let line = header_line(rest, at);
                    at = line.end();
                    table.push(line)?;
                }
            }
        };

        let rest = text.get(body_at..).unwrap_or_default();
        let mut message = Self {
            bytes: text,
            table,
            start,
            uri_at: offset(uri_at),
            headers_end: offset(at),
            body_at: offset(body_at),
            fault,
        };
        // §18.3: the body is as long as Content-Length says, up to the end of the datagram without one.
        if let Some(length) = message.header(Name::ContentLength) {
            match number(length, u32::MAX).and_then(|length| usize::try_from(length).ok()) {
                Some(length) if length <= rest.len() => {
                    message.bytes = text.get(..body_at.saturating_add(length)).unwrap_or(text);
                }
                _ => message.fault = message.fault.or(Some(Fault::BodyTooShort)),
            }
        }
        Ok(message)
    }

    /// The message without empty lines before it and without surplus behind the body.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'a> {
        self.start
    }

    /// The method of a request.
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The Request-URI of a request, as it came.
    pub fn request_uri(&self) -> Option<&'a [u8]> {
        match self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The value of the first line with this name, trimmed; folds are still inside.
    pub fn header(&self, name: Name) -> Option<&'a [u8]> {
        self.table.starting_at(name).first().map(|line| value(self.bytes, line))
    }

    /// The values of all lines with this name, trimmed, in order.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.table.starting_at(name).iter().filter(move |line| line.name == name).map(move |line| value(bytes, line))
    }

    /// Comma lists taken apart, over all lines with this name, in order (RFC 3261 §7.3.1). Empty elements are left out.
    pub fn elements(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.headers(name).flat_map(|value| Elements::of(value).map(|(_, element)| element))
    }

    /// The values of all lines with a name that is not in [`Name`] ("Reason", "Path", "Refer-To"), compact forms included.
    pub fn others<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let bytes = self.bytes;
        let compact: &[u8] = match name {
            "Content-Encoding" => b"e",
            "Refer-To" => b"r",    // RFC 3515 §2.1
            "Referred-By" => b"b", // RFC 3892 §3
            "Subject" => b"s",
            _ => name.as_bytes(),
        };
        self.table.starting_at(Name::Other).iter().filter_map(move |line| {
            let whole = bytes.get(line.at()..line.end())?;
            let colon = whole.iter().position(|b| *b == b':')?;
            let found = trim(whole.get(..colon)?);
            let wanted = found.eq_ignore_ascii_case(name.as_bytes()) || found.eq_ignore_ascii_case(compact);
            (line.name == Name::Other && wanted).then(|| value(bytes, line))
        })
    }

    /// The body (RFC 3261 §18.3).
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(usize::from(self.body_at)..).unwrap_or_default()
    }

    /// What the one pass found wrong with start line, header section or length of the body.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    pub(super) fn lines(&self) -> &'a [Line] {
        &self.table.lines
    }

    pub(super) fn first_line(&self, name: Name) -> Option<&'a Line> {
        self.table.starting_at(name).first()
    }

    /// Whether there is more than one line with this name.
    pub(super) fn is_repeated(&self, name: Name) -> bool {
        self.table.repeated & name.bit() != 0
    }

    pub(super) fn uri_at(&self) -> usize {
        usize::from(self.uri_at)
    }

    pub(super) fn headers_end(&self) -> usize {
        usize::from(self.headers_end)
    }
}

fn value<'a>(bytes: &'a [u8], line: &Line) -> &'a [u8] {
    bytes.get(line.value()..line.value_end()).unwrap_or_default()
}

/// RFC 5389 §6: two zero bits and the magic cookie; RFC 3489 had no cookie, but its length is right.
fn is_stun(datagram: &[u8]) -> bool {
    match datagram {
        [kind, _, high, low, a, b, c, d, ..] if *kind < 0x40 && datagram.len() >= 20 => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            [*a, *b, *c, *d] == [0x21, 0x12, 0xa4, 0x42]
                || (*kind < 2 && length.checked_add(20) == Some(datagram.len()) && length % 4 == 0)
                    && datagram.iter().any(|b| *b != 0)
        }
        _ => false,
    }
}

fn strip_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `SIP/2.0 SP 3DIGIT SP reason`; the reason may be empty or of any bytes (RFC 4475 §3.1.1.12, §3.1.1.13).
fn response_line(line: &[u8]) -> Option<StartLine<'_>> {
    let rest = line.get(7..)?;
    if !line.get(..7)?.eq_ignore_ascii_case(b"SIP/2.0") {
        return None;
    }
    let (code, reason) = match rest {
        [b' ', a, b, c] => ([*a, *b, *c], &b""[..]),
        [b' ', a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        _ => return None,
    };
    let status = u16::try_from(number(&code, 699)?).ok()?;
    (status >= 100).then_some(StartLine::Response { status, reason })
}

/// `Method SP Request-URI SP SIP/x`. Anything that at least has a method and a version of SIP can be answered.
fn request_line(line: &[u8]) -> Option<(StartLine<'_>, usize, Option<Fault>)> {
    let method_end = line.iter().position(|b| !is_token(*b))?;
    let (method, rest) = line.split_at_checked(method_end)?;
    if method.is_empty() || !rest.first().is_some_and(|b| is_lws(*b)) {
        return None;
    }
    let trimmed = trim(rest);
    let version_at = trimmed.iter().rposition(|b| is_lws(*b)).map_or(0, |space| space.saturating_add(1));
    let (before, version) = trimmed.split_at_checked(version_at)?;
    if !version.get(..4)?.eq_ignore_ascii_case(b"SIP/") {
        return None;
    }
    let uri = trim(before);
    let lead = rest.iter().take_while(|b| is_lws(**b)).count();
    // §7.1: one SP between the elements, none behind; no white space in the URI.
    let exact = rest.first() == Some(&b' ')
        && before.last() == Some(&b' ')
        && rest.len() == uri.len().saturating_add(version.len()).saturating_add(2);
    let fault = if uri.is_empty() || !exact {
        Some(Fault::StartLine)
    } else if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        Some(Fault::Version)
    } else {
        None
    };
    let start = StartLine::Request { method: Method::of(method), uri, version };
    Some((start, method_end.saturating_add(lead), fault))
}

/// One header field with all its folds; `rest` starts with it, at offset `at` of the message.
fn header_line(rest: &[u8], at: usize) -> Line {
    let mut end = 0_usize;
    loop {
        let tail = rest.get(end..).unwrap_or_default();
        end = match find(tail, b'\n') {
            Some(lf) => end.saturating_add(lf).saturating_add(1),
            None => rest.len(),
        };
        // §7.3.1: a line that starts with white space continues this one.
        if !rest.get(end).is_some_and(|b| matches!(b, b' ' | b'\t')) {
            break;
        }
    }
    let line = rest.get(..end).unwrap_or_default();
    let at_colon = line.iter().position(|b| matches!(b, b':' | b'\n'));
    let (name, value_at) = match at_colon {
        Some(colon) if line.get(colon) == Some(&b':') => {
            let name = line.get(..colon).unwrap_or_default();
            // HCOLON = *( SP / HTAB ) ":" SWS
            let blanks = name.iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
            let name = name.get(..name.len().saturating_sub(blanks)).unwrap_or_default();
            (Name::of(name), colon.saturating_add(1))
        }
        // No colon: nothing but its place is known.
        _ => (Name::Other, strip_line_end(line).len()),
    };
    let behind = line.get(value_at..).unwrap_or_default();
    let value_end = behind
        .iter()
        .rposition(|b| !is_lws(*b))
        .map_or(value_at, |last| value_at.saturating_add(last).saturating_add(1));
    // An empty value stands right behind the colon, so that nothing is ever written beyond the end of its line.
    let lead = behind.iter().position(|b| !is_lws(*b)).unwrap_or(0);
    Line {
        name,
        at: offset(at),
        value: offset(at.saturating_add(value_at).saturating_add(lead)),
        value_end: offset(at.saturating_add(value_end)),
        end: offset(at.saturating_add(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(datagram: &[u8], name: Name) -> Vec<String> {
        let mut table = HeaderTable::default();
        let message = Message::parse(datagram, &mut table).unwrap();
        message.headers(name).map(|v| String::from_utf8_lossy(v).into_owned()).collect()
    }

    #[test]
    fn every_name_in_any_case_and_every_compact_form() {
        for (written, name) in [
            ("ACCEPT", Name::Accept),
            ("allow", Name::Allow),
            ("Allow-events", Name::AllowEvents),
            ("u", Name::AllowEvents),
            ("call-id", Name::CallId),
            ("I", Name::CallId),
            ("CONTACT", Name::Contact),
            ("m", Name::Contact),
            ("Content-length", Name::ContentLength),
            ("L", Name::ContentLength),
            ("content-Type", Name::ContentType),
            ("c", Name::ContentType),
            ("cSEQ", Name::CSeq),
            ("eVent", Name::Event),
            ("o", Name::Event),
            ("Expires", Name::Expires),
            ("from", Name::From),
            ("F", Name::From),
            ("mAx-fOrWaRdS", Name::MaxForwards),
            ("min-expires", Name::MinExpires),
            ("MIN-SE", Name::MinSe),
            ("Proxy-Require", Name::ProxyRequire),
            ("record-route", Name::RecordRoute),
            ("Require", Name::Require),
            ("Retry-After", Name::RetryAfter),
            ("ROUTE", Name::Route),
            ("Session-Expires", Name::SessionExpires),
            ("x", Name::SessionExpires),
            ("supported", Name::Supported),
            ("K", Name::Supported),
            ("to", Name::To),
            ("T", Name::To),
            ("Unsupported", Name::Unsupported),
            ("user-agent", Name::UserAgent),
            ("VIA", Name::Via),
            ("v", Name::Via),
            ("Reply-To", Name::Other),
            ("Refer-To", Name::Other),
            ("e", Name::Other),
            ("", Name::Other),
        ] {
            assert_eq!(Name::of(written.as_bytes()), name, "{written}");
        }
    }

    #[test]
    fn start_lines() {
        let read = |line: &str| {
            let datagram = format!("{line}\r\n\r\n");
            let mut table = HeaderTable::default();
            match Message::parse(datagram.as_bytes(), &mut table) {
                Ok(message) => match message.start_line() {
                    StartLine::Request { method, uri, version } => format!(
                        "{} | {} | {} | {:?}",
                        String::from_utf8_lossy(method.as_bytes()),
                        String::from_utf8_lossy(uri),
                        String::from_utf8_lossy(version),
                        message.fault()
                    ),
                    StartLine::Response { status, reason } => {
                        format!("{status} | {}", String::from_utf8_lossy(reason))
                    }
                },
                Err(not) => format!("{not:?}"),
            }
        };
        for (line, expected) in [
            ("INVITE sip:a@b SIP/2.0", "INVITE | sip:a@b | SIP/2.0 | None"),
            ("invite sip:a@b sip/2.0", "invite | sip:a@b | sip/2.0 | None"),
            ("INVITE sip:a@b SIP/3.0", "INVITE | sip:a@b | SIP/3.0 | Some(Version)"),
            ("INVITE sip:a@b SIP/2.00", "INVITE | sip:a@b | SIP/2.00 | Some(Version)"),
            ("INVITE  sip:a@b SIP/2.0", "INVITE | sip:a@b | SIP/2.0 | Some(StartLine)"),
            ("INVITE sip:a@b  SIP/2.0", "INVITE | sip:a@b | SIP/2.0 | Some(StartLine)"),
            ("INVITE sip:a@b SIP/2.0 ", "INVITE | sip:a@b | SIP/2.0 | Some(StartLine)"),
            ("INVITE\tsip:a@b SIP/2.0", "INVITE | sip:a@b | SIP/2.0 | Some(StartLine)"),
            ("INVITE SIP/2.0", "INVITE |  | SIP/2.0 | Some(StartLine)"),
            ("INVITE sip:a@b", "Junk"),
            ("INVITE", "Junk"),
            (" INVITE sip:a@b SIP/2.0", "Junk"),
            ("GET / HTTP/1.1", "Junk"),
            ("\u{fffd}\u{1}hello", "Junk"),
            ("SIP/2.0 180 Ringing", "180 | Ringing"),
            ("sip/2.0 200 ", "200 | "),
            ("SIP/2.0 200", "200 | "),
            ("SIP/2.0 099 Low", "Junk"),
            ("SIP/2.0 700 High", "Junk"),
            ("SIP/2.0 4294967496 High", "Junk"),
            ("SIP/2.0 -20 Low", "Junk"),
            ("SIP/2.0  200 OK", "Junk"),
            ("SIP/3.0 200 OK", "Junk"),
            ("SIP/2.0", "Junk"),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
    }

    #[test]
    fn keep_alives_and_stun_are_told_apart_from_junk() {
        let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        stun.extend([7; 12]);
        let mut classic = vec![0, 1, 0, 8];
        classic.extend([9; 24]);
        for (datagram, expected) in [
            (&b""[..], NotSip::KeepAlive),
            (b"\r\n", NotSip::KeepAlive),
            (b"\r\n\r\n", NotSip::KeepAlive),
            (b"\0", NotSip::KeepAlive),
            (&[0; 20], NotSip::KeepAlive),
            (b"\0\0\0\0\r\n ", NotSip::KeepAlive),
            (&stun, NotSip::Stun),
            (&classic, NotSip::Stun),
            (b"jaK", NotSip::Junk),
            (&[0xff; 300], NotSip::Junk),
        ] {
            assert_eq!(Message::parse(datagram, &mut HeaderTable::default()).err(), Some(expected), "{datagram:?}");
        }
    }

    #[test]
    fn folds_blanks_and_empty_values() {
        let datagram = b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\nVia :\r\n\tone\r\n two \r\nTo\t: \r\nSubject\r\nv:three\nt:four\r\n\r\nVia: body";
        assert_eq!(values(datagram, Name::Via), ["one\r\n two", "three"]);
        assert_eq!(values(datagram, Name::To), ["", "four"]);
        assert_eq!(values(datagram, Name::Other), [""]);
        let mut table = HeaderTable::default();
        let message = Message::parse(datagram, &mut table).unwrap();
        assert_eq!(message.body(), b"Via: body");
        assert!(message.bytes().starts_with(b"OPTIONS"));
    }

    #[test]
    fn names_are_never_found_inside_other_names_or_values() {
        let datagram = b"REGISTER sip:a SIP/2.0\r\nReply-To: x\r\nSession-Expires: 9\r\nSubject: To: y\r\n\r\nTo: z\r\nExpires: 1\r\n";
        assert!(values(datagram, Name::To).is_empty());
        assert!(values(datagram, Name::Expires).is_empty());
        let mut table = HeaderTable::default();
        let message = Message::parse(datagram, &mut table).unwrap();
        assert_eq!(message.others("Reply-To").collect::<Vec<_>>(), [b"x"]);
        assert_eq!(message.others("Subject").collect::<Vec<_>>(), [b"To: y"]);
        assert_eq!(message.others("Reason").count(), 0);
    }

    #[test]
    fn compact_forms_of_names_outside_the_table() {
        let datagram = b"REFER sip:a SIP/2.0\r\nr: <sip:b>\r\nRefer-To: <sip:c>\r\ns: hello\r\n\r\n";
        let mut table = HeaderTable::default();
        let message = Message::parse(datagram, &mut table).unwrap();
        assert_eq!(message.others("Refer-To").collect::<Vec<_>>(), [b"<sip:b>", b"<sip:c>"]);
        assert_eq!(message.others("Subject").count(), 1);
    }

    #[test]
    fn lists_equal_repeated_lines() {
        let mut table = HeaderTable::default();
        let datagram = b"OPTIONS sip:a SIP/2.0\r\nRoute: <sip:1>,<sip:2>\r\nX: y\r\nROUTE: <sip:3>\r\n\r\n";
        let message = Message::parse(datagram, &mut table).unwrap();
        assert_eq!(message.elements(Name::Route).collect::<Vec<_>>(), [b"<sip:1>", b"<sip:2>", b"<sip:3>"]);
    }

    #[test]
    fn content_length_cuts_surplus_and_reports_what_is_missing() {
        let read = |length: &str| {
            let datagram = format!("OPTIONS sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\n12345");
            let mut table = HeaderTable::default();
            let message = Message::parse(datagram.as_bytes(), &mut table).unwrap();
            (message.body().len(), message.fault())
        };
        assert_eq!(read("5"), (5, None));
        assert_eq!(read("0003"), (3, None));
        assert_eq!(read("0"), (0, None));
        assert_eq!(read("6"), (5, Some(Fault::BodyTooShort)));
        assert_eq!(read("99999999999999999999"), (5, Some(Fault::BodyTooShort)));
    }

    #[test]
    fn the_table_is_bounded_and_reusable() {
        let mut table = HeaderTable::default();
        for (lines, fits) in [(1_000, true), (limits::SIP_HEADER_LINES + 1, false), (3, true)] {
            let datagram = format!("OPTIONS sip:a SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(lines));
            let read = Message::parse(datagram.as_bytes(), &mut table);
            match read {
                Ok(message) => assert!(fits && message.lines().len() == lines),
                Err(not) => assert!(!fits && not == NotSip::TooManyHeaders),
            }
        }
    }
}
