use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000;

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

fn request(url: &str) -> Download {
    Download {
        url: Url::parse(url).unwrap(),
        etag: Some("\"1\"".into()),
        last_modified: None,
        connect_timeout: Duration::from_secs(10),
        total_timeout: Duration::from_secs(60),
        max_body: 100,
    }
}

/// A client whose request stands at a server at 10.0.0.1, and the stream.
fn asked(url: &str) -> (Client, StreamId) {
    let mut client = Client::new();
    client.fetch(request(url), Asker::Fetch, at(0)).unwrap();
    let stream = reach(&mut client);
    (client, stream)
}

/// Lets the client find and reach its server; checks that it sent something.
fn reach(client: &mut Client) -> StreamId {
    if let Some((number, _)) = client.poll_question() {
        client.handle_address(number, Some(Ipv4Addr::new(10, 0, 0, 1)), at(0));
    }
    let stream = loop {
        match client.poll_command().expect("it dials") {
            Command::Dial { stream, .. } => break stream,
            Command::Abort(_) | Command::Finish(_) => {}
        }
    };
    client.handle_connected(stream, at(0));
    assert!(!sent(client, stream).is_empty());
    stream
}

fn sent(client: &mut Client, stream: StreamId) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match client.poll_send(stream, &mut buffer) {
            0 => return String::from_utf8(all).unwrap(),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

fn outcome(client: &mut Client) -> Option<Result<Fetched, FetchError>> {
    client.poll_outcome().map(|(asker, outcome)| {
        assert_eq!(asker, Asker::Fetch);
        outcome
    })
}

#[test]
fn a_document_is_found_reached_asked_for_and_taken() {
    let mut client = Client::new();
    client.fetch(request("http://book.local.mesh:8080/a?b"), Asker::Fetch, at(0)).unwrap();
    let (number, host) = client.poll_question().unwrap();
    assert_eq!(host, "book.local.mesh");
    assert_eq!(client.poll_question(), None);
    assert_eq!(client.poll_command(), None);
    client.handle_address(number, Some(Ipv4Addr::new(10, 0, 0, 1)), at(1));
    let Some(Command::Dial { stream, address }) = client.poll_command() else { panic!("it dials") };
    assert_eq!(address, SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 8080));
    assert_eq!(sent(&mut client, stream), "");
    client.handle_connected(stream, at(2));
    let text = sent(&mut client, stream);
    assert!(text.starts_with("GET /a?b HTTP/1.1\r\nHost: book.local.mesh:8080\r\nUser-Agent: switchboard/"), "{text}");
    assert!(text.contains("\r\nIf-None-Match: \"1\"\r\n") && text.contains("\r\nConnection: close\r\n"), "{text}");
    client.handle_received(stream, b"HTTP/1.1 200 OK\r\nETag: \"2\"\r\nContent-Length: 4\r\n\r\nab", at(3));
    assert_eq!(outcome(&mut client), None);
    client.handle_received(stream, b"cdX", at(4));
    let fetched = Fetched { status: 200, etag: Some("\"2\"".into()), last_modified: None, body: b"abcd".to_vec() };
    assert_eq!(outcome(&mut client), Some(Ok(fetched)));
    assert_eq!(client.poll_command(), Some(Command::Finish(stream)));
    assert_eq!(client.next_deadline(), None);
    client.handle_closed(stream, false, at(5));
    assert_eq!((outcome(&mut client), client.poll_command()), (None, None));
    assert_eq!(client.counters().iter().find(|c| c.name == "stray_events").unwrap().count, 1);
}

