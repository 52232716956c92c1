use super::*;

fn request(text: &str) -> Result<Option<(RequestHead, usize)>, BadMessage> {
    parse_request(text.as_bytes())
}

fn response(text: &str) -> Result<Option<(ResponseHead, usize)>, BadMessage> {
    parse_response(text.as_bytes())
}

#[test]
fn urls_are_read_and_written_again() {
    for (text, host, port, path, again) in [
        ("http://node/", "node", 80, "/", "http://node/"),
        ("HTTP://Node.Local.Mesh", "node.local.mesh", 80, "/", "http://node.local.mesh/"),
        ("http://10.1.2.3:8080/a%20b?c=d#e", "10.1.2.3", 8080, "/a%20b?c=d", "http://10.1.2.3:8080/a%20b?c=d"),
        ("http://node:80/x", "node", 80, "/x", "http://node/x"),
        ("http://node:/x", "node", 80, "/x", "http://node/x"),
        ("http://node?q", "node", 80, "/?q", "http://node/?q"),
        ("http://node/Büch er.csv", "node", 80, "/B%C3%BCch%20er.csv", "http://node/B%C3%BCch%20er.csv"),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path), "{text}");
        assert_eq!(url.to_string(), again);
        assert_eq!(Url::parse(&url.to_string()), Ok(url));
    }
    for (text, error) in [
        ("https://node/", BadUrl::Scheme),
        ("node", BadUrl::Scheme),
        ("", BadUrl::Scheme),
        ("http:///x", BadUrl::Host),
        ("http://user@node/", BadUrl::Host),
        ("http://[::1]/", BadUrl::Port),
        ("http://no de/", BadUrl::Host),
        ("http://node:0/", BadUrl::Port),
        ("http://node:65536/", BadUrl::Port),
        ("http://node:+80/", BadUrl::Port),
        ("http://node:8o/", BadUrl::Port),
        ("http://node/a\r\nX: y", BadUrl::Path),
        (&format!("http://node/{}", "x".repeat(2_000)), BadUrl::Length),
    ] {
        assert_eq!(Url::parse(text), Err(error), "{text}");
    }
}

#[test]
fn locations_are_resolved_as_rfc_3986_says() {
    let base = Url::parse("http://a:81/b/c/d?q").unwrap();
    for (location, expected) in [
        ("http://other/x", "http://other/x"),
        ("//other/x", "http://other/x"),
        ("/x", "http://a:81/x"),
        ("x", "http://a:81/b/c/x"),
        ("./x", "http://a:81/b/c/x"),
        ("../x?y=../z", "http://a:81/b/x?y=../z"),
        ("../../../x", "http://a:81/x"),
        (".", "http://a:81/b/c/"),
        ("..", "http://a:81/b/"),
        ("?y", "http://a:81/b/c/d?y"),
        ("", "http://a:81/b/c/d?q"),
        ("x:y/z", ""),
        ("https://a/", ""),
        ("file:///etc/passwd", ""),
        ("/x\u{7}", ""),
    ] {
        match base.join(location) {
            Ok(url) => assert_eq!(url.to_string(), expected, "{location}"),
            Err(_) => assert_eq!(expected, "", "{location}"),
        }
    }
}

#[test]
fn requests_are_read() {
    let text = "GET /api/v1/phone%62ook?q=J%c3%bcrg+M&x HTTP/1.1\r\nHost: localnode:8088\r\nOrigin: http://evil\r\n\
                If-None-Match: \"1\"\r\n\r\nrest";
    let (head, taken) = request(text).unwrap().unwrap();
    assert_eq!(&text[taken..], "rest");
    assert_eq!(head.request.path, "/api/v1/phonebook");
    assert_eq!(head.request.parameter("q"), Some("Jürg M"));
    assert_eq!(head.request.parameter("x"), Some(""));
    assert_eq!(head.request.parameter("y"), None);
    assert_eq!(head.request.host.as_deref(), Some("localnode:8088"));
    assert_eq!(head.request.origin.as_deref(), Some("http://evil"));
    assert_eq!(head.request.if_none_match.as_deref(), Some("\"1\""));
    assert_eq!((head.framing, head.persistence), (Framing::Empty, Persistence::KeepAlive));
    for end in 0..taken {
        assert_eq!(parse_request(&text.as_bytes()[..end]), Ok(None), "{end}");
    }
}

