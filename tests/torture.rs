//! The 49 messages of RFC 4475, written after their descriptions there (`tests/data/sip/torture/*.sip`, exact bytes), what
//! becomes of each in a proxy, and what else arrives on port 5060: huge, cut off, folded, mutated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/fuzz/mod.rs"]
mod fuzz;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use switchboard::rng::Rng;
use switchboard::wire::sip::{
    Answer, Bad, Essentials, Fault, Forward, HeaderTable, Message, Method, Name, NameAddr, NotSip, Scheme, Uri, Via,
    codec, expires, forward_request, forward_response, q, respond,
};

/// What becomes of a message.
#[derive(Clone, Copy)]
enum Verdict {
    /// Passes. A request: how its first Via and its Max-Forwards are written. What a registrar or a policy says comes later.
    Request(&'static str, &'static str),
    /// Passes. A response: its first Via, as written, which is taken off.
    Response(&'static str),
    /// Answered with status and reason of this fault.
    Refused(Fault),
    /// A response, or a request without a way back: dropped.
    Dropped(Fault),
    /// Not a SIP message.
    NotSip(NotSip),
}
use Verdict::{Dropped, Refused, Request, Response};

const VIA: &str = "Via: SIP";

const TORTURE: [(&str, &str, Verdict); 49] = [
    ("wsinv", "3.1.1.1", Request("Via  : SIP", "MaX-fOrWaRdS: 0068")),
    ("intmeth", "3.1.1.2", Request(VIA, "Max-Forwards: 255")),
    ("esc01", "3.1.1.3", Request(VIA, "Max-Forwards: 87")),
    ("escnull", "3.1.1.4", Request(VIA, "Max-Forwards: 70")),
    ("esc02", "3.1.1.5", Request(VIA, "Max-Forwards: 70")),
    ("lwsdisp", "3.1.1.6", Request(VIA, "Max-Forwards: 70")),
    ("longreq", "3.1.1.7", Request(VIA, "Max-Forwards: 70")),
    ("dblreq", "3.1.1.8", Request(VIA, "Max-Forwards: 8")),
    ("semiuri", "3.1.1.9", Request(VIA, "Max-Forwards: 3")),
    ("transports", "3.1.1.10", Request(VIA, "Max-Forwards: 70")),
    ("mpart01", "3.1.1.11", Request(VIA, "Max-Forwards: 70")),
    ("unreason", "3.1.1.12", Response("Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK-unreason-1\r\n")),
    ("noreason", "3.1.1.13", Response("Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK-noreason-1\r\n")),
    ("badinv01", "3.1.2.1", Refused(Fault::ViaParameters)),
    ("clerr", "3.1.2.2", Refused(Fault::BodyTooShort)),
    ("ncl", "3.1.2.3", Refused(Fault::MalformedContentLength)),
    ("scalar02", "3.1.2.4", Refused(Fault::CSeqNumber)),
    ("scalarlg", "3.1.2.5", Dropped(Fault::CSeqNumber)),
    ("quotbal", "3.1.2.6", Refused(Fault::MalformedTo)),
    ("ltgtruri", "3.1.2.7", Refused(Fault::RequestUri)),
    ("lwsruri", "3.1.2.8", Refused(Fault::RequestUri)),
    ("lwsstart", "3.1.2.9", Refused(Fault::StartLine)),
    ("trws", "3.1.2.10", Refused(Fault::StartLine)),
    ("escruri", "3.1.2.11", Refused(Fault::RequestUriHeaders)),
    // A proxy does not look at Date.
    ("baddate", "3.1.2.12", Request(VIA, "Max-Forwards: 70")),
    // For the registrar to refuse; see `contacts`.
    ("regbadct", "3.1.2.13", Request(VIA, "Max-Forwards: 70")),
    ("badaspec", "3.1.2.14", Refused(Fault::MalformedTo)),
    ("baddn", "3.1.2.15", Refused(Fault::MalformedFrom)),
    ("badvers", "3.1.2.16", Refused(Fault::Version)),
    ("mismatch01", "3.1.2.17", Refused(Fault::CSeqMethod)),
    ("mismatch02", "3.1.2.18", Refused(Fault::CSeqMethod)),
    ("bigcode", "3.1.2.19", Verdict::NotSip(NotSip::Junk)),
    // The transaction layer takes a bare cookie for no branch.
    ("badbranch", "3.2.1", Request(VIA, "Max-Forwards: 3")),
    ("insuf", "3.3.1", Refused(Fault::MissingFrom)),
    // 416 is policy.
    ("unkscm", "3.3.2", Request(VIA, "Max-Forwards: 3")),
    ("novelsc", "3.3.3", Request(VIA, "Max-Forwards: 3")),
    ("unksm2", "3.3.4", Request(VIA, "Max-Forwards: 70")),
    // 420 is policy.
    ("bext01", "3.3.5", Request(VIA, "Max-Forwards: 6")),
    ("invut", "3.3.6", Request(VIA, "Max-Forwards: 70")),
    ("regaut01", "3.3.7", Request(VIA, "Max-Forwards: 8")),
    ("multi01", "3.3.8", Refused(Fault::RepeatedFrom)),
    ("mcl01", "3.3.9", Refused(Fault::RepeatedContentLength)),
    // Not sending to broadcast addresses is policy.
    ("bcast", "3.3.10", Response("Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK-bcast-1\r\n")),
    // 483 is policy.
    ("zeromf", "3.3.11", Request(VIA, "Max-Forwards: 0")),
    ("cparam01", "3.3.12", Request(VIA, "Max-Forwards: 70")),
    ("cparam02", "3.3.13", Request(VIA, "Max-Forwards: 70")),
    ("regescrt", "3.3.14", Request(VIA, "Max-Forwards: 70")),
    ("sdp01", "3.3.15", Request(VIA, "Max-Forwards: 5")),
    // Has no Max-Forwards: one is added below the Via.
    ("inv2543", "3.4.1", Request(VIA, "")),
];

#[allow(clippy::disallowed_methods)]
fn torture(name: &str) -> Vec<u8> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sip/torture").join(name).with_extension("sip");
    std::fs::read(path).unwrap()
}

