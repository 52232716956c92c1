//! New datagrams from old ones: forwarding by splicing, local answers, and the proxy's own ACK and CANCEL.
//!
//! Deliberately absent: deciding anything. What is not named in [`Forward`] is copied byte for byte, in place and order
//! (RFC 3261 §7.3.1, §16.6), whatever it is.
//!
//! Every function appends one whole datagram to `out`, a buffer that the caller clears and keeps. Values that come from
//! elsewhere lose CR, LF and NUL on the way, so that none can make a line of its own.
//!
//! Read first: RFC 3261 §8.2.6, §9.1, §16.6, §16.7, §17.1.1.3, §18.2.1; RFC 3581 §4; RFC 3326.

use super::message::{Line, Message, Method, Name, StartLine};
use super::scan::Elements;
use super::value::{NameAddr, Param, Params};
use std::net::Ipv4Addr;

/// RFC 3261 §16.6 by splicing.
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
    /// The last Route element off as well: it has become the Request-URI (strict router behind, §16.4).
    pub drop_last_route: bool,
    /// Appended as the last Route element (strict router ahead, §16.6 step 6).
    pub push_route: Option<&'a [u8]>,
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

/// The request as the proxy sends it on.
pub fn forward_request(message: &Message<'_>, edit: &Forward<'_>, out: &mut Vec<u8>) {
    let mut splice = Splice::new(message, out, 256);
    if let (Some(uri), StartLine::Request { uri: old, .. }) = (edit.request_uri, message.start_line()) {
        splice.upto(message.uri_at());
        splice.skip(message.uri_at().saturating_add(old.len()));
        splice.put_clean(uri);
    }

    let own_via = |splice: &mut Splice<'_, '_>| splice.put_line(b"Via", edit.via);
    let has_record_route = message.first_line(Name::RecordRoute).is_some();
    let has_max_forwards = message.first_line(Name::MaxForwards).is_some();
    let last_route = message.lines().iter().rposition(|line| line.name == Name::Route);
    // What has no line to be written into goes below the Vias.
    let new_lines = |splice: &mut Splice<'_, '_>| {
        if let Some(value) = edit.record_route.filter(|_| !has_record_route) {
            splice.put_line(b"Record-Route", value);
        }
        if let Some(value) = edit.push_route.filter(|_| last_route.is_none()) {
            splice.put_line(b"Route", value);
        }
        if !has_max_forwards {
            splice.put(b"Max-Forwards: ");
            splice.put_number(u32::from(edit.max_forwards));
            splice.put(b"\r\n");
        }
    };

    let (mut seen_via, mut seen_others, mut seen_hops, mut recorded) = (false, false, false, false);
    let mut drop_routes = edit.drop_routes;
    for (index, line) in message.lines().iter().enumerate() {
        if seen_via && !seen_others && line.name != Name::Via {
            seen_others = true;
            splice.upto(line.at());
            new_lines(&mut splice);
        }
        match line.name {
            Name::Via if !seen_via => {
                seen_via = true;
                splice.upto(line.at());
                own_via(&mut splice);
                splice.patch_via(line, edit.received, edit.rport);
            }
            Name::MaxForwards if !seen_hops => {
                seen_hops = true;
                splice.upto(line.value());
                splice.skip(line.value_end());
                splice.put_number(u32::from(edit.max_forwards));
            }
            Name::RecordRoute if !recorded => {
                recorded = true;
                if let Some(value) = edit.record_route {
                    splice.upto(line.at());
                    splice.put_line(b"Record-Route", value);
                }
            }
            Name::Route if edit.drop_last_route && last_route == Some(index) => splice.keep_between(line, drop_routes),
            Name::Route if drop_routes > 0 => splice.drop_elements(line, &mut drop_routes),
            _ => {}
        }
        if let Some(value) = edit.push_route.filter(|_| last_route == Some(index)) {
            splice.upto(line.end());
            splice.end_line();
            splice.put_line(b"Route", value);
        }
    }
    splice.upto(message.headers_end());
    if !seen_via {
        splice.end_line();
        own_via(&mut splice);
    }
    if !seen_others {
        splice.end_line();
        new_lines(&mut splice);
    }
    splice.finish(message);
}

