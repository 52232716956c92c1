//! sip, sips and tel URIs (RFC 3261 §19.1, RFC 3966). (First landing.)
use super::value::{Bad, Params};
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
#[allow(missing_docs)]
pub struct Uri<'a> {
    pub scheme: Scheme<'a>,
    pub user: Option<&'a [u8]>,
    pub password: Option<&'a [u8]>,
    /// IPv6 with its brackets.
    pub host: &'a [u8],
    pub port: Option<u16>,
    pub params: Params<'a>,
    /// Behind "?", without it.
    pub headers: Option<&'a [u8]>,
}

impl<'a> Uri<'a> {
    /// From the bytes between angle brackets, or a Request-URI.
    pub fn parse(bytes: &'a [u8]) -> Result<Uri<'a>, Bad> {
        let _ = bytes;
        todo!()
    }

    /// RFC 3261 §19.1.4.
    pub fn same(&self, other: &Uri<'_>) -> bool {
        let _ = other;
        todo!()
    }

    /// The user part with escapes undone (%23 is #); of a tel URI the number without visual separators. `None` if there is
    /// no user or it is longer than [`limits::SIP_USER`].
    pub fn user_unescaped(&self) -> Option<heapless::Vec<u8, { limits::SIP_USER }>> {
        todo!()
    }

    /// The host, if it is an IPv4 address.
    pub fn host_v4(&self) -> Option<Ipv4Addr> {
        todo!()
    }

    /// Whether the parameter lr is there (RFC 3261 §16.12).
    pub fn is_loose(&self) -> bool {
        todo!()
    }

    /// The parameter transport.
    pub fn transport(&self) -> Option<&'a [u8]> {
        todo!()
    }
}
