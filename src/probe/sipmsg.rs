//! The requests of SIP tests, and what is read of their answers.
//!
//! Deliberately not here: when something is sent (`sending.rs` and `ring.rs`). ACK and CANCEL of an INVITE that was not answered
//! with 2xx are spliced out of the INVITE by `wire::sip`. Read RFC 3261 §8.1.1, §11.1, §13.2.2.4 and §15.1.1 first.

use std::fmt::Write as _;
use std::net::SocketAddrV4;

use crate::wire::sip::{Essentials, Message, Method, Name, NameAddr};

/// What every branch begins with (RFC 3261 §8.1.1.7).
const MAGIC: &str = "z9hG4bK";
/// What a request takes, mostly.
const ROOM: usize = 640;
/// The port that needs not be said.
const PORT: u16 = 5060;

/// Who sends the tests, as every request of theirs says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    at: SocketAddrV4,
    number: String,
    /// Both together.
    uri: String,
    /// The address alone, and with the port.
    host: String,
    sent_by: String,
}

impl Caller {
    /// Answers come to `at`; the number may be empty.
    pub fn new(at: SocketAddrV4, number: &str) -> Self {
        Self { at, number: number.to_owned(), uri: uri(number, at), host: at.ip().to_string(), sent_by: at.to_string() }
    }

    /// The address and port that answers come to.
    pub fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// The same caller at another place.
    pub fn move_to(&mut self, at: SocketAddrV4) {
        *self = Self::new(at, &self.number);
    }
}

/// A request outside or inside a dialog.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `OPTIONS`, `INVITE`, `ACK`, `BYE`.
    pub method: &'a str,
    /// The Request-URI.
    pub uri: &'a str,
    /// The whole value of To.
    pub to: &'a str,
    /// Names the transaction, with `call`.
    pub branch: u32,
    /// Names the call or test.
    pub call: u64,
    /// The number of the CSeq.
    pub cseq: u32,
    /// An offer, for an INVITE.
    pub offer: Option<&'a str>,
}

/// `sip:441530@10.1.2.3`.
pub fn uri(number: &str, at: SocketAddrV4) -> String {
    let mut uri = String::from("sip:");
    for byte in number.bytes() {
        // RFC 3261 §25.1, user: what needs no escape.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    if !number.is_empty() {
        uri.push('@');
    }
    let _ = match at.port() {
        PORT => write!(uri, "{}", at.ip()),
        port => write!(uri, "{}:{port}", at.ip()),
    };
    uri
}

/// The branch of a transaction.
pub fn branch(number: u32, call: u64) -> String {
    format!("{MAGIC}{number:08x}{call:016x}")
}

/// A whole request.
pub fn write(caller: &Caller, request: &Request<'_>) -> Vec<u8> {
    let Request { method, uri, to, branch: number, call, cseq, offer } = *request;
    let Caller { uri: from, host, sent_by, .. } = caller;
    let (branch, id) = (branch(number, call), format!("{call:016x}"));
    let mut text = String::with_capacity(ROOM);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{method} {uri} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {sent_by};rport;branch={branch}\r\n\
         Max-Forwards: 70\r\n\
         From: \"Switchboard test\" <{from}>;tag={id}\r\n\
         To: {to}\r\n\
         Call-ID: {id}@{host}\r\n\
         CSeq: {cseq} {method}\r\n"
    );
    if matches!(method, "OPTIONS" | "INVITE") {
        text.extend(["Contact: <", from]);
        text.push_str(">\r\nAccept: application/sdp\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n");
    }
    text.push_str(concat!("User-Agent: Switchboard/", env!("CARGO_PKG_VERSION"), "\r\n"));
    if offer.is_some() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    let body = offer.unwrap_or_default();
    let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// An offer of the codecs that every phone has, for a call in which nobody speaks (RFC 3264 §5.1: inactive).
pub fn offer(caller: &Caller, session: u64) -> String {
    let (host, session) = (&caller.host, session >> 1);
    format!(
        "v=0\r\no=- {session} {session} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio 8000 RTP/AVP 8 0 18\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n\
         a=inactive\r\n"
    )
}

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// 100 to 699.
    pub status: u16,
    /// To which request.
    pub method: Method<'a>,
    /// And which of them.
    pub cseq: u32,
    /// As in [`Request`].
    pub branch: u32,
    /// As in [`Request`].
    pub call: u64,
    /// The whole value of To, with the tag of the other side.
    pub to: &'a [u8],
    /// The URI of Contact.
    pub contact: Option<&'a [u8]>,
}

/// Reads an answer; `None`: it is not right, or not to anything of ours.
pub fn read<'a>(message: &Message<'a>) -> Option<Answer<'a>> {
    let status = message.status()?;
    let essentials = Essentials::of(message).ok()?;
    // RFC 3261 §8.1.3.3: more than one Via means that it went astray.
    if message.elements(Name::Via).nth(1).is_some() {
        return None;
    }
    let branch = essentials.via.branch?.strip_prefix(MAGIC.as_bytes())?;
    let (number, call) = branch.split_at_checked(8)?;
    let (branch, call) = (u32::try_from(hex(number)?).ok()?, hex(call).filter(|_| call.len() == 16)?);
    let said = essentials.call_id.split(|b| *b == b'@').next()?;
    if said.len() != 16 || hex(said) != Some(call) {
        return None;
    }
    let contact = message.elements(Name::Contact).next().and_then(|contact| NameAddr::parse(contact).ok());
    Some(Answer {
        status,
        method: essentials.cseq.method,
        cseq: essentials.cseq.number,
        branch,
        call,
        to: message.header(Name::To)?,
        contact: contact.map(|contact| contact.uri),
    })
}

