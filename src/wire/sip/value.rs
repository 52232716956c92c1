//! Values of header fields: name-addr, Via, CSeq, parameters, numbers. Everything borrows.
//!
//! Deliberately absent: unfolding and unescaping. White space, folds included, may stand wherever the grammar allows it and
//! is stepped over (RFC 3261 §25.1: LWS, and the separators with white space around them).
//!
//! Read first: RFC 3261 §20.10, §20.16, §20.42, §25.1; RFC 3581 §3.

use super::message::Method;
use super::scan::{find, is_lws, is_token, trim};
use std::net::Ipv4Addr;
use std::ops::Range;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Nothing there.
    Empty,
    /// A quoted string without its end.
    Quote,
    /// "<" without ">", or a URI that must stand in angle brackets and does not (§20.10).
    Bracket,
    /// A display name with characters that need quotes.
    Display,
    /// No scheme, or nothing behind it.
    Scheme,
    /// The user part, or the number of a tel URI.
    User,
    /// Host name or address.
    Host,
    /// Not 1 to 65535.
    Port,
    /// "%" without two hexadecimal digits.
    Escape,
    /// Parameters, or headers of a URI.
    Parameter,
    /// Too large.
    Number,
    /// The sent-protocol of Via.
    Protocol,
    /// Not a token.
    Method,
    /// Something behind the end.
    Trailing,
    /// White space or control characters inside a URI.
    Blank,
}

/// Steps over a value from left to right.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn lws(&mut self) {
        while self.peek().is_some_and(is_lws) {
            self.step();
        }
    }

    /// Takes `wanted`, with white space around it.
    fn take(&mut self, wanted: u8) -> bool {
        self.lws();
        let there = self.peek() == Some(wanted);
        if there {
            self.step();
            self.lws();
        }
        there
    }

    fn while_(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.step();
        }
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// A quoted string with its quotes; the cursor is on the first. `None` without an end.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.step();
        loop {
            match self.peek()? {
                b'\\' => {
                    self.step();
                    self.peek()?;
                }
                b'"' => {
                    self.step();
                    return self.bytes.get(start..self.at);
                }
                _ => {}
            }
            self.step();
        }
    }
}

/// name-addr or addr-spec with the parameters of the header field (RFC 3261 §20.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name as it came, with its quotes; empty without one.
    pub display: &'a [u8],
    /// Not empty, has a scheme, no white space; not looked into further, see [`super::Uri`].
    pub uri: &'a [u8],
    /// Those of the header field, behind the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// From one element of From, To, Contact, Route, Record-Route. Without angle brackets, parameters belong to the field,
    /// and a URI with "?" or "," is refused.
    ///
    /// A display name without quotes may hold any characters but `"<>,;@` and controls: phones send names like "Käthi (2)".
    pub fn parse(element: &'a [u8]) -> Result<Self, Bad> {
        let element = trim(element);
        let mut cursor = Cursor::new(element);
        let display = match cursor.peek().ok_or(Bad::Empty)? {
            b'"' => cursor.quoted().ok_or(Bad::Quote)?,
            _ => {
                let before = cursor.while_(|b| b != b'<' && b != b':');
                if cursor.peek() != Some(b'<') {
                    return Self::addr_spec(element);
                }
                let display = trim(before);
                let bad =
                    |b: &u8| matches!(b, b'"' | b'>' | b',' | b';' | b'@') || (b.is_ascii_control() && !is_lws(*b));
                if display.iter().any(bad) {
                    return Err(Bad::Display);
                }
                display
            }
        };
        if !{
            cursor.lws();
            cursor.peek() == Some(b'<')
        } {
            return Err(Bad::Bracket);
        }
        cursor.step();
        let uri = cursor.while_(|b| b != b'>');
        if cursor.peek().is_none() {
            return Err(Bad::Bracket);
        }
        cursor.step();
        Ok(Self { display, uri: with_scheme(uri)?, params: Params::of_field(cursor.rest())? })
    }

    fn addr_spec(element: &'a [u8]) -> Result<Self, Bad> {
        let mut cursor = Cursor::new(element);
        let uri = trim(cursor.while_(|b| b != b';'));
        // §20.10: with a comma, question mark or semicolon the URI must be in angle brackets.
        if uri.iter().any(|b| matches!(b, b',' | b'?')) {
            return Err(Bad::Bracket);
        }
        Ok(Self { display: b"", uri: with_scheme(uri)?, params: Params::of_field(cursor.rest())? })
    }
}

