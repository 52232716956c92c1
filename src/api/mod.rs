//! The HTTP API: which request asks for what, who may ask, and how the answers look.
//!
//! [`route`] turns a request into an [`Endpoint`] or refuses it; `core/view.rs` fills the views of [`view`] from the
//! engines and [`render`] makes the answer. Nothing here knows an engine, keeps state or has a socket. There is no login:
//! everything that is shown is public on the mesh anyway, and what can be asked for (fetch the book, read the configuration
//! again, test a phone, trace a way) does no more than happens by itself. Only a ring takes more: `live.rs`.
//!
//! Read first: RFC 9110 §9 (methods), §15 (status codes); the threats that [`route`] answers are cross-site requests and
//! DNS rebinding (a page from anywhere, in a browser that can reach the node). docs/API.md is the reference for users.
//!
//! ```text
//! request → path known? → method known? → over TCP: Host one of ours? → POST: sent by our own page or by a program?
//!             404             405                         403                         403            → Endpoint
//! ```

pub mod health;
pub mod live;
pub mod metrics;
pub mod monitor;
pub mod phones;
pub mod render;
pub mod search;
pub mod view;
pub mod view_mesh;

use std::net::IpAddr;

use crate::limits;
use crate::wire::http::{Method, Request, Response};
use live::{Action, Caller, Form};
use search::Search;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The page, or a part of it: [`render::page`].
    Page(Asset),
    /// A file of the mesh monitor: [`render::file`].
    Monitor(&'static monitor::File),
    /// Where people look for the mesh monitor: [`render::to`] its place.
    ToMonitor,
    /// What the CGI program of that name prints: [`render::json_file`].
    Shown(Shown),
    /// `GET /api/v1/status`: [`render::status`].
    Status,
    /// `GET /api/v1/phonebook`: [`render::phonebook`].
    Phonebook(Search),
    /// `GET /api/v1/phonebook/problems`: [`render::problems`].
    Problems,
    /// `GET /api/v1/registrations`: [`render::registrations`].
    Registrations,
    /// `GET /api/v1/calls`: [`render::calls`].
    Calls,
    /// `GET /api/v1/mesh`: [`render::mesh`].
    Mesh,
    /// `GET /api/v1/mesh/phones`: [`render::mesh_phones`].
    MeshPhones,
    /// `POST /api/v1/phonebook/reload`: start a download, answer [`render::accepted`].
    ReloadPhonebook,
    /// The CGI name of the same: answer [`render::loading`].
    LoadPhonebook,
    /// A test, a trace or a ring, which is answered later: [`live`].
    Live(Action, Form),
    /// `POST /api/v1/reload`: read the configuration again, answer [`render::accepted`].
    ReloadConfig,
    /// `GET /metrics`: [`metrics::metrics`].
    Metrics,
}

/// A file of the page; it is part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asset {
    /// `/`
    Html,
    /// `/page.css`
    Css,
    /// `/page.js`
    Js,
}

/// The files in RAM under the names by which the CGI program prints them, so that the mesh monitor finds them here as on a
/// router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The list of active calls.
    ActiveCalls,
    /// What is wrong.
    Findings,
    /// How the daemon is.
    Health,
    /// The tests of the phones.
    PhoneTests,
    /// The book.
    Phonebook,
    /// What the mesh monitor is to know of the configuration.
    Settings,
    /// The map of the mesh.
    Topology,
}

