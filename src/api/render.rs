//! Views to answers: JSON for programs, the page for people, and the JSON files in RAM that the CGI program shows.
//!
//! Strings from phones and books are escaped by the JSON writer, once, here; the page puts them in as text. What goes to
//! a browser carries the headers that keep it from guessing types, keeping answers, or loading anything from elsewhere.

use serde::Serialize;

use super::search::Search;
use super::view::{BookStatusView, CallView, EntryView, ProblemView, RegistrationView, StatusView, known, maybe_date};
use super::view_mesh::{MeshPhoneView, MeshView};
use super::{Asset, monitor, view};
use crate::features::Feature;
use crate::time::UnixTime;
use crate::wire::http::Response;

const JSON: &str = "application/json; charset=utf-8";

/// Scripts, styles and data from ourselves only; nothing inline, no frames, no forms (CSP level 2). The icon is `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");

/// The same for the mesh monitor; its map may show images of a tile server. Which one, the page itself narrows down, once it
/// knows.
const MONITOR_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src 'self' data: http: https:; base-uri 'none'; form-action 'none'; \
                              frame-ancestors 'none'";

/// The page. `if_none_match` is that header of the request: what the browser already has is not sent again.
pub fn page(asset: Asset, if_none_match: Option<&str>) -> Response {
    const TAGS: [u64; 3] = [digest(HTML.as_bytes()), digest(CSS.as_bytes()), digest(JS.as_bytes())];
    let [html, css, js] = TAGS;
    let (content_type, body, tag) = match asset {
        Asset::Html => ("text/html; charset=utf-8", HTML, html),
        Asset::Css => ("text/css; charset=utf-8", CSS, css),
        Asset::Js => ("text/javascript; charset=utf-8", JS, js),
    };
    document(content_type, body.as_bytes(), tag, POLICY, if_none_match)
}

/// A file of the mesh monitor.
pub fn file(file: &monitor::File, if_none_match: Option<&str>) -> Response {
    document(file.content_type(), file.body, digest(file.body), MONITOR_POLICY, if_none_match)
}

/// 302: what was asked for is at `place`.
pub fn to(place: &str) -> Response {
    let body = format!("<!doctype html>\n<title>Mesh monitor</title>\n<a href=\"{place}\">The mesh monitor</a>\n");
    Response {
        status: 302,
        content_type: "text/html; charset=utf-8",
        headers: vec![("Location", place.into()), ("Cache-Control", "no-store".into())],
        body: body.into_bytes(),
    }
}

fn document(content_type: &'static str, body: &[u8], tag: u64, policy: &str, if_none_match: Option<&str>) -> Response {
    let etag = format!("\"{tag:016x}\"");
    // RFC 9110 §13.1.2: weak comparison; a list, or `*`.
    let kept = if_none_match
        .is_some_and(|list| list.split(',').map(|t| t.trim().trim_start_matches("W/")).any(|t| t == etag || t == "*"));
    Response {
        status: if kept { 304 } else { 200 },
        content_type,
        headers: vec![
            ("ETag", etag),
            ("Cache-Control", "no-cache".into()),
            ("Content-Security-Policy", policy.into()),
            ("X-Content-Type-Options", "nosniff".into()),
            ("Referrer-Policy", "no-referrer".into()),
        ],
        body: if kept { Vec::new() } else { body.into() },
    }
}

/// `GET /api/v1/status`
pub fn status(view: &StatusView<'_>) -> Response {
    json(200, view)
}

/// `GET /api/v1/phonebook`: the entries that `search` finds, in the order of the book.
pub fn phonebook<'a>(
    book: &BookStatusView<'_>,
    entries: impl Iterator<Item = EntryView<'a>>,
    search: &Search,
) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        state: view::BookState,
        #[serde(serialize_with = "maybe_date")]
        last_updated: Option<UnixTime>,
        entry_count: usize,
        entries: Vec<EntryView<'a>>,
    }
    let entries: Vec<_> = entries.filter(|entry| search.finds(entry)).collect();
    json(200, &Answer { state: book.state, last_updated: book.last_updated, entry_count: entries.len(), entries })
}

/// `GET /api/v1/phonebook/problems`: the first of `total` problems.
pub fn problems(total: usize, problems: &[ProblemView<'_>]) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        problem_count: usize,
        problems: &'a [ProblemView<'a>],
    }
    json(200, &Answer { problem_count: total, problems })
}

