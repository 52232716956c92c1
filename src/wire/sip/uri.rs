//! sip, sips and tel URIs, and when two of them are the same (RFC 3261 §19.1, RFC 3966).
//!
//! Deliberately absent: which schemes, hosts and transports are welcome; that is for the proxy to say. A URI of another
//! scheme is taken as it is.
//!
//! The user part may hold what the grammar does not allow but phones send ("#" without escape, bytes above 127); never white
//! space, controls, quotes or angle brackets, which could end the URI for somebody else.

use super::scan::find;
use super::value::{Bad, Params, ipv4, is_host, no_blanks, port};
use crate::limits;
use std::net::Ipv4Addr;

/// What comes before the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scheme<'a> {
    Sip,
    Sips,
    Tel,
    Other(&'a [u8]),
}

/// A URI taken apart; nothing is unescaped.
///
/// tel: `user` is the number as written, `host` is empty. Other schemes: everything behind the colon is in `host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// Compared without case.
    pub scheme: Scheme<'a>,
    /// Not empty; may hold `; ? & = + $ , /` and escapes.
    pub user: Option<&'a [u8]>,
    /// Behind the first colon of the userinfo.
    pub password: Option<&'a [u8]>,
    /// Name or address; IPv6 with its brackets.
    pub host: &'a [u8],
    /// `None` is not the same as 5060.
    pub port: Option<u16>,
    /// Behind the host.
    pub params: Params<'a>,
    /// Behind "?", without it.
    pub headers: Option<&'a [u8]>,
}

impl<'a> Uri<'a> {
    /// From the bytes between angle brackets, or a Request-URI.
    pub fn parse(bytes: &'a [u8]) -> Result<Uri<'a>, Bad> {
        let colon = find(bytes, b':').ok_or(Bad::Scheme)?;
        let (name, rest) =
            (bytes.get(..colon).unwrap_or_default(), bytes.get(colon.saturating_add(1)..).unwrap_or_default());
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !name.first().is_some_and(u8::is_ascii_alphabetic) || !name.iter().all(plain) || rest.is_empty() {
            return Err(Bad::Scheme);
        }
        no_blanks(rest)?;
        let scheme = match name.len() {
            3 if name.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
            4 if name.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
            3 if name.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
            _ => {
                let params = Params::default();
                let scheme = Scheme::Other(name);
                return Ok(Self { scheme, user: None, password: None, host: rest, port: None, params, headers: None });
            }
        };
        if !escapes_whole(rest) {
            return Err(Bad::Escape);
        }
        if scheme == Scheme::Tel { Self::tel(rest) } else { Self::sip(scheme, rest) }
    }

    fn sip(scheme: Scheme<'a>, rest: &'a [u8]) -> Result<Uri<'a>, Bad> {
        // "@" stands nowhere but behind the userinfo; "?" and ";" before it belong to the user (RFC 4475 §3.1.1.9).
        let (user, password, rest) = match cut(rest, b'@') {
            (info, Some(rest)) => match cut(info, b':') {
                (b"", _) => return Err(Bad::User),
                (user, password) => (Some(user), password, rest),
            },
            (rest, None) => (None, None, rest),
        };
        let host_end = match rest {
            [b'[', ..] => find(rest, b']').map(|end| end.saturating_add(1)).ok_or(Bad::Host)?,
            _ => rest.iter().position(|b| matches!(b, b':' | b';' | b'?')).unwrap_or(rest.len()),
        };
        let (host, rest) = rest.split_at_checked(host_end).unwrap_or_default();
        if !is_host(host) {
            return Err(Bad::Host);
        }
        let (rest, headers) = cut(rest, b'?');
        let (port, params) = match rest {
            [b':', behind @ ..] => {
                let digits_end = find(behind, b';').unwrap_or(behind.len());
                let (digits, params) = behind.split_at_checked(digits_end).unwrap_or_default();
                (Some(port(digits).ok_or(Bad::Port)?), params)
            }
            _ => (None, rest),
        };
        if !matches!(params, [] | [b';', ..]) {
            return Err(Bad::Host);
        }
        if params.contains(&b'@') || headers.is_some_and(|headers| headers.is_empty() || headers.contains(&b'@')) {
            return Err(Bad::Parameter);
        }
        Ok(Self { scheme, user, password, host, port, params: Params::new(params), headers })
    }

