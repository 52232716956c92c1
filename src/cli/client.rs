//! The verbs that ask the running daemon.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::args::{Ask, Form, Reload, What};
use super::{Answer, CONFIG, End, describe, read_config, view};
use crate::config::{Config, escaped};
use crate::files::FileError;
use crate::rt;

/// A router under load answers late; a person waits this long.
const DEADLINE: Duration = Duration::from_secs(10);
/// The daemon answers a test within 20 seconds.
const LIVE_DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn ask(ask: &Ask) -> Answer {
    let socket = match socket(ask) {
        Ok(socket) => socket,
        Err(answer) => return answer,
    };
    let mut out = String::new();
    let live = matches!(ask.what, What::Trace(_) | What::Test(_) | What::Ring(_));
    let deadline = if live { LIVE_DEADLINE } else { DEADLINE };
    for (method, path) in requests(&ask.what) {
        let (status, body) = match rt::client::request(&socket, method, &path, deadline) {
            Ok(answer) => answer,
            Err(error) => {
                let socket = escaped(&socket.to_string_lossy());
                let text = format!("no daemon answers at {socket}: {}", escaped(&error));
                return Answer { out, ..Answer::failed(End::Unreachable, &text) };
            }
        };
        match view(ask, status, &body) {
            Ok(text) => out.push_str(&text),
            Err(refused) => return Answer { out, ..Answer::failed(End::Bad, &refused) },
        }
    }
    Answer::good(out)
}

fn socket(ask: &Ask) -> Result<PathBuf, Answer> {
    if let Some(socket) = &ask.socket {
        return Ok(socket.clone());
    }
    let file = ask.config.clone().unwrap_or_else(|| CONFIG.into());
    match read_config(&file) {
        Ok(config) => Ok(config.api.socket),
        Err(FileError::NotFound) if ask.config.is_none() => Ok(Config::default().api.socket),
        Err(error) => {
            let text = format!("{}: {}", escaped(&file.to_string_lossy()), describe(error));
            Err(Answer::failed(End::Bad, &text))
        }
    }
}

/// What is sent, in this order.
fn requests(what: &What) -> Vec<(&'static str, String)> {
    const CONFIG: (&str, &str) = ("POST", "/api/v1/reload");
    const BOOK: (&str, &str) = ("POST", "/api/v1/phonebook/reload");
    let requests: &[(&str, &str)] = match what {
        What::Status => &[("GET", "/api/v1/status")],
        What::Phonebook(Some(text)) => return vec![("GET", format!("/api/v1/phonebook?q={}", encoded(text)))],
        What::Phonebook(None) => &[("GET", "/api/v1/phonebook")],
        What::Problems => &[("GET", "/api/v1/phonebook/problems")],
        What::Registrations => &[("GET", "/api/v1/registrations")],
        What::Calls => &[("GET", "/api/v1/calls")],
        What::Reload(Reload::Both) => &[CONFIG, BOOK],
        What::Reload(Reload::Config) => &[CONFIG],
        What::Reload(Reload::Phonebook) => &[BOOK],
        What::Trace(address) => return vec![("POST", format!("/api/v1/mesh/trace?address={}", encoded(address)))],
        What::Test(number) => return vec![("POST", format!("/api/v1/phones/test?number={}", encoded(number)))],
        What::Ring(number) => return vec![("POST", format!("/api/v1/phones/ring?number={}", encoded(number)))],
    };
    requests.iter().map(|(method, path)| (*method, (*path).into())).collect()
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The answer as it is printed, or why there is none.
fn view(ask: &Ask, status: u16, body: &[u8]) -> Result<String, String> {
    let body = String::from_utf8_lossy(body);
    let value = serde_json::from_str::<Value>(&body);
    if !(200..300).contains(&status) {
        let reason = value.ok().and_then(|value| value.get("error")?.as_str().map(escaped));
        return Err(format!("the daemon refuses: {}", reason.unwrap_or_else(|| format!("HTTP status {status}"))));
    }
    let value = value.map_err(|error| format!("the daemon's answer is no JSON: {error}"))?;
    match ask.form {
        Form::People => Ok(view::show(&ask.what, &value)),
        Form::Json => Ok(view::json(&body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_asks_a_path_that_the_daemon_has() {
        for what in [
            What::Status,
            What::Phonebook(None),
            What::Phonebook(Some("Müller & Sohn".into())),
            What::Problems,
            What::Registrations,
            What::Calls,
            What::Reload(Reload::Both),
            What::Reload(Reload::Config),
            What::Reload(Reload::Phonebook),
            What::Trace("10.1.2.3".into()),
            What::Test("441530".into()),
            What::Ring("441530".into()),
        ] {
            for (method, path) in requests(&what) {
                let plain = path.split('?').next().unwrap();
                assert!(crate::api::PATHS.contains(&plain), "{path}");
                let posts = ["/reload", "/trace", "/test", "/ring"].iter().any(|end| plain.ends_with(end));
                assert_eq!(method == "POST", posts, "{path}");
            }
        }
    }

    #[test]
    fn a_search_cannot_leave_its_place_in_the_request() {
        let requests = requests(&What::Phonebook(Some("ü b&c=1\r\nX: y".into())));
        assert_eq!(requests, [("GET", "/api/v1/phonebook?q=%C3%BC%20b%26c%3D1%0D%0AX%3A%20y".into())]);
    }

    #[test]
    fn a_refusal_says_why() {
        let ask = Ask { what: What::Calls, config: None, socket: None, form: Form::People };
        let refused = view(&ask, 403, b"{\"error\":\"not from there\\u001b[2J\"}");
        assert_eq!(refused, Err("the daemon refuses: not from there\\u{1b}[2J".into()));
        assert_eq!(view(&ask, 500, b"<html>"), Err("the daemon refuses: HTTP status 500".into()));
        assert!(view(&ask, 200, b"<html>").unwrap_err().starts_with("the daemon's answer is no JSON: "));
    }
}
