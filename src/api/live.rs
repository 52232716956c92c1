//! What people ask for and wait for: a trace, a test of one phone, a ring. Who asks, whether a stranger's page may have made
//! his browser ask, what exactly, and how the answers look.
//!
//! Each has two paths. Under `/api/v1/` it is a POST, and what is wrong is a status code with `{"error": …}`. Under `/cgi-bin/` it
//! has the name and the form of the programs that nodes had before: GET will do, and every answer has the code 200.
//!
//! Deliberately not here: who may have a phone rung, and how many may wait (`core/desk/live.rs`).

use std::net::Ipv4Addr;

use super::phones::{phase, put, rtt};
use super::view::{HopView, PhaseView};
use super::{Allowed, check_host, check_sender, render};
use crate::engine::Peer;
use crate::limits;
use crate::wire::http::{Method, Request, Response};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody with the right to control the daemon, over the unix socket.
    Owner,
    /// Whoever has this address, over TCP.
    Client(Ipv4Addr),
    /// The node's web server for this address; `None`: one that is not IPv4.
    Cgi(Option<Ipv4Addr>),
}

impl Caller {
    /// Who sent the request. Over the unix socket the CGI program says for whom it asks, and is believed.
    pub fn of(request: &Request, peer: Peer) -> Self {
        match (peer, request.remote_addr.as_deref()) {
            (Peer::Address(address), _) => Self::Client(address),
            (Peer::Owner, None) => Self::Owner,
            // IPv4 over a socket that takes both.
            (Peer::Owner, Some(remote)) => Self::Cgi(remote.strip_prefix("::ffff:").unwrap_or(remote).parse().ok()),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The way to an address.
    Trace(Ipv4Addr),
    /// Pings and OPTIONS of the phone with this number, so many of each.
    Test(String, u8),
    /// The phone with this number is to ring.
    Ring(String),
}

/// How an answer looks that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A status code and `{"error": …}`.
    Api,
    /// `{"error": …, "code": …, "target_ip": "", "hops": []}`.
    CgiTrace,
    /// `{"status": "error", "message": …, "code": …}`.
    Cgi,
}

/// What is to be done, or the answer that says what is wrong with the question; and by which methods it may be asked.
#[allow(clippy::type_complexity)]
pub(super) fn read(request: &Request) -> Option<(Result<(Action, Form), Response>, Allowed)> {
    let (form, action) = match request.path.as_str() {
        "/api/v1/mesh/trace" => (Form::Api, address(request, "address").map(Action::Trace)),
        "/cgi-bin/traceroute_json" => (Form::CgiTrace, address(request, "ip").map(Action::Trace)),
        "/api/v1/phones/test" => (Form::Api, test(request, "number")),
        "/cgi-bin/uac_ping" | "/cgi-bin/phone_ping" => (Form::Cgi, test(request, "target")),
        "/api/v1/phones/ring" => (Form::Api, number(request, "number").map(Action::Ring)),
        "/cgi-bin/uac_test" | "/cgi-bin/phone_test" => (Form::Cgi, number(request, "target").map(Action::Ring)),
        _ => return None,
    };
    let allowed = if form == Form::Api { Allowed::Change } else { Allowed::Act };
    Some((action.map(|action| (action, form)).map_err(|sentence| refusal(form, 400, &sentence)), allowed))
}

/// Against pages of other sites, as everywhere, for whatever makes traffic. A GET has no header that a page could not have set
/// off, so one that a browser sends must say that it comes from a page of this node.
pub fn check_origin(request: &Request, caller: Caller) -> Result<(), Response> {
    if caller == Caller::Owner {
        return Ok(());
    }
    check_host(request)?;
    // The web server passes few headers on; `Origin` is among them, and every browser sends it with a POST.
    let from_here = request.origin.as_deref().or(request.referer.as_deref()).is_some_and(|page| is_here(page, request));
    let browser = request.user_agent.as_deref().is_some_and(|agent| agent.starts_with("Mozilla/"));
    match request.method {
        Method::Post if !matches!(caller, Caller::Cgi(_)) => check_sender(request),
        _ if from_here => Ok(()),
        _ if request.origin.is_some() || request.referer.is_some() => {
            Err(render::error(403, "the request comes from the page of another site"))
        }
        _ if browser => Err(render::error(
            403,
            "a browser may have been made to ask this by a page of another site: use the buttons of the mesh monitor (/arednmon/)",
        )),
        _ => Ok(()),
    }
}

/// The token that somebody shows (RFC 6750 §2.1).
pub fn token(request: &Request) -> Option<&str> {
    let (scheme, token) = request.authorization.as_deref()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether it is the one of the configuration, in a time that does not tell how much of it is right. An empty one is nobody's.
pub fn is_token(shown: &str, own: &str) -> bool {
    let mut differ = u8::from(own.is_empty() || shown.len() != own.len());
    for (a, b) in shown.bytes().zip(own.bytes().chain(std::iter::repeat(0))) {
        differ |= std::hint::black_box(a ^ b);
    }
    differ == 0
}

/// Whether a page stands on the host and port that the request is for.
fn is_here(page: &str, request: &Request) -> bool {
    let rest = page.strip_prefix("http://").or_else(|| page.strip_prefix("https://"));
    let site = rest.and_then(|rest| rest.split('/').next());
    let ours = request.host.as_deref();
    site.zip(ours).is_some_and(|(site, ours)| site.eq_ignore_ascii_case(ours))
}

fn address(request: &Request, name: &str) -> Result<Ipv4Addr, String> {
    let usage = format!("allowed is one IPv4 address, {name}=10.1.2.3");
    let text = single(request, name).map_err(|what| format!("{what}; {usage}"))?;
    let address: Ipv4Addr = text.parse().map_err(|_| format!("{name} is {}; {usage}", quoted(text)))?;
    let nowhere = address.octets().first().is_some_and(|first| *first == 0 || *first >= 224);
    if nowhere { Err(format!("{name} is {address}, which is no single host; {usage}")) } else { Ok(address) }
}

fn number(request: &Request, name: &str) -> Result<String, String> {
    let usage = format!("allowed are 1 to {} digits, {name}=441530", limits::BOOK_NUMBER);
    let text = single(request, name).map_err(|what| format!("{what}; {usage}"))?;
    let digits = (1..=limits::BOOK_NUMBER).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { Ok(text.to_owned()) } else { Err(format!("{name} is {}; {usage}", quoted(text))) }
}

fn test(request: &Request, name: &str) -> Result<Action, String> {
    /// As the programs before had it.
    const USUAL: u8 = 5;
    let number = number(request, name)?;
    let count = match request.query.iter().any(|(key, _)| key == "count") {
        false => USUAL,
        true => {
            let usage = format!("allowed is a whole number from 1 to {}", limits::LIVE_COUNT);
            let text = single(request, "count").map_err(|what| format!("{what}; {usage}"))?;
            let digits = text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit() && !text.starts_with('0'));
            let count = text.parse().ok().filter(|count| digits && (1..=limits::LIVE_COUNT).contains(count));
            count.ok_or_else(|| format!("count is {}; {usage}", quoted(text)))?
        }
    };
    Ok(Action::Test(number, count))
}

/// The one value of a parameter.
fn single<'a>(request: &'a Request, name: &str) -> Result<&'a str, String> {
    let mut values = request.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(format!("{name} is missing")),
        (Some(_), Some(_)) => Err(format!("{name} is given twice")),
    }
}

