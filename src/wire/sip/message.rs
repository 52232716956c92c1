//! A datagram read in one pass into a table of ranges. (First landing: signatures.)
use crate::limits;

/// Header fields that the exchange knows by name; compact forms (RFC 3261 §7.3.3) are the same name.
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
    Other,
}

/// Where the header lines of one datagram are; reused between datagrams.
#[derive(Debug, Default)]
pub struct HeaderTable {
    lines: Vec<u8>,
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
    /// The method with this name.
    pub fn of(name: &'a [u8]) -> Self {
        match name {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"REGISTER" => Self::Register,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"PUBLISH" => Self::Publish,
            b"INFO" => Self::Info,
            b"REFER" => Self::Refer,
            b"MESSAGE" => Self::Message,
            b"UPDATE" => Self::Update,
            other => Self::Other(other),
        }
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
    /// A request; `version` as it came ("SIP/2.0").
    #[allow(missing_docs)]
    Request { method: Method<'a>, uri: &'a [u8], version: &'a [u8] },
    /// A response; `status` is 100 to 699.
    #[allow(missing_docs)]
    Response { status: u16, reason: &'a [u8] },
}

/// Not a SIP message, and nobody to answer: drop and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSip {
    /// Nothing, or only CR, LF and NUL (RFC 5626 §3.5.1).
    KeepAlive,
    /// A STUN message (RFC 5389 §6).
    Stun,
    /// No start line, or a response with an impossible status.
    Junk,
    /// More header lines than [`limits::SIP_HEADER_LINES`].
    TooManyHeaders,
}

/// One SIP message: ranges into the datagram that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    #[allow(dead_code)]
    table: &'a HeaderTable,
}

impl<'a> Message<'a> {
    /// Reads one datagram.
    pub fn parse(datagram: &'a [u8], table: &'a mut HeaderTable) -> Result<Message<'a>, NotSip> {
        let _ = (datagram, table.lines.len(), limits::SIP_HEADER_LINES);
        todo!()
    }

    /// The message without leading CRLFs and without surplus after the body.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'a> {
        todo!()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<Method<'a>> {
        todo!()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        todo!()
    }

    /// The Request-URI of a request, as it came.
    pub fn request_uri(&self) -> Option<&'a [u8]> {
        todo!()
    }

    /// The value of the first line with this name, trimmed; folds are still inside.
    pub fn header(&self, name: Name) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// The values of all lines with this name, in order.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let _ = name;
        std::iter::empty()
    }

    /// Comma lists taken apart, over all lines with this name, in order (RFC 3261 §7.3.1).
    pub fn elements(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let _ = name;
        std::iter::empty()
    }

    /// The values of all lines with a name that [`Name`] does not know, without regard to case ("Reason", "Path").
    pub fn other(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let _ = name;
        std::iter::empty()
    }

    /// The body, as long as Content-Length says, or up to the end of the datagram without one (RFC 3261 §18.3).
    pub fn body(&self) -> &'a [u8] {
        todo!()
    }
}
