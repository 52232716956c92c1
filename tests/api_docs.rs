//! docs/API.md says everything: every path, every field of every answer, every metric, every file in RAM and every name of
//! the CGI program. And it names no path that is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use switchboard::api::live::{self, Caller, NamedHop, TestView};
use switchboard::api::search::Search;
use switchboard::api::view::{
    BookState, BookStatusView, CallState, CallView, EngineView, EntryView, HealthMetrics, HopView, PhaseView,
    PhoneTestView, PhoneTestsView, ProblemView, RegistrationView, SampleView, StatusView, TaskMetrics,
};
use switchboard::api::{PATHS, metrics, phones, render, route};
use switchboard::config::Config;
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, Report, Usage};
use switchboard::files::{Step, Writer};
use switchboard::time::{Instant, UnixTime};
use switchboard::wire::http::{Method, Request};

const DOCUMENT: &str = include_str!("../docs/API.md");
const ROUTES: &str = include_str!("../src/api/mod.rs");
const VIEWS: &str = include_str!("../src/api/view.rs");
const LIVE: &str = include_str!("../src/api/live.rs");
const CGI: &str = include_str!("../cgi/src/main.rs");

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Whether the document has this word, marked as code.
fn has(word: &str) -> bool {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    DOCUMENT.split('`').skip(1).step_by(2).any(|code| {
        code == word
            || code.match_indices(word).any(|(at, _)| {
                !code[..at].ends_with(|c| !ends(c)) && !code[at + word.len()..].starts_with(|c| !ends(c))
            })
    })
}

fn request(method: Method, path: &str) -> Request {
    Request { method, path: path.into(), ..Request::default() }
}

fn book() -> BookStatusView<'static> {
    BookStatusView {
        state: BookState::Success,
        entries: 1,
        online: 1,
        private: 0,
        problems: 0,
        fetching: false,
        last_updated: Some(UnixTime(1_784_800_800)),
        age_s: Some(1),
        next_fetch_in_s: Some(1),
        source: Some("".into()),
        error: Some("".into()),
    }
}

fn status() -> StatusView<'static> {
    StatusView {
        version: "",
        features: Vec::new(),
        node: "".into(),
        sip_server: "".into(),
        domain: "".into(),
        date: UnixTime(0),
        uptime_s: 0,
        phonebook: book(),
        registrations: 1,
        calls: 1,
        simulated: true,
    }
}

fn entry() -> EntryView<'static> {
    EntryView {
        name: "".into(),
        telephone: "".into(),
        first_name: "".into(),
        last_name: "".into(),
        callsign: "".into(),
        online: None,
    }
}

fn call() -> CallView<'static> {
    CallView {
        caller_user_id: "".into(),
        caller_display_name: "".into(),
        callee_user_id: "".into(),
        callee_display_name: "".into(),
        codec: "".into(),
        callee_hostname: "".into(),
        state: CallState::Ringing,
        call_id: "".into(),
        since: UnixTime(0),
        age_s: 0,
        duration_s: None,
    }
}

fn registration() -> RegistrationView<'static> {
    RegistrationView {
        number: "".into(),
        display_name: "".into(),
        contact: "".into(),
        source: "10.0.0.1:5060".parse().unwrap(),
        user_agent: "".into(),
        q: 0,
        since: UnixTime(0),
        age_s: 0,
        expires_in_s: 0,
    }
}

fn tests() -> PhoneTestsView {
    PhoneTestsView {
        icmp: "raw",
        interval_s: 600,
        last_update: None,
        running: true,
        done: 0,
        total: 1,
        remaining_s: None,
        next_s: None,
        in_flight: (0, 256),
        rate: (0, 200),
    }
}

fn phone() -> PhoneTestView<'static> {
    let phase = PhaseView { status: "ONLINE", sent: 1, received: 1, rtt: None };
    PhoneTestView {
        number: "441530",
        address: None,
        status: "ONLINE",
        ping: phase,
        options: phase,
        call: "UNKNOWN",
        tested: None,
        history: vec![SampleView { ping_us: None, options_us: None, loss_percent: 0 }],
        path: vec![HopView { hop: 1, ip: None, rtt_us: None }],
    }
}

fn tested() -> TestView<'static> {
    let PhoneTestView { number, address, ping, options, .. } = phone();
    TestView { number, count: 5, cut: false, result: "ONLINE", address, ping, options }
}

fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                found.push(key.clone());
                keys(member, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| keys(element, found)),
        _ => {}
    }
}

#[test]
fn every_path_is_described_and_every_described_path_is_there() {
    // The arms of the routing table are the only strings in it that start with a slash.
    let table = |source: &'static str, name: &str| source.split(name).nth(1).unwrap().split("\n}\n").next().unwrap();
    let table = [table(ROUTES, "fn find("), table(LIVE, "fn read(")].concat();
    let arms: Vec<&str> = table.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/')).collect();
    assert!(arms.len() >= PATHS.len(), "{arms:?}");
    for arm in arms {
        assert!(PATHS.contains(&arm) || ["/index.html", "/arednmon"].contains(&arm), "{arm} is not in PATHS");
    }
    for path in PATHS {
        assert!(DOCUMENT.contains(&format!("`{path}`")), "{path} is not in docs/API.md");
    }
    for heading in DOCUMENT.lines().filter_map(|line| line.strip_prefix("## ")) {
        let Some((method, path)) = heading.split_once(' ').filter(|(_, path)| path.starts_with('/')) else { continue };
        let method = match method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            other => panic!("{other}"),
        };
        let query = [("address", "10.1.2.3"), ("number", "441530")].map(|(key, value)| (key.into(), value.into()));
        let asked = Request { query: query.into(), ..request(method, path) };
        assert!(route(&asked, Caller::Owner).is_ok(), "{heading}");
        assert!(PATHS.contains(&path), "{heading}");
    }
}

