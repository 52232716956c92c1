//! The API of the real daemon, over TCP and the unix socket, with a phone that registers and calls; the files in RAM, and
//! the CGI program that shows them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code)]
#[path = "peers/daemon.rs"]
mod daemon;
#[allow(dead_code)]
#[path = "peers/ground.rs"]
mod ground;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use daemon::{Exchange, Setup};
use ground::{PATIENCE, until};
use serde_json::{Value, json};
use switchboard::api::PATHS;

const BOOK: &str = "Firstname,Name,Callsign,Telephone,Privat\r\n\
                    Hans,Müller,HB9AAA,441530,\r\n\
                    Urs,\"Meier, \"\"Jr.\"\"\",HB9BBB,441531,\r\n\
                    Geheim,Person,HB9DDD,196639,y\r\n\
                    Ohne,Nummer,HB9EEE,,\r\n";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(mut stream: impl Read + Write, request: &str) -> Self {
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.into(), body: body.into() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Over TCP, as a browser or a program would; `headers` are whole lines.
fn tcp(exchange: &Exchange, method: &str, target: &str, headers: &str) -> Answer {
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", exchange.api()) };
    let stream = TcpStream::connect(exchange.api()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Answer::read(stream, &format!("{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n"))
}

fn get(exchange: &Exchange, path: &str) -> Value {
    let answer = tcp(exchange, "GET", path, "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn start(name: &str) -> Exchange {
    let exchange = Exchange::with(name, &Setup { book: Some(BOOK.into()), ..Setup::default() });
    until("the stored book", PATIENCE, || (get(&exchange, "/api/v1/phonebook")["entry_count"] == 2).then_some(()));
    exchange
}

/// A phone at address `host` of the exchange's net, which registers `number`.
fn phone(exchange: &Exchange, host: u8, number: &str) -> UdpSocket {
    let socket = UdpSocket::bind((exchange.net.host(host), 5_060)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (own, server) = (socket.local_addr().unwrap(), exchange.address());
    let register = format!(
        "REGISTER sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKr{number}\r\nMax-Forwards: 70\r\n\
         From: \"Shack\" <sip:{number}@{server}>;tag=r\r\nTo: <sip:{number}@{server}>\r\nCall-ID: r{number}@{own}\r\n\
         CSeq: 1 REGISTER\r\nContact: <sip:{number}@{own}>;q=0.5\r\nExpires: 600\r\nUser-Agent: Test <b>1</b>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send_to(register.as_bytes(), (server, 5_060)).unwrap();
    hear(&socket, "SIP/2.0 200");
    socket
}

/// The next datagram that starts so; others (repeats, provisional answers) are passed over.
fn hear(socket: &UdpSocket, start: &str) -> String {
    let mut buffer = [0; 4_096];
    loop {
        let (length, _) = socket.recv_from(&mut buffer).unwrap_or_else(|error| panic!("{start}: {error}"));
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with(start) {
            return text;
        }
    }
}

#[test]
fn every_path_answers() {
    let exchange = start("api-paths");
    let moved = "/cgi-bin/arednmon";
    let acts = ["/reload", "/trace", "/test", "/ring", "_ping", "_test", "/loadphonebook", "/traceroute_json"];
    for path in PATHS.iter().filter(|path| !acts.iter().any(|end| path.ends_with(end)) && **path != moved) {
        let answer = tcp(&exchange, "GET", path, "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert!(answer.header("Access-Control-Allow-Origin").is_none(), "{path}");
        let length: usize = answer.header("Content-Length").unwrap().parse().unwrap();
        assert_eq!(answer.body.len(), length, "{path}");
        let head = tcp(&exchange, "HEAD", path, "");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let refused = tcp(&exchange, "POST", path, "X-Requested-With: switchboard\r\nContent-Length: 0\r\n");
        assert_eq!((refused.status, refused.header("Allow")), (405, Some("GET, HEAD")), "{path}");
        if path.starts_with("/api/") || path.starts_with("/cgi-bin/") {
            assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{path}");
            answer.json();
        } else if *path != "/metrics" {
            assert!(answer.header("Content-Security-Policy").unwrap().starts_with("default-src 'none'"), "{path}");
            let known = format!("If-None-Match: {}\r\n", answer.header("ETag").unwrap());
            let again = tcp(&exchange, "GET", path, &known);
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        }
    }
    for path in [moved, "/arednmon"] {
        let answer = tcp(&exchange, "GET", path, "");
        assert_eq!((answer.status, answer.header("Location")), (302, Some("/arednmon/")), "{path}");
    }
    for (file, kind) in [("desk.js", "text/javascript"), ("style.css", "text/css"), ("land.txt", "text/plain")] {
        let answer = tcp(&exchange, "GET", &format!("/arednmon/{file}"), "");
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("Content-Type").unwrap().starts_with(kind), "{file}: modules need their type");
    }
    let missing = tcp(&exchange, "GET", "/api/v2/status", "");
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"].is_string());
    let refused = tcp(&exchange, "GET", "/api/v1/reload", "");
    assert_eq!((refused.status, refused.header("Allow")), (405, Some("POST")));
}

#[test]
fn a_connection_is_closed_with_its_last_byte() {
    let exchange = start("api-close");
    // Nothing else happens here: a close that waits for the next event would wait for seconds.
    let begin = std::time::Instant::now();
    for _ in 0..10 {
        get(&exchange, "/api/v1/status");
    }
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn strangers_pages_are_refused_and_the_unix_socket_is_trusted() {
    let exchange = start("api-strangers");
    let own = exchange.api();
    for (method, target, headers, expected) in [
        ("GET", "/api/v1/phonebook", "Host: rebound.example:8088\r\n", 403),
        ("GET", "/", "Host: rebound.example\r\n", 403),
        ("GET", "/api/v1/phonebook", "Host: localnode.local.mesh\r\n", 200),
        ("POST", "/api/v1/phonebook/reload", "Content-Length: 0\r\n", 403),
        ("POST", "/api/v1/reload", "Content-Length: 0\r\nContent-Type: text/plain\r\n", 403),
        (
            "POST",
            "/api/v1/phonebook/reload",
            "Content-Length: 0\r\nX-Requested-With: switchboard\r\nOrigin: http://evil.local.mesh\r\n",
            403,
        ),
        (
            "POST",
            "/api/v1/phonebook/reload",
            &format!("Content-Length: 0\r\nX-Requested-With: switchboard\r\nOrigin: http://{own}\r\n"),
            202,
        ),
        ("POST", "/api/v1/phonebook/reload", "Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}", 202),
    ] {
        let answer = match headers.split_once("\r\n\r\n") {
            None => tcp(&exchange, method, target, headers),
            Some((headers, body)) => Answer::read(
                TcpStream::connect(own).unwrap(),
                &format!("{method} {target} HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n{headers}\r\n\r\n{body}"),
            ),
        };
        assert_eq!(answer.status, expected, "{method} {target} {headers}: {}", answer.body);
    }
    let stream = UnixStream::connect(exchange.path("tmp/api.sock")).unwrap();
    let request =
        "POST /api/v1/reload HTTP/1.1\r\nHost: anything.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::read(stream, request).status, 202);
}

#[test]
fn the_book_is_searched_and_its_faults_are_listed() {
    let exchange = start("api-book");
    let found = get(&exchange, "/api/v1/phonebook?q=MUELLER%20hb9");
    assert_eq!((&found["entry_count"], &found["entries"][0]["name"]), (&json!(1), &json!("Hans Müller (HB9AAA)")));
    assert_eq!(get(&exchange, "/api/v1/phonebook?q=geheim")["entry_count"], 0, "private rows stay private");
    assert_eq!(get(&exchange, "/api/v1/phonebook?online=1")["entry_count"], 0);
    assert_eq!(tcp(&exchange, "GET", "/api/v1/phonebook?online=perhaps", "").status, 400);
    assert_eq!(get(&exchange, "/api/v1/status")["phonebook"]["entries"], 2);
}

#[test]
fn a_reload_fetches_the_book_and_says_what_is_wrong_with_it() {
    let tree = ground::Tree::new("api-server");
    let file = tree.write("book.csv", BOOK);
    let setup = Setup { servers: vec![format!("file://{}", file.display())], ..Setup::default() };
    let exchange = Exchange::with("api-reload", &setup);
    until("the first download", PATIENCE, || {
        (get(&exchange, "/api/v1/status")["phonebook"]["state"] == "SUCCESS").then_some(())
    });
    let problems = get(&exchange, "/api/v1/phonebook/problems");
    assert_eq!(problems["problem_count"], 1, "{problems}");
    assert_eq!(problems["problems"][0]["line"], 5);
    tree.write("book.csv", format!("{BOOK}Neu,Person,HB9NEU,312430,\r\n"));
    let answer =
        tcp(&exchange, "POST", "/api/v1/phonebook/reload", "X-Requested-With: switchboard\r\nContent-Length: 0\r\n");
    assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("success")));
    until("the new entry", PATIENCE, || {
        (get(&exchange, "/api/v1/phonebook?q=312430")["entry_count"] == 1).then_some(())
    });
}

#[test]
fn phones_and_calls_are_seen() {
    let exchange = start("api-calls");
    let (caller, callee) = (phone(&exchange, 2, "441531"), phone(&exchange, 3, "441530"));
    let seen = get(&exchange, "/api/v1/registrations");
    assert_eq!(seen["registration_count"], 2);
    let mut phones = seen["registrations"].as_array().unwrap().clone();
    phones.sort_by_key(|phone| phone["number"].to_string());
    let first = &phones[0];
    assert_eq!(first["number"], "441530");
    assert_eq!(first["source"], callee.local_addr().unwrap().to_string());
    assert_eq!((&first["user_agent"], &first["q"]), (&json!("Test <b>1</b>"), &json!(0.5)));
    assert!((590..=600).contains(&first["expires_in_s"].as_u64().unwrap()), "{first}");
    until("both phones online in the book", PATIENCE, || {
        (get(&exchange, "/api/v1/phonebook?online=1")["entry_count"] == 2).then_some(())
    });

    let (own, server) = (caller.local_addr().unwrap(), exchange.address());
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\n",
        own.ip()
    );
    let invite = format!(
        "INVITE sip:441530@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKi1\r\nMax-Forwards: 70\r\n\
         From: \"A \\\"B\\\" </script>\" <sip:441531@{server}>;tag=a\r\nTo: <sip:441530@{server}>\r\n\
         Call-ID: seen@{own}\r\nCSeq: 1 INVITE\r\nContact: <sip:441531@{own}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    caller.send_to(invite.as_bytes(), (server, 5_060)).unwrap();
    let arrived = hear(&callee, "INVITE ");
    let answer = |line: &str| {
        let copied = arrived.lines().filter(|line| {
            ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"].iter().any(|name| line.starts_with(name))
        });
        let copied: String = copied.map(|line| format!("{line}\r\n")).collect();
        let text = format!(
            "SIP/2.0 {line}\r\n{copied}To: <sip:441530@{server}>;tag=b\r\nContact: <sip:441530@{}>\r\n\
             Content-Length: 0\r\n\r\n",
            callee.local_addr().unwrap()
        );
        callee.send_to(text.as_bytes(), (server, 5_060)).unwrap();
    };
    answer("180 Ringing");
    hear(&caller, "SIP/2.0 180");
    let calls = get(&exchange, "/api/v1/calls");
    assert_eq!(calls["total_active_calls"], 1);
    let call = &calls["calls"][0];
    for (field, value) in [
        ("caller_user_id", json!("441531")),
        ("callee_user_id", json!("441530")),
        ("caller_display_name", json!("A \"B\" </script>")),
        ("codec", json!("PCMA")),
        ("state", json!("RINGING")),
        ("call_id", json!(format!("seen@{own}"))),
        ("duration_s", Value::Null),
    ] {
        assert_eq!(call[field], value, "{field} in {call}");
    }
    answer("200 OK");
    hear(&caller, "SIP/2.0 200");
    let call = get(&exchange, "/api/v1/calls")["calls"][0].clone();
    assert_eq!(call["state"], "ESTABLISHED");
    assert!(call["duration_s"].is_u64(), "{call}");

    let file = until("the file of calls", PATIENCE, || {
        let file: Value = serde_json::from_str(&exchange.read("tmp/active_calls.json")).ok()?;
        (file["calls"][0]["state"] == "ESTABLISHED").then_some(file)
    });
    let fields: Vec<&String> = file["calls"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 8, "the known form and no more: {fields:?}");
    let metrics = tcp(&exchange, "GET", "/metrics", "").body;
    for line in
        ["switchboard_registrations 2", "switchboard_calls{state=\"established\"} 1", "switchboard_phonebook_online 2"]
    {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    let status = get(&exchange, "/api/v1/status");
    assert_eq!((&status["registrations"], &status["calls"]), (&json!(2), &json!(1)));
}

/// The program of the other package, which `cargo test --workspace` builds beside the daemon.
fn cgi(exchange: &Exchange, name: &str) -> Option<Value> {
    let program = Path::new(env!("CARGO_BIN_EXE_switchboard")).with_file_name("switchboard-cgi");
    if !program.exists() {
        std::io::stderr()
            .write_all(b"SKIPPED: switchboard-cgi not built (cargo test --workspace builds it)\n")
            .unwrap();
        return None;
    }
    let link = exchange.path(name);
    if !link.exists() {
        std::os::unix::fs::symlink(&program, &link).unwrap();
    }
    let output = Command::new(&link)
        .env_clear()
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", "GET")
        .env("SWITCHBOARD_PHONEBOOK_JSON", exchange.path("tmp/phonebook.json"))
        .env("SWITCHBOARD_ACTIVE_CALLS_JSON", exchange.path("tmp/active_calls.json"))
        .env("SWITCHBOARD_SOCKET", exchange.path("tmp/api.sock"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap())
}

#[test]
fn the_cgi_program_shows_what_the_daemon_keeps_in_ram() {
    let mut exchange = start("api-cgi");
    let _phone = phone(&exchange, 2, "441530");
    let Some(_) = cgi(&exchange, "showphonebook") else { return };
    let shown = until("the online marker", PATIENCE, || {
        let shown = cgi(&exchange, "showphonebook").unwrap();
        shown["entries"][0]["name"].as_str().is_some_and(|name| name.starts_with("* ")).then_some(shown)
    });
    assert_eq!((&shown["status"], &shown["entry_count"]), (&json!("success"), &json!(2)));
    assert_eq!(
        shown["entries"],
        json!([
            {"name": "* Hans Müller (HB9AAA)", "telephone": "441530"},
            {"name": "Urs Meier, \"Jr.\" (HB9BBB)", "telephone": "441531"},
        ])
    );
    assert!(shown["timestamp"].as_str().unwrap().ends_with('Z'));
    let calls = until("the file of calls", PATIENCE, || {
        cgi(&exchange, "active_calls_json").filter(|calls| calls.get("error").is_none())
    });
    assert_eq!(calls, json!({"calls": [], "total_active_calls": 0}));
    let loaded = cgi(&exchange, "loadphonebook").unwrap();
    assert_eq!((&loaded["status"], &loaded["message"]), (&json!("success"), &json!("Phonebook reload triggered")));
    exchange.stop(PATIENCE);
    let loaded = cgi(&exchange, "loadphonebook").unwrap();
    assert_eq!((&loaded["status"], &loaded["message"]), (&json!("error"), &json!("Switchboard is not running")));
}
