//! Any datagram: read, forwarded, answered, acknowledged, cancelled, and each result read again.

use std::net::Ipv4Addr;
use switchboard::wire::sip::{
    Answer, Essentials, Forward, HeaderTable, Message, Name, NameAddr, StartLine, Uri, Via, ack, cancel, codec,
    expires, forward_request, forward_response, q, respond,
};

const NAMES: [Name; 26] = [
    Name::Accept,
    Name::Allow,
    Name::AllowEvents,
    Name::CallId,
    Name::Contact,
    Name::ContentLength,
    Name::ContentType,
    Name::CSeq,
    Name::Event,
    Name::Expires,
    Name::From,
    Name::MaxForwards,
    Name::MinExpires,
    Name::MinSe,
    Name::ProxyRequire,
    Name::RecordRoute,
    Name::Require,
    Name::RetryAfter,
    Name::Route,
    Name::SessionExpires,
    Name::Supported,
    Name::To,
    Name::Unsupported,
    Name::UserAgent,
    Name::Via,
    Name::Other,
];

/// So long that what is added still fits into a datagram and into the table.
const LONGEST: usize = 60_000;
const MOST_LINES: usize = 1_000;

const OWN_VIA: &[u8] = b"SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-own";
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 9);

pub fn check(data: &[u8]) {
    let mut table = HeaderTable::default();
    let Ok(message) = Message::parse(data, &mut table) else { return };
    let bytes = message.bytes();
    assert!(bytes.ends_with(message.body()) && bytes.len() <= data.len());
    let lines: usize = NAMES.iter().map(|name| message.headers(*name).count()).sum();
    values(&message);
    let _ = codec(message.body());
    if data.len() > LONGEST || lines > MOST_LINES {
        let _ = Essentials::of(&message);
        return;
    }

    let mut again_table = HeaderTable::default();
    match (Essentials::of(&message), message.start_line()) {
        (Ok(good), StartLine::Request { .. }) => request(&message, &good, &mut again_table),
        (Ok(good), StartLine::Response { .. }) => response(&message, &good, &mut again_table),
        (Err(fault), StartLine::Request { .. }) if fault.answerable() => {
            let out = answer(&message, fault.status(), fault.reason());
            let answer = Message::parse(&out, &mut again_table).unwrap();
            assert_eq!(answer.status(), Some(fault.status()));
            let via = Via::parse(answer.elements(Name::Via).next().unwrap()).unwrap();
            let theirs = Via::parse(message.elements(Name::Via).next().unwrap()).unwrap();
            // Among parameters that are none, nothing can be told.
            if theirs.params.well_formed() {
                assert_eq!(answer.elements(Name::Via).count(), message.elements(Name::Via).count());
                assert_eq!(via.received, Some(SOURCE));
            }
            assert_eq!((via.host, via.port), (theirs.host, theirs.port));
            assert_eq!(answer.body(), b"");
        }
        (Err(_), _) => {}
    }
}

/// Whatever an element is, it is read without harm.
fn values(message: &Message<'_>) {
    for name in NAMES {
        for element in message.elements(name) {
            assert!(!element.is_empty());
            let _ = Via::parse(element).map(|via| (via.params.well_formed(), via.sent_by_port()));
            let Ok(address) = NameAddr::parse(element) else { continue };
            for (name, value) in address.params.iter() {
                let _ = (name, value.map(q), value.map(expires));
            }
            if let Ok(uri) = Uri::parse(address.uri) {
                assert!(uri.same(&uri));
            }
        }
    }
}