#[test]
fn answers_of_every_framing_are_taken_whole_or_not_at_all() {
    // What comes, how the stream then ends (None: not at all), what the caller gets.
    let ok = |status, body: &str| Ok((status, body.as_bytes().to_vec()));
    let long = "x".repeat(101);
    for (answer, failed, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\nabc", Some(false), ok(200, "abc")),
        ("HTTP/1.1 200 OK\r\n\r\nabc", Some(true), Err(FetchError::Truncated)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", Some(false), Err(FetchError::Truncated)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", None, Err(FetchError::TooLarge)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", None, ok(200, "abc")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            Some(false),
            Err(FetchError::Truncated),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd",
            None,
            Err(FetchError::Malformed(BadMessage::Chunk)),
        ),
        (&format!("HTTP/1.1 200 OK\r\n\r\n{long}"), None, Err(FetchError::TooLarge)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", None, ok(304, "")),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", None, ok(404, "x")),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            None,
            ok(200, ""),
        ),
        (&"HTTP/1.1 102 Working\r\n\r\n".repeat(1_000), None, Err(FetchError::Malformed(BadMessage::HeadTooLong))),
        ("HTTP/1.1 101 Other\r\n\r\n", None, Err(FetchError::Malformed(BadMessage::Syntax))),
        ("HTTP/1.1 200 OK\r\n", Some(false), Err(FetchError::Truncated)),
        ("", Some(false), Err(FetchError::Truncated)),
        ("SSH-2.0-dropbear\r\n", None, Err(FetchError::Malformed(BadMessage::Syntax))),
        (
            &format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000)),
            None,
            Err(FetchError::Malformed(BadMessage::HeadTooLong)),
        ),
        ("HTTP/1.1 302 Found\r\n\r\n", None, Err(FetchError::BadRedirect)),
        ("HTTP/1.1 302 Found\r\nLocation: https://a/\r\n\r\n", None, Err(FetchError::BadRedirect)),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:8088/\r\n\r\n", None, Err(FetchError::BadRedirect)),
    ] {
        for step in [1, 5, 100_000] {
            let (mut client, stream) = asked("http://10.0.0.1/");
            for piece in answer.as_bytes().chunks(step) {
                client.handle_received(stream, piece, at(1));
            }
            if let Some(failed) = failed {
                client.handle_closed(stream, failed, at(2));
            }
            let got = outcome(&mut client).map(|outcome| outcome.map(|fetched| (fetched.status, fetched.body)));
            assert_eq!(got, Some(expected.clone()), "{answer:.80} in steps of {step}");
            assert_eq!(client.next_deadline(), None);
            let closing = client.poll_command();
            match (failed, &expected) {
                (Some(true), _) => assert_eq!(closing, None),
                (Some(false), _) | (None, Ok(_)) => assert_eq!(closing, Some(Command::Finish(stream)), "{answer:.80}"),
                (None, Err(_)) => assert_eq!(closing, Some(Command::Abort(stream)), "{answer:.80}"),
            }
        }
    }
}

#[test]
fn redirects_are_followed_five_times() {
    let (mut client, mut stream) = asked("http://localnode.local.mesh/cgi-bin/x");
    for step in 0..5 {
        client.handle_received(stream, b"HTTP/1.1 302 Found\r\nLocation: http://node.local.mesh/a/x\r\n\r\n", at(1));
        assert_eq!(outcome(&mut client), None, "{step}");
        let old = stream;
        stream = reach(&mut client);
        assert_ne!(stream, old);
        client.handle_received(old, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", at(1));
        assert_eq!(outcome(&mut client), None, "what comes late on an old stream is nobody's");
    }
    client.handle_received(stream, b"HTTP/1.1 302 Found\r\nLocation: http://node.local.mesh/a/x\r\n\r\n", at(1));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::TooManyRedirects)));
}