/// A URI that at least has a scheme, something behind it, and no white space, controls or brackets.
fn with_scheme(uri: &[u8]) -> Result<&[u8], Bad> {
    let colon = find(uri, b':').ok_or(Bad::Scheme)?;
    if colon == 0 || colon.saturating_add(1) == uri.len() {
        return Err(Bad::Scheme);
    }
    no_blanks(uri)?;
    Ok(uri)
}

/// No white space, controls, angle brackets or quotes: whatever else a URI is, it ends where it seems to.
pub(super) fn no_blanks(uri: &[u8]) -> Result<(), Bad> {
    match uri.iter().find(|b| **b <= b' ' || matches!(b, 0x7f | b'<' | b'>' | b'"')) {
        None => Ok(()),
        Some(b'<' | b'>' | b'"') => Err(Bad::Bracket),
        Some(_) => Err(Bad::Blank),
    }
}

/// `;name=value;flag`, aware of white space and quotes. Values keep their quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a [u8]);

/// One parameter, as offsets into the bytes of [`Params`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Param {
    /// Of the semicolon.
    pub(super) at: usize,
    pub(super) name: Range<usize>,
    pub(super) value: Option<Range<usize>>,
}

impl Param {
    /// Behind the name or value.
    pub(super) fn end(&self) -> usize {
        self.value.as_ref().map_or(self.name.end, |value| value.end)
    }
}

impl<'a> Params<'a> {
    /// Parameters in these bytes, which start with ";" or are empty.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(trim(bytes))
    }

    /// What stands behind the URI of a header field: parameters and nothing else, no second element, all quotes closed.
    fn of_field(bytes: &'a [u8]) -> Result<Self, Bad> {
        let bytes = trim(bytes);
        match bytes.first() {
            None => return Ok(Self(bytes)),
            Some(b';') => {}
            Some(_) => return Err(Bad::Trailing),
        }
        let mut cursor = Cursor::new(bytes);
        while let Some(byte) = cursor.peek() {
            match byte {
                b'"' => {
                    cursor.quoted().ok_or(Bad::Quote)?;
                }
                b',' | b'<' | b'>' => return Err(Bad::Trailing),
                _ => cursor.step(),
            }
        }
        Ok(Self(bytes))
    }

    /// As they came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// `None`: not there; `Some(None)`: there without a value. Names have no case.
    pub fn find(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// All, in order: name and value. Empty ones (";;") are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let bytes = self.0;
        self.ranges().map(move |param| {
            let slice = |range: Range<usize>| bytes.get(range).unwrap_or_default();
            (slice(param.name), param.value.map(slice))
        })
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = Param> + use<'a> {
        let mut cursor = Cursor::new(self.0);
        std::iter::from_fn(move || {
            loop {
                while cursor.peek()? != b';' {
                    cursor.step();
                }
                let at = cursor.at;
                cursor.step();
                cursor.lws();
                let start = cursor.at;
                let name = cursor.while_(|b| !is_lws(b) && b != b'=' && b != b';');
                if name.is_empty() && cursor.peek() != Some(b'=') {
                    continue;
                }
                let name = start..cursor.at;
                let mut look = cursor;
                if !look.take(b'=') {
                    return Some(Param { at, name, value: None });
                }
                let start = look.at;
                if look.peek() != Some(b'"') || look.quoted().is_none() {
                    look.at = start;
                    look.while_(|b| b != b';');
                }
                cursor = look;
                let value = trim(self_slice(cursor.bytes, start, cursor.at));
                return Some(Param { at, name, value: Some(start..start.saturating_add(value.len())) });
            }
        })
    }

    /// Whether every parameter is `;token`, `;token=token`, `;token=host` or `;token="…"` (RFC 4475 §3.1.2.1).
    pub fn well_formed(&self) -> bool {
        let mut cursor = Cursor::new(self.0);
        while cursor.peek().is_some() {
            if !cursor.take(b';') || cursor.while_(is_token).is_empty() {
                return false;
            }
            if cursor.take(b'=') {
                let there = match cursor.peek() {
                    Some(b'"') => cursor.quoted().is_some(),
                    // host of §25.1 may be an IPv6 address, with or without brackets (RFC 5118 §4.5).
                    _ => !cursor.while_(|b| is_token(b) || matches!(b, b'[' | b']' | b':')).is_empty(),
                };
                if !there {
                    return false;
                }
            }
            cursor.lws();
        }
        true
    }
}