/// §16.7 step 3: the first Via element off, the rest unchanged.
pub fn forward_response(message: &Message<'_>, out: &mut Vec<u8>) {
    let mut splice = Splice::new(message, out, 0);
    if let Some(line) = message.first_line(Name::Via) {
        splice.drop_elements(line, &mut 1);
    }
    splice.upto(message.headers_end());
    splice.finish(message);
}

/// Answers a request, also one with a [`super::Fault`] that is answerable. Copies all Via lines, From, To, Call-ID, CSeq,
/// and Record-Route into 101 to 299 of a request that makes a dialog (§12.1.1); Timestamp into 100 (§8.2.6.1).
pub fn respond(request: &Message<'_>, answer: &Answer<'_>, out: &mut Vec<u8>) {
    let mut splice = Splice::new(request, out, 256);
    splice.put(b"SIP/2.0 ");
    splice.put_number(u32::from(answer.status));
    splice.put(b" ");
    splice.put_clean(answer.reason.as_bytes());
    splice.put(b"\r\n");

    let makes_dialog =
        matches!(request.method(), Some(Method::Invite | Method::Subscribe | Method::Refer | Method::Notify))
            && (101..=299).contains(&answer.status);
    let mut top = true;
    for line in request.lines() {
        match line.name {
            Name::Via if top => {
                top = false;
                splice.skip(line.at());
                splice.patch_via(line, answer.received, answer.rport);
                splice.upto(line.value_end());
                splice.put(b"\r\n");
            }
            Name::Via => splice.put_whole(line),
            Name::RecordRoute if makes_dialog => splice.put_whole(line),
            _ => {}
        }
    }
    splice.put_first(request, Name::From);
    if let Some(line) = request.first_line(Name::To) {
        splice.put_range(line.at(), line.value_end());
        // A To that cannot be read is copied as it is: nobody could find the tag in it either.
        let tagless = request
            .header(Name::To)
            .is_some_and(|to| NameAddr::parse(to).is_ok_and(|to| to.params.find("tag").is_none()));
        if let Some(tag) = answer.to_tag.filter(|_| tagless) {
            splice.put(b";tag=");
            splice.put_clean(tag);
        }
        splice.put(b"\r\n");
    }
    splice.put_first(request, Name::CallId);
    splice.put_first(request, Name::CSeq);
    if answer.status == 100 {
        for value in request.others("Timestamp").take(1) {
            splice.put_line(b"Timestamp", value);
        }
    }
    for (name, value) in answer.extra {
        splice.put_line(name.as_bytes(), value);
    }
    let (kind, body) = answer.body.unwrap_or_default();
    if !kind.is_empty() {
        splice.put_line(b"Content-Type", kind.as_bytes());
    }
    splice.put(b"Content-Length: ");
    splice.put_number(u32::try_from(body.len()).unwrap_or(0));
    splice.put(b"\r\n\r\n");
    splice.put(body);
}

/// The ACK for a final answer other than 2xx (§17.1.1.3). `sent_invite` is the INVITE as it was sent, our Via on top.
pub fn ack(sent_invite: &Message<'_>, response: &Message<'_>, out: &mut Vec<u8>) {
    // §17.1.1.3: the To of the response, for its tag; all else from the INVITE.
    let to = response.header(Name::To);
    hop_by_hop(sent_invite, b"ACK", to, None, out);
}

/// The CANCEL for a request (§9.1), as it was sent, our Via on top. `reason` is a Reason value to pass on (RFC 3326).
pub fn cancel(sent_invite: &Message<'_>, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    hop_by_hop(sent_invite, b"CANCEL", None, reason, out);
}