#[test]
fn every_field_of_every_answer_is_described() {
    let problem = ProblemView { line: 1, problem: "".into() };
    let answers = [
        render::status(&status()).body,
        render::phonebook(&book(), [entry()].into_iter(), &Search::new("", None)).body,
        render::problems(1, &[problem]).body,
        render::registrations(&[registration()]).body,
        render::calls(&[call()]).body,
        render::accepted("").body,
        render::error(404, "").body,
        render::active_calls_json(&[call()]),
        render::phonebook_json(None, [entry()].into_iter(), "", UnixTime(0)),
        render::monitor_settings("", "", true),
        phones::phone_ping_json(&tests(), [phone()].into_iter()),
        render::loading(UnixTime(0)).body,
        live::trace("10.1.2.3".parse().unwrap(), true, &[NamedHop { hop: phone().path[0], name: String::new() }]).body,
        live::tested(&tested()).body,
        live::rang("441530", "RANG", "", Some(486)).body,
    ];
    let mut fields = Vec::new();
    for answer in answers {
        keys(&serde_json::from_slice(&answer).unwrap(), &mut fields);
    }
    assert!(fields.len() > 60, "{fields:?}");
    for field in fields {
        assert!(has(&field), "the field {field} is not in docs/API.md");
    }
}

#[test]
fn every_field_of_the_daemons_health_is_described() {
    let mut core = Core::new(Config::default(), &[7; 32], "boot".into(), Instant::from_micros(1));
    let now = Instant::from_micros(6_000_000);
    core.handle_event(Event::SlowTurn { took: SECOND, cause: "timers", share: SECOND, cpu: SECOND }, now);
    let crash = Report { fresh: true, at_us: 1, ..Report::default() };
    core.handle_event(Event::Crashed(&crash), now);
    core.handle_timeout(now);
    core.handle_event(Event::Usage(Usage::default()), now);
    let written = std::iter::from_fn(|| core.poll_effect()).find_map(|effect| match effect {
        Effect::Write { writer: Writer::Health, steps } => steps.into_iter().find_map(|step| match step {
            Step::Write(_, bytes) => Some(bytes),
            _ => None,
        }),
        _ => None,
    });
    let mut fields = Vec::new();
    keys(&serde_json::from_slice(&written.unwrap()).unwrap(), &mut fields);
    assert!(fields.len() > 60, "{fields:?}");
    for field in fields {
        assert!(has(&field), "the field {field} is not in docs/API.md");
    }
}

#[test]
fn every_word_of_the_states_is_described() {
    // The variants, as they are written in JSON.
    for name in ["BookState", "CallState"] {
        let variants = VIEWS.split(&format!("pub enum {name} {{")).nth(1).unwrap().split("\n}").next().unwrap();
        let variants: Vec<&str> = variants
            .lines()
            .map(str::trim)
            .filter(|l| !l.starts_with("//"))
            .filter_map(|l| l.strip_suffix(','))
            .collect();
        assert!(variants.len() >= 4, "{variants:?}");
        for variant in variants {
            let mut word = String::new();
            for letter in variant.chars() {
                if letter.is_uppercase() && !word.is_empty() {
                    word.push('_');
                }
                word.push(letter.to_ascii_uppercase());
            }
            assert!(has(&word), "the state {word} is not in docs/API.md");
        }
    }
}

#[test]
fn every_metric_is_described() {
    let engines: [EngineView; 0] = [];
    let task = TaskMetrics { name: "sip", responsive: true, restarts: 0 };
    let health = HealthMetrics {
        score: 100,
        cpu_ms: 1,
        resident_kb: 1,
        restarts: 0,
        crashes: 0,
        memory_stable: true,
        tasks: vec![task],
        longest_turn_ms: 1,
    };
    let text = metrics::metrics(&status(), [CallState::Ringing].into_iter(), &engines, Some(&health)).body;
    let text = String::from_utf8(text).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        assert!(has(name), "the metric {name} is not in docs/API.md");
    }
}

#[test]
fn files_sockets_and_programs_are_described_with_their_defaults() {
    let config = Config::default();
    let main = [&config.main.active_calls_file, &config.phonebook.phonebook_json_file, &config.api.socket];
    for path in main.into_iter().chain([
        &config.mesh.topology_file,
        &config.mesh.findings_file,
        &config.probe.results_file,
        &config.health.file,
        &config.api.settings_file,
    ]) {
        let path = path.to_str().unwrap();
        assert!(has(path), "{path} is not in docs/API.md");
        assert!(CGI.contains(&format!("\"{path}\"")), "the CGI program looks for {path} elsewhere");
    }
    for address in &config.api.listen {
        assert!(has(&address.to_string()), "{address} is not in docs/API.md");
    }
    let names = include_str!("../cgi/names").lines();
    assert!(names.clone().count() >= 14);
    for name in names {
        assert!(has(name), "{name} is not in docs/API.md");
    }
}