/// Every path, as the documentation test wants to see them described.
pub const PATHS: [&str; 35] = [
    "/",
    "/page.css",
    "/page.js",
    "/metrics",
    "/api/v1/status",
    "/api/v1/phonebook",
    "/api/v1/phonebook/problems",
    "/api/v1/phonebook/reload",
    "/api/v1/registrations",
    "/api/v1/calls",
    "/api/v1/health",
    "/api/v1/mesh",
    "/api/v1/mesh/topology",
    "/api/v1/mesh/findings",
    "/api/v1/mesh/phones",
    "/api/v1/mesh/trace",
    "/api/v1/phones/ring",
    "/api/v1/phones/test",
    "/api/v1/phones/tests",
    "/api/v1/reload",
    "/arednmon/",
    "/cgi-bin/active_calls_json",
    "/cgi-bin/arednmon",
    "/cgi-bin/dashboard_settings",
    "/cgi-bin/findings_json",
    "/cgi-bin/health_status",
    "/cgi-bin/loadphonebook",
    "/cgi-bin/phone_ping",
    "/cgi-bin/phone_ping_json",
    "/cgi-bin/phone_test",
    "/cgi-bin/showphonebook",
    "/cgi-bin/topology_json",
    "/cgi-bin/traceroute_json",
    "/cgi-bin/uac_ping",
    "/cgi-bin/uac_test",
];

/// What a path allows.
enum Allowed {
    /// GET, and HEAD which is GET without the body (RFC 9110 §9.3.2; the server leaves it off).
    Read,
    /// POST.
    Change,
    /// The same under a name that had it by GET before.
    Act,
}

/// Finds out what is asked for, and whether this caller's request can be what it seems. `Err` is the answer: 400, 403, 404 or
/// 405, with `{"error": …}`.
pub fn route(request: &Request, caller: Caller) -> Result<Endpoint, Response> {
    let (found, allowed) = match live::read(request) {
        Some((read, allowed)) => (read.map(|(action, form)| Endpoint::Live(action, form)), allowed),
        None => find(request).map(|(endpoint, allowed)| (Ok(endpoint), allowed))?,
    };
    match (&allowed, request.method) {
        (Allowed::Read, Method::Get | Method::Head)
        | (Allowed::Change | Allowed::Act, Method::Post)
        | (Allowed::Act, Method::Get) => {}
        (Allowed::Read, _) => return Err(not_allowed("GET, HEAD")),
        (Allowed::Change, _) => return Err(not_allowed("POST")),
        (Allowed::Act, _) => return Err(not_allowed("GET, POST")),
    }
    match (caller, allowed) {
        (Caller::Owner, _) => {}
        (_, Allowed::Act) | (Caller::Cgi(_), Allowed::Change) => live::check_origin(request, caller)?,
        _ => {
            check_host(request)?;
            if request.method == Method::Post {
                check_sender(request)?;
            }
        }
    }
    found
}

fn find(request: &Request) -> Result<(Endpoint, Allowed), Response> {
    use Allowed::{Act, Change, Read};
    Ok(match request.path.as_str() {
        "/" | "/index.html" => (Endpoint::Page(Asset::Html), Read),
        "/page.css" => (Endpoint::Page(Asset::Css), Read),
        "/page.js" => (Endpoint::Page(Asset::Js), Read),
        "/metrics" => (Endpoint::Metrics, Read),
        "/api/v1/status" => (Endpoint::Status, Read),
        "/api/v1/phonebook" => (Endpoint::Phonebook(search(request)?), Read),
        "/api/v1/phonebook/problems" => (Endpoint::Problems, Read),
        "/api/v1/phonebook/reload" => (Endpoint::ReloadPhonebook, Change),
        "/api/v1/registrations" => (Endpoint::Registrations, Read),
        "/api/v1/calls" => (Endpoint::Calls, Read),
        "/api/v1/mesh" => (Endpoint::Mesh, Read),
        "/api/v1/mesh/phones" => (Endpoint::MeshPhones, Read),
        "/api/v1/phones/tests" | "/cgi-bin/phone_ping_json" => (Endpoint::Shown(Shown::PhoneTests), Read),
        "/api/v1/reload" => (Endpoint::ReloadConfig, Change),
        "/arednmon" | "/cgi-bin/arednmon" => (Endpoint::ToMonitor, Read),
        "/cgi-bin/active_calls_json" => (Endpoint::Shown(Shown::ActiveCalls), Read),
        "/cgi-bin/dashboard_settings" => (Endpoint::Shown(Shown::Settings), Read),
        "/api/v1/mesh/findings" | "/cgi-bin/findings_json" => (Endpoint::Shown(Shown::Findings), Read),
        "/api/v1/health" | "/cgi-bin/health_status" => (Endpoint::Shown(Shown::Health), Read),
        "/cgi-bin/loadphonebook" => (Endpoint::LoadPhonebook, Act),
        "/cgi-bin/showphonebook" => (Endpoint::Shown(Shown::Phonebook), Read),
        "/api/v1/mesh/topology" | "/cgi-bin/topology_json" => (Endpoint::Shown(Shown::Topology), Read),
        path => match monitor::find(path) {
            Some(file) => (Endpoint::Monitor(file), Read),
            None => return Err(render::error(404, "there is nothing at this path")),
        },
    })
}