    fn tel(rest: &'a [u8]) -> Result<Uri<'a>, Bad> {
        let end = find(rest, b';').unwrap_or(rest.len());
        let (number, params) = rest.split_at_checked(end).unwrap_or_default();
        // RFC 3966 §3: digits, also hexadecimal ones, "*", "#" and visual separators; one "+" in front.
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        let phone = |b: &u8| b.is_ascii_hexdigit() || is_separator(*b) || matches!(b, b'*' | b'#' | b'%');
        if !digits.iter().all(phone) || !digits.iter().any(|b| !is_separator(*b)) {
            return Err(Bad::User);
        }
        let params = Params::new(params);
        let scheme = Scheme::Tel;
        Ok(Self { scheme, user: Some(number), password: None, host: b"", port: None, params, headers: None })
    }

    /// Whether the two are the same by RFC 3261 §19.1.4, tel URIs by RFC 3966 §5; others byte for byte behind the scheme.
    pub fn same(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {
                same_option(self.user, other.user, Case::Counts)
                    && same_option(self.password, other.password, Case::Counts)
                    && self.host.eq_ignore_ascii_case(other.host)
                    && self.port == other.port
                    && self.params_agree(other)
                    && other.params_agree(self)
                    && headers_within(self.headers, other.headers)
                    && headers_within(other.headers, self.headers)
            }
            (Scheme::Tel, Scheme::Tel) => {
                fn digits<'u>(uri: &Uri<'u>) -> impl Iterator<Item = u8> + use<'u> {
                    let number = Unescape(uri.user.unwrap_or_default()).map(|(byte, _)| byte.to_ascii_lowercase());
                    number.filter(|byte| !is_separator(*byte))
                }
                let within =
                    |a: &Uri<'_>, b: &Uri<'_>| a.params.iter().all(|(name, value)| has(b, name, value) == Some(true));
                digits(self).eq(digits(other)) && within(self, other) && within(other, self)
            }
            (Scheme::Other(a), Scheme::Other(b)) => a.eq_ignore_ascii_case(b) && self.host == other.host,
            _ => false,
        }
    }

    /// Parameters in both must agree; user, ttl, method, maddr and transport must be in both or in none.
    fn params_agree(&self, other: &Uri<'_>) -> bool {
        let decides = |name: &[u8]| {
            ["user", "ttl", "method", "maddr", "transport"]
                .iter()
                .any(|known| same_text(name, known.as_bytes(), Case::Free))
        };
        self.params.iter().all(|(name, value)| has(other, name, value).unwrap_or_else(|| !decides(name)))
    }

    /// The user part with its escapes undone (%23 is #); of a tel URI the number without visual separators. `None` if there
    /// is no user or it is longer than [`limits::SIP_USER`].
    pub fn user_unescaped(&self) -> Option<heapless::Vec<u8, { limits::SIP_USER }>> {
        let mut plain = heapless::Vec::new();
        for (byte, _) in Unescape(self.user?) {
            if self.scheme != Scheme::Tel || !is_separator(byte) {
                plain.push(byte).ok()?;
            }
        }
        Some(plain)
    }

    /// The host, if it is an IPv4 address.
    pub fn host_v4(&self) -> Option<Ipv4Addr> {
        ipv4(self.host)
    }

    /// Whether the parameter lr is there, with or without a value (RFC 3261 §16.12, §19.1.1).
    pub fn is_loose(&self) -> bool {
        self.params.find("lr").is_some()
    }

    /// The parameter transport.
    pub fn transport(&self) -> Option<&'a [u8]> {
        self.params.find("transport").flatten()
    }
}

/// Before and behind the first `at`.
fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match find(bytes, at) {
        Some(found) => (bytes.get(..found).unwrap_or_default(), bytes.get(found.saturating_add(1)..)),
        None => (bytes, None),
    }
}

/// RFC 3966 §3: visual-separator.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// Whether a parameter with this name has this value; `None` if there is none. A name may stand there more than once.
fn has(uri: &Uri<'_>, name: &[u8], value: Option<&[u8]>) -> Option<bool> {
    let mut same_name = uri.params.iter().filter(|(found, _)| same_text(found, name, Case::Free)).peekable();
    same_name.peek()?;
    Some(same_name.any(|(_, found)| same_option(value, found, Case::Free)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Counts,
    Free,
}

fn same_option(a: Option<&[u8]>, b: Option<&[u8]>, case: Case) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same_text(a, b, case),
        _ => false,
    }
}

/// §19.1.4: an escape is the same as its character, unless that one is reserved.
fn same_text(a: &[u8], b: &[u8], case: Case) -> bool {
    let folded = |text| {
        Unescape(text).map(move |(byte, escaped)| {
            let byte = if case == Case::Free { byte.to_ascii_lowercase() } else { byte };
            // RFC 2396 §2.2: reserved.
            let reserved = matches!(byte, b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',');
            (byte, escaped && reserved)
        })
    };
    folded(a).eq(folded(b))
}