/// A node takes whoever comes from its own addresses for somebody of its LAN, who may have a phone rung.
#[test]
fn a_redirect_leads_from_the_mesh_neither_to_this_node_nor_off_the_mesh() {
    for (from, to, followed) in [
        ("10.1.2.66", "10.1.2.67", true),
        ("10.1.2.66", "10.98.96.73", false),
        ("10.1.2.66", "127.0.0.1", false),
        ("10.1.2.66", "192.168.1.1", false),
        ("10.1.2.66", "44.1.2.3", false),
        ("44.1.2.3", "10.1.2.66", true),
        ("44.1.2.3", "10.98.96.73", false),
        ("10.98.96.73", "127.0.0.1", true), // localnode
        ("10.98.96.73", "10.1.2.66", true),
        ("127.0.0.1", "192.168.1.1", true),
    ] {
        let (mut client, stream) = asked(&format!("http://{from}/"));
        client.set_identity(&["10.98.96.73".parse().unwrap()]);
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{to}:8088/cgi-bin/uac_test?target=441530\r\n\r\n");
        client.handle_received(stream, answer.as_bytes(), at(1));
        assert_eq!(client.poll_command(), Some(Command::Abort(stream)));
        let dialled = matches!(client.poll_command(), Some(Command::Dial { .. }));
        let refused = outcome(&mut client) == Some(Err(FetchError::BadRedirect));
        assert_eq!((dialled, refused), (followed, !followed), "{from} to {to}");
    }
}

#[test]
fn a_relative_redirect_stays_with_its_host() {
    let (mut client, stream) = asked("http://10.0.0.1:81/cgi-bin/x");
    client.handle_received(stream, b"HTTP/1.1 307 T\r\nLocation: ../a/x\r\n\r\n", at(1));
    assert_eq!(client.poll_command(), Some(Command::Abort(stream)));
    let Some(Command::Dial { stream, address }) = client.poll_command() else { panic!("it dials") };
    assert_eq!(address.to_string(), "10.0.0.1:81");
    client.handle_connected(stream, at(1));
    assert!(sent(&mut client, stream).starts_with("GET /a/x HTTP/1.1\r\nHost: 10.0.0.1:81\r\n"));
}

#[test]
fn a_server_that_cannot_be_found_or_reached() {
    let mut client = Client::new();
    client.fetch(request("http://nowhere/"), Asker::Fetch, at(0)).unwrap();
    let (number, _) = client.poll_question().unwrap();
    client.handle_address(number + 1, None, at(1));
    assert_eq!(outcome(&mut client), None);
    client.handle_address(number, None, at(1));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::UnknownHost)));
    assert_eq!(client.poll_command(), None);

    client.fetch(request("http://10.0.0.1/"), Asker::Fetch, at(0)).unwrap();
    let Some(Command::Dial { stream, .. }) = client.poll_command() else { panic!("it dials") };
    client.handle_closed(stream, true, at(1));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::NotReached)));
    assert_eq!(client.poll_command(), None);

    client.fetch(request("http://0.0.0.0/"), Asker::Fetch, at(0)).unwrap();
    assert_eq!(outcome(&mut client), Some(Err(FetchError::NotReached)));
}

#[test]
fn time_ends_every_stage() {
    let mut client = Client::new();
    client.fetch(request("http://slow/"), Asker::Fetch, at(0)).unwrap();
    client.poll_question();
    client.handle_timeout(at(10 * SECOND - 1));
    assert_eq!(outcome(&mut client), None);
    assert_eq!(client.next_deadline(), Some(at(10 * SECOND)));
    client.handle_timeout(at(10 * SECOND));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::ConnectTimeout)));
    assert_eq!(client.poll_command(), None);

    client.fetch(request("http://10.0.0.1/"), Asker::Fetch, at(0)).unwrap();
    let Some(Command::Dial { stream, .. }) = client.poll_command() else { panic!("it dials") };
    client.handle_timeout(at(10 * SECOND));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::ConnectTimeout)));
    assert_eq!(client.poll_command(), Some(Command::Abort(stream)));

    // A server that gives a byte a second keeps nobody longer than the whole time.
    let (mut client, stream) = asked("http://10.0.0.1/");
    client.handle_received(stream, b"HTTP/1.1 200 OK\r\n\r\n", at(0));
    for second in 1..60 {
        client.handle_received(stream, b"x", at(second * SECOND));
        client.handle_timeout(at(second * SECOND));
    }
    assert_eq!((outcome(&mut client), client.next_deadline()), (None, Some(at(60 * SECOND))));
    client.handle_timeout(at(60 * SECOND));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::TotalTimeout)));
    assert_eq!(client.poll_command(), Some(Command::Abort(stream)));
}

