use super::*;

const SECOND: u64 = 1_000_000;
const BROWSER: Peer = Peer::Address(std::net::Ipv4Addr::LOCALHOST);

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * SECOND)
}

fn id(number: u32) -> StreamId {
    StreamId::Incoming(number)
}

/// A server with one connection.
fn connected() -> Server {
    let mut server = Server::new();
    server.handle_accepted(id(1), BROWSER, at(0));
    server
}

/// All that is to be sent; then the timeout that is due.
fn sent(server: &mut Server, stream: StreamId) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match server.poll_send(stream, &mut buffer) {
            0 => {
                assert_eq!((server.poll_command(), server.poll_request()), (None, None), "sending alone does nothing");
                server.handle_timeout(server.latest);
                return String::from_utf8(all).unwrap();
            }
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: node\r\n\r\n";

#[test]
fn a_request_is_answered_and_the_connection_kept() {
    let mut server = connected();
    for byte in GET {
        assert_eq!(server.poll_request(), None);
        server.handle_received(id(1), &[*byte], at(1));
    }
    for round in 1..4 {
        let (stream, peer, request) = server.poll_request().unwrap();
        assert_eq!((stream, peer, request.path.as_str()), (id(1), BROWSER, "/x"));
        server.respond(id(1), Response::text(200, "hello"), at(round));
        let text = sent(&mut server, id(1));
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nhello\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 6\r\nConnection: keep-alive\r\n"), "{text}");
        assert_eq!(server.poll_command(), None);
        assert_eq!(server.next_deadline(), Some(at(round + 30)));
        server.handle_received(id(1), GET, at(round + 1));
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let mut server = connected();
    let both = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    server.handle_received(id(1), both, at(0));
    let (_, _, first) = server.poll_request().unwrap();
    assert_eq!((first.path.as_str(), first.body.as_slice()), ("/1", b"abc".as_slice()));
    assert_eq!(server.poll_request(), None);
    server.respond(id(1), Response::new(204, "", ""), at(0));
    let text = sent(&mut server, id(1));
    assert!(text.starts_with("HTTP/1.1 204 No Content\r\n") && !text.contains("Length"), "{text}");
    assert_eq!(server.poll_request().unwrap().2.path, "/2");
    server.respond(id(1), Response::text(200, "two"), at(0));
    assert!(sent(&mut server, id(1)).ends_with("two\n"));
    assert_eq!(server.poll_command(), Some(Command::Finish(id(1))));
    assert_eq!(server.poll_command(), None);
}

#[test]
fn what_comes_without_end_while_an_answer_is_due_is_cut() {
    let mut server = connected();
    server.handle_received(id(1), GET, at(0));
    for _ in 0..=limits::HTTP_REQUEST_HEAD / 1_000 {
        server.handle_received(id(1), &[b'x'; 1_000], at(0));
    }
    assert_eq!(server.poll_command(), Some(Command::Abort(id(1))));
    assert_eq!(server.poll_request(), None, "its request went with it");
}

#[test]
fn head_has_the_length_without_the_body() {
    let mut server = connected();
    server.handle_received(id(1), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", at(0));
    server.poll_request();
    server.respond(id(1), Response::text(200, "hello"), at(0));
    let text = sent(&mut server, id(1));
    assert!(text.contains("Content-Length: 6\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn malformed_requests_are_told_what_is_wrong() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9_000));
    for (text, status, reason) in [
        ("NONSENSE\r\n\r\n", 400, "malformed start line or header"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "exactly one Host"),
        (long.as_str(), 431, "header too long"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", 413, "body too long"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx", 400, "malformed chunk"),
    ] {
        let mut server = connected();
        server.handle_received(id(1), text.as_bytes(), at(0));
        assert_eq!(server.poll_request(), None);
        let answer = sent(&mut server, id(1));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(reason), "{answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        assert_eq!(server.poll_command(), Some(Command::Finish(id(1))));
    }
}

#[test]
fn whoever_waits_for_continue_is_told_to() {
    for pulled in [0, 5, 25] {
        let mut server = connected();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        server.handle_received(id(1), head, at(0));
        let mut first = vec![0; pulled];
        assert_eq!(server.poll_send(id(1), &mut first), pulled);
        server.handle_received(id(1), b"ok", at(0));
        assert_eq!(server.poll_request().unwrap().2.body, b"ok");
        server.respond(id(1), Response::text(200, "thanks"), at(0));
        let all = String::from_utf8(first).unwrap() + &sent(&mut server, id(1));
        let expected = if pulled == 0 { "HTTP/1.1 200" } else { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200" };
        assert!(all.starts_with(expected), "{all}");
    }
}

#[test]
fn time_ends_every_stage() {
    // Nothing at all: closed without a word.
    let mut server = connected();
    assert_eq!(server.next_deadline(), Some(at(10)));
    server.handle_timeout(at(10));
    assert_eq!(server.poll_command(), Some(Command::Finish(id(1))));

    // A head that drips, with empty lines before it.
    let mut server = connected();
    for second in 0..10 {
        server.handle_received(id(1), if second < 5 { b"\r\n" } else { b"G" }, at(second));
        server.handle_timeout(at(second));
    }
    server.handle_timeout(at(10));
    assert!(sent(&mut server, id(1)).starts_with("HTTP/1.1 408 "));

    // A body that does not come.
    let mut server = connected();
    server.handle_received(id(1), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1", at(0));
    server.handle_timeout(at(20));
    assert!(sent(&mut server, id(1)).starts_with("HTTP/1.1 408 "));
    assert_eq!(server.poll_command(), Some(Command::Finish(id(1))));

    // An answer that nobody gives, then one that nobody takes, then a stream that does not go away.
    let mut server = connected();
    server.handle_received(id(1), GET, at(0));
    server.handle_timeout(at(30));
    assert_eq!(server.poll_request(), None);
    server.respond(id(1), Response::text(200, "late"), at(30));
    assert!(server.counters().iter().any(|c| c.name == "stray_events" && c.count == 1));
    server.handle_timeout(at(90));
    assert_eq!(server.poll_command(), Some(Command::Abort(id(1))));
    assert_eq!(server.next_deadline(), None);

    let mut server = connected();
    server.handle_received(id(1), b"GET / HTTP/1.0\r\n\r\n", at(0));
    server.poll_request();
    server.respond(id(1), Response::text(200, "x"), at(0));
    sent(&mut server, id(1));
    assert_eq!(server.poll_command(), Some(Command::Finish(id(1))));
    assert_eq!(server.next_deadline(), Some(at(10)));
    server.handle_timeout(at(10));
    assert_eq!(server.poll_command(), Some(Command::Abort(id(1))));
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn who_hangs_up_before_the_answer_is_not_waiting_any_more() {
    for failed in [true, false] {
        let mut server = connected();
        assert!(!server.is_waiting(id(1)));
        server.handle_received(id(1), GET, at(0));
        assert!(server.poll_request().is_some() && server.is_waiting(id(1)));
        server.handle_timeout(at(29));
        assert!(server.is_waiting(id(1)));
        server.handle_closed(id(1), failed, at(29));
        assert!(!server.is_waiting(id(1)));
    }
    let mut server = connected();
    server.handle_received(id(1), GET, at(0));
    server.poll_request();
    server.respond(id(1), Response::text(200, "x"), at(0));
    assert!(!server.is_waiting(id(1)), "it has its answer");
}

#[test]
fn a_client_that_says_no_more_still_gets_its_answer() {
    let mut server = connected();
    server.handle_received(id(1), GET, at(0));
    server.handle_closed(id(1), false, at(0));
    server.poll_request();
    server.respond(id(1), Response::text(200, "x"), at(0));
    assert!(sent(&mut server, id(1)).contains("Connection: close\r\n"));
    assert_eq!(server.poll_command(), Some(Command::Finish(id(1))));
    server.handle_closed(id(1), true, at(1));
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn a_client_that_is_gone_is_forgotten_with_its_request() {
    let mut server = connected();
    server.handle_received(id(1), GET, at(0));
    server.handle_closed(id(1), true, at(0));
    assert_eq!((server.poll_request(), server.poll_command(), server.next_deadline()), (None, None, None));
}

#[test]
fn idle_connections_make_room_and_the_rest_is_turned_away() {
    let mut server = Server::new();
    let limit = u32::try_from(limits::HTTP_CONNECTIONS).unwrap();
    for number in 0..limit {
        server.handle_accepted(id(number), Peer::Owner, at(0));
    }
    server.handle_received(id(3), GET, at(0));
    assert_eq!(server.poll_request().unwrap().1, Peer::Owner, "trust is kept");
    server.respond(id(3), Response::text(200, "x"), at(0));
    sent(&mut server, id(3));
    server.handle_accepted(id(100), BROWSER, at(1));
    assert_eq!(server.poll_command(), Some(Command::Finish(id(3))));
    server.handle_received(id(100), GET, at(1));
    assert!(server.poll_request().is_some());
    for number in 101..105 {
        server.handle_accepted(id(number), BROWSER, at(1));
        assert!(server.next_deadline().is_some());
    }
    server.handle_accepted(id(105), BROWSER, at(1));
    assert_eq!(server.poll_command(), Some(Command::Abort(id(105))));
    for number in 101..105 {
        assert!(sent(&mut server, id(number)).starts_with("HTTP/1.1 503 "));
        assert_eq!(server.poll_command(), Some(Command::Finish(id(number))));
    }
}

#[test]
fn an_answer_cannot_carry_what_was_not_meant() {
    let mut server = connected();
    server.handle_received(id(1), GET, at(0));
    server.poll_request();
    server.respond(id(1), Response::text(99, "x").with("X", "a\r\nSet-Cookie: b"), at(0));
    let text = sent(&mut server, id(1));
    assert!(text.starts_with("HTTP/1.1 500 ") && !text.contains("Set-Cookie"), "{text}");
}

#[test]
fn a_client_may_be_quicker_than_the_timeout_after_its_answer() {
    for (end, kept) in [("\r\n", true), ("Connection: close\r\n\r\n", false)] {
        let mut server = connected();
        server.handle_received(id(1), format!("GET /1 HTTP/1.1\r\nHost: a\r\n{end}").as_bytes(), at(0));
        server.poll_request();
        server.respond(id(1), Response::text(200, "x"), at(0));
        let length = server.poll_send(id(1), &mut [0; 4_096]);
        assert!(length > 0);
        assert_eq!(server.next_deadline(), Some(at(0)));
        server.handle_received(id(1), GET, at(0));
        assert_eq!(server.poll_request().is_some(), kept);
        assert_eq!(server.poll_command().is_some(), !kept);
        assert!(server.counters().iter().any(|c| c.name == "stray_events" && c.count == 0));
    }
}

#[test]
fn whoever_holds_connections_makes_room_for_whoever_asks() {
    let limit = u32::try_from(limits::HTTP_CONNECTIONS).unwrap();
    let full = |bytes: &[u8]| {
        let mut server = Server::new();
        for number in 0..limit {
            server.handle_accepted(id(number), BROWSER, at(0));
            server.handle_received(id(number), bytes, at(0));
        }
        server
    };
    for half in [&b""[..], b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"] {
        let mut server = full(half);
        server.handle_accepted(id(100), BROWSER, at(0));
        assert_eq!(server.poll_command(), Some(Command::Finish(id(0))), "{}", half.escape_ascii());
        server.handle_received(id(100), GET, at(0));
        assert!(server.poll_request().is_some());
    }
    // Those that do not take their answers have a few seconds.
    let answered = || {
        let mut server = full(GET);
        while let Some((stream, ..)) = server.poll_request() {
            server.respond(stream, Response::text(200, "x"), at(0));
        }
        server
    };
    let mut server = answered();
    server.handle_accepted(id(100), BROWSER, at(4));
    assert_eq!(server.poll_command(), None);
    assert!(sent(&mut server, id(100)).starts_with("HTTP/1.1 503 "));
    let mut server = answered();
    server.handle_accepted(id(100), BROWSER, at(5));
    assert_eq!(server.poll_command(), Some(Command::Abort(id(0))));
    // The unix socket always gets in, and is never pushed out.
    let mut server = answered();
    server.handle_accepted(id(100), Peer::Owner, at(0));
    assert_eq!(server.poll_command(), Some(Command::Abort(id(0))));
    server.handle_received(id(100), GET, at(0));
    assert!(server.poll_request().is_some());
}

#[test]
fn empty_lines_are_not_waited_through_for_ever() {
    let mut server = connected();
    server.handle_received(id(1), b"\r\n\r\n", at(0));
    server.handle_received(id(1), &[b'\n'; 100], at(0));
    assert!(sent(&mut server, id(1)).starts_with("HTTP/1.1 400 "));
}