#[test]
fn requests_that_could_be_understood_in_two_ways_are_refused() {
    for (text, error) in [
        ("GET / HTTP/1.1\r\n\r\n", BadMessage::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BadMessage::Host),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", BadMessage::Target),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", BadMessage::Target),
        ("GET /%0d%0aX HTTP/1.1\r\nHost: a\r\n\r\n", BadMessage::Target),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", BadMessage::Target),
        ("GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n", BadMessage::Target),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", BadMessage::Syntax),
        ("\x16\x03\x01\x02\x00\x01\x00", BadMessage::Syntax),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", BadMessage::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", BadMessage::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", BadMessage::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", BadMessage::ContentLength),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            BadMessage::TransferEncoding,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", BadMessage::TransferEncoding),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", BadMessage::TransferEncoding),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(9_000)), BadMessage::HeadTooLong),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(80)), BadMessage::HeadTooLong),
    ] {
        assert_eq!(request(text), Err(error), "{text}");
    }
}

#[test]
fn the_end_of_a_request_is_certain() {
    for (text, framing, persistence) in [
        ("GET / HTTP/1.0\r\n\r\n", Framing::Empty, Persistence::Close),
        ("GET http://a/b HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", Framing::Empty, Persistence::Close),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", Framing::Length(5), Persistence::KeepAlive),
        ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n", Framing::Chunked, Persistence::KeepAlive),
    ] {
        let (head, _) = request(text).unwrap().unwrap();
        assert_eq!((head.framing, head.persistence), (framing, persistence), "{text}");
    }
}

#[test]
fn the_end_of_a_response_is_certain() {
    for (text, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok(Framing::Length(5))),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", Ok(Framing::Chunked)),
        ("HTTP/1.0 200 OK\r\n\r\n", Ok(Framing::UntilClose)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Ok(Framing::Empty)),
        ("HTTP/1.1 100 Continue\r\n\r\n", Ok(Framing::Empty)),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Ok(Framing::Length(0))),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Err(BadMessage::TransferEncoding)),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", Err(BadMessage::ContentEncoding)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", Err(BadMessage::ContentLength)),
        ("ICY 200 OK\r\n\r\n", Err(BadMessage::Syntax)),
    ] {
        assert_eq!(response(text).map(|head| head.unwrap().0.framing), framing, "{text}");
    }
}

#[test]
fn what_we_ask_can_be_read_by_ourselves() {
    let url = Url::parse("http://node:81/a b?c=d").unwrap();
    let text = emit_get(&url, Some("\"x\""), Some("evil\r\nX: y"));
    let (head, taken) = parse_request(&text).unwrap().unwrap();
    assert_eq!(taken, text.len());
    assert_eq!(head.request.path, "/a b");
    assert_eq!(head.request.host.as_deref(), Some("node:81"));
    assert_eq!(head.request.if_none_match.as_deref(), Some("\"x\""));
    assert_eq!(head.persistence, Persistence::Close);
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("evil"), "{text}");
}

#[test]
fn what_we_answer_can_be_read_by_ourselves_and_carries_nothing_smuggled() {
    let answer = Response::new(200, "application/json", "{}")
        .with("ETag", "\"1\"")
        .with("Location", "/\r\nSet-Cookie: a=b")
        .with("Bad name", "x")
        .with("Content-Length", "7");
    let text = emit_head(&answer, Persistence::KeepAlive);
    let (head, taken) = parse_response(&text).unwrap().unwrap();
    assert_eq!(taken, text.len());
    assert_eq!((head.status, head.framing, head.etag.as_deref()), (200, Framing::Length(2), Some("\"1\"")));
    let text = String::from_utf8(text).unwrap();
    for absent in ["Set-Cookie", "Bad name", ": 7"] {
        assert!(!text.contains(absent), "{text}");
    }
}
