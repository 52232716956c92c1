//! What a proxy must understand before it does anything with a message (RFC 3261 §16.3 step 1), and what to say when it
//! does not.
//!
//! Deliberately absent: everything that RFC 3261 §16.3 does not ask of a proxy. A bad Date, an odd Contact in an INVITE or
//! an unknown Content-Type pass. So does policy: scheme, Max-Forwards of 0, Proxy-Require.
//!
//! Read first: RFC 3261 §8.1.1, §8.2.6, §16.3, §18.3, §20; RFC 4475 §3.1.2, §3.3.

use super::message::{Message, Name, StartLine};
use super::scan::{Elements, is_lws};
use super::uri::{Scheme, Uri};
use super::value::{Bad, CSeq, NameAddr, Via, number};

/// The validated values that routing, matching and answering need.
#[derive(Clone, Copy, Debug)]
pub struct Essentials<'a> {
    /// The topmost Via.
    pub via: Via<'a>,
    /// Who sends the request.
    pub from: NameAddr<'a>,
    /// `None` from RFC 2543 peers.
    pub from_tag: Option<&'a [u8]>,
    /// Whom the request was meant for first.
    pub to: NameAddr<'a>,
    /// `None` outside dialogs.
    pub to_tag: Option<&'a [u8]>,
    /// Not empty, no white space.
    pub call_id: &'a [u8],
    /// Its method is that of the request.
    pub cseq: CSeq<'a>,
    /// `None`: missing, or above 255 (RFC 4475 §3.1.2.4: may be taken as missing). Responses: always `None`.
    pub max_forwards: Option<u8>,
}

impl Essentials<'_> {
    /// Checks requests and responses alike; a response with a fault is to be dropped.
    ///
    /// The faults that leave no way to answer are found first, so that whatever else is reported can be answered.
    pub fn of<'a>(message: &Message<'a>) -> Result<Essentials<'a>, Fault> {
        let via = message.header(Name::Via).ok_or(Fault::MissingVia)?;
        // The first line, not the first element found: answering and forwarding take that one apart too.
        let (_, via) = Elements::of(via).next().ok_or(Fault::MalformedVia)?;
        let via = Via::parse(via).map_err(|_| Fault::MalformedVia)?;

        let short = message.fault() == Some(Fault::BodyTooShort);
        if let Some(fault) = message.fault().filter(|_| !short) {
            return Err(fault);
        }
        if !via.params.well_formed() {
            return Err(Fault::ViaParameters);
        }
        if let StartLine::Request { uri, .. } = message.start_line() {
            let uri = Uri::parse(uri).map_err(|_| Fault::RequestUri)?;
            // §19.1.1: no header fields in a Request-URI.
            if uri.headers.is_some() && matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
                return Err(Fault::RequestUriHeaders);
            }
        }

        let from = single(message, Name::From, Fault::RepeatedFrom)?.ok_or(Fault::MissingFrom)?;
        let from = NameAddr::parse(from).map_err(|_| Fault::MalformedFrom)?;
        let to = single(message, Name::To, Fault::RepeatedTo)?.ok_or(Fault::MissingTo)?;
        let to = NameAddr::parse(to).map_err(|_| Fault::MalformedTo)?;
        let call_id = single(message, Name::CallId, Fault::RepeatedCallId)?.ok_or(Fault::MissingCallId)?;
        if call_id.is_empty() || call_id.iter().any(|b| is_lws(*b) || b.is_ascii_control()) {
            return Err(Fault::MalformedCallId);
        }
        let cseq = single(message, Name::CSeq, Fault::RepeatedCSeq)?.ok_or(Fault::MissingCSeq)?;
        let cseq = CSeq::parse(cseq).map_err(|bad| match bad {
            Bad::Number => Fault::CSeqNumber,
            _ => Fault::MalformedCSeq,
        })?;

        let mut max_forwards = None;
        if let Some(method) = message.method() {
            // §8.1.1.5: the method of CSeq is that of the request.
            if cseq.method != method {
                return Err(Fault::CSeqMethod);
            }
            if let Some(value) = single(message, Name::MaxForwards, Fault::RepeatedMaxForwards)? {
                if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                    return Err(Fault::MalformedMaxForwards);
                }
                max_forwards = number(value, 255).and_then(|hops| u8::try_from(hops).ok());
            }
        }

        if let Some(length) = single(message, Name::ContentLength, Fault::RepeatedContentLength)? {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return Err(Fault::MalformedContentLength);
            }
            // §18.3: a request with less body than announced is answered 400, a response is dropped.
            if short {
                return Err(Fault::BodyTooShort);
            }
        }

        let tag = |params: super::value::Params<'a>| params.find("tag").flatten().filter(|tag| !tag.is_empty());
        Ok(Essentials {
            via,
            from,
            from_tag: tag(from.params),
            to,
            to_tag: tag(to.params),
            call_id,
            cseq,
            max_forwards,
        })
    }
}

