//! Strangers on the mesh against the real daemon: whatever they send, its memory stays within a bound, nobody gets many times what was
//! sent in his name, and a call between two others is still set up.
//!
//! Everything is bounded in number and stays on loopback. What is measured is memory, bytes and processor time of the daemon, never how
//! long something took. `docs/protocols/sip-threats.md` says what all of it is for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use real::http::{self, OURS};
use real::{Exchange, Handset, PATIENCE, Setup, until};

/// Kilobytes in memory, now and at the most.
fn memory(exchange: &Exchange) -> (usize, usize) {
    (exchange.kilobytes("VmRSS"), exchange.kilobytes("VmHWM"))
}

/// Time on a processor.
fn spent(exchange: &Exchange) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/schedstat", exchange.id())).unwrap();
    Duration::from_nanos(text.split_ascii_whitespace().next().unwrap().parse().unwrap())
}

fn bytes(messages: &[String]) -> usize {
    messages.iter().map(String::len).sum()
}

/// Two more phones: one registers, the other calls it, both repeating themselves as phones do. Fails unless it is answered.
fn call_gets_through(exchange: &Exchange) {
    let (phone, caller) = (Handset::new(exchange, 9, 0), Handset::new(exchange, 8, 0));
    let uri = format!("sip:441530@{}", exchange.address());
    let contact = format!("Contact: <sip:441530@{}>\r\n", phone.own);
    let register = phone.request("REGISTER", &uri, "register", &contact);
    until("a phone to be registered", PATIENCE, || {
        phone.send(&register);
        phone.received().iter().any(|answer| answer.starts_with("SIP/2.0 200")).then_some(())
    });
    let mut attempt = 0;
    until("a call to be answered", PATIENCE, || {
        attempt += 1;
        caller.send(&caller.request("INVITE", &uri, &format!("real{attempt}"), ""));
        let invite = phone.received().into_iter().find(|message| message.starts_with("INVITE "))?;
        phone.answer(&invite, "200 OK", &contact);
        caller.received().iter().any(|message| message.starts_with("SIP/2.0 200")).then_some(())
    });
    assert!(attempt < 5, "{attempt} attempts");
}

/// Number 700 at one more Contact, which is so long.
fn a_contact_more(phone: &Handset, length: usize) {
    phone.register("700", &format!("Contact: <sip:700@{};x={}>\r\nExpires: 3600\r\n", phone.own, "x".repeat(length)));
}

#[test]
fn a_giant_reason_for_a_cancel_is_neither_kept_nor_multiplied() {
    let exchange = Exchange::start("attack-cancel");
    let (phone, caller) = (Handset::new(&exchange, 2, 0), Handset::new(&exchange, 3, 0));
    for contact in 0..10 {
        a_contact_more(&phone, contact);
    }
    let (before, _) = memory(&exchange);
    let uri = format!("sip:700@{}", exchange.address());
    let (mut sent, mut got) = (0, 0);
    for call in 0..20 {
        let branch = format!("call{call}");
        caller.send(&caller.request("INVITE", &uri, &branch, ""));
        for invite in phone.received().iter().filter(|message| message.starts_with("INVITE")) {
            phone.answer(invite, "180 Ringing", "");
        }
        let cancel =
            caller.request("CANCEL", &uri, &branch, &format!("Reason: SIP;text=\"{}\"\r\n", "x".repeat(60_000)));
        sent += cancel.len();
        caller.send(&cancel);
        got += bytes(&phone.received());
    }
    let (_, most) = memory(&exchange);
    assert!(got < sent, "{sent} bytes in, {got} bytes out");
    assert!(most < before + 8 * 1_024, "{before} kB before, {most} kB at the most");
}

#[test]
fn nobody_gets_many_times_what_was_sent_in_his_name() {
    let exchange = Exchange::start("attack-amplify");
    let (phone, victim) = (Handset::new(&exchange, 2, 0), Handset::new(&exchange, 3, 0));
    for contact in 0..10 {
        a_contact_more(&phone, 430 + contact);
    }
    let ours = format!("sip:{}", exchange.address());
    let number = format!("sip:700@{}", exchange.address());
    for (what, request, most) in [
        ("a question for Contacts", victim.request("REGISTER", &ours, "q", &format!("To: <{number}>\r\n")), 7),
        (
            "voice mail with many Record-Routes",
            victim.request(
                "SUBSCRIBE",
                &format!("sip:100@{}", exchange.address()),
                "s",
                &format!("Event: message-summary\r\nRecord-Route: {}a\r\n", "a,".repeat(4_000)),
            ),
            3,
        ),
        ("OPTIONS", victim.request("OPTIONS", &ours, "o", ""), 3),
        ("a malformed request", victim.request("OPTIONS", &ours, "m", "CSeq: 1 INVITE\r\n"), 3),
        (
            "a required extension",
            victim.request("OPTIONS", &ours, "r", &format!("Require: {}a\r\n", "a,".repeat(9_000))),
            3,
        ),
    ] {
        victim.send(&request);
        let got = bytes(&victim.received());
        assert!(got > 0 && got < most * request.len(), "{what}: {} bytes in, {got} bytes out", request.len());
    }
    // A large answer of a phone, and small repeats of the request.
    let message = victim.request("MESSAGE", &format!("sip:x@{}", phone.own), "big", "");
    victim.send(&message);
    let passed = phone.received();
    phone.answer(&passed[0], "200 OK", &format!("X: {}\r\n", "x".repeat(50_000)));
    assert!(bytes(&victim.received()) > 50_000);
    for _ in 0..100 {
        victim.send(&message);
    }
    assert!(bytes(&victim.received()) < 17 * 51_000, "and not for every repeat");
}