/// The call that the Call-ID of a request names, if it is one of ours.
pub fn call_of(message: &Message<'_>) -> Option<u64> {
    let id = message.header(Name::CallId)?.split(|b| *b == b'@').next()?;
    hex(id).filter(|_| id.len() == 16)
}

/// Lower-case digits only: that is how they were written.
fn hex(digits: &[u8]) -> Option<u64> {
    let plain = digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let digits = std::str::from_utf8(digits).ok().filter(|digits| plain && !digits.is_empty())?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::{Answer as Response, HeaderTable, codec, respond};

    fn caller() -> Caller {
        Caller::new("10.0.0.1:5070".parse().unwrap(), "999900")
    }

    fn options(number: &str, at: &str) -> Vec<u8> {
        let target = uri(number, at.parse().unwrap());
        let to = format!("<{target}>");
        let request =
            Request { method: "OPTIONS", uri: &target, to: &to, branch: 7, call: 0xabc, cseq: 2, offer: None };
        write(&caller(), &request)
    }

    #[test]
    fn an_options_is_as_rfc_3261_wants_it() {
        let text = String::from_utf8(options("441530", "10.1.2.3:5060")).unwrap();
        let expected = "OPTIONS sip:441530@10.1.2.3 SIP/2.0\r\n\
            Via: SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bK000000070000000000000abc\r\n\
            Max-Forwards: 70\r\n\
            From: \"Switchboard test\" <sip:999900@10.0.0.1:5070>;tag=0000000000000abc\r\n\
            To: <sip:441530@10.1.2.3>\r\n\
            Call-ID: 0000000000000abc@10.0.0.1\r\n\
            CSeq: 2 OPTIONS\r\n\
            Contact: <sip:999900@10.0.0.1:5070>\r\n\
            Accept: application/sdp\r\n\
            Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n\
            User-Agent: Switchboard/0.1.0\r\n\
            Content-Length: 0\r\n\r\n";
        assert_eq!(text, expected.replace("0.1.0", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn names_that_are_no_numbers_stay_one_user() {
        for (number, expected) in [
            ("anna b", "sip:anna%20b@10.1.2.3:5062"),
            ("a@b>\r\nX: y", "sip:a%40b%3E%0D%0AX%3A%20y@10.1.2.3:5062"),
            ("", "sip:10.1.2.3:5062"),
            ("*21#", "sip:*21%23@10.1.2.3:5062"),
        ] {
            let at: SocketAddrV4 = "10.1.2.3:5062".parse().unwrap();
            assert_eq!(uri(number, at), expected);
            let bytes = options(number, "10.1.2.3:5062");
            let mut table = HeaderTable::default();
            assert!(Essentials::of(&Message::parse(&bytes, &mut table).unwrap()).is_ok(), "{number}");
        }
    }

    fn answer(request: &[u8], status: u16) -> Vec<u8> {
        let mut table = HeaderTable::default();
        let request = Message::parse(request, &mut table).unwrap();
        let mut out = Vec::new();
        let contact: &[(&str, &[u8])] = &[("Contact", b"<sip:441530@10.1.2.3:5066;ob>;expires=3")];
        let response = Response { status, reason: "X", to_tag: Some(b"them"), extra: contact, ..Response::default() };
        respond(&request, &response, &mut out);
        out
    }

    #[test]
    fn an_answer_names_its_request() {
        let bytes = answer(&options("441530", "10.1.2.3:5060"), 486);
        let mut table = HeaderTable::default();
        let message = Message::parse(&bytes, &mut table).unwrap();
        let answer = read(&message).unwrap();
        assert_eq!((answer.status, answer.cseq, answer.branch, answer.call), (486, 2, 7, 0xabc));
        assert_eq!((answer.method, answer.to), (Method::Options, &b"<sip:441530@10.1.2.3>;tag=them"[..]));
        assert_eq!(answer.contact, Some(&b"sip:441530@10.1.2.3:5066;ob"[..]));
    }

    #[test]
    fn an_answer_to_somebody_else_is_none() {
        let whole = String::from_utf8(answer(&options("441530", "10.1.2.3:5060"), 200)).unwrap();
        for (from, to) in [
            ("z9hG4bK", "z9hG4bX"),
            ("bK00000007", "bK0000007"),
            ("bK00000007", "bK0000000G"),
            ("bK00000007", "bK0000000A"),
            ("0000000000000abc@", "0000000000000abd@"),
            ("0000000000000abc@", "abc@"),
            ("Via: ", "Via: SIP/2.0/UDP 1.2.3.4, "),
            ("Via: ", "Via: SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bK000000070000000000000abc, "),
            ("CSeq: 2 OPTIONS", "CSeq: x"),
        ] {
            assert!(whole.contains(from), "{from}");
            let changed = whole.replacen(from, to, 1);
            let mut table = HeaderTable::default();
            assert!(read(&Message::parse(changed.as_bytes(), &mut table).unwrap()).is_none(), "{to}");
        }
        // A request is no answer.
        let mut table = HeaderTable::default();
        assert!(read(&Message::parse(&options("1", "10.1.2.3:5060"), &mut table).unwrap()).is_none());
    }

    #[test]
    fn the_offer_is_one_that_phones_take() {
        let offer = offer(&caller(), u64::MAX);
        assert_eq!(codec(offer.as_bytes()).as_deref(), Some("PCMA"));
        assert!(offer.lines().all(|line| line.len() > 2 && line.as_bytes()[1] == b'='));
    }
}
