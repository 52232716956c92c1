//! One CGI program for the node's web server; the name it is called by says what it answers.
//!
//! * `showphonebook`: the book, from the file that the daemon keeps in RAM.
//! * `active_calls_json`, `phone_ping_json`, `topology_json`, `findings_json`, `health_status`: the calls that are going on,
//!   the tests of the phones, the map of the mesh, what is wrong with it, and the daemon's health, from the same place.
//! * `arednmon`: sends the browser to the page that shows all this; `dashboard_settings`: what that page is to know.
//! * `loadphonebook`: asks the daemon to fetch the book now.
//! * `traceroute_json`, `uac_ping` (`phone_ping`), `uac_test` (`phone_test`): a trace, a test of a phone, a ring. The daemon does
//!   it, decides who may, and answers when it is done; it is told for whom it is.
//!
//! And rpcd runs it for ubus ([`rpcd`]).
//!
//! The web server runs three such programs at a time and everybody on the mesh may start them. So this one waits for
//! nobody: it reads one bounded file, or gives the daemon two seconds; for a test as long as the daemon allows, which lets two
//! of them wait. It takes no lock, writes no file, starts no other program. The answers have the form of the programs of these
//! names that nodes had before, which say `"status": "error"` with the code 200; dashboards rely on it.
//!
//! uhttpd's side of the contract: `Status:` spelt so, three digits and a text; no `Content-Length` (older versions send
//! it together with chunks); standard input need not be read.

// A program of its own at the edge: the bans of clippy.toml are for the daemon's pure part.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;

mod daemon;
mod rpcd;
#[allow(dead_code)]
#[path = "../../src/time.rs"]
mod time;

/// The names, one a line. The package makes a link for each.
const NAMES: &str = include_str!("../names");

/// A file that is shown as it is, and what is said while there is none: the skeleton that dashboards can read as if it
/// were the file.
struct Shown {
    name: &'static str,
    /// Set by tests only.
    variable: &'static str,
    file: &'static str,
    absent: &'static str,
}

const SHOWN: [Shown; 6] = [
    Shown {
        name: "active_calls_json",
        variable: "SWITCHBOARD_ACTIVE_CALLS_JSON",
        file: "/tmp/active_calls.json",
        absent: r#"{"error": "No call data available", "calls": [], "total_active_calls": 0}"#,
    },
    Shown {
        name: "dashboard_settings",
        variable: "SWITCHBOARD_MONITOR_SETTINGS",
        file: "/tmp/arednmon/settings.json",
        absent: r#"{"tiles": "", "attribution": ""}"#,
    },
    Shown {
        name: "findings_json",
        variable: "SWITCHBOARD_FINDINGS_JSON",
        file: "/tmp/arednmon/findings.json",
        absent: r#"{"error": "No findings available yet", "total": 0, "findings": []}"#,
    },
    Shown {
        name: "health_status",
        variable: "SWITCHBOARD_HEALTH_JSON",
        file: "/tmp/software_health.json",
        absent: r#"{"error": "No health data available"}"#,
    },
    Shown {
        name: "phone_ping_json",
        variable: "SWITCHBOARD_PHONE_TESTS_JSON",
        file: "/tmp/uac_bulk_results.txt",
        absent: r#"{"version": 2, "error": "No test results available yet", "num_results": 0, "num_testable_phones": 0, "last_update": 0, "test_interval": 0, "results": []}"#,
    },
    Shown {
        name: "topology_json",
        variable: "SWITCHBOARD_TOPOLOGY_JSON",
        file: "/tmp/arednmon/network_topology.json",
        absent: r#"{"version": "2.0", "generated_at": "", "error": "No topology data available yet", "source_node": {"ip": "0.0.0.0", "name": "unknown", "type": "server"}, "nodes": [], "connections": [], "ip_mappings": {}, "statistics": {"total_nodes": 0, "total_connections": 0, "total_ip_mappings": 0}}"#,
    },
];

/// Where the page is, seen from the web server's root.
const PAGE: &str = "/arednmon/";

/// The largest file that is shown. A book of 1 MB makes less than 3 MB of JSON; 2000 nodes and 8000 links make 2 MB.
const LARGEST_FILE: u64 = 4 << 20;

/// How long the daemon may take. It needs a millisecond; a web server's slot is not held longer for a dead one.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same for what people wait for: a trace takes 5 seconds, and the daemon answers everything within 20. uhttpd would wait
/// for 60.
const LIVE_PATIENCE: Duration = Duration::from_secs(22);

/// What of the browser's request decides whether it may be what it seems, and whether a phone may ring.
const PASSED_ON: [(&str, &str); 5] = [
    ("Host", "HTTP_HOST"),
    ("Origin", "HTTP_ORIGIN"),
    ("Referer", "HTTP_REFERER"),
    ("User-Agent", "HTTP_USER_AGENT"),
    ("Authorization", "HTTP_AUTHORIZATION"),
];