fn self_slice(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end).unwrap_or_default()
}

/// One element of Via (RFC 3261 §20.42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// "UDP", "TCP", "TLS", anything: policy is not ours.
    pub transport: &'a [u8],
    /// Name or address of sent-by; IPv6 with its brackets.
    pub host: &'a [u8],
    /// Port of sent-by, if it is there.
    pub port: Option<u16>,
    /// The branch parameter.
    pub branch: Option<&'a [u8]>,
    /// `Some(None)`: asked for (RFC 3581 §3), or there with an impossible value; `Some(Some(port))`: filled in.
    pub rport: Option<Option<u16>>,
    /// If it is an IPv4 address.
    pub received: Option<Ipv4Addr>,
    /// As it came.
    pub maddr: Option<&'a [u8]>,
    /// All parameters, the above included.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// From one element. Strict about the protocol and sent-by, which an answer needs; see [`Params::well_formed`].
    pub fn parse(element: &'a [u8]) -> Result<Self, Bad> {
        let mut cursor = Cursor::new(trim(element));
        let name = cursor.while_(is_token);
        let slash = cursor.take(b'/');
        let version = cursor.while_(is_token);
        if name.is_empty() || version.is_empty() || !slash || !cursor.take(b'/') {
            return Err(if cursor.bytes.is_empty() { Bad::Empty } else { Bad::Protocol });
        }
        let transport = cursor.while_(is_token);
        if transport.is_empty() || !cursor.peek().is_some_and(is_lws) {
            return Err(Bad::Protocol);
        }
        cursor.lws();
        let host = if cursor.peek() == Some(b'[') {
            let start = cursor.at;
            cursor.while_(|b| b != b']');
            cursor.step();
            self_slice(cursor.bytes, start, cursor.at)
        } else {
            cursor.while_(|b| !is_lws(b) && b != b':' && b != b';')
        };
        if !is_host(host) {
            return Err(Bad::Host);
        }
        let port = if cursor.take(b':') {
            Some(port(cursor.while_(|b| !is_lws(b) && b != b';')).ok_or(Bad::Port)?)
        } else {
            None
        };
        cursor.lws();
        if cursor.peek().is_some_and(|b| b != b';') {
            return Err(Bad::Trailing);
        }
        let mut via = Self {
            transport,
            host,
            port,
            branch: None,
            rport: None,
            received: None,
            maddr: None,
            params: Params::new(cursor.rest()),
        };
        for (name, value) in via.params.iter() {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            match name.len() {
                6 if is("branch") && via.branch.is_none() => via.branch = value.filter(|branch| !branch.is_empty()),
                5 if is("rport") && via.rport.is_none() => via.rport = Some(value.and_then(self::port)),
                8 if is("received") && via.received.is_none() => via.received = value.and_then(ipv4),
                5 if is("maddr") && via.maddr.is_none() => via.maddr = value,
                _ => {}
            }
        }
        Ok(via)
    }

    /// The port of sent-by, 5060 without one (RFC 3261 §18.2.2).
    pub fn sent_by_port(&self) -> u16 {
        self.port.unwrap_or(5060)
    }

    /// The address of sent-by, if it is an IPv4 address.
    pub fn host_v4(&self) -> Option<Ipv4Addr> {
        ipv4(self.host)
    }
}