/// As much of what was sent as helps to see the mistake.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 30;
    match text.chars().count() {
        0 => "empty".to_owned(),
        1..=SHOWN => format!("'{text}'"),
        _ => format!("'{}…'", text.chars().take(SHOWN).collect::<String>()),
    }
}

/// An answer that says in a sentence why it is none. Where the code on the wire is always 200, the real one is in the body.
pub fn refusal(form: Form, code: u16, sentence: &str) -> Response {
    let (before, behind) = match form {
        // RFC 9110 §15.5.2: 401 says what would help.
        Form::Api if code == 401 => return render::error(code, sentence).with("WWW-Authenticate", "Bearer"),
        Form::Api => return render::error(code, sentence),
        Form::CgiTrace => ("{\"error\":", ",\"target_ip\":\"\",\"hops\":[]}\n"),
        Form::Cgi => ("{\"status\":\"error\",\"message\":", "}\n"),
    };
    let mut body = before.as_bytes().to_vec();
    text(&mut body, sentence);
    put(&mut body, format_args!(",\"code\":{code}{behind}"));
    render::json_file(body)
}

/// A place on the way, and whose it is.
#[derive(Clone, Debug)]
pub struct NamedHop {
    /// The place.
    pub hop: HopView,
    /// Its name without the domain; empty: nobody knows.
    pub name: String,
}