/// The longest of those; a browser's address of a page is rarely longer.
const LONGEST_HEADER: usize = 1_000;

/// What the web server is told before the body.
enum Status {
    Ok,
    /// To [`PAGE`].
    Found,
    NotFound,
    MethodNotAllowed,
}

/// Whether pages of other nodes may read the answer in a browser (`Access-Control-Allow-Origin`).
enum Readers {
    Everybody,
    SameSite,
}

struct Answer {
    status: Status,
    readers: Readers,
    body: Vec<u8>,
}

fn main() {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    // No web server knows the program's own name: then what runs it may be one itself, whose environment stands here. AREDN's
    // collector of metrics is.
    let by_hand = name == env!("CARGO_PKG_NAME") || std::env::var_os("GATEWAY_INTERFACE").is_none();
    if by_hand {
        let mut words = arguments.map(|word| word.to_string_lossy().into_owned()).peekable();
        if words.peek().is_some_and(|first| first == "--version") {
            return put(concat!("switchboard-cgi ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
        }
        // For AREDN's collector of metrics; without a daemon there is nothing to say.
        if words.peek().is_some_and(|first| first == "metrics") {
            return put(&daemon::ask(&socket(), "GET /metrics", daemon::FROM_HERE, PATIENCE)
                .map_or_else(|_| Vec::new(), |(_, body)| body));
        }
        if name == rpcd::NAME && rpcd::main(words) {
            return;
        }
    }
    let method = std::env::var("REQUEST_METHOD").unwrap_or_else(|_| "GET".into());
    let answer = answer(name, &method);

    let mut out = String::new();
    let mut content_type = "application/json";
    match answer.status {
        Status::Ok => {}
        Status::Found => {
            content_type = "text/html; charset=utf-8";
            out.push_str("Status: 302 Found\r\nLocation: ");
            out.push_str(PAGE);
            out.push_str("\r\n");
        }
        Status::NotFound => out.push_str("Status: 404 Not Found\r\n"),
        Status::MethodNotAllowed => out.push_str("Status: 405 Method Not Allowed\r\nAllow: GET, HEAD, POST\r\n"),
    }
    out.push_str("Content-Type: ");
    out.push_str(content_type);
    out.push_str("\r\nCache-Control: no-cache, no-store, must-revalidate\r\nPragma: no-cache\r\nExpires: 0\r\n");
    out.push_str("X-Content-Type-Options: nosniff\r\n");
    if let Readers::Everybody = answer.readers {
        out.push_str("Access-Control-Allow-Origin: *\r\n");
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    if method != "HEAD" {
        out.extend_from_slice(&answer.body);
    }
    put(&out);
}

/// Whoever asked may be gone; then there is nobody to tell.
fn put(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

fn answer(name: &str, method: &str) -> Answer {
    if !NAMES.lines().any(|known| known == name) {
        let names: Vec<&str> = NAMES.lines().collect();
        let names = names.join("\", \"");
        let body = format!("{{\"error\": \"call this program by one of its names\", \"names\": [\"{names}\"]}}\n");
        return Answer { status: Status::NotFound, readers: Readers::SameSite, body: body.into_bytes() };
    }
    if !matches!(method, "GET" | "HEAD" | "POST") {
        let body = b"{\"error\": \"this path does not know that method\"}\n".to_vec();
        return Answer { status: Status::MethodNotAllowed, readers: Readers::SameSite, body };
    }
    let (readers, body) = match name {
        "showphonebook" => (Readers::Everybody, show_phonebook()),
        // HEAD asks what the answer would look like, and must not do anything (RFC 9110 §9.2.1).
        "loadphonebook" if method == "HEAD" => (Readers::Everybody, Vec::new()),
        "traceroute_json" | "uac_ping" | "phone_ping" | "uac_test" | "phone_test" => {
            (Readers::SameSite, if method == "HEAD" { Vec::new() } else { live(name, method) })
        }
        "loadphonebook" => (Readers::Everybody, load_phonebook()),
        "arednmon" => {
            let body =
                format!("<!doctype html>\n<title>Mesh monitor</title>\n<a href=\"{PAGE}\">The mesh monitor</a>\n");
            return Answer { status: Status::Found, readers: Readers::SameSite, body: body.into_bytes() };
        }
        name => (Readers::SameSite, show(name)),
    };
    Answer { status: Status::Ok, readers, body }
}

fn show_phonebook() -> Vec<u8> {
    match read(&path("SWITCHBOARD_PHONEBOOK_JSON", "/tmp/phonebook.json")) {
        Some(book) => with_timestamp(book, &now()),
        None => outcome("error", "Phonebook not available"),
    }
}

/// The file of that name, or its skeleton.
fn show(name: &str) -> Vec<u8> {
    let Some(shown) = SHOWN.iter().find(|shown| shown.name == name) else { return Vec::new() };
    read(&path(shown.variable, shown.file)).unwrap_or_else(|| format!("{}\n", shown.absent).into_bytes())
}

fn load_phonebook() -> Vec<u8> {
    match daemon::ask(&socket(), "POST /api/v1/phonebook/reload", daemon::FROM_HERE, PATIENCE) {
        Ok((200..=299, _)) => outcome("success", "Phonebook reload triggered"),
        Ok((status, _)) => outcome("error", &format!("Switchboard refused to reload the phonebook ({status})")),
        Err(failure) => outcome("error", failure.said()),
    }
}

/// What the daemon says to the request that the web server got, for whoever made it. Whatever its code is: the answers say it.
fn live(name: &str, method: &str) -> Vec<u8> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let query = variable("QUERY_STRING");
    if query.len() > LONGEST_HEADER || !query.bytes().all(|b| b.is_ascii_graphic()) {
        return failed(name, "The parameters are too long, or hold characters that do not belong into an address");
    }
    let mut lines = String::new();
    for (header, variable_name) in PASSED_ON {
        let value = match variable(variable_name) {
            // No browser leaves it out.
            value if value.is_empty() && header == "Host" => "localhost".into(),
            value => value,
        };
        // One that cannot be passed on is there all the same: its lack would mean something else.
        let fits = value.len() <= LONGEST_HEADER && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if !value.is_empty() {
            put_line(&mut lines, header, if fits { &value } else { "?" });
        }
    }
    put_line(&mut lines, "X-Remote-Addr", variable("REMOTE_ADDR").split_whitespace().next().unwrap_or("?"));
    let socket = path("SWITCHBOARD_SOCKET", "/var/run/switchboard.sock");
    match daemon::ask(&socket, &format!("{method} /cgi-bin/{name}?{query}"), &lines, LIVE_PATIENCE) {
        Ok((_, body)) if body.trim_ascii().starts_with(b"{") && body.trim_ascii().ends_with(b"}") => body,
        Ok(_) => failed(name, daemon::Failure::Silent.said()),
        Err(failure) => failed(name, failure.said()),
    }
}

fn put_line(request: &mut String, header: &str, value: &str) {
    for part in [header, ": ", value, "\r\n"] {
        request.push_str(part);
    }
}

/// The form that errors of this name have; `message` is ours and needs no escapes.
fn failed(name: &str, message: &str) -> Vec<u8> {
    match name {
        "traceroute_json" => format!("{{\"error\": \"{message}\", \"target_ip\": \"\", \"hops\": []}}\n").into_bytes(),
        _ => outcome("error", message),
    }
}

/// `{status, message, timestamp}`; `message` is ours and needs no escapes.
fn outcome(status: &str, message: &str) -> Vec<u8> {
    format!("{{\"status\": \"{status}\", \"message\": \"{message}\", \"timestamp\": \"{}\"}}\n", now()).into_bytes()
}

/// The daemon wrote the file some time ago; `timestamp`, its last member, is the time of the answer.
fn with_timestamp(mut book: Vec<u8>, now: &str) -> Vec<u8> {
    const MEMBER: &[u8] = b",\"timestamp\":";
    // Far enough back for the longest form, and inside the last member: a quote in a name would be escaped.
    let from = book.len().saturating_sub(64);
    let found = book.get(from..).and_then(|tail| tail.windows(MEMBER.len()).position(|window| window == MEMBER));
    if let Some(at) = found {
        book.truncate(from + at + MEMBER.len());
        book.extend_from_slice(format!("\"{now}\"}}\n").as_bytes());
    }
    book
}

/// The whole of a plain file that holds one JSON object. Not through a symbolic link, nor a pipe or a device, whoever put
/// it there; not more than [`LARGEST_FILE`]. The daemon replaces its files all at once, so none is ever half written.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let seen = file.metadata().ok().filter(|seen| seen.is_file() && seen.len() <= LARGEST_FILE)?;
    let mut bytes = Vec::with_capacity(usize::try_from(seen.len()).ok()? + 64);
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).ok()?;
    let text = bytes.trim_ascii();
    let whole = text.starts_with(b"{") && text.ends_with(b"}") && bytes.len() as u64 <= LARGEST_FILE;
    whole.then_some(bytes)
}

/// Where something is. The web server clears the environment, so only tests say otherwise.
fn path(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

fn socket() -> PathBuf {
    path("SWITCHBOARD_SOCKET", "/var/run/switchboard.sock")
}

fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    time::UnixTime(seconds).rfc3339()
}