/// The value of a field that may stand only once (§7.3.1).
fn single<'a>(message: &Message<'a>, name: Name, repeated: Fault) -> Result<Option<&'a [u8]>, Fault> {
    if message.is_repeated(name) { Err(repeated) } else { Ok(message.header(name)) }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fault {
    MissingVia,
    /// No protocol or no sent-by: nowhere to send an answer.
    MalformedVia,
    /// sent-by is fine, what follows is not.
    ViaParameters,
    /// White space where none may be, no Request-URI, or a folded first line.
    StartLine,
    /// Another version than SIP/2.0.
    Version,
    RequestUri,
    RequestUriHeaders,
    /// The datagram ends in the middle of a header line.
    HeaderSection,
    MissingFrom,
    MalformedFrom,
    RepeatedFrom,
    MissingTo,
    MalformedTo,
    RepeatedTo,
    MissingCallId,
    MalformedCallId,
    RepeatedCallId,
    MissingCSeq,
    MalformedCSeq,
    RepeatedCSeq,
    /// 2^31 or more.
    CSeqNumber,
    CSeqMethod,
    MalformedMaxForwards,
    RepeatedMaxForwards,
    MalformedContentLength,
    RepeatedContentLength,
    BodyTooShort,
}

impl Fault {
    /// Every fault, for tables in tests and counters.
    pub const ALL: [Self; 27] = [
        Self::MissingVia,
        Self::MalformedVia,
        Self::ViaParameters,
        Self::StartLine,
        Self::Version,
        Self::RequestUri,
        Self::RequestUriHeaders,
        Self::HeaderSection,
        Self::MissingFrom,
        Self::MalformedFrom,
        Self::RepeatedFrom,
        Self::MissingTo,
        Self::MalformedTo,
        Self::RepeatedTo,
        Self::MissingCallId,
        Self::MalformedCallId,
        Self::RepeatedCallId,
        Self::MissingCSeq,
        Self::MalformedCSeq,
        Self::RepeatedCSeq,
        Self::CSeqNumber,
        Self::CSeqMethod,
        Self::MalformedMaxForwards,
        Self::RepeatedMaxForwards,
        Self::MalformedContentLength,
        Self::RepeatedContentLength,
        Self::BodyTooShort,
    ];

    /// 400, or 505 for another version.
    pub fn status(self) -> u16 {
        if self == Self::Version { 505 } else { 400 }
    }