fn search(request: &Request) -> Result<Search, Response> {
    let text = request.parameter("q").unwrap_or("");
    if text.len() > limits::SEARCH_TEXT {
        return Err(render::error(400, "q is longer than 100 bytes"));
    }
    let online = match request.parameter("online") {
        None | Some("") => None,
        Some("1" | "true" | "yes") => Some(true),
        Some("0" | "false" | "no") => Some(false),
        Some(_) => return Err(render::error(400, "online is none of 1, true, yes, 0, false, no")),
    };
    Ok(Search::new(text, online))
}

fn not_allowed(allow: &str) -> Response {
    render::error(405, "this path does not know that method").with("Allow", allow)
}

/// Against DNS rebinding: a page of another site whose name is suddenly said to have our address still sends its own name
/// as Host. So the name must be one that cannot be had in the public DNS: an address, a name without a dot (`localhost`,
/// `localnode`, the node's own), or one below a domain that is reserved for private use. `.mesh` is the mesh's own.
fn check_host(request: &Request) -> Result<(), Response> {
    const PRIVATE: [&str; 6] = ["localhost", "local", "mesh", "lan", "internal", "home.arpa"];
    // A program that speaks HTTP/1.0 sends none; a browser always does.
    let Some(host) = request.host.as_deref() else { return Ok(()) };
    let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let below = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if address || (plain && !name.is_empty() && (!name.contains('.') || PRIVATE.iter().any(|domain| below(domain)))) {
        return Ok(());
    }
    Err(render::error(
        403,
        "call this node by its address or its name on the mesh (the Host header names another site)",
    ))
}

/// Against requests that a page of another site makes a browser send: such a page can neither set this header nor this
/// content type without asking us first (CORS), and we never agree. `Origin`, where it is sent, must be ourselves.
fn check_sender(request: &Request) -> Result<(), Response> {
    if let Some(origin) = request.origin.as_deref() {
        let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or(origin);
        if !request.host.as_deref().is_some_and(|host| host.eq_ignore_ascii_case(site)) {
            return Err(render::error(403, "the request comes from the page of another site"));
        }
    }
    let ours = request.requested_with.as_deref().is_some_and(|by| by.eq_ignore_ascii_case("switchboard"));
    let essence = request.content_type.as_deref().and_then(|value| value.split(';').next()).unwrap_or("");
    if ours || essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(render::error(403, "send the header 'X-Requested-With: switchboard' to show that this is no foreign web page"))
}