/// `GET /api/v1/registrations`
pub fn registrations(registrations: &[RegistrationView<'_>]) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        registration_count: usize,
        registrations: &'a [RegistrationView<'a>],
    }
    json(200, &Answer { registration_count: registrations.len(), registrations })
}

/// `GET /api/v1/calls`: as [`active_calls_json`], with times.
pub fn calls(calls: &[CallView<'_>]) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        calls: &'a [CallView<'a>],
        total_active_calls: usize,
    }
    json(200, &Answer { calls, total_active_calls: calls.len() })
}

/// `GET /api/v1/mesh`
pub fn mesh(mesh: &MeshView) -> Response {
    json(200, mesh)
}

/// `GET /api/v1/mesh/phones`
pub fn mesh_phones(phones: &[MeshPhoneView<'_>]) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        phone_count: usize,
        phones: &'a [MeshPhoneView<'a>],
    }
    json(200, &Answer { phone_count: phones.len(), phones })
}

/// A file that stands in RAM as well, as it would be written now.
pub fn json_file(body: Vec<u8>) -> Response {
    whole(200, body)
}

/// 202: what was asked for has been started. `message` says what, for people.
pub fn accepted(message: &str) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        status: &'static str,
        message: &'a str,
    }
    json(202, &Answer { status: "success", message })
}

/// What the CGI program `loadphonebook` says.
pub fn loading(now: UnixTime) -> Response {
    #[derive(Serialize)]
    struct Answer {
        status: &'static str,
        message: &'static str,
        #[serde(serialize_with = "view::date")]
        timestamp: UnixTime,
    }
    json(200, &Answer { status: "success", message: "Phonebook reload triggered", timestamp: now })
}

/// `{"error": message}` with any status of 400 and above.
pub fn error(status: u16, message: &str) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        error: &'a str,
    }
    json(status, &Answer { error: message })
}

/// 501: what is asked for is in other programs than this one (RFC 9110 §15.6.2).
pub fn missing(feature: Feature) -> Response {
    error(501, &format!("this {}", feature.is_missing()))
}

/// The file `active_calls.json` in the form that dashboards read: calls without times, so that it changes only when a
/// call does.
pub fn active_calls_json(calls: &[CallView<'_>]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Call<'a> {
        caller_user_id: &'a str,
        caller_display_name: &'a str,
        callee_user_id: &'a str,
        callee_display_name: &'a str,
        codec: &'a str,
        callee_hostname: &'a str,
        state: view::CallState,
        call_id: &'a str,
    }
    #[derive(Serialize)]
    struct File<'a> {
        calls: Vec<Call<'a>>,
        total_active_calls: usize,
    }
    let total_active_calls = calls.len();
    let calls = calls
        .iter()
        .map(|call| Call {
            caller_user_id: &call.caller_user_id,
            caller_display_name: &call.caller_display_name,
            callee_user_id: &call.callee_user_id,
            callee_display_name: &call.callee_display_name,
            codec: &call.codec,
            callee_hostname: &call.callee_hostname,
            state: call.state,
            call_id: &call.call_id,
        })
        .collect();
    line(&File { calls, total_active_calls })
}

/// The file that `showphonebook` shows: names as they are published, with `marker` before those whose phone is online.
/// `timestamp` comes last; the CGI program puts the time of its answer there.
pub fn phonebook_json<'a>(
    last_updated: Option<UnixTime>,
    entries: impl Iterator<Item = EntryView<'a>>,
    marker: &str,
    written: UnixTime,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Entry<'a> {
        name: String,
        telephone: std::borrow::Cow<'a, str>,
    }
    #[derive(Serialize)]
    struct File<'a> {
        status: &'static str,
        #[serde(serialize_with = "maybe_date")]
        last_updated: Option<UnixTime>,
        entry_count: usize,
        entries: Vec<Entry<'a>>,
        timestamp: Option<String>,
    }
    let entries: Vec<_> = entries
        .map(|entry| {
            let marker = if entry.online == Some(true) { marker } else { "" };
            Entry { name: format!("{marker}{}", entry.name), telephone: entry.telephone }
        })
        .collect();
    line(&File { status: "success", last_updated, entry_count: entries.len(), entries, timestamp: known(written) })
}

