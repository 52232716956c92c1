use serde_json::{Value, json};

use super::*;
use crate::api::{Endpoint, route};

const LAN: Caller = Caller::Client(Ipv4Addr::new(10, 1, 2, 3));
const CGI: Caller = Caller::Cgi(Some(Ipv4Addr::new(10, 1, 2, 3)));

fn request(method: Method, target: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Request {
        method,
        path: path.into(),
        query: pairs.map(|(key, value)| (key.into(), value.into())).collect(),
        host: Some("localnode.local.mesh".into()),
        ..Request::default()
    }
}

fn shown(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn what_is_asked_for_is_understood_under_all_its_names() {
    let trace = Action::Trace(Ipv4Addr::new(10, 9, 8, 7));
    for (method, target, action, form) in [
        (Method::Post, "/api/v1/mesh/trace?address=10.9.8.7", trace.clone(), Form::Api),
        (Method::Get, "/cgi-bin/traceroute_json?ip=10.9.8.7", trace, Form::CgiTrace),
        (Method::Post, "/api/v1/phones/test?number=441530", Action::Test("441530".into(), 5), Form::Api),
        (Method::Get, "/cgi-bin/uac_ping?target=441530&count=20", Action::Test("441530".into(), 20), Form::Cgi),
        (Method::Post, "/cgi-bin/phone_ping?count=1&target=7", Action::Test("7".into(), 1), Form::Cgi),
        (Method::Post, "/api/v1/phones/ring?number=441530", Action::Ring("441530".into()), Form::Api),
        (Method::Get, "/cgi-bin/uac_test?target=041441530", Action::Ring("041441530".into()), Form::Cgi),
        (Method::Get, "/cgi-bin/phone_test?target=441530", Action::Ring("441530".into()), Form::Cgi),
    ] {
        let routed = route(&request(method, target), Caller::Owner);
        assert_eq!(routed, Ok(Endpoint::Live(action, form)), "{target}");
    }
}

#[test]
fn what_makes_no_sense_is_told_with_what_is_allowed() {
    let address = "allowed is one IPv4 address, ip=10.1.2.3";
    let number = "allowed are 1 to 20 digits, target=441530";
    let count = "allowed is a whole number from 1 to 20";
    for (target, sentence) in [
        ("/cgi-bin/traceroute_json", format!("ip is missing; {address}")),
        ("/cgi-bin/traceroute_json?address=10.1.2.3", format!("ip is missing; {address}")),
        ("/cgi-bin/traceroute_json?ip=", format!("ip is empty; {address}")),
        ("/cgi-bin/traceroute_json?ip=10.1.2.3;reboot", format!("ip is '10.1.2.3;reboot'; {address}")),
        ("/cgi-bin/traceroute_json?ip=10.1.2.03", format!("ip is '10.1.2.03'; {address}")),
        ("/cgi-bin/traceroute_json?ip=::1", format!("ip is '::1'; {address}")),
        ("/cgi-bin/traceroute_json?ip=1&ip=2", format!("ip is given twice; {address}")),
        ("/cgi-bin/traceroute_json?ip=224.0.0.1", format!("ip is 224.0.0.1, which is no single host; {address}")),
        (
            "/cgi-bin/traceroute_json?ip=255.255.255.255",
            format!("ip is 255.255.255.255, which is no single host; {address}"),
        ),
        ("/cgi-bin/traceroute_json?ip=0.0.0.0", format!("ip is 0.0.0.0, which is no single host; {address}")),
        ("/cgi-bin/uac_ping", format!("target is missing; {number}")),
        ("/cgi-bin/uac_ping?target=44 1530", format!("target is '44 1530'; {number}")),
        ("/cgi-bin/uac_ping?target=-1", format!("target is '-1'; {number}")),
        ("/cgi-bin/uac_test?target=../../etc/passwd", format!("target is '../../etc/passwd'; {number}")),
        ("/cgi-bin/uac_test?target=\"><script>", format!("target is '\"><script>'; {number}")),
        ("/cgi-bin/phone_test?target=123456789012345678901", format!("target is '123456789012345678901'; {number}")),
        ("/cgi-bin/uac_ping?target=1&count=0", format!("count is '0'; {count}")),
        ("/cgi-bin/uac_ping?target=1&count=21", format!("count is '21'; {count}")),
        ("/cgi-bin/uac_ping?target=1&count=", format!("count is empty; {count}")),
        ("/cgi-bin/uac_ping?target=1&count=005", format!("count is '005'; {count}")),
        ("/cgi-bin/uac_ping?target=1&count=+5", format!("count is '+5'; {count}")),
        ("/cgi-bin/uac_ping?target=1&count=5&count=5", format!("count is given twice; {count}")),
    ] {
        let refused = route(&request(Method::Get, target), Caller::Owner).expect_err(target);
        let expected = match target.contains("traceroute") {
            true => json!({"error": sentence, "code": 400, "target_ip": "", "hops": []}),
            false => json!({"status": "error", "message": sentence, "code": 400}),
        };
        assert_eq!((refused.status, shown(&refused)), (200, expected), "{target}");
    }
    let long = "x".repeat(10_000);
    let refused = route(&request(Method::Post, &format!("/api/v1/phones/test?number={long}")), Caller::Owner);
    let refused = refused.expect_err("too long");
    assert_eq!((refused.status, refused.body.len() < 200), (400, true));
    assert!(shown(&refused)["error"].as_str().is_some_and(|text| text.starts_with("number is 'xxx")));
}

#[test]
fn a_refusal_says_what_would_help() {
    let refused = refusal(Form::Api, 401, "no");
    assert_eq!((refused.status, shown(&refused)), (401, json!({"error": "no"})));
    assert!(refused.headers.contains(&("WWW-Authenticate", "Bearer".into())));
    let refused = refusal(Form::Cgi, 401, "no \"<b>");
    assert_eq!(
        (refused.status, &shown(&refused)["code"], &shown(&refused)["message"]),
        (200, &json!(401), &json!("no \"<b>"))
    );
}

#[test]
fn who_asks_is_believed_from_the_unix_socket_alone() {
    let of = |peer, remote: Option<&str>| {
        Caller::of(&Request { remote_addr: remote.map(Into::into), ..request(Method::Get, "/") }, peer)
    };
    let stranger = Ipv4Addr::new(10, 9, 9, 9);
    assert_eq!(of(Peer::Owner, None), Caller::Owner);
    assert_eq!(of(Peer::Owner, Some("10.9.9.9")), Caller::Cgi(Some(stranger)));
    assert_eq!(of(Peer::Owner, Some("::ffff:10.9.9.9")), Caller::Cgi(Some(stranger)));
    for unclear in ["", "fe80::1", "10.9.9.9, 127.0.0.1", "localhost"] {
        assert_eq!(of(Peer::Owner, Some(unclear)), Caller::Cgi(None), "{unclear}");
    }
    assert_eq!(of(Peer::Address(stranger), Some("127.0.0.1")), Caller::Client(stranger));
    assert_eq!(of(Peer::Address(stranger), None), Caller::Client(stranger));
}

#[test]
fn a_page_of_another_site_makes_no_traffic() {
    let here = Some("http://localnode.local.mesh/arednmon/".to_owned());
    let there = Some("http://evil.example/".to_owned());
    let browser = Some("Mozilla/5.0 (X11; Linux x86_64)".to_owned());
    let plain = |method| request(method, "/cgi-bin/uac_test?target=441530");
    let cases = [
        ("a program", plain(Method::Get), 200),
        ("a program that posts", plain(Method::Post), 200),
        (
            "a page of the node",
            Request { referer: here.clone(), user_agent: browser.clone(), ..plain(Method::Get) },
            200,
        ),
        (
            "its button",
            Request {
                origin: Some("http://LOCALNODE.local.mesh".into()),
                user_agent: browser.clone(),
                ..plain(Method::Post)
            },
            200,
        ),
        (
            "a picture in another page",
            Request { referer: there.clone(), user_agent: browser.clone(), ..plain(Method::Get) },
            403,
        ),
        ("the same without a word where from", Request { user_agent: browser.clone(), ..plain(Method::Get) }, 403),
        ("a form of another page", Request { origin: there, user_agent: browser.clone(), ..plain(Method::Post) }, 403),
        ("a form of nobody's page", Request { origin: Some("null".into()), ..plain(Method::Post) }, 403),
        ("a form without a word where from", Request { user_agent: browser.clone(), ..plain(Method::Post) }, 403),
        (
            "another port of the node",
            Request { origin: Some("http://localnode.local.mesh:81".into()), ..plain(Method::Post) },
            403,
        ),
        (
            "a name that was made to point here",
            Request {
                host: Some("evil.example".into()),
                referer: Some("http://evil.example/".into()),
                ..plain(Method::Get)
            },
            403,
        ),
        (
            "no name at all, by a browser",
            Request { host: None, user_agent: browser.clone(), referer: here, ..plain(Method::Get) },
            403,
        ),
    ];
    for (case, asked, expected) in cases {
        let status = |caller| route(&asked, caller).map_or_else(|refused| refused.status, |_| 200);
        assert_eq!(status(CGI), expected, "{case}");
        assert_eq!(status(Caller::Owner), 200, "{case}, by the owner");
        if asked.method == Method::Get {
            assert_eq!(status(LAN), expected, "{case}, over TCP");
        } else {
            // There our own page can send a header that no other can.
            let ours = Request { requested_with: Some("switchboard".into()), ..asked.clone() };
            let status = |asked: &Request| route(asked, LAN).map_or_else(|refused| refused.status, |_| 200);
            assert_eq!(status(&asked), 403, "{case}, over TCP");
            assert_eq!(status(&ours), if asked.origin.is_some() { expected } else { 200 }, "{case}, with the header");
        }
    }
    let load = Request { user_agent: browser, ..request(Method::Get, "/cgi-bin/loadphonebook") };
    assert_eq!(route(&load, LAN).map_err(|refused| refused.status), Err(403));
}

#[test]
fn a_token_is_right_or_it_is_not() {
    let shows = |authorization: &str| {
        let asked = Request { authorization: Some(authorization.into()), ..request(Method::Get, "/") };
        token(&asked).map(ToOwned::to_owned)
    };
    assert_eq!(shows("Bearer abc").as_deref(), Some("abc"));
    assert_eq!(shows("bearer  abc ").as_deref(), Some("abc"));
    for other in ["Basic abc", "abc", ""] {
        assert_eq!(shows(other), None, "{other}");
    }
    assert!(is_token("correct horse", "correct horse"));
    for (shown, own) in [("", ""), ("x", ""), ("", "x"), ("a", "b"), ("ab", "a"), ("a", "ab"), ("a\0", "a"), ("A", "a")]
    {
        assert!(!is_token(shown, own), "{shown:?} for {own:?}");
    }
}

#[test]
fn answers_have_the_form_that_pages_know() {
    let at = |hop, ip: Option<[u8; 4]>, rtt_us, name: &str| NamedHop {
        hop: HopView { hop, ip: ip.map(Ipv4Addr::from), rtt_us },
        name: name.into(),
    };
    let hops = [
        at(0, Some([127, 0, 0, 1]), Some(0), "HB9AAA-hap"),
        at(1, None, None, ""),
        at(2, Some([10, 9, 8, 7]), Some(2_050), "\"><script>"),
    ];
    assert_eq!(
        shown(&trace(Ipv4Addr::new(10, 9, 8, 7), true, &hops)),
        json!({"target_ip": "10.9.8.7", "reached": true, "hops": [
            {"hop": 0, "ip": "127.0.0.1", "hostname": "HB9AAA-hap", "rtt_ms": 0.0, "timeout": false},
            {"hop": 1, "ip": "*", "hostname": "", "rtt_ms": null, "timeout": true},
            {"hop": 2, "ip": "10.9.8.7", "hostname": "\"><script>", "rtt_ms": 2.05, "timeout": false}]})
    );
    let none = PhaseView { status: "OFFLINE", sent: 2, received: 0, rtt: None };
    let view = TestView {
        number: "441530",
        count: 2,
        cut: false,
        result: "OFFLINE",
        address: "10.1.2.3:5060".parse().ok(),
        ping: none,
        options: none,
    };
    let answer = shown(&tested(&view));
    assert_eq!(answer["message"], "UAC ping/options test of 441530 with 2 requests is done");
    for (field, value) in [
        ("status", json!("success")),
        ("target", json!("441530")),
        ("count", json!(2)),
        ("complete", json!(true)),
        ("result", json!("OFFLINE")),
        ("address", json!("10.1.2.3:5060")),
        ("ping_status", json!("OFFLINE")),
        ("options_sent", json!(2)),
        ("options_loss", json!(100.0)),
    ] {
        assert_eq!(answer[field], value, "{field}");
    }
    let answer = shown(&tested(&TestView { cut: true, address: None, ..view }));
    assert_eq!((&answer["complete"], &answer["address"]), (&json!(false), &Value::Null));
    assert_eq!(
        shown(&rang("441530", "REFUSED", "It is alive.", Some(486))),
        json!({"status": "success", "message": "It is alive.", "target": "441530", "result": "REFUSED", "sip_status": 486})
    );
    assert_eq!(shown(&rang("1", "RANG", "", None))["sip_status"], Value::Null);
}