fn replaced_once(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

fn with<T>(datagram: &[u8], read: impl FnOnce(&Message<'_>) -> T) -> T {
    let mut table = HeaderTable::default();
    read(&Message::parse(datagram, &mut table).unwrap())
}

#[test]
fn every_message_of_rfc_4475() {
    // One table for all, as in the daemon.
    let mut table = HeaderTable::default();
    for (name, section, verdict) in TORTURE {
        let datagram = torture(name);
        fuzz::sip_message::check(&datagram);
        let message = match (Message::parse(&datagram, &mut table), verdict) {
            (Ok(message), _) => message,
            (Err(not), Verdict::NotSip(expected)) if not == expected => continue,
            (Err(not), _) => panic!("{name} {section}: {not:?}"),
        };
        let fault = Essentials::of(&message).err();
        let mut out = Vec::new();
        match verdict {
            Request(via, hops) => {
                assert_eq!(fault, None, "{name} {section}");
                let own = "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-own";
                let edit = Forward { via: own.as_bytes(), max_forwards: 69, ..Forward::default() };
                forward_request(&message, &edit, &mut out);
                let expected = replaced_once(message.bytes(), via, &format!("Via: {own}\r\n{via}"));
                let expected = match hops.split_once(": ") {
                    Some((field, _)) => replaced_once(&expected, hops, &format!("{field}: 69")),
                    None => replaced_once(&expected, "From: ", "Max-Forwards: 69\r\nFrom: "),
                };
                assert!(out == expected, "{name} {section}\n{}", String::from_utf8_lossy(&out));
            }
            Response(via) => {
                assert_eq!(fault, None, "{name} {section}");
                forward_response(&message, &mut out);
                assert!(out == replaced_once(&datagram, via, ""), "{name} {section}");
            }
            Refused(expected) => {
                assert_eq!(fault, Some(expected), "{name} {section}");
                assert!(expected.answerable() && message.method().is_some(), "{name} {section}");
                let answer = Answer { status: expected.status(), reason: expected.reason(), ..Answer::default() };
                respond(&message, &answer, &mut out);
                let line = format!("SIP/2.0 {} {}\r\n", expected.status(), expected.reason());
                assert!(out.starts_with(line.as_bytes()), "{name} {section}");
                for field in [Name::Via, Name::CallId, Name::CSeq, Name::From, Name::To] {
                    let first = with(&out, |answer| answer.header(field).map(<[u8]>::to_vec));
                    assert_eq!(first.as_deref(), message.header(field), "{name} {section} {field:?}");
                }
            }
            Dropped(expected) => {
                assert_eq!(fault, Some(expected), "{name} {section}");
                assert!(message.status().is_some() || !expected.answerable(), "{name} {section}");
            }
            Verdict::NotSip(_) => panic!("{name} {section} was read"),
        }
    }
}

/// Files and table name the same messages.
#[test]
#[allow(clippy::disallowed_methods)]
fn every_file_is_in_the_table() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sip/torture");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_os_string())
        .collect();
    let mut table: Vec<_> = TORTURE.iter().map(|(name, ..)| std::ffi::OsString::from(*name)).collect();
    files.sort();
    table.sort();
    assert_eq!(files, table);
}

#[test]
fn a_short_tortuous_invite_is_understood() {
    with(&torture("wsinv"), |message| {
        let good = Essentials::of(message).unwrap();
        assert_eq!(good.to.uri, b"sip:hb9abc@node-a.local.mesh");
        assert_eq!(good.to_tag, Some(&b"wsinv-t1"[..]));
        assert_eq!(good.from.display, br#""Doris \\\"""#);
        assert_eq!(good.from_tag, Some(&b"wsinv-t2"[..]));
        assert_eq!((good.cseq.number, good.cseq.method), (9, Method::Invite));
        assert_eq!(good.max_forwards, Some(68));
        assert_eq!((good.via.transport, good.via.host), (&b"UDP"[..], &b"192.0.2.33"[..]));
        let vias: Vec<_> = message.elements(Name::Via).map(|via| Via::parse(via).unwrap()).collect();
        assert_eq!(vias.len(), 3);
        assert_eq!((vias[1].transport, vias[1].branch), (&b"TCP"[..], Some(&b"z9hG4bK-wsinv-1"[..])));
        assert_eq!((vias[2].host, vias[2].branch), (&b"192.168.77.255"[..], Some(&b"z9hG4bK-wsinv-2"[..])));
        let route = NameAddr::parse(message.elements(Name::Route).next().unwrap()).unwrap();
        assert!(Uri::parse(route.uri).unwrap().is_loose());
        let contact = NameAddr::parse(message.elements(Name::Contact).next().unwrap()).unwrap();
        assert_eq!(contact.params.find("newparam"), Some(Some(&b"newvalue"[..])));
        assert_eq!(contact.params.find("secondparam"), Some(None));
        assert_eq!(contact.params.find("q").flatten().and_then(q), Some(330));
        assert_eq!(codec(message.body()).as_deref(), Some("PCMA"));
    });
}

#[test]
fn odd_but_valid_values_are_understood() {
    with(&torture("intmeth"), |message| {
        let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
        assert_eq!(uri.user, Some(&b"7_unusual.URI~(may-be!so)&isn't+it$/odd?,/;;*"[..]));
        assert_eq!(uri.password, Some(&b"&its+got=3,funny!*se$cre~t_word.(is-it)"[..]));
        assert_eq!(Essentials::of(message).unwrap().from_tag, Some(&b"_t~7'+`*%!-."[..]));
    });
    with(&torture("esc01"), |message| {
        let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
        assert_eq!(uri.user_unescaped().unwrap(), b"sips:doris@example.org");
        let contact = NameAddr::parse(message.elements(Name::Contact).next().unwrap()).unwrap();
        assert!(
            Uri::parse(contact.uri)
                .unwrap()
                .same(&Uri::parse(b"sip:caller@node-b.local.mesh;name=value%2541;lr").unwrap())
        );
    });
    with(&torture("escnull"), |message| {
        let uris: Vec<_> =
            message.elements(Name::Contact).map(|c| Uri::parse(NameAddr::parse(c).unwrap().uri).unwrap()).collect();
        assert_eq!(uris[0].user_unescaped().unwrap(), [0]);
        assert_eq!(uris[1].user_unescaped().unwrap(), [0, 0]);
        assert!(!uris[0].same(&uris[1]));
    });
    with(&torture("esc02"), |message| {
        assert_eq!(message.method(), Some(Method::Other(b"RE%47IST%45R")));
        assert_eq!(message.elements(Name::Contact).count(), 2);
    });
    with(&torture("longreq"), |message| {
        assert_eq!(message.elements(Name::Via).count(), 33);
        assert_eq!(Essentials::of(message).unwrap().via.branch, None);
    });
    with(&torture("dblreq"), |message| {
        assert_eq!(message.body(), b"");
        assert!(message.bytes().ends_with(b"Content-Length: 0\r\n\r\n"));
    });
    with(&torture("semiuri"), |message| {
        let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
        assert_eq!((uri.user, uri.host), (Some(&b"hb9abc;par=u%40example.net"[..]), &b"example.org"[..]));
        assert_eq!(message.elements(Name::Accept).count(), 6);
    });
    with(&torture("mpart01"), |message| {
        assert!(message.body().ends_with(b"--cut7a31--\r\n") && message.body().contains(&0));
        assert_eq!(message.elements(Name::Via).count(), 1);
    });
    with(&torture("unkscm"), |message| {
        let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
        assert_eq!(uri.scheme, Scheme::Other(b"nobodyHasHeardOfThisScheme"));
    });
    with(&torture("inv2543"), |message| {
        let good = Essentials::of(message).unwrap();
        assert_eq!((good.from_tag, good.via.branch, good.max_forwards), (None, None, None));
        assert_eq!(good.to.params.find("user"), Some(Some(&b"phone"[..])));
        assert_eq!(codec(message.body()).as_deref(), Some("PCMA"));
    });
}

/// What the registrar will see in Contact.
#[test]
fn contacts() {
    let contact = |name: &str| {
        with(&torture(name), |message| {
            let element = message.elements(Name::Contact).next().unwrap();
            NameAddr::parse(element).map(|contact| {
                let uri = Uri::parse(contact.uri).unwrap();
                (
                    uri.scheme == Scheme::Sip,
                    uri.params.as_bytes().len(),
                    uri.headers.is_some(),
                    contact.params.iter().count(),
                )
            })
        })
    };
    assert_eq!(contact("regbadct"), Err(Bad::Bracket));
    assert_eq!(contact("cparam01"), Ok((true, 0, false, 1)));
    assert_eq!(contact("cparam02"), Ok((true, ";unknownparam".len(), false, 0)));
    assert_eq!(contact("regescrt"), Ok((true, 0, true, 0)));
    assert_eq!(contact("unksm2"), Ok((false, 0, false, 0)));
    // RFC 4475 §3.1.2.4: too large is as long as can be said.
    let too_long = with(&torture("scalar02"), |message| {
        let contact = NameAddr::parse(message.elements(Name::Contact).next().unwrap()).unwrap();
        (message.header(Name::Expires).and_then(expires), contact.params.find("expires").flatten().and_then(expires))
    });
    assert_eq!(too_long, (Some(u32::MAX), Some(u32::MAX)));
}

const LINES: &str = "Via: SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\nFrom: <sip:1@a>;tag=f\r\n\
                     To: <sip:2@a>\r\nCall-ID: c@a\r\nCSeq: 1 INVITE\r\n";

/// An INVITE with these lines more, and this body.
fn invite(lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("INVITE sip:2@localnode SIP/2.0\r\n{LINES}{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[test]
fn sizes_do_no_harm() {
    for (name, datagram, vias, body) in [
        ("3.5 kB offer", invite("", &[b'x'; 3_500]), 1, 3_500),
        ("60 kB", invite("", &[0xff; 60_000]), 1, 60_000),
        ("8 kB header", invite(&format!("X: {}\r\n", "y".repeat(8_192)), b""), 1, 0),
        ("60 kB header", invite(&format!("X: {}\r\n", "y\r\n ".repeat(15_000)), b""), 1, 0),
        ("400 Via lines", invite(&"Via: SIP/2.0/UDP b;branch=z9hG4bK2\r\n".repeat(399), b""), 400, 0),
        ("400 Vias in a line", invite(&format!("v: SIP/2.0/UDP b{}\r\n", ",SIP/2.0/UDP c".repeat(398)), b""), 400, 0),
        ("1000 headers", invite(&"X-Header: y\r\n".repeat(1_000), b""), 1, 0),
        ("10 000 commas", invite(&format!("Route: {}\r\n", ",".repeat(10_000)), b""), 1, 0),
        ("10 000 parameters", invite(&format!("Contact: <sip:a>{}\r\n", ";a".repeat(10_000)), b""), 1, 0),
    ] {
        with(&datagram, |message| {
            assert!(Essentials::of(message).is_ok(), "{name}");
            assert_eq!(message.elements(Name::Via).count(), vias, "{name}");
            assert_eq!(message.body().len(), body, "{name}");
            assert_eq!(message.bytes(), datagram, "{name}");
        });
        fuzz::sip_message::check(&datagram);
    }
    let flood = invite(&"X: y\r\n".repeat(9_000), b"");
    assert_eq!(Message::parse(&flood, &mut HeaderTable::default()).err(), Some(NotSip::TooManyHeaders));
    let huge = invite("", &[b'x'; 70_000]);
    assert_eq!(Message::parse(&huge, &mut HeaderTable::default()).err(), Some(NotSip::Junk));
}

#[test]
fn answers_carry_every_via_and_where_the_request_came_from() {
    let datagram = invite(&"Via: SIP/2.0/UDP b;branch=z9hG4bK2, SIP/2.0/UDP c\r\n".repeat(100), b"");
    let mut out = Vec::new();
    let answer = Answer {
        status: 486,
        reason: "Busy Here",
        to_tag: Some(b"t"),
        received: Some(Ipv4Addr::new(10, 9, 8, 7)),
        rport: Some(40_000),
        ..Answer::default()
    };
    with(&datagram, |message| respond(message, &answer, &mut out));
    with(&out, |answer| {
        assert_eq!(answer.elements(Name::Via).count(), 201);
        let good = Essentials::of(answer).unwrap();
        assert_eq!((good.via.received, good.via.rport), (Some(Ipv4Addr::new(10, 9, 8, 7)), Some(Some(40_000))));
        assert_eq!((good.via.host, good.via.sent_by_port()), (&b"10.0.0.9"[..], 5_062));
        assert_eq!((good.to_tag, good.from_tag), (Some(&b"t"[..]), Some(&b"f"[..])));
    });
}

#[test]
fn bytes_of_any_encoding_pass() {
    let lines = b"Subject: latin-1 \xe4\xf6\xfc \xff\r\nUser-Agent: \xe5\xa4\xa7\x01\r\n";
    let mut datagram = invite("", b"a\0b\r\n\r\nVia: no header\r\n\0");
    let at = datagram.windows(7).position(|window| window == b"Content").unwrap();
    datagram.splice(at..at, lines.iter().copied());
    let mut out = Vec::new();
    with(&datagram, |message| {
        let edit = Forward { via: b"SIP/2.0/UDP own", max_forwards: 70, ..Forward::default() };
        forward_request(message, &edit, &mut out);
    });
    assert_eq!(out, replaced_once(&datagram, "Via: ", "Via: SIP/2.0/UDP own\r\nVia: "));
}

/// Small changes to good messages, the same ones each time. What must hold is in `support/fuzz/sip_message.rs`.
#[test]
fn mutated_messages_never_panic_and_stay_what_they_are() {
    let mut rng = Rng::new(&[42; 32], "torture");
    let seeds: Vec<Vec<u8>> = TORTURE.iter().map(|(name, ..)| torture(name)).chain([invite("", b"body")]).collect();
    let mut below = |bound: usize| usize::try_from(rng.next_u64()).unwrap_or(usize::MAX) % bound.max(1);
    let (mut read, mut good, mut refused) = (0, 0, 0);
    for round in 0..8_000 {
        let mut datagram = seeds[round % seeds.len()].clone();
        for _ in 0..=below(3) {
            let (at, to) = (below(datagram.len()), below(datagram.len()));
            match below(8) {
                0 => datagram.truncate(at),
                1 => drop(datagram.drain(at.min(to)..(at.max(to)).min(at.min(to) + 40))),
                2 => {
                    let piece = datagram[at..datagram.len().min(at + 30)].to_vec();
                    datagram.splice(to..to, piece);
                }
                3 => datagram.splice(at..at, *b"\r\n ").for_each(drop),
                4 => {
                    const SIGNS: &[u8] = b"\r\n \t,;:=<>\"\\@?&%[]/\0\x7f\xff09aA";
                    datagram.insert(at, SIGNS[below(SIGNS.len())]);
                }
                5 => {
                    if let Some(byte) = datagram.get_mut(at) {
                        *byte = u8::try_from(below(256)).unwrap();
                    }
                }
                6 => {
                    let other = &seeds[below(seeds.len())];
                    let from = below(other.len());
                    let piece = &other[from..other.len().min(from + 60)];
                    datagram.splice(at..at, piece.iter().copied());
                }
                _ => datagram.make_ascii_uppercase(),
            }
            if datagram.is_empty() {
                break;
            }
        }
        fuzz::sip_message::check(&datagram);
        let mut table = HeaderTable::default();
        if let Ok(message) = Message::parse(&datagram, &mut table) {
            read += 1;
            match Essentials::of(&message) {
                Ok(_) => good += 1,
                Err(_) => refused += 1,
            }
        }
    }
    // The generator reaches both sides of the parser.
    assert!(read > 5_000 && good > 1_000 && refused > 1_000, "{read} {good} {refused}");
}