#[test]
fn one_large_datagram_costs_little_time() {
    let exchange = Exchange::start("attack-time");
    let peer = Handset::new(&exchange, 2, 0);
    let ours = format!("sip:{}", exchange.address());
    for (what, lines) in [
        ("Routes", format!("Route: {}<sip:localnode>\r\n", "<sip:localnode>,".repeat(3_900))),
        ("Vias", format!("Via: {}SIP/2.0/UDP b\r\n", "SIP/2.0/UDP a;branch=z9hG4bK00,".repeat(1_900))),
        ("lines", "X: y\r\n".repeat(1_100)),
        ("commas", format!("Supported: {}\r\n", ",".repeat(60_000))),
        ("quotes", format!("Contact: {}\r\n", "\"".repeat(60_000))),
        ("brackets", format!("Contact: {}\r\n", "<".repeat(60_000))),
        ("folds", format!("Subject: a{}\r\n", "\r\n b".repeat(15_000))),
    ] {
        let before = spent(&exchange);
        for turn in 0..10 {
            peer.send(&peer.request("OPTIONS", &ours, &format!("{}{turn}", &what[..2]), &lines));
            peer.received();
        }
        let each = (spent(&exchange) - before) / 10;
        // Without optimisation, with checks, on a busy machine; what it replaced took a second.
        assert!(each < Duration::from_millis(60), "{what}: {each:?}");
    }
}

#[test]
fn a_flood_leaves_others_their_calls_and_the_memory_as_it_was() {
    let exchange = Exchange::start("attack-flood");
    let hole = Handset::new(&exchange, 100, 0);
    let (before, _) = memory(&exchange);
    let attackers: Vec<Handset> = (0..3).map(|n| Handset::new(&exchange, 50 + n, 0)).collect();
    // A To tag that belongs to no call opens no door. One address asks, then several.
    for (count, attackers) in [(4_000, &attackers[..1]), (2_000, &attackers[1..])] {
        for number in 0..count {
            let attacker = &attackers[number % attackers.len()];
            let rest = format!("To: <sip:x@{}>;tag=made-up\r\nSubject: {}\r\n", hole.own, "x".repeat(1_000));
            attacker.send(&attacker.request(
                "INVITE",
                &format!("sip:x@{}", hole.own),
                &format!("f{count}{number}"),
                &rest,
            ));
            if number % 50 == 0 {
                std::thread::yield_now();
            }
        }
        call_gets_through(&exchange);
        let (_, most) = memory(&exchange);
        assert!(most < before + 24 * 1_024, "{before} kB before, {most} kB at the most");
    }
}

#[test]
fn whoever_holds_or_fills_connections_stops_nobody() {
    let exchange = Exchange::with("attack-http", &Setup::default());
    let (before, _) = memory(&exchange);
    let mut held = Vec::new();
    for half in ["", "GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(exchange.api()).unwrap();
            let _ = stream.write_all(half.as_bytes());
            held.push(stream);
        }
        exchange.get("/api/v1/status");
        assert_eq!(http::ask(exchange.owner(), "GET", "/api/v1/status", "").status, 200, "{half:?}");
    }
    // As fast as the daemon can read, for as long as it lets us: everything else still has its turn.
    let api = exchange.api();
    let filler = std::thread::spawn(move || {
        let head = b"POST /api/v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n";
        for _ in 0..20 {
            let Ok(mut stream) = TcpStream::connect(api) else { return };
            let _ = stream.write_all(head);
            for _ in 0..64 {
                if stream.write_all(&[b'z'; 64 << 10]).is_err() {
                    break;
                }
            }
        }
    });
    call_gets_through(&exchange);
    filler.join().unwrap();
    let (_, most) = memory(&exchange);
    assert!(most < before + 4 * 1_024, "{before} kB before, {most} kB at the most");
}

#[test]
fn clients_that_found_no_descriptor_left_are_served_when_there_is_one() {
    let exchange = Exchange::with("attack-descriptors", &Setup::default());
    let open = std::fs::read_dir(format!("/proc/{}/fd", exchange.id())).unwrap().count();
    let limit = format!("--nofile={0}:{0}", open + 2);
    let done = std::process::Command::new("prlimit").args(["--pid", &exchange.id().to_string(), &limit]).status();
    assert!(done.unwrap().success());
    let held: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(exchange.api()).unwrap()).collect();
    let mut last = TcpStream::connect(exchange.api()).unwrap();
    write!(last, "GET /api/v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    call_gets_through(&exchange);
    drop(held);
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    last.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn reading_the_configuration_again_rests_for_strangers() {
    let exchange = Exchange::start("attack-reload");
    let ours = || exchange.post("/api/v1/reload").status;
    assert_eq!([ours(), ours()], [202, 429]);
    assert_eq!(http::ask(exchange.owner(), "POST", "/api/v1/reload", OURS).status, 202, "but not for the operator");
}