/// Every header of `a` is in `b`; §19.1.4: they are never ignored.
fn headers_within(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    let pairs = |headers: Option<&'_ [u8]>| headers.unwrap_or_default().split(|b| *b == b'&').count();
    pairs(a) == pairs(b)
        && a.unwrap_or_default()
            .split(|b| *b == b'&')
            .all(|pair| b.unwrap_or_default().split(|b| *b == b'&').any(|other| same_text(pair, other, Case::Free)))
}

/// Bytes with their escapes undone, and whether they had one.
struct Unescape<'a>(&'a [u8]);

impl Iterator for Unescape<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<Self::Item> {
        match self.0 {
            [b'%', high, low, rest @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                self.0 = rest;
                Some((hex(*high)?.wrapping_shl(4) | hex(*low)?, true))
            }
            [byte, rest @ ..] => {
                self.0 = rest;
                Some((*byte, false))
            }
            [] => None,
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

fn escapes_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(percent) = find(rest, b'%') {
        rest = rest.get(percent..).unwrap_or_default();
        match rest {
            [_, high, low, behind @ ..] if hex(*high).is_some() && hex(*low).is_some() => rest = behind,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn shown(uri: &str) -> String {
        let read = Uri::parse(uri.as_bytes()).unwrap();
        let option = |part: Option<&[u8]>| part.map_or("-".to_owned(), |part| text(part).to_owned());
        format!(
            "{:?} {} {} {} {} {} {}",
            read.scheme,
            option(read.user),
            option(read.password),
            text(read.host),
            read.port.map_or("-".to_owned(), |port| port.to_string()),
            text(read.params.as_bytes()),
            option(read.headers)
        )
    }

    #[test]
    fn taken_apart() {
        for (uri, expected) in [
            ("sip:a", "Sip - - a -  -"),
            ("SIP:4711@10.0.0.1:05060", "Sip 4711 - 10.0.0.1 5060  -"),
            ("sips:a:b@c.d;lr;x=y?to=z&q=w", "Sips a b c.d - ;lr;x=y to=z&q=w"),
            ("sip:a;b?c&d=e+f$g,h/i@j", "Sip a;b?c&d=e+f$g,h/i - j -  -"),
            ("sip:*67%23@localnode.local.mesh", "Sip *67%23 - localnode.local.mesh -  -"),
            ("sip:*67#@a", "Sip *67# - a -  -"),
            ("sip:a:@b", "Sip a  b -  -"),
            ("sip:a:b:c@d", "Sip a b:c d -  -"),
            ("sip:[2001:db8::10]:5070;lr", "Sip - - [2001:db8::10] 5070 ;lr -"),
            ("sip:a@[::1]?h=v", "Sip a - [::1] -  h=v"),
            (
                "sip:a@b;transport=tcp;maddr=239.255.255.1;ttl=15",
                "Sip a - b - ;transport=tcp;maddr=239.255.255.1;ttl=15 -",
            ),
            ("tel:+1-201-555-0123", "Tel +1-201-555-0123 -  -  -"),
            ("tel:7042;phone-context=example.com", "Tel 7042 -  - ;phone-context=example.com -"),
        ] {
            assert_eq!(shown(uri), expected, "{uri}");
        }
        let other = Uri::parse(b"nobodyKnows:100%opaque@x").unwrap();
        assert_eq!((other.scheme, text(other.host)), (Scheme::Other(b"nobodyKnows"), "100%opaque@x"));
        assert_eq!(Uri::parse(b"soap.beep://10.0.0.1:3002").unwrap().scheme, Scheme::Other(b"soap.beep"));
    }

    #[test]
    fn refused() {
        for (uri, bad) in [
            ("", Bad::Scheme),
            ("alice", Bad::Scheme),
            ("sip:", Bad::Scheme),
            (":a", Bad::Scheme),
            ("1sip:a", Bad::Scheme),
            ("s/ip:a", Bad::Scheme),
            ("<sip:a@b>", Bad::Scheme),
            ("sip:a b@c", Bad::Blank),
            ("sip:a@b; lr", Bad::Blank),
            ("sip:a\r\n@b", Bad::Blank),
            ("sip:a\0@b", Bad::Blank),
            ("sip:a<b@c", Bad::Bracket),
            ("sip:a\"b@c", Bad::Bracket),
            ("sip:@b", Bad::User),
            ("sip::x@b", Bad::User),
            ("sip:a@", Bad::Host),
            ("sip:a@b@c", Bad::Host),
            ("sip:a@ex{ample", Bad::Host),
            ("sip:a@[::1", Bad::Host),
            ("sip:a@[::1]x", Bad::Host),
            ("sip:a@;lr", Bad::Host),
            ("sip:a@b:", Bad::Port),
            ("sip:a@b:0", Bad::Port),
            ("sip:a@b:65536", Bad::Port),
            ("sip:a@b:50x", Bad::Port),
            ("sip:a%@b", Bad::Escape),
            ("sip:a%4@b", Bad::Escape),
            ("sip:a%zz@b", Bad::Escape),
            ("sip:a@b;x=%", Bad::Escape),
            ("sip:a@b?", Bad::Parameter),
            ("tel:", Bad::Scheme),
            ("tel:+", Bad::User),
            ("tel:--", Bad::User),
            ("tel:1+2", Bad::User),
            ("tel:alice", Bad::User),
        ] {
            assert_eq!(Uri::parse(uri.as_bytes()), Err(bad), "{uri}");
        }
    }

    /// The examples of RFC 3261 §19.1.4 among others; every pair is tried both ways.
    #[test]
    fn comparison() {
        for (a, b, same) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", true),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=a",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=a",
                true,
            ),
            ("sip:a@b?subject=x&priority=urgent", "sip:a@b?priority=urgent&subject=x", true),
            ("SIP:ALICE@a;Transport=udp", "sip:alice@a;Transport=UDP", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;USER=phone", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false),
            ("sip:a@b", "sip:a@b?subject=next", false),
            ("sip:a@b?subject=x", "sip:a@b?subject=y", false),
            ("sip:a@b?x=1&x=1", "sip:a@b?x=1", false),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false),
            ("sip:a@b;lr", "sip:a@b;lr=on", false),
            ("sip:a@b", "sips:a@b", false),
            ("sip:b", "sip:a@b", false),
            ("sip:a@b", "sip:a:pw@b", false),
            ("sip:a:pw@b", "sip:a:PW@b", false),
            ("sip:a:%70w@b", "sip:a:pw@b", true),
            ("sip:%2a67%23@b", "sip:*67%23@b", true),
            ("sip:67%23@b", "sip:67#@b", true),
            ("sip:a%3Bb@c", "sip:a;b@c", false),
            ("sip:a%3bb@c", "sip:a%3Bb@c", true),
            ("sip:a%40b@c", "sip:a%40B@c", false),
            ("sip:a@b;ttl=1", "sip:a@b", false),
            ("sip:a@b;maddr=1.2.3.4", "sip:a@b", false),
            ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8::1]", true),
            ("sip:a@b;x=1;x=2", "sip:a@b;x=2;x=1", true),
            ("sip:a@b;x=1;x=2", "sip:a@b;x=3", false),
            ("tel:+1-201-555", "tel:+1201555", true),
            ("tel:+1201555", "tel:1201555", false),
            ("tel:7a;phone-context=X.com", "tel:7A;phone-context=x.COM", true),
            ("tel:7", "tel:7;phone-context=x", false),
            ("tel:7", "sip:7@a", false),
            ("isbn:2983792873", "ISBN:2983792873", true),
            ("isbn:2983792873", "isbn:2983792874", false),
        ] {
            let (a_uri, b_uri) = (Uri::parse(a.as_bytes()).unwrap(), Uri::parse(b.as_bytes()).unwrap());
            assert_eq!((a_uri.same(&b_uri), b_uri.same(&a_uri)), (same, same), "{a} {b}");
            assert!(a_uri.same(&a_uri) && b_uri.same(&b_uri), "{a} {b}");
        }
    }