/// `name:port` and `[address]:port` without the port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        Request {
            method,
            path: path.into(),
            query,
            host: Some("localnode.local.mesh:8088".into()),
            ..Request::default()
        }
    }

    const STRANGER: Caller = Caller::Client(std::net::Ipv4Addr::new(10, 1, 2, 3));

    fn status(request: &Request, caller: Caller) -> u16 {
        route(request, caller).map_or_else(|refused| refused.status, |_| 200)
    }

    #[test]
    fn every_path_answers_its_method_and_names_it_to_others() {
        for path in PATHS {
            let live = ["/trace", "/test", "/ring", "_ping", "_test", "/loadphonebook", "/traceroute_json"];
            let cgi = path.starts_with("/cgi-bin/");
            let allow = match (path.ends_with("/reload"), live.iter().any(|end| path.ends_with(end))) {
                (false, false) => "GET, HEAD",
                (false, true) if cgi => "GET, POST",
                _ => "POST",
            };
            for (method, name) in
                [(Method::Get, "GET"), (Method::Head, "HEAD"), (Method::Post, "POST"), (Method::Other, "?")]
            {
                let target = format!("{path}?ip=10.1.2.3&address=10.1.2.3&target=441530&number=441530");
                let answer = route(&request(method, &target), Caller::Owner);
                if allow.split(", ").any(|allowed| allowed == name) {
                    assert!(answer.is_ok(), "{method:?} {path}");
                } else {
                    let refused = answer.expect_err(path);
                    assert_eq!(refused.status, 405, "{method:?} {path}");
                    assert!(refused.headers.contains(&("Allow", allow.into())), "{path}");
                    assert!(refused.body.starts_with(b"{\"error\":"), "{path}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        for path in
            ["/api", "/api/v1/", "/api/v1/status/", "/page.html", "/etc/passwd", "/api/v1/../../x", "//", "/%00"]
        {
            assert_eq!(status(&request(Method::Get, path), STRANGER), 404, "{path}");
        }
    }

    #[test]
    fn a_search_is_read_and_bounded() {
        let routed = route(&request(Method::Get, "/api/v1/phonebook?q=hans meier&online=1"), STRANGER);
        assert_eq!(routed, Ok(Endpoint::Phonebook(Search::new("hans meier", Some(true)))));
        assert_eq!(status(&request(Method::Get, "/api/v1/phonebook?online=maybe"), STRANGER), 400);
        let long = format!("/api/v1/phonebook?q={}", "x".repeat(limits::SEARCH_TEXT + 1));
        assert_eq!(status(&request(Method::Get, &long), Caller::Owner), 400);
    }

    #[test]
    fn only_names_that_the_public_dns_cannot_give_away_are_ours() {
        for (host, expected) in [
            ("127.0.0.1:8088", 200),
            ("10.98.96.74", 200),
            ("[::1]:8088", 200),
            ("localhost:8088", 200),
            ("LOCALNODE", 200),
            ("localnode.local.mesh.", 200),
            ("HB9AAA-hap.local.mesh:8080", 200),
            ("evil.example:8088", 403),
            ("mesh.example.com", 403),
            ("local.mesh.evil.example", 403),
            ("10.0.0.1.evil.example", 403),
            ("notlocalmesh.com", 403),
            ("evil.xmesh", 403),
            ("", 403),
            (":80", 403),
            ("a b.mesh", 403),
            ("evil.example/.mesh", 403),
        ] {
            let asked = Request { host: Some(host.into()), ..request(Method::Get, "/api/v1/calls") };
            assert_eq!(status(&asked, STRANGER), expected, "{host}");
            assert_eq!(status(&asked, Caller::Owner), 200, "{host} over the unix socket");
        }
    }

    #[test]
    fn a_foreign_page_cannot_make_a_browser_post() {
        let post = request(Method::Post, "/api/v1/phonebook/reload");
        let ours = Request { requested_with: Some("switchboard".into()), ..post.clone() };
        let json = Request { content_type: Some("application/json; charset=utf-8".into()), ..post.clone() };
        let form = Request { content_type: Some("text/plain; x=application/json".into()), ..post.clone() };
        for (case, asked, expected) in [
            ("bare, as a form or an image would send it", &post, 403),
            ("a form with a harmless type", &form, 403),
            ("our page or curl with the header", &ours, 200),
            ("a program that sends JSON", &json, 200),
        ] {
            assert_eq!(status(asked, STRANGER), expected, "{case}");
            assert_eq!(status(asked, Caller::Owner), 200, "{case}, over the unix socket");
        }
        for (origin, expected) in [
            ("http://localnode.local.mesh:8088", 200),
            ("http://LOCALNODE.local.mesh:8088", 200),
            ("http://localnode.local.mesh", 403),
            ("http://evil.local.mesh:8088", 403),
            ("null", 403),
            ("", 403),
        ] {
            let asked = Request { origin: Some(origin.into()), ..ours.clone() };
            assert_eq!(status(&asked, STRANGER), expected, "{origin}");
        }
    }
}
