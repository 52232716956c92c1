//! Values of header fields: name-addr, Via, CSeq, parameters, numbers. (First landing.)
use super::message::Method;
use std::net::Ipv4Addr;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Bad {
    Empty,
    Quote,
    Bracket,
    Display,
    Scheme,
    User,
    Host,
    Port,
    Escape,
    Parameter,
    Number,
    Protocol,
    Method,
    Trailing,
}

/// name-addr or addr-spec with the parameters of the header field (RFC 3261 §20.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name as it came, quotes and all; empty without one.
    pub display: &'a [u8],
    /// Between the angle brackets, not looked into further than that it has a scheme and no white space.
    pub uri: &'a [u8],
    /// Those of the header field, after the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// From one element of From, To, Contact, Route, Record-Route.
    pub fn parse(element: &'a [u8]) -> Result<Self, Bad> {
        let _ = element;
        todo!()
    }
}

/// `;name=value;flag`, aware of white space and quotes. Values keep their quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// Parameters in these bytes, which start with ";" or are empty.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// As they came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// `None`: not there; `Some(None)`: there without a value. Names have no case.
    pub fn find(&self, name: &str) -> Option<Option<&'a [u8]>> {
        let _ = name;
        todo!()
    }

    /// All, in order: name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        std::iter::empty()
    }
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
    /// `Some(None)`: asked for (RFC 3581 §3); `Some(Some(port))`: filled in.
    pub rport: Option<Option<u16>>,
    /// If it is an IPv4 address.
    pub received: Option<Ipv4Addr>,
    /// As it came.
    pub maddr: Option<&'a [u8]>,
    /// All parameters, the above included.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// From one element.
    pub fn parse(element: &'a [u8]) -> Result<Self, Bad> {
        let _ = element;
        todo!()
    }

    /// The port of sent-by, 5060 without one (RFC 3261 §18.2.2).
    pub fn sent_by_port(&self) -> u16 {
        self.port.unwrap_or(5060)
    }
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// As written there.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// From the value of the field.
    pub fn parse(value: &'a [u8]) -> Result<Self, Bad> {
        let _ = value;
        todo!()
    }
}

/// Digits, leading zeros welcome; `None` if there is anything else or the number is above `max`.
pub fn number(digits: &[u8], max: u32) -> Option<u32> {
    let _ = (digits, max);
    todo!()
}

/// delta-seconds; more than 2^32-1 counts as 2^32-1 (RFC 3261 §20.19), malformed is `None`.
pub fn expires(value: &[u8]) -> Option<u32> {
    let _ = value;
    todo!()
}

/// A qvalue in thousandths, 0 to 1000 (RFC 3261 §25.1).
pub fn q(value: &[u8]) -> Option<u16> {
    let _ = value;
    todo!()
}