/// ACK and CANCEL are the request they belong to, without most of it.
fn hop_by_hop(sent: &Message<'_>, method: &[u8], to: Option<&[u8]>, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    let mut splice = Splice::new(sent, out, 64);
    splice.put(method);
    splice.put(b" ");
    splice.put(sent.request_uri().unwrap_or_default());
    splice.put(b" SIP/2.0\r\n");
    // A single Via, the top one of the request.
    splice.put_line(b"Via", sent.elements(Name::Via).next().unwrap_or_default());
    splice.put(b"Max-Forwards: 70\r\n");
    for line in sent.lines().iter().filter(|line| line.name == Name::Route) {
        splice.put_whole(line);
    }
    splice.put_first(sent, Name::From);
    match to {
        Some(to) => splice.put_line(b"To", to),
        None => splice.put_first(sent, Name::To),
    }
    splice.put_first(sent, Name::CallId);
    let cseq = sent.header(Name::CSeq).unwrap_or_default();
    let digits = cseq.iter().take_while(|b| b.is_ascii_digit()).count();
    splice.put(b"CSeq: ");
    splice.put(cseq.get(..digits).unwrap_or_default());
    splice.put(b" ");
    splice.put(method);
    splice.put(b"\r\n");
    if let Some(reason) = reason {
        splice.put_line(b"Reason", reason);
    }
    splice.put(b"Content-Length: 0\r\n\r\n");
}

/// Copies a message from front to back, with stops.
struct Splice<'m, 'o> {
    from: &'m [u8],
    at: usize,
    out: &'o mut Vec<u8>,
}

impl<'m, 'o> Splice<'m, 'o> {
    fn new(message: &Message<'m>, out: &'o mut Vec<u8>, more: usize) -> Self {
        let from = message.bytes();
        out.reserve(from.len().saturating_add(more));
        Self { from, at: 0, out }
    }

    /// Copies what lies before `end` and was not copied or skipped yet.
    fn upto(&mut self, end: usize) {
        if let Some(bytes) = self.from.get(self.at..end) {
            self.out.extend_from_slice(bytes);
            self.at = end;
        }
    }

