//! The API of the real daemon, over TCP and the unix socket, with a phone that registers and calls; the files in RAM, and
//! the CGI program that shows them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use real::http::{self, Answer};
use real::{Exchange, Handset, PATIENCE, Setup, Tree, until};
use serde_json::{Value, json};
use switchboard::api::PATHS;

const BOOK: &str = "Firstname,Name,Callsign,Telephone,Privat\r\n\
                    Hans,Müller,HB9AAA,441530,\r\n\
                    Urs,\"Meier, \"\"Jr.\"\"\",HB9BBB,441531,\r\n\
                    Geheim,Person,HB9DDD,196639,y\r\n\
                    Ohne,Nummer,HB9EEE,,\r\n";

fn start(name: &str) -> Exchange {
    let exchange = Exchange::with(name, &Setup { book: Some(BOOK.into()), ..Setup::default() });
    until("the stored book", PATIENCE, || (exchange.get("/api/v1/phonebook")["entry_count"] == 2).then_some(()));
    exchange
}

/// A phone at address `host` of the exchange's net, which registers `number`.
fn phone(exchange: &Exchange, host: u8, number: &str) -> Handset {
    let phone = Handset::new(exchange, host, 5_060);
    let contact = format!("Contact: <sip:{number}@{}>;q=0.5\r\n", phone.own);
    phone.register(number, &format!("{contact}Expires: 600\r\nUser-Agent: Test <b>1</b>\r\n"));
    phone
}

#[test]
fn every_path_answers() {
    let exchange = start("api-paths");
    let moved = "/cgi-bin/arednmon";
    let acts = ["/reload", "/trace", "/test", "/ring", "_ping", "_test", "/loadphonebook", "/traceroute_json"];
    for path in PATHS.iter().filter(|path| !acts.iter().any(|end| path.ends_with(end)) && **path != moved) {
        let answer = exchange.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert!(answer.header("Access-Control-Allow-Origin").is_none(), "{path}");
        let length: usize = answer.header("Content-Length").unwrap().parse().unwrap();
        assert_eq!(answer.body.len(), length, "{path}");
        let head = exchange.ask("HEAD", path, "");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let refused = exchange.post(path);
        assert_eq!((refused.status, refused.header("Allow")), (405, Some("GET, HEAD")), "{path}");
        if path.starts_with("/api/") || path.starts_with("/cgi-bin/") {
            assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{path}");
            answer.json();
        } else if *path != "/metrics" {
            assert!(answer.header("Content-Security-Policy").unwrap().starts_with("default-src 'none'"), "{path}");
            let known = format!("If-None-Match: {}\r\n", answer.header("ETag").unwrap());
            let again = exchange.ask("GET", path, &known);
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        }
    }
    for path in [moved, "/arednmon"] {
        let answer = exchange.ask("GET", path, "");
        assert_eq!((answer.status, answer.header("Location")), (302, Some("/arednmon/")), "{path}");
    }
    for (file, kind) in [("desk.js", "text/javascript"), ("style.css", "text/css"), ("land.txt", "text/plain")] {
        let answer = exchange.ask("GET", &format!("/arednmon/{file}"), "");
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("Content-Type").unwrap().starts_with(kind), "{file}: modules need their type");
    }
    let missing = exchange.ask("GET", "/api/v2/status", "");
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"].is_string());
    let refused = exchange.ask("GET", "/api/v1/reload", "");
    assert_eq!((refused.status, refused.header("Allow")), (405, Some("POST")));
}

#[test]
fn a_connection_is_closed_with_its_last_byte() {
    let exchange = start("api-close");
    // Nothing else happens here: a close that waits for the next event would wait for seconds.
    let begin = std::time::Instant::now();
    for _ in 0..10 {
        exchange.get("/api/v1/status");
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
            None => exchange.ask(method, target, headers),
            Some((headers, body)) => Answer::to(
                &format!("{method} {target} HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n{headers}\r\n\r\n{body}"),
                http::connect(own).unwrap(),
            ),
        };
        assert_eq!(answer.status, expected, "{method} {target} {headers}: {}", answer.body);
    }
    let request = "Host: anything.example\r\nContent-Length: 0\r\n";
    assert_eq!(http::ask(exchange.owner(), "POST", "/api/v1/reload", request).status, 202);
}