    #[test]
    fn users_unescaped() {
        let user = |uri: &str| Uri::parse(uri.as_bytes()).unwrap().user_unescaped().map(|user| user.to_vec());
        assert_eq!(user("sip:%2a67%23@a").unwrap(), b"*67#");
        assert_eq!(user("sip:null-%00-null@a").unwrap(), b"null-\0-null");
        assert_eq!(user("sip:+41-(0)44@a").unwrap(), b"+41-(0)44");
        assert_eq!(user("tel:+41-(0)44.12").unwrap(), b"+4104412");
        assert_eq!(user("sip:a"), None);
        assert_eq!(user(&format!("sip:{}@a", "x".repeat(limits::SIP_USER))).unwrap().len(), limits::SIP_USER);
        assert_eq!(user(&format!("sip:{}@a", "x".repeat(limits::SIP_USER + 1))), None);
    }

    #[test]
    fn what_routing_asks() {
        let uri = Uri::parse(b"sip:10.0.0.1;LR=on;Transport=TCP").unwrap();
        assert!(uri.is_loose());
        assert_eq!(uri.transport(), Some(&b"TCP"[..]));
        assert_eq!(uri.host_v4(), Some(Ipv4Addr::new(10, 0, 0, 1)));
        let uri = Uri::parse(b"sip:host;lrx").unwrap();
        assert!(!uri.is_loose() && uri.transport().is_none() && uri.host_v4().is_none());
    }
}
