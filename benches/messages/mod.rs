//! What phones say, as the benchmarks need it: whole messages of the size that phones of the field send.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

pub const CALLER: &str = "441530";
pub const CALLEE: &str = "196630";

const USER_AGENT: &str = "User-Agent: Yealink SIP-T31P 124.86.0.40\r\n";

pub fn options(number: u32, own: SocketAddrV4, to: Ipv4Addr) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKo{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:ping@{own}>;tag=o{number}\r\nTo: <sip:{to}>\r\nCall-ID: o{number}@{own}\r\nCSeq: 1 OPTIONS\r\n\
         Accept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    )
}

pub fn register(number: u32, own: SocketAddrV4, to: Ipv4Addr, user: &str) -> String {
    format!(
        "REGISTER sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKr{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{to}>;tag=r{number}\r\nTo: <sip:{user}@{to}>\r\nCall-ID: r{user}@{own}\r\n\
         CSeq: {number} REGISTER\r\nContact: <sip:{user}@{own}>\r\nExpires: 3600\r\n{USER_AGENT}Content-Length: 0\r\n\r\n"
    )
}

pub fn invite(call: u32, own: SocketAddrV4, exchange: Ipv4Addr) -> String {
    let host = own.ip();
    let body = format!(
        "v=0\r\no=- {call} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 11780 RTP/AVP 8 0 9 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    format!(
        "INVITE sip:{CALLEE}@{exchange} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKi{call}\r\n\
         Max-Forwards: 70\r\nFrom: \"Caller\" <sip:{CALLER}@{exchange}>;tag=c{call}\r\nTo: <sip:{CALLEE}@{exchange}>\r\n\
         Call-ID: {call}@{own}\r\nCSeq: 1 INVITE\r\nContact: <sip:{CALLER}@{own}>\r\n{USER_AGENT}\
         Allow: INVITE, INFO, PRACK, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REGISTER, SUBSCRIBE, REFER, PUBLISH, UPDATE, MESSAGE\r\n\
         Supported: replaces\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// ACK or BYE of the caller, in the dialog that `answer` (the 200 to its INVITE) has made.
pub fn within_dialog(
    method: &str,
    number: u32,
    call: u32,
    own: SocketAddrV4,
    exchange: Ipv4Addr,
    answer: &str,
) -> String {
    let contact = line(answer, "Contact: ").trim_matches(['<', '>']);
    let mut text = format!(
        "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{method}{call}\r\nMax-Forwards: 70\r\n"
    );
    for route in lines(answer, "Record-Route: ") {
        let _ = write!(text, "Route: {route}\r\n");
    }
    let to = line(answer, "To: ");
    let _ = write!(
        text,
        "From: \"Caller\" <sip:{CALLER}@{exchange}>;tag=c{call}\r\nTo: {to}\r\nCall-ID: {call}@{own}\r\n\
         CSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
    );
    text
}

/// What the callee answers: 180 and 200 to INVITE, 200 to BYE, nothing to ACK.
pub fn answers(request: &str, own: SocketAddrV4) -> Vec<String> {
    let answer = |status: &str, body: &str| {
        let mut out = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().take_while(|line| !line.is_empty()) {
            if ["Via:", "Record-Route:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
                let _ = write!(out, "{line}\r\n");
            } else if line.starts_with("To:") {
                let _ = write!(out, "{line}{}\r\n", if line.contains("tag=") { "" } else { ";tag=callee" });
            }
        }
        let _ = write!(out, "Contact: <sip:{CALLEE}@{own}>\r\n{USER_AGENT}");
        if !body.is_empty() {
            out.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(out, "Content-Length: {}\r\n\r\n{body}", body.len());
        out
    };
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 11780 RTP/AVP 8 101\r\n\
                a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";
    match request.split(' ').next() {
        Some("INVITE") => vec![answer("180 Ringing", ""), answer("200 OK", body)],
        Some("BYE") => vec![answer("200 OK", "")],
        _ => Vec::new(),
    }
}

/// What a message means to the caller.
pub enum Heard {
    /// It goes on.
    Progress,
    /// Call so-and-so was answered.
    Answered(u32),
    /// BYE was answered.
    HungUp,
}

impl Heard {
    /// Reads an answer; what a call should not hear is a failure.
    pub fn of(text: &str) -> Self {
        let status: u16 = text.get(8..11).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        match (status, line(text, "CSeq: ").ends_with("INVITE")) {
            (100..200, _) => Self::Progress,
            (200, true) => Self::Answered(line(text, "Call-ID: ").split('@').next().unwrap().parse().unwrap()),
            (200, false) => Self::HungUp,
            _ => panic!("a call failed: {text}"),
        }
    }
}

pub fn lines<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    message.lines().filter_map(move |line| line.strip_prefix(name))
}

pub fn line<'a>(message: &'a str, name: &'a str) -> &'a str {
    lines(message, name).next().unwrap_or_default()
}