    /// The reason phrase that says what is wrong.
    pub fn reason(self) -> &'static str {
        match self {
            Self::MissingVia => "Missing Via",
            Self::MalformedVia => "Malformed Via",
            Self::ViaParameters => "Malformed Via parameters",
            Self::StartLine => "Malformed request line",
            Self::Version => "Version Not Supported",
            Self::RequestUri => "Malformed Request-URI",
            Self::RequestUriHeaders => "Header fields in Request-URI",
            Self::HeaderSection => "Incomplete header section",
            Self::MissingFrom => "Missing From",
            Self::MalformedFrom => "Malformed From",
            Self::RepeatedFrom => "Repeated From",
            Self::MissingTo => "Missing To",
            Self::MalformedTo => "Malformed To",
            Self::RepeatedTo => "Repeated To",
            Self::MissingCallId => "Missing Call-ID",
            Self::MalformedCallId => "Malformed Call-ID",
            Self::RepeatedCallId => "Repeated Call-ID",
            Self::MissingCSeq => "Missing CSeq",
            Self::MalformedCSeq => "Malformed CSeq",
            Self::RepeatedCSeq => "Repeated CSeq",
            Self::CSeqNumber => "CSeq number out of range",
            Self::CSeqMethod => "CSeq method differs from request method",
            Self::MalformedMaxForwards => "Malformed Max-Forwards",
            Self::RepeatedMaxForwards => "Repeated Max-Forwards",
            Self::MalformedContentLength => "Malformed Content-Length",
            Self::RepeatedContentLength => "Repeated Content-Length",
            Self::BodyTooShort => "Body shorter than Content-Length",
        }
    }

    /// Whether the top Via is good enough to send an answer to. What else is missing or broken is left out of the answer
    /// or copied as it came (RFC 4475 §3.3.1: a 400 helps whoever has to find the mistake). An ACK is never answered.
    pub fn answerable(self) -> bool {
        !matches!(self, Self::MissingVia | Self::MalformedVia)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::HeaderTable;

    const GOOD: &[(&str, &str)] = &[
        ("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1"),
        ("From", "<sip:1@a>;tag=f"),
        ("To", "<sip:2@a>"),
        ("Call-ID", "c"),
        ("CSeq", "1 INVITE"),
        ("Max-Forwards", "70"),
        ("Content-Length", "0"),
    ];

    /// A good INVITE, with the lines of one name replaced by these values.
    fn with(name: &str, values: &[&str]) -> Result<Option<u8>, Fault> {
        let mut datagram = String::from("INVITE sip:2@a SIP/2.0\r\n");
        for (good, value) in GOOD {
            let values = if *good == name { values } else { &[*value] };
            for value in values {
                datagram.push_str(&format!("{good}: {value}\r\n"));
            }
        }
        datagram.push_str("\r\n");
        fault_of(&datagram)
    }

    fn fault_of(datagram: &str) -> Result<Option<u8>, Fault> {
        let mut table = HeaderTable::default();
        Essentials::of(&Message::parse(datagram.as_bytes(), &mut table).unwrap()).map(|good| good.max_forwards)
    }

    #[test]
    fn one_field_at_a_time() {
        let via = "SIP/2.0/UDP a";
        for (name, values, expected) in [
            ("Via", &[][..], Err(Fault::MissingVia)),
            ("Via", &[""], Err(Fault::MalformedVia)),
            ("Via", &["", via], Err(Fault::MalformedVia)),
            ("Via", &["SIP/2.0/UDP"], Err(Fault::MalformedVia)),
            ("Via", &["SIP/2.0/UDP a;;x"], Err(Fault::ViaParameters)),
            ("Via", &[via, "below the top nothing is judged"], Ok(Some(70))),
            ("From", &[], Err(Fault::MissingFrom)),
            ("From", &[""], Err(Fault::MalformedFrom)),
            ("From", &["\"x <sip:1@a>"], Err(Fault::MalformedFrom)),
            ("From", &["<sip:1@a>", "<sip:1@a>"], Err(Fault::RepeatedFrom)),
            ("From", &["<sip:1@a>, <sip:1@a>"], Err(Fault::MalformedFrom)),
            ("From", &["<sip:1@a>"], Ok(Some(70))),
            ("To", &[], Err(Fault::MissingTo)),
            ("To", &["alice"], Err(Fault::MalformedTo)),
            ("To", &["<sip:1@a>", "<sip:1@a>"], Err(Fault::RepeatedTo)),
            ("To", &["<isbn:2983792873>"], Ok(Some(70))),
            ("Call-ID", &[], Err(Fault::MissingCallId)),
            ("Call-ID", &[""], Err(Fault::MalformedCallId)),
            ("Call-ID", &["a b"], Err(Fault::MalformedCallId)),
            ("Call-ID", &["a", "a"], Err(Fault::RepeatedCallId)),
            ("CSeq", &[], Err(Fault::MissingCSeq)),
            ("CSeq", &["INVITE"], Err(Fault::MalformedCSeq)),
            ("CSeq", &["-1 INVITE"], Err(Fault::MalformedCSeq)),
            ("CSeq", &["1 INVITE", "2 INVITE"], Err(Fault::RepeatedCSeq)),
            ("CSeq", &["2147483648 INVITE"], Err(Fault::CSeqNumber)),
            ("CSeq", &["0000000000002147483647 INVITE"], Ok(Some(70))),
            ("CSeq", &["1 invite"], Err(Fault::CSeqMethod)),
            ("CSeq", &["1 OPTIONS"], Err(Fault::CSeqMethod)),
            ("Max-Forwards", &[], Ok(None)),
            ("Max-Forwards", &["0"], Ok(Some(0))),
            ("Max-Forwards", &["0068"], Ok(Some(68))),
            ("Max-Forwards", &["255"], Ok(Some(255))),
            ("Max-Forwards", &["256"], Ok(None)),
            ("Max-Forwards", &["99999999999999"], Ok(None)),
            ("Max-Forwards", &["-1"], Err(Fault::MalformedMaxForwards)),
            ("Max-Forwards", &[""], Err(Fault::MalformedMaxForwards)),
            ("Max-Forwards", &["70", "70"], Err(Fault::RepeatedMaxForwards)),
            ("Content-Length", &[], Ok(Some(70))),
            ("Content-Length", &["1"], Err(Fault::BodyTooShort)),
            ("Content-Length", &["99999999999999999999"], Err(Fault::BodyTooShort)),
            ("Content-Length", &["-1"], Err(Fault::MalformedContentLength)),
            ("Content-Length", &["0x0"], Err(Fault::MalformedContentLength)),
            ("Content-Length", &["0, 0"], Err(Fault::MalformedContentLength)),
            ("Content-Length", &["0", "0"], Err(Fault::RepeatedContentLength)),
            ("Content-Length", &["0", "99"], Err(Fault::RepeatedContentLength)),
        ] {
            assert_eq!(with(name, values), expected, "{name}: {values:?}");
        }
    }

    #[test]
    fn start_line_and_end() {
        let lines = "Via: SIP/2.0/UDP a\r\nf: <sip:1@a>\r\nt: <sip:2@a>\r\ni: c\r\nCSeq: 1 OPTIONS\r\n";
        for (start, end, expected) in [
            ("OPTIONS sip:a SIP/2.0\r\n", "\r\n", Ok(None)),
            ("OPTIONS sip:a SIP/2.0\r\n", "", Ok(None)),
            ("OPTIONS sip:a SIP/2.0\r\n", "X: cut o", Err(Fault::HeaderSection)),
            ("OPTIONS sip:a SIP/2.1\r\n", "\r\n", Err(Fault::Version)),
            ("OPTIONS sip:a SIP/2.0 \r\n", "\r\n", Err(Fault::StartLine)),
            ("OPTIONS sip:a SIP/2.0\r\n ;lr\r\n", "\r\n", Err(Fault::StartLine)),
            ("OPTIONS sip:a;x y SIP/2.0\r\n", "\r\n", Err(Fault::RequestUri)),
            ("OPTIONS <sip:a> SIP/2.0\r\n", "\r\n", Err(Fault::RequestUri)),
            ("OPTIONS sip:a@ SIP/2.0\r\n", "\r\n", Err(Fault::RequestUri)),
            ("OPTIONS sip:a?x=y SIP/2.0\r\n", "\r\n", Err(Fault::RequestUriHeaders)),
            ("OPTIONS http://a/?x=y SIP/2.0\r\n", "\r\n", Ok(None)),
            ("OPTIONS sip:[::1];maddr=x;transport=tcp SIP/2.0\r\n", "\r\n", Ok(None)),
            ("SIP/2.0 200 OK\r\n", "\r\n", Ok(None)),
        ] {
            assert_eq!(fault_of(&format!("{start}{lines}{end}")), expected, "{start}");
        }
        // A broken start line without a Via is not worth an answer.
        assert_eq!(fault_of("OPTIONS sip:a SIP/9.0\r\n\r\n"), Err(Fault::MissingVia));
    }

    #[test]
    fn tags_are_found_and_empty_ones_are_none() {
        let mut table = HeaderTable::default();
        let datagram = "SIP/2.0 200 OK\r\nv:SIP/2.0/UDP a\r\nf:sip:1@a ; TAG = x\r\nt:\"tag=no\" <sip:2@a;tag=no>;tag=\r\ni:c\r\nCSeq:1 BYE\r\n\r\n";
        let message = Message::parse(datagram.as_bytes(), &mut table).unwrap();
        let good = Essentials::of(&message).unwrap();
        assert_eq!((good.from_tag, good.to_tag), (Some(&b"x"[..]), None));
    }

    #[test]
    fn every_fault_says_something_of_its_own() {
        let mut reasons: Vec<_> = Fault::ALL.iter().map(|fault| fault.reason()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), Fault::ALL.len());
        for fault in Fault::ALL {
            assert_eq!(fault.status(), if fault == Fault::Version { 505 } else { 400 });
            assert_eq!(fault.answerable(), !matches!(fault, Fault::MissingVia | Fault::MalformedVia));
        }
    }
}