    fn skip(&mut self, to: usize) {
        self.at = self.at.max(to);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// For values that come from elsewhere: they cannot end the line.
    fn put_clean(&mut self, value: &[u8]) {
        let breaks = |b: &u8| matches!(b, b'\r' | b'\n' | 0);
        if value.iter().any(breaks) {
            self.out.extend(value.iter().map(|b| if breaks(b) { b' ' } else { *b }));
        } else {
            self.put(value);
        }
    }

    fn put_line(&mut self, name: &[u8], value: &[u8]) {
        self.put(name);
        self.put(b": ");
        self.put_clean(value);
        self.put(b"\r\n");
    }

    fn put_number(&mut self, number: u32) {
        let mut digits = [0_u8; 10];
        let mut rest = number;
        let mut used = 0_usize;
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
            used = used.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        self.put(digits.get(digits.len().saturating_sub(used)..).unwrap_or_default());
    }

    fn put_range(&mut self, start: usize, end: usize) {
        self.put(self.from.get(start..end).unwrap_or_default());
    }

    /// A header field with its folds, and a proper line end.
    fn put_whole(&mut self, line: &Line) {
        self.put_range(line.at(), line.value_end());
        self.put(b"\r\n");
    }

    fn put_first(&mut self, message: &Message<'_>, name: Name) {
        if let Some(line) = message.first_line(name) {
            self.put_whole(line);
        }
    }

    /// After a last line that has no end.
    fn end_line(&mut self) {
        if self.out.last() != Some(&b'\n') {
            self.put(b"\r\n");
        }
    }

    /// The empty line and the body; the cursor is behind the headers.
    fn finish(&mut self, message: &Message<'_>) {
        if message.headers_end() == self.from.len() {
            self.end_line();
            self.put(b"\r\n");
        }
        self.upto(self.from.len());
    }

    /// Copies the line up to the end of its first element, with received and rport in it.
    fn patch_via(&mut self, line: &Line, received: Option<Ipv4Addr>, rport: Option<u16>) {
        let value = self.from.get(line.value()..line.value_end()).unwrap_or_default();
        let Some((at, element)) = Elements::of(value).next() else { return };
        let start = line.value().saturating_add(at);
        // Parameters start at the first semicolon: sent-protocol and sent-by have none, not even an IPv6 address.
        let params_at = element.iter().position(|b| *b == b';').unwrap_or(element.len());
        let params = Params::new(element.get(params_at..).unwrap_or_default());
        let base = start.saturating_add(params_at);
        let mut received_done = false;
        for param in params.ranges() {
            let name = params.as_bytes().get(param.name.clone()).unwrap_or_default();
            if let Some(port) = rport.filter(|_| name.eq_ignore_ascii_case(b"rport")) {
                self.replace(base, &param);
                self.put_number(u32::from(port));
            } else if let Some(address) = received.filter(|_| name.eq_ignore_ascii_case(b"received")) {
                // The first is replaced; more than one would let the sender choose (§18.2.1).
                if received_done {
                    self.upto(base.saturating_add(param.at));
                    self.skip(base.saturating_add(param.end()));
                } else {
                    self.replace(base, &param);
                    self.put_address(address);
                    received_done = true;
                }
            }
        }
        self.upto(start.saturating_add(element.len()));
        if let Some(address) = received.filter(|_| !received_done) {
            self.put(b";received=");
            self.put_address(address);
        }
    }

    /// Copies up to the value of a parameter, with the "=", and leaves the old value out.
    fn replace(&mut self, base: usize, param: &Param) {
        self.upto(base.saturating_add(param.name.end));
        self.skip(base.saturating_add(param.end()));
        self.put(b"=");
    }

    fn put_address(&mut self, address: Ipv4Addr) {
        let [a, b, c, d] = address.octets();
        self.put_number(u32::from(a));
        for octet in [b, c, d] {
            self.put(b".");
            self.put_number(u32::from(octet));
        }
    }

    /// Leaves out `front` elements at the front of the line and the last one, the whole line if none are left.
    fn keep_between(&mut self, line: &Line, front: usize) {
        let value = self.from.get(line.value()..line.value_end()).unwrap_or_default();
        let count = Elements::of(value).count();
        let mut kept = Elements::of(value).take(count.saturating_sub(1)).skip(front);
        let Some((start, first)) = kept.next() else {
            self.upto(line.at());
            self.skip(line.end());
            return;
        };
        let (last_at, last) = kept.last().unwrap_or((start, first));
        self.upto(line.value());
        self.skip(line.value().saturating_add(start));
        self.upto(line.value().saturating_add(last_at).saturating_add(last.len()));
        self.skip(line.value_end());
    }

    /// Leaves out up to `count` elements at the front of the line, the whole line if none are left.
    fn drop_elements(&mut self, line: &Line, count: &mut usize) {
        let value = self.from.get(line.value()..line.value_end()).unwrap_or_default();
        let mut elements = Elements::of(value);
        let mut found = false;
        while *count > 0 && elements.next().is_some() {
            found = true;
            *count = count.saturating_sub(1);
        }
        match elements.next() {
            Some((keep, _)) if found => {
                self.upto(line.value());
                self.skip(line.value().saturating_add(keep));
            }
            None if found => {
                self.upto(line.at());
                self.skip(line.end());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::HeaderTable;

    const INVITE: &str = "INVITE sip:2@localnode SIP/2.0\r\n\
        Via: SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bK-a;rport ;x=y, SIP/2.0/TCP b\r\n\
        v: SIP/2.0/UDP c\r\n\
        f: \"Käthi\" <sip:1@a>;tag=f\r\n\
        To:<sip:2@a>\r\n\
        Call-ID  : c@a\r\n\
        CSeq: 0007\r\n INVITE\r\n\
        max-FORWARDS:\r\n 0068  \r\n\
        Route: <sip:10.0.0.1;lr> , <sip:10.0.0.2;lr>\r\n\
        X-Odd: ;;,,\"\r\n\
        Route: <sip:10.0.0.3;lr>\r\n\
        Content-Length: 4\r\n\
        \r\n\
        \0\r\n\u{7f}";

    const EDIT: Forward<'static> = Forward {
        request_uri: None,
        via: b"SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-p",
        received: None,
        rport: None,
        max_forwards: 67,
        record_route: None,
        drop_routes: 0,
        drop_last_route: false,
        push_route: None,
    };

    fn forwarded(datagram: &str, edit: &Forward<'_>) -> String {
        let mut table = HeaderTable::default();
        let mut out = Vec::new();
        forward_request(&Message::parse(datagram.as_bytes(), &mut table).unwrap(), edit, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_forwarded_request_differs_where_asked_and_nowhere_else() {
        let own = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-p\r\nVia: SIP/2.0/UDP 10.0.0.9";
        let plain = INVITE.replace("Via: SIP/2.0/UDP 10.0.0.9", own).replace("0068", "67");
        assert_eq!(forwarded(INVITE, &EDIT), plain);

        let edit = Forward { request_uri: Some(b"sip:2@10.0.0.7:5070;x"), ..EDIT };
        assert_eq!(forwarded(INVITE, &edit), plain.replace("sip:2@localnode", "sip:2@10.0.0.7:5070;x"));

        let edit = Forward { received: Some(Ipv4Addr::new(10, 255, 0, 9)), rport: Some(5064), ..EDIT };
        let expected = plain.replace(";rport ;x=y", ";rport=5064 ;x=y;received=10.255.0.9");
        assert_eq!(forwarded(INVITE, &edit), expected);

        let edit = Forward { record_route: Some(b"<sip:10.0.0.1;lr>"), ..EDIT };
        assert_eq!(forwarded(INVITE, &edit), plain.replace("f: ", "Record-Route: <sip:10.0.0.1;lr>\r\nf: "));

        let edit = Forward { drop_routes: 1, ..EDIT };
        assert_eq!(forwarded(INVITE, &edit), plain.replace("<sip:10.0.0.1;lr> , ", ""));

        let edit = Forward { drop_routes: 2, push_route: Some(b"<sip:z>"), ..EDIT };
        let expected = plain
            .replace("Route: <sip:10.0.0.1;lr> , <sip:10.0.0.2;lr>\r\n", "")
            .replace("<sip:10.0.0.3;lr>\r\n", "<sip:10.0.0.3;lr>\r\nRoute: <sip:z>\r\n");
        assert_eq!(forwarded(INVITE, &edit), expected);

        let edit = Forward { drop_routes: 9, push_route: Some(b"<sip:z>"), ..EDIT };
        let expected = plain
            .replace("Route: <sip:10.0.0.1;lr> , <sip:10.0.0.2;lr>\r\n", "")
            .replace("Route: <sip:10.0.0.3;lr>\r\n", "Route: <sip:z>\r\n");
        assert_eq!(forwarded(INVITE, &edit), expected);
    }

    #[test]
    fn the_last_route_can_come_off_as_well() {
        let route = |text: &str| format!("ACK sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nMax-Forwards: 9\r\n{text}\r\n");
        for (before, front, after) in [
            ("Route: <sip:a>\r\n", 0, ""),
            ("Route: <sip:a> , <sip:b>\r\n", 0, "Route: <sip:a>\r\n"),
            ("Route: <sip:a>,<sip:b>\r\n", 1, ""),
            ("Route: <sip:a>, <sip:b>, <sip:c>\r\n", 1, "Route: <sip:b>\r\n"),
            ("Route: <sip:a>\r\nX: y\r\nRoute: <sip:b>\r\n", 0, "Route: <sip:a>\r\nX: y\r\n"),
            ("Route: <sip:a>\r\nX: y\r\nRoute: <sip:b>,<sip:c>\r\n", 1, "X: y\r\nRoute: <sip:b>\r\n"),
        ] {
            let edit = Forward { drop_routes: front, drop_last_route: true, max_forwards: 8, ..EDIT };
            let sent = forwarded(&route(before), &edit);
            assert!(sent.ends_with(&format!("Max-Forwards: 8\r\n{after}\r\n")), "{before}: {sent}");
        }
    }

    #[test]
    fn lines_that_are_missing_are_added_below_the_vias() {
        let datagram = "ACK sip:a SIP/2.0\r\nX: y\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nTo: <sip:2@a>\r\n\r\n";
        let edit =
            Forward { record_route: Some(b"<sip:r;lr>"), push_route: Some(b"<sip:z>"), max_forwards: 70, ..EDIT };
        assert_eq!(
            forwarded(datagram, &edit),
            "ACK sip:a SIP/2.0\r\nX: y\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-p\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n\
             Record-Route: <sip:r;lr>\r\nRoute: <sip:z>\r\nMax-Forwards: 70\r\nTo: <sip:2@a>\r\n\r\n"
        );
        // Vias at the very end, and no empty line behind them.
        let datagram = "ACK sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n";
        assert_eq!(
            forwarded(datagram, &edit),
            "ACK sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-p\r\nVia: SIP/2.0/UDP a\r\n\
             Record-Route: <sip:r;lr>\r\nRoute: <sip:z>\r\nMax-Forwards: 70\r\n\r\n"
        );
        // An existing Record-Route gets ours above it.
        let datagram = "ACK sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nMax-Forwards: 1\r\nrecord-route: <sip:q>\r\n\r\n";
        let expected = datagram
            .replace("Via", "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-p\r\nVia")
            .replace("Forwards: 1", "Forwards: 70\r\nRecord-Route: <sip:r;lr>");
        assert_eq!(forwarded(datagram, &Forward { push_route: None, ..edit }), expected);
    }

    #[test]
    fn what_the_caller_claims_about_its_address_is_overwritten() {
        let edit = Forward { received: Some(Ipv4Addr::new(10, 0, 0, 9)), rport: Some(9), ..EDIT };
        let via = |via: &str| {
            let datagram = format!("ACK sip:a SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 1\r\n\r\n");
            let out = forwarded(&datagram, &edit);
            out.lines().nth(2).unwrap().to_owned()
        };
        assert_eq!(via("SIP/2.0/UDP a"), "Via: SIP/2.0/UDP a;received=10.0.0.9");
        assert_eq!(via("SIP/2.0/UDP a;received=1.2.3.4;b"), "Via: SIP/2.0/UDP a;received=10.0.0.9;b");
        assert_eq!(via("SIP/2.0/UDP a;Received = 1.2.3.4;received=5.6.7.8"), "Via: SIP/2.0/UDP a;Received=10.0.0.9");
        assert_eq!(via("SIP/2.0/UDP a ; RPORT = 7;received"), "Via: SIP/2.0/UDP a ; RPORT=9;received=10.0.0.9");
        assert_eq!(
            via("SIP/2.0/UDP a;x=\";rport\" , b;rport"),
            "Via: SIP/2.0/UDP a;x=\";rport\";received=10.0.0.9 , b;rport"
        );
        assert_eq!(via("SIP/2.0/UDP [::1]:5;rport"), "Via: SIP/2.0/UDP [::1]:5;rport=9;received=10.0.0.9");
    }

    #[test]
    fn a_forwarded_response_has_one_via_less() {
        let forward = |datagram: &str| {
            let mut table = HeaderTable::default();
            let mut out = Vec::new();
            forward_response(&Message::parse(datagram.as_bytes(), &mut table).unwrap(), &mut out);
            String::from_utf8(out).unwrap()
        };
        let datagram = "SIP/2.0 200 Fine — ça va\r\nX:1\r\nv: SIP/2.0/UDP us;branch=\"a,b\" ,\r\n SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nL: 2\r\n\r\nhi";
        let once = forward(&format!("\r\n{datagram}surplus"));
        assert_eq!(once, datagram.replace("SIP/2.0/UDP us;branch=\"a,b\" ,\r\n ", ""));
        let twice = forward(&once);
        assert_eq!(twice, "SIP/2.0 200 Fine — ça va\r\nX:1\r\nVia: SIP/2.0/UDP b\r\nL: 2\r\n\r\nhi");
        assert_eq!(forward(&twice), "SIP/2.0 200 Fine — ça va\r\nX:1\r\nL: 2\r\n\r\nhi");
    }

    fn answered(datagram: &str, answer: &Answer<'_>) -> String {
        let mut table = HeaderTable::default();
        let mut out = Vec::new();
        respond(&Message::parse(datagram.as_bytes(), &mut table).unwrap(), answer, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_takes_from_the_request_what_it_must() {
        let answer = Answer {
            status: 180,
            reason: "Ringing",
            to_tag: Some(b"t"),
            received: Some(Ipv4Addr::new(10, 0, 0, 8)),
            rport: Some(1024),
            extra: &[("Contact", b"<sip:10.0.0.1>"), ("Warning", b"399 a \"x\r\nEvil: y\"")],
            body: Some(("text/plain", b"hello")),
        };
        let request = INVITE.replace("X-Odd", "Record-Route: <sip:r;lr>\r\nX-Odd");
        assert_eq!(
            answered(&request, &answer),
            "SIP/2.0 180 Ringing\r\n\
             Via: SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bK-a;rport=1024 ;x=y;received=10.0.0.8, SIP/2.0/TCP b\r\n\
             v: SIP/2.0/UDP c\r\n\
             Record-Route: <sip:r;lr>\r\n\
             f: \"Käthi\" <sip:1@a>;tag=f\r\n\
             To:<sip:2@a>;tag=t\r\n\
             Call-ID  : c@a\r\n\
             CSeq: 0007\r\n INVITE\r\n\
             Contact: <sip:10.0.0.1>\r\n\
             Warning: 399 a \"x  Evil: y\"\r\n\
             Content-Type: text/plain\r\n\
             Content-Length: 5\r\n\r\nhello"
        );
        assert!(!answered(&request, &Answer { status: 404, ..answer }).contains("Record-Route"));
        assert!(!answered(&request, &Answer { status: 100, ..answer }).contains("Record-Route"));
        assert!(
            !answered(&request.replace("INVITE", "MESSAGE"), &Answer { status: 200, ..answer })
                .contains("Record-Route")
        );
    }

    #[test]
    fn a_tag_is_added_once_and_a_timestamp_only_to_100() {
        let request = "INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTimestamp: 54\r\nTo: sip:2@a ;TAG=x\r\n\r\n";
        let answer = Answer { status: 100, reason: "Trying", to_tag: Some(b"t"), ..Answer::default() };
        assert_eq!(
            answered(request, &answer),
            "SIP/2.0 100 Trying\r\nVia: SIP/2.0/UDP a\r\nTo: sip:2@a ;TAG=x\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n"
        );
        let request = request.replace(" ;TAG=x", "");
        let answered = answered(&request, &Answer { status: 200, ..answer });
        assert!(answered.contains("To: sip:2@a;tag=t\r\n") && !answered.contains("Timestamp"));
    }

    #[test]
    fn a_request_that_cannot_be_read_is_answered_with_what_there_is() {
        let request = "INVITE sip:a SIP/2.0\nVia: SIP/2.0/UDP a;;,\nt: \"x <sip:2@a>\nCSeq: x\nFrom";
        let answer = Answer { status: 400, reason: "Malformed To", to_tag: Some(b"t"), ..Answer::default() };
        assert_eq!(
            answered(request, &answer),
            "SIP/2.0 400 Malformed To\r\nVia: SIP/2.0/UDP a;;,\r\nt: \"x <sip:2@a>\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn empty_values_do_not_end_the_header_section() {
        let request =
            "INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom:\r\nTo: \r\n \r\nMax-Forwards:\r\nCSeq:\r\n\r\n";
        let answer = Answer { status: 400, reason: "Malformed From", to_tag: Some(b"t"), ..Answer::default() };
        assert_eq!(
            answered(request, &answer),
            "SIP/2.0 400 Malformed From\r\nVia: SIP/2.0/UDP a\r\nFrom:\r\nTo:\r\nCSeq:\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(forwarded(request, &EDIT).contains("\r\nMax-Forwards:67\r\nCSeq:\r\n\r\n"));
    }

    #[test]
    fn ack_and_cancel_of_a_sent_invite() {
        let (mut sent_table, mut table) = (HeaderTable::default(), HeaderTable::default());
        let sent = forwarded(INVITE, &Forward { drop_routes: 2, ..EDIT });
        let sent = Message::parse(sent.as_bytes(), &mut sent_table).unwrap();
        let response = Message::parse(b"SIP/2.0 486 Busy\r\nt: <sip:2@a>;tag=callee\r\n\r\n", &mut table).unwrap();
        let mut out = Vec::new();
        ack(&sent, &response, &mut out);
        let expected = "ACK sip:2@localnode SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-p\r\n\
             Max-Forwards: 70\r\n\
             Route: <sip:10.0.0.3;lr>\r\n\
             f: \"Käthi\" <sip:1@a>;tag=f\r\n\
             To: <sip:2@a>;tag=callee\r\n\
             Call-ID  : c@a\r\n\
             CSeq: 0007 ACK\r\n\
             Content-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);

        let mut out = Vec::new();
        cancel(&sent, Some(b"SIP;cause=200;text=\"elsewhere\""), &mut out);
        let expected = expected
            .replace("ACK", "CANCEL")
            .replace("To: <sip:2@a>;tag=callee", "To:<sip:2@a>")
            .replace("Content-Length", "Reason: SIP;cause=200;text=\"elsewhere\"\r\nContent-Length");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