/// A host name, an IPv4 address, or an IPv6 address in brackets. The underscore is not in the grammar but in names.
pub(super) fn is_host(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', inner @ .., b']'] => {
            inner.contains(&b':') && inner.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        _ => host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    }
}

pub(super) fn port(digits: &[u8]) -> Option<u16> {
    number(digits, 65_535).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

pub(super) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31 (§8.1.1.5).
    pub number: u32,
    /// As written there.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// From the value of the field. [`Bad::Number`]: digits, but too many.
    pub fn parse(value: &'a [u8]) -> Result<Self, Bad> {
        let mut cursor = Cursor::new(trim(value));
        let digits = cursor.while_(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return Err(Bad::Empty);
        }
        if !cursor.peek().is_some_and(is_lws) {
            return Err(Bad::Trailing);
        }
        cursor.lws();
        let method = cursor.while_(is_token);
        if method.is_empty() || cursor.peek().is_some() {
            return Err(Bad::Method);
        }
        let number = number(digits, 0x7fff_ffff).ok_or(Bad::Number)?;
        Ok(Self { number, method: Method::of(method) })
    }
}

/// Digits, leading zeros welcome; `None` if there is nothing, anything else, or the number is above `max`.
pub fn number(digits: &[u8], max: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let mut sum = 0_u32;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        sum = sum.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    (sum <= max).then_some(sum)
}