/// A trace, complete or not; `hops` begin with this node.
pub fn trace(target: Ipv4Addr, reached: bool, hops: &[NamedHop]) -> Response {
    let mut out = Vec::with_capacity(1 << 10);
    put(&mut out, format_args!("{{\"target_ip\":\"{target}\",\"reached\":{reached},\"hops\":["));
    for (index, NamedHop { hop: HopView { hop, ip, rtt_us }, name }) in hops.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        put(&mut out, format_args!("\"hop\":{hop},\"ip\":\""));
        match ip {
            Some(ip) => put(&mut out, format_args!("{ip}")),
            None => out.push(b'*'),
        }
        out.extend_from_slice(b"\",\"hostname\":");
        text(&mut out, name);
        out.extend_from_slice(b",\"rtt_ms\":");
        rtt(&mut out, *rtt_us);
        put(&mut out, format_args!(",\"timeout\":{}}}", ip.is_none()));
    }
    out.extend_from_slice(b"]}\n");
    render::json_file(out)
}

/// What came of a test.
#[derive(Clone, Debug)]
pub struct TestView<'a> {
    /// The phone.
    pub number: &'a str,
    /// How many of each.
    pub count: u8,
    /// Whether it was ended before everything was sent and answered or lost.
    pub cut: bool,
    /// In one word, as for the tests of all phones.
    pub result: &'static str,
    /// Where the phone is.
    pub address: Option<std::net::SocketAddrV4>,
    /// The pings.
    pub ping: PhaseView,
    /// The OPTIONS.
    pub options: PhaseView,
}

/// A test of a phone.
pub fn tested(view: &TestView<'_>) -> Response {
    let TestView { number, count, cut, result, address, ping, options } = view;
    let mut out = Vec::with_capacity(1 << 10);
    let ended = if *cut { "was ended before it was complete" } else { "is done" };
    // Numbers are digits.
    put(
        &mut out,
        format_args!(
            "{{\"status\":\"success\",\"message\":\"UAC ping/options test of {number} with {count} requests {ended}\",\
             \"target\":\"{number}\",\"count\":{count},\"complete\":{},\"result\":\"{result}\",\"address\":",
            !cut
        ),
    );
    match address {
        Some(address) => put(&mut out, format_args!("\"{address}\"")),
        None => out.extend_from_slice(b"null"),
    }
    phase(&mut out, "ping", ping);
    phase(&mut out, "options", options);
    out.extend_from_slice(b"}\n");
    render::json_file(out)
}

/// A ring test: one word, a sentence, and the phone's own status code if that was its answer.
pub fn rang(number: &str, result: &str, sentence: &str, sip_status: Option<u16>) -> Response {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"status\":\"success\",\"message\":");
    text(&mut out, sentence);
    put(&mut out, format_args!(",\"target\":\"{number}\",\"result\":\"{result}\",\"sip_status\":"));
    match sip_status {
        Some(status) => put(&mut out, format_args!("{status}")),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}\n");
    render::json_file(out)
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Neither a text nor a vector can fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