fn request(message: &Message<'_>, good: &Essentials<'_>, table: &mut HeaderTable) {
    // Without further edits, own Via on and off again gives the same message, but for the hops.
    let plain = Forward { via: OWN_VIA, max_forwards: 69, ..Forward::default() };
    let (mut once, mut off) = (Vec::new(), Vec::new());
    forward_request(message, &plain, &mut once);
    forward_response(&Message::parse(&once, &mut HeaderTable::default()).unwrap(), &mut off);
    if good.max_forwards == Some(69)
        && message.header(Name::MaxForwards) == Some(b"69")
        && off.len() == message.bytes().len()
    {
        assert_eq!(off, message.bytes());
    }
    let (mut twice, mut off_again) = (Vec::new(), Vec::new());
    forward_request(&Message::parse(&off, &mut HeaderTable::default()).unwrap(), &plain, &mut twice);
    forward_response(&Message::parse(&twice, &mut HeaderTable::default()).unwrap(), &mut off_again);
    assert_eq!(once, twice);
    assert_eq!(off, off_again);

    // With all edits.
    let routes = message.elements(Name::Route).count();
    let edit = Forward {
        request_uri: Some(b"sip:7@10.0.0.7:5070"),
        via: OWN_VIA,
        received: Some(SOURCE),
        rport: Some(5099),
        max_forwards: 7,
        record_route: Some(b"<sip:10.0.0.1;lr>"),
        drop_routes: 1,
        push_route: Some(b"<sip:9@z>"),
        drop_last_route: false,
    };
    let mut out = Vec::new();
    forward_request(message, &edit, &mut out);
    let sent = Message::parse(&out, table).unwrap();
    let now = Essentials::of(&sent).unwrap();
    assert_eq!(sent.request_uri(), edit.request_uri);
    assert_eq!(sent.method(), message.method());
    assert_eq!(now.via.branch, Some(&b"z9hG4bK-own"[..]));
    assert_eq!((now.from, now.to, now.call_id, now.cseq), (good.from, good.to, good.call_id, good.cseq));
    assert_eq!(now.max_forwards, Some(7));
    assert_eq!(sent.body(), message.body());
    assert_eq!(sent.elements(Name::RecordRoute).next(), edit.record_route);
    assert_eq!(sent.elements(Name::Route).count(), routes.saturating_sub(1) + 1);
    assert_eq!(sent.elements(Name::Via).count(), message.elements(Name::Via).count() + 1);
    let theirs = Via::parse(sent.elements(Name::Via).nth(1).unwrap()).unwrap();
    assert_eq!((theirs.host, theirs.port, theirs.branch), (good.via.host, good.via.port, good.via.branch));
    assert_eq!(theirs.received, Some(SOURCE));
    assert_eq!(theirs.rport, good.via.rport.map(|_| Some(5099)));
    for name in [Name::Other, Name::Contact, Name::Require, Name::ContentType, Name::SessionExpires] {
        assert!(sent.headers(name).eq(message.headers(name)));
    }

    let mut reply_table = HeaderTable::default();
    let reply = answer(message, 480, "Try later");
    let reply = Message::parse(&reply, &mut reply_table).unwrap();
    let replied = Essentials::of(&reply).unwrap();
    assert_eq!((replied.from, replied.call_id, replied.cseq), (good.from, good.call_id, good.cseq));
    assert_eq!(replied.via.rport, theirs.rport);
    // A tag without a value is left alone: there is no place for another.
    assert!(replied.to_tag == good.to_tag.or(Some(b"own")) || good.to.params.find("tag").is_some());
    assert_eq!(reply.elements(Name::Via).count(), message.elements(Name::Via).count());

    for hop in [hop(&sent, &reply, true), hop(&sent, &reply, false)] {
        let mut table = HeaderTable::default();
        let hop = Message::parse(&hop, &mut table).unwrap();
        let read = Essentials::of(&hop).unwrap();
        assert_eq!(hop.elements(Name::Via).count(), 1);
        assert_eq!((read.via, read.cseq.number, read.call_id), (now.via, now.cseq.number, now.call_id));
        assert!(hop.elements(Name::Route).eq(sent.elements(Name::Route)));
        assert_eq!(hop.body(), b"");
    }
}

fn hop(sent: &Message<'_>, reply: &Message<'_>, acknowledge: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if acknowledge {
        ack(sent, reply, &mut out);
    } else {
        cancel(sent, Some(b"SIP;cause=200"), &mut out);
    }
    out
}

fn response(message: &Message<'_>, good: &Essentials<'_>, table: &mut HeaderTable) {
    let vias: Vec<_> = message.elements(Name::Via).collect();
    let mut out = Vec::new();
    forward_response(message, &mut out);
    let sent = Message::parse(&out, table).unwrap();
    assert!(sent.elements(Name::Via).eq(vias.iter().skip(1).copied()));
    assert_eq!(sent.start_line(), message.start_line());
    assert_eq!(sent.header(Name::To), message.header(Name::To));
    assert_eq!(sent.header(Name::CallId), Some(good.call_id));
    assert_eq!(sent.body(), message.body());
}

fn answer(message: &Message<'_>, status: u16, reason: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let answer =
        Answer { status, reason, to_tag: Some(b"own"), received: Some(SOURCE), rport: Some(5099), ..Answer::default() };
    respond(message, &answer, &mut out);
    out
}