/// delta-seconds: more than 2^32-1 counts as 2^32-1 (RFC 3261 §20.19), malformed is `None` (§10.2.1.1: then the default).
pub fn expires(value: &[u8]) -> Option<u32> {
    let value = trim(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(number(value, u32::MAX).unwrap_or(u32::MAX))
}

/// A qvalue in thousandths, 0 to 1000 (RFC 3261 §25.1); digits behind the third are cut. `None` if malformed.
pub fn q(value: &[u8]) -> Option<u16> {
    let value = trim(value);
    let (whole, fraction) = match find(value, b'.') {
        Some(dot) => (value.get(..dot)?, value.get(dot.saturating_add(1)..)?),
        None => (value, &b""[..]),
    };
    let mut thousandths = number(whole, 1)?.checked_mul(1_000)?;
    let mut weight = 100_u32;
    for byte in fraction {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        thousandths = thousandths.checked_add(weight.checked_mul(u32::from(digit))?)?;
        weight /= 10;
    }
    u16::try_from(thousandths).ok().filter(|q| *q <= 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn name_addr_in_all_its_forms() {
        for (element, display, uri, params) in [
            ("<sip:a@b>", "", "sip:a@b", ""),
            ("sip:a@b", "", "sip:a@b", ""),
            ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
            ("sip:a@b ; tag = 1", "", "sip:a@b", "; tag = 1"),
            ("caller<sip:a@b>;tag=3", "caller", "sip:a@b", ";tag=3"),
            ("Alice Bob <sip:a@b;x=y?h=v>;tag=3", "Alice Bob", "sip:a@b;x=y?h=v", ";tag=3"),
            (r#""B <x> \" ; , é" <sip:a@b>"#, r#""B <x> \" ; , é""#, "sip:a@b", ""),
            ("Käthi (2) <sip:a@b>", "Käthi (2)", "sip:a@b", ""),
            ("\"Q\"\r\n <sips:a@b>\r\n ;\r\n tag=x", "\"Q\"", "sips:a@b", ";\r\n tag=x"),
            ("<tel:+1-2>;q=0.1;y=\"a,b;<\"", "", "tel:+1-2", ";q=0.1;y=\"a,b;<\""),
            ("<urn:service:sos>", "", "urn:service:sos", ""),
        ] {
            let read = NameAddr::parse(element.as_bytes()).unwrap();
            assert_eq!((text(read.display), text(read.uri), text(read.params.0)), (display, uri, params), "{element}");
        }
    }

    #[test]
    fn name_addr_refused() {
        for (element, bad) in [
            ("", Bad::Empty),
            ("\"Mr. J. User <sip:a@b>", Bad::Quote),
            ("\"ends with \\", Bad::Quote),
            ("\"name\" sip:a@b", Bad::Bracket),
            ("<sip:a@b", Bad::Bracket),
            ("sip:a@b?h=v", Bad::Bracket),
            ("sip:a,b@c", Bad::Bracket),
            ("Bell, Alexander <sip:a@b>", Bad::Display),
            ("a;b <sip:a@b>", Bad::Display),
            ("a\u{7} <sip:a@b>", Bad::Display),
            ("< sip:a@b >", Bad::Blank),
            ("<sip:a@b\r\n >", Bad::Blank),
            ("sip:a @b", Bad::Blank),
            ("<>", Bad::Scheme),
            ("<sip:>", Bad::Scheme),
            ("<:a>", Bad::Scheme),
            ("alice", Bad::Scheme),
            ("*", Bad::Scheme),
            ("<sip:a@b> x", Bad::Trailing),
            ("<sip:a@b>, <sip:c@d>", Bad::Trailing),
            ("<sip:a@b>;tag=1, <sip:c@d>", Bad::Trailing),
            ("<sip:a@b>;x=\"y", Bad::Quote),
            ("<sip:<a@b>", Bad::Bracket),
        ] {
            assert_eq!(NameAddr::parse(element.as_bytes()), Err(bad), "{element}");
        }
    }

    #[test]
    fn parameters_with_blanks_quotes_and_holes() {
        let params = Params::new(b"; TAG = 12\r\n ;flag;;q=\"a;b=\\\"c\" ; empty= ;last");
        let all: Vec<_> = params.iter().map(|(n, v)| (text(n), v.map(text))).collect();
        assert_eq!(
            all,
            [("TAG", Some("12")), ("flag", None), ("q", Some("\"a;b=\\\"c\"")), ("empty", Some("")), ("last", None)]
        );
        assert_eq!(params.find("tag"), Some(Some(&b"12"[..])));
        assert_eq!(params.find("FLAG"), Some(None));
        assert_eq!(params.find("a"), None);
        assert_eq!(params.find("b"), None);
    }

    #[test]
    fn well_formed_parameters() {
        for good in
            ["", ";a", ";a=b;c", " ; a\r\n = b ; c=\"d;e\"", ";received=[2001:db8::1]", ";received=2001:db8::1;rport"]
        {
            assert!(Params::new(good.as_bytes()).well_formed(), "{good}");
        }
        for bad in [";", ";;a", ";a;", ";a=", ";a=;b", ";a=b c", ";a b", ";=b", ";a=\"b", ";a=b=c", ";a@b"] {
            assert!(!Params::new(bad.as_bytes()).well_formed(), "{bad}");
        }
    }

    #[test]
    fn via_with_everything() {
        let via = Via::parse(
            b"SIP / 2.0\r\n /UDP\r\n first.example.org : 04000;ttl=16\r\n ;maddr=224.2.0.1 ;Branch=z9hG4bKa7 ;RPORT; received = 10.1.2.3",
        )
        .unwrap();
        assert_eq!((text(via.transport), text(via.host), via.port), ("UDP", "first.example.org", Some(4000)));
        assert_eq!(via.branch, Some(&b"z9hG4bKa7"[..]));
        assert_eq!(via.rport, Some(None));
        assert_eq!(via.received, Some(Ipv4Addr::new(10, 1, 2, 3)));
        assert_eq!(via.maddr, Some(&b"224.2.0.1"[..]));
        assert_eq!(via.params.find("ttl"), Some(Some(&b"16"[..])));
        assert_eq!(via.sent_by_port(), 4000);
    }

    #[test]
    fn via_hosts_ports_and_rport() {
        let read = |element: &str| {
            Via::parse(element.as_bytes())
                .map(|via| (text(via.host).to_owned(), via.port, via.sent_by_port(), via.rport))
        };
        let ok = |host: &str, port, sent, rport| Ok((host.to_owned(), port, sent, rport));
        assert_eq!(read("SIP/2.0/TCP a"), ok("a", None, 5060, None));
        assert_eq!(read("SIP/2.0/UDP 10.0.0.1;rport=70000"), ok("10.0.0.1", None, 5060, Some(None)));
        assert_eq!(read("SIP/2.0/UDP 10.0.0.1;rport=7000"), ok("10.0.0.1", None, 5060, Some(Some(7000))));
        assert_eq!(read("SIP/2.0/UDP [2001:db8::9:1]:5061;x"), ok("[2001:db8::9:1]", Some(5061), 5061, None));
        assert_eq!(read("SIP/2.0/UDP [2001:db8::9:1]"), ok("[2001:db8::9:1]", None, 5060, None));
        assert_eq!(read("SIP/7.0/UNKNOWN a_b"), ok("a_b", None, 5060, None));
        for (element, bad) in [
            ("", Bad::Empty),
            ("SIP/2.0/UDP", Bad::Protocol),
            ("SIP/2.0 a", Bad::Protocol),
            ("UDP a", Bad::Protocol),
            ("SIP/2.0/UDP ;branch=x", Bad::Host),
            ("SIP/2.0/UDP [::1", Bad::Host),
            ("SIP/2.0/UDP [x]", Bad::Host),
            ("SIP/2.0/UDP a:0", Bad::Port),
            ("SIP/2.0/UDP a:65536", Bad::Port),
            ("SIP/2.0/UDP a:99999999999999999999", Bad::Port),
            ("SIP/2.0/UDP a:", Bad::Port),
            ("SIP/2.0/UDP a:-1", Bad::Port),
            ("SIP/2.0/UDP a b", Bad::Trailing),
        ] {
            assert_eq!(read(element), Err(bad), "{element}");
        }
    }

    #[test]
    fn cseq() {
        let read = |value: &'static str| CSeq::parse(value.as_bytes()).map(|c| (c.number, text(c.method.as_bytes())));
        assert_eq!(read("1 INVITE"), Ok((1, "INVITE")));
        assert_eq!(read("0009\r\n  INVITE"), Ok((9, "INVITE")));
        assert_eq!(read("2147483647 ACK"), Ok((2_147_483_647, "ACK")));
        assert_eq!(read("2147483648 ACK"), Err(Bad::Number));
        assert_eq!(read("36893488147419103232 REGISTER"), Err(Bad::Number));
        assert_eq!(read("-1 ACK"), Err(Bad::Empty));
        assert_eq!(read("1ACK"), Err(Bad::Trailing));
        assert_eq!(read("1"), Err(Bad::Trailing));
        assert_eq!(read("1 ACK BYE"), Err(Bad::Method));
        assert_eq!(read("ACK 1"), Err(Bad::Empty));
        assert_eq!(read(""), Err(Bad::Empty));
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(number(b"00000000000000000000000042", 100), Some(42));
        assert_eq!(number(b"4294967295", u32::MAX), Some(u32::MAX));
        assert_eq!(number(b"4294967296", u32::MAX), None);
        assert_eq!(number(b"101", 100), None);
        assert_eq!(number(b"", 100), None);
        assert_eq!(number(b"+1", 100), None);
        assert_eq!(number(b"1 ", 100), None);
        assert_eq!(expires(b"0003600"), Some(3600));
        assert_eq!(expires(b"99999999999999999999999"), Some(u32::MAX));
        for bad in [&b""[..], b"-5", b"1h", b"3600;x", b"0x10"] {
            assert_eq!(expires(bad), None);
        }
    }

    #[test]
    fn qvalues() {
        for (value, expected) in [
            ("1", Some(1000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("0.33", Some(330)),
            ("0.3339", Some(333)),
            ("1.000", Some(1000)),
            ("1.", Some(1000)),
            ("00.7", Some(700)),
            ("1.1", None),
            ("2", None),
            ("-0.5", None),
            ("0.5x", None),
            ("0.00000000000000000000000000000000000001", Some(0)),
            ("", None),
            (".5", None),
        ] {
            assert_eq!(q(value.as_bytes()), expected, "{value}");
        }
    }
}