/// What the mesh monitor is to know: `/tmp/arednmon/settings.json`.
pub fn monitor_settings(tiles: &str, attribution: &str, simulated: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct File<'a> {
        tiles: &'a str,
        attribution: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        simulated: bool,
    }
    line(&File { tiles, attribution, simulated })
}

fn json(status: u16, value: &impl Serialize) -> Response {
    whole(status, line(value))
}

fn whole(status: u16, body: Vec<u8>) -> Response {
    Response {
        status,
        content_type: JSON,
        headers: vec![("Cache-Control", "no-store".into()), ("X-Content-Type-Options", "nosniff".into())],
        body,
    }
}

/// JSON with a line end, so that it looks well in a terminal.
fn line(value: &impl Serialize) -> Vec<u8> {
    // Writing plain structs into memory cannot fail: there is no map with odd keys and no float that is not a number.
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    body
}

/// FNV-1a, computed by the compiler: says only whether the page changed between two versions of the program.
const fn digest(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = after;
    }
    hash
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::view::{BookState, CallState};

    const NOW: UnixTime = UnixTime(1_784_800_800);

    fn book() -> BookStatusView<'static> {
        BookStatusView {
            state: BookState::Success,
            entries: 2,
            online: 1,
            private: 0,
            problems: 0,
            fetching: false,
            last_updated: Some(NOW),
            age_s: Some(60),
            next_fetch_in_s: Some(3_540),
            source: Some("http://book.local.mesh/phonebook.csv".into()),
            error: None,
        }
    }

    fn entry(name: &'static str, telephone: &'static str, online: Option<bool>) -> EntryView<'static> {
        EntryView {
            name: name.into(),
            telephone: telephone.into(),
            first_name: "".into(),
            last_name: "".into(),
            callsign: "".into(),
            online,
        }
    }

    fn call() -> CallView<'static> {
        CallView {
            caller_user_id: "441531".into(),
            caller_display_name: "A \"B\" </script>\n".into(),
            callee_user_id: "441530".into(),
            callee_display_name: "".into(),
            codec: "PCMU".into(),
            callee_hostname: "441530.local.mesh".into(),
            state: CallState::Ringing,
            call_id: "abc@10.98.96.74".into(),
            since: NOW,
            age_s: 4,
            duration_s: None,
        }
    }

    fn parse(body: &[u8]) -> Value {
        serde_json::from_slice(body).expect("JSON")
    }

    #[test]
    fn the_file_of_calls_has_the_known_form_and_nothing_that_ages() {
        let text = active_calls_json(&[call()]);
        assert_eq!(
            parse(&text),
            json!({"calls": [{
                "caller_user_id": "441531", "caller_display_name": "A \"B\" </script>\n",
                "callee_user_id": "441530", "callee_display_name": "", "codec": "PCMU",
                "callee_hostname": "441530.local.mesh", "state": "RINGING", "call_id": "abc@10.98.96.74"
            }], "total_active_calls": 1})
        );
        let later = CallView { age_s: 90, ..call() };
        assert_eq!(active_calls_json(&[later]), text);
        assert_eq!(parse(&active_calls_json(&[])), json!({"calls": [], "total_active_calls": 0}));
    }

    #[test]
    fn call_states_are_the_words_that_dashboards_know() {
        for (state, word) in [
            (CallState::InviteSent, "INVITE_SENT"),
            (CallState::Ringing, "RINGING"),
            (CallState::Established, "ESTABLISHED"),
            (CallState::Terminating, "TERMINATING"),
        ] {
            assert_eq!(parse(&calls(&[CallView { state, ..call() }]).body)["calls"][0]["state"], word);
        }
    }

    #[test]
    fn the_file_of_the_book_counts_entries_and_marks_who_is_online() {
        let entries = [entry("Hans \"Müller\" (HB9AAA)", "441530", Some(true)), entry("Club", "312430", None)];
        assert_eq!(
            parse(&phonebook_json(Some(NOW), entries.into_iter(), "* ", NOW)),
            json!({"status": "success", "last_updated": "2026-07-23T10:00:00Z", "entry_count": 2, "entries": [
                {"name": "* Hans \"Müller\" (HB9AAA)", "telephone": "441530"},
                {"name": "Club", "telephone": "312430"},
            ], "timestamp": "2026-07-23T10:00:00Z"})
        );
        let text = phonebook_json(None, std::iter::empty(), "* ", UnixTime(42));
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.ends_with(",\"timestamp\":null}\n"), "{text}: the CGI program replaces what stands there");
    }

    #[test]
    fn the_book_is_searched_in_its_own_order() {
        let entries = || [entry("Zoe", "2", Some(true)), entry("Max", "3", None), entry("Anna", "1", None)].into_iter();
        let all = parse(&phonebook(&book(), entries(), &Search::new("", None)).body);
        assert_eq!(all["entry_count"], 3);
        assert_eq!(all["entries"][0]["name"], "Zoe");
        assert_eq!(all["entries"][0]["online"], true);
        assert_eq!(all["entries"][1]["online"], Value::Null);
        let some = parse(&phonebook(&book(), entries(), &Search::new("a", None)).body);
        assert_eq!((&some["entry_count"], &some["entries"][1]["name"]), (&json!(2), &json!("Anna")));
    }

    #[test]
    fn problems_are_counted_even_where_not_all_are_listed() {
        let shown = [ProblemView { line: 17, problem: "line 17: no number for \"Hans\"".into() }];
        assert_eq!(
            parse(&problems(900, &shown).body),
            json!({"problem_count": 900, "problems": [{"line": 17, "problem": "line 17: no number for \"Hans\""}]})
        );
    }

    #[test]
    fn a_router_without_a_date_shows_none() {
        let view = StatusView {
            version: "0.1.0",
            features: vec!["desk"],
            node: "HB9AAA-hap".into(),
            sip_server: "localnode.local.mesh".into(),
            domain: "local.mesh".into(),
            date: UnixTime(120),
            uptime_s: 60,
            phonebook: BookStatusView { last_updated: Some(UnixTime(90)), ..book() },
            registrations: 1,
            calls: 0,
            simulated: false,
        };
        let shown = parse(&status(&view).body);
        assert_eq!((&shown["date"], &shown["phonebook"]["last_updated"]), (&Value::Null, &Value::Null));
        assert_eq!(shown["phonebook"]["state"], "SUCCESS");
    }

    #[test]
    fn registrations_show_what_remains_and_how_much_they_are_liked() {
        let view = RegistrationView {
            number: "441530".into(),
            display_name: "Küche".into(),
            contact: "sip:441530@10.0.0.5:5060".into(),
            source: "10.0.0.5:5060".parse().expect("address"),
            user_agent: "Yealink".into(),
            q: 700,
            since: NOW,
            age_s: 10,
            expires_in_s: 3_590,
        };
        let shown = parse(&registrations(&[view]).body);
        assert_eq!(shown["registration_count"], 1);
        assert_eq!(shown["registrations"][0]["source"], "10.0.0.5:5060");
        assert!(registrations(&[]).body.starts_with(b"{\"registration_count\":0"));
        assert_eq!(shown["registrations"][0]["q"].as_f64().map(|q| (q * 1000.0).round()), Some(700.0));
    }

    #[test]
    fn the_page_is_sent_once() {
        for asset in [Asset::Html, Asset::Css, Asset::Js] {
            let first = page(asset, None);
            assert_eq!(first.status, 200);
            assert!(!first.body.is_empty());
            let (_, tag) = first.headers.iter().find(|(name, _)| *name == "ETag").expect("ETag");
            let again = page(asset, Some(&format!("\"other\", W/{tag}")));
            assert_eq!((again.status, again.body.len()), (304, 0));
            assert_eq!(page(asset, Some("\"other\"")).status, 200);
        }
    }

    #[test]
    fn the_page_is_small_and_needs_nobody_else() {
        assert!(HTML.len() + CSS.len() + JS.len() < 21_000, "{} bytes", HTML.len() + CSS.len() + JS.len());
        for text in [HTML, CSS, JS] {
            // The one URL is the name of the SVG language, in the icon.
            assert_eq!(text.matches("://").count(), text.matches("'http://www.w3.org/2000/svg'").count());
            assert!(!text.contains("url(") && !text.contains("@import") && !text.contains("=\"//"));
            assert!(!text.contains("innerHTML") && !text.contains("insertAdjacentHTML"), "text is set as text");
        }
        assert!(!HTML.contains("style=") && !HTML.contains("onclick") && !HTML.contains("<script>"), "nothing inline");
    }
}
