//! New datagrams from old ones. (First landing.) Every function appends one whole datagram to `out`.
use super::message::Message;
use std::net::Ipv4Addr;

/// RFC 3261 §16.6 by splicing: what is not named here is copied byte for byte, in place and order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward<'a> {
    /// `None`: as received.
    pub request_uri: Option<&'a [u8]>,
    /// Value of the proxy's own Via: "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK…"; a line of its own above the first.
    pub via: &'a [u8],
    /// Added to the caller's top Via, or replacing what is there (§18.2.1).
    pub received: Option<Ipv4Addr>,
    /// Fills rport of the caller's top Via, if the parameter is there (RFC 3581 §4).
    pub rport: Option<u16>,
    /// Written in place, or added when missing.
    pub max_forwards: u8,
    /// "<sip:10.0.0.1:5060;lr>": a line above the first Record-Route, or below the Vias.
    pub record_route: Option<&'a [u8]>,
    /// So many Route elements off the front (§16.4).
    pub drop_routes: usize,
    /// Appended as the last Route element (strict router ahead, §16.6 step 6).
    pub push_route: Option<&'a [u8]>,
}

/// The request as the proxy sends it on.
pub fn forward_request(message: &Message<'_>, edit: &Forward<'_>, out: &mut Vec<u8>) {
    let _ = (message, edit, out);
    todo!()
}

/// §16.7 step 3: the first Via element off, the rest unchanged.
pub fn forward_response(message: &Message<'_>, out: &mut Vec<u8>) {
    let _ = (message, out);
    todo!()
}

/// A response made here (§8.2.6).
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// 100 to 699.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'a str,
    /// Added to To if it has no tag; `None` for 100.
    pub to_tag: Option<&'a [u8]>,
    /// As in [`Forward::received`].
    pub received: Option<Ipv4Addr>,
    /// As in [`Forward::rport`].
    pub rport: Option<u16>,
    /// Further header lines: name, value.
    pub extra: &'a [(&'a str, &'a [u8])],
    /// Content-Type and body.
    pub body: Option<(&'a str, &'a [u8])>,
}

/// Answers a request, also one with a [`super::Fault`] that is answerable. Copies all Via lines, From, To, Call-ID, CSeq,
/// and Record-Route into 101 to 299 of a request that makes a dialog.
pub fn respond(request: &Message<'_>, answer: &Answer<'_>, out: &mut Vec<u8>) {
    let _ = (request, answer, out);
    todo!()
}

/// The ACK for a final answer other than 2xx (§17.1.1.3). `sent_invite` is the INVITE as it was sent.
pub fn ack(sent_invite: &Message<'_>, response: &Message<'_>, out: &mut Vec<u8>) {
    let _ = (sent_invite, response, out);
    todo!()
}

/// The CANCEL for a request (§9.1). `reason` is a Reason value to pass on (RFC 3326).
pub fn cancel(sent_invite: &Message<'_>, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    let _ = (sent_invite, reason, out);
    todo!()
}