#[test]
fn only_a_few_at_once() {
    let mut client = Client::new();
    for _ in 0..limits::HTTP_FETCHES {
        client.fetch(request("http://10.0.0.1/"), Asker::Fetch, at(0)).unwrap();
    }
    assert_eq!(client.fetch(request("http://10.0.0.1/"), Asker::Fetch, at(0)), Err(Busy));
    client.handle_timeout(at(60 * SECOND));
    assert_eq!(client.fetch(request("http://10.0.0.1/"), Asker::Fetch, at(0)), Err(Busy), "outcomes wait");
    while client.poll_outcome().is_some() {}
    assert_eq!(client.fetch(request("http://10.0.0.1/"), Asker::Fetch, at(0)), Ok(()));
}

#[test]
fn a_document_is_brought_and_the_status_is_the_answer() {
    let bring = || {
        let mut client = Client::new();
        let url = Url::parse("http://10.0.0.1:5000/ingest").unwrap();
        client.bring(url, b"{\"a\":1}".to_vec(), Duration::from_secs(10), Asker::Fetch, at(0)).unwrap();
        let Some(Command::Dial { stream, address }) = client.poll_command() else { panic!("it dials") };
        assert_eq!(address.port(), 5000);
        client.handle_connected(stream, at(1));
        let text = sent(&mut client, stream);
        assert!(text.starts_with("POST /ingest HTTP/1.1\r\nHost: 10.0.0.1:5000\r\nUser-Agent: switchboard/"), "{text}");
        let end = "\r\nContent-Type: application/json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{\"a\":1}";
        assert!(text.ends_with(end), "{text}");
        (client, stream)
    };
    // A body that never comes, one that is too large, and a place that is to be asked by GET: none is of interest.
    for (answer, status) in [
        ("HTTP/1.1 201 Created\r\nContent-Length: 99999\r\n\r\n", 201),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nthanks", 200),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", 302),
        ("HTTP/1.1 500 Oops\r\n\r\n", 500),
    ] {
        let (mut client, stream) = bring();
        client.handle_received(stream, answer.as_bytes(), at(2));
        assert_eq!(outcome(&mut client), Some(Ok(Fetched { status, ..Fetched::default() })), "{answer}");
        assert_eq!(client.poll_command(), Some(Command::Finish(stream)));
        assert_eq!(client.next_deadline(), None);
    }
    let (mut client, stream) = bring();
    client.handle_closed(stream, false, at(2));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::Truncated)));
    let (mut client, _) = bring();
    client.handle_timeout(at(10 * SECOND));
    assert_eq!(outcome(&mut client), Some(Err(FetchError::TotalTimeout)));
}

#[test]
fn who_is_gone_hears_nothing_more_and_the_streams_are_hung_up() {
    let start = |client: &mut Client, asker| {
        client.fetch(request("http://10.0.0.1/"), asker, at(0)).unwrap();
        let Some(Command::Dial { stream, .. }) = client.poll_command() else { panic!("it dials") };
        stream
    };
    let mut client = Client::new();
    let (one, two) = (start(&mut client, Asker::Mesh(1)), start(&mut client, Asker::Fetch));
    client.forget(|asker| matches!(asker, Asker::Mesh(_)));
    assert_eq!((client.poll_command(), client.poll_command()), (Some(Command::Abort(one)), None));
    client.handle_connected(one, at(1));
    assert_eq!((client.poll_outcome(), counter(&client, "stray_events")), (None, 1));
    assert_eq!(client.abandon(), [Asker::Fetch]);
    assert_eq!(client.poll_command(), Some(Command::Abort(two)));
    assert_eq!((client.next_deadline(), client.poll_outcome()), (None, None));
    let three = start(&mut client, Asker::Fetch);
    assert!(three != one && three != two, "what still comes for an old stream must not be taken for the new one's");
}

fn counter(client: &Client, name: &str) -> u64 {
    client.counters().iter().find(|counter| counter.name == name).unwrap().count
}