#[test]
fn the_book_is_searched_and_its_faults_are_listed() {
    let exchange = start("api-book");
    let found = exchange.get("/api/v1/phonebook?q=MUELLER%20hb9");
    assert_eq!((&found["entry_count"], &found["entries"][0]["name"]), (&json!(1), &json!("Hans Müller (HB9AAA)")));
    assert_eq!(exchange.get("/api/v1/phonebook?q=geheim")["entry_count"], 0, "private rows stay private");
    assert_eq!(exchange.get("/api/v1/phonebook?online=1")["entry_count"], 0);
    assert_eq!(exchange.ask("GET", "/api/v1/phonebook?online=perhaps", "").status, 400);
    assert_eq!(exchange.get("/api/v1/status")["phonebook"]["entries"], 2);
}

#[test]
fn a_reload_fetches_the_book_and_says_what_is_wrong_with_it() {
    let tree = Tree::new("api-server");
    let file = tree.write("book.csv", BOOK);
    let setup = Setup { servers: vec![format!("file://{}", file.display())], ..Setup::default() };
    let exchange = Exchange::with("api-reload", &setup);
    until("the first download", PATIENCE, || {
        (exchange.get("/api/v1/status")["phonebook"]["state"] == "SUCCESS").then_some(())
    });
    let problems = exchange.get("/api/v1/phonebook/problems");
    assert_eq!(problems["problem_count"], 1, "{problems}");
    assert_eq!(problems["problems"][0]["line"], 5);
    tree.write("book.csv", format!("{BOOK}Neu,Person,HB9NEU,312430,\r\n"));
    let answer = exchange.post("/api/v1/phonebook/reload");
    assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("success")));
    until("the new entry", PATIENCE, || (exchange.get("/api/v1/phonebook?q=312430")["entry_count"] == 1).then_some(()));
}

#[test]
fn phones_and_calls_are_seen() {
    let exchange = start("api-calls");
    let (caller, callee) = (phone(&exchange, 2, "441531"), phone(&exchange, 3, "441530"));
    let seen = exchange.get("/api/v1/registrations");
    assert_eq!(seen["registration_count"], 2);
    let mut phones = seen["registrations"].as_array().unwrap().clone();
    phones.sort_by_key(|phone| phone["number"].to_string());
    let first = &phones[0];
    assert_eq!(first["number"], "441530");
    assert_eq!(first["source"], callee.own.to_string());
    assert_eq!((&first["user_agent"], &first["q"]), (&json!("Test <b>1</b>"), &json!(0.5)));
    assert!((590..=600).contains(&first["expires_in_s"].as_u64().unwrap()), "{first}");
    until("both phones online in the book", PATIENCE, || {
        (exchange.get("/api/v1/phonebook?online=1")["entry_count"] == 2).then_some(())
    });

    let (own, server) = (caller.own, exchange.address());
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\n",
        own.ip()
    );
    let rest = format!(
        "From: \"A \\\"B\\\" </script>\" <sip:441531@{server}>;tag=a\r\nContact: <sip:441531@{own}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    caller.send(&caller.request("INVITE", &format!("sip:441530@{server}"), "seen", &rest));
    let arrived = callee.hears("INVITE ");
    let contact = format!("Contact: <sip:441530@{}>\r\n", callee.own);
    callee.answer(&arrived, "180 Ringing", &contact);
    caller.hears("SIP/2.0 180");
    let calls = exchange.get("/api/v1/calls");
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
    callee.answer(&arrived, "200 OK", &contact);
    caller.hears("SIP/2.0 200");
    let call = exchange.get("/api/v1/calls")["calls"][0].clone();
    assert_eq!(call["state"], "ESTABLISHED");
    assert!(call["duration_s"].is_u64(), "{call}");

    let file = until("the file of calls", PATIENCE, || {
        let file: Value = serde_json::from_str(&exchange.read("tmp/active_calls.json")).ok()?;
        (file["calls"][0]["state"] == "ESTABLISHED").then_some(file)
    });
    let fields: Vec<&String> = file["calls"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 8, "the known form and no more: {fields:?}");
    let metrics = exchange.ask("GET", "/metrics", "").body;
    for line in
        ["switchboard_registrations 2", "switchboard_calls{state=\"established\"} 1", "switchboard_phonebook_online 2"]
    {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    let status = exchange.get("/api/v1/status");
    assert_eq!((&status["registrations"], &status["calls"]), (&json!(2), &json!(1)));
}

fn cgi(exchange: &Exchange, name: &str) -> Option<Value> {
    let mut command = http::cgi(&exchange.tree, name)?;
    command.env("SWITCHBOARD_PHONEBOOK_JSON", exchange.path("tmp/phonebook.json"));
    command.env("SWITCHBOARD_ACTIVE_CALLS_JSON", exchange.path("tmp/active_calls.json"));
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
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
