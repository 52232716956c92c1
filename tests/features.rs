//! A program without some of its features, and the one with all: what is not there says so, and everything else is as ever.
//! `cargo test --no-default-features --test features` is the smallest one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use real::http::Answer;
use real::{Exchange, PATIENCE, Setup, until};
use serde_json::json;
use switchboard::features::Feature;

/// What a program may be without.
struct Subsystem {
    feature: Feature,
    /// Of the configuration.
    section: &'static str,
    shown: &'static [&'static str],
    /// Asked by POST.
    asked: &'static [&'static str],
    /// In RAM.
    file: &'static str,
}

const SUBSYSTEMS: [Subsystem; 3] = [
    Subsystem {
        feature: Feature::Desk,
        section: "probe",
        shown: &["/api/v1/phones/tests", "/cgi-bin/phone_ping_json"],
        asked: &["/api/v1/mesh/trace?address=127.0.0.1", "/api/v1/phones/test?number=441530"],
        file: "tmp/uac_bulk_results.txt",
    },
    Subsystem {
        feature: Feature::Mesh,
        section: "mesh",
        shown: &["/api/v1/mesh", "/api/v1/mesh/topology", "/api/v1/mesh/findings", "/api/v1/mesh/phones"],
        asked: &[],
        file: "tmp/network_topology.json",
    },
    Subsystem {
        feature: Feature::Health,
        section: "health",
        shown: &["/api/v1/health", "/cgi-bin/health_status"],
        asked: &[],
        file: "tmp/software_health.json",
    },
];

/// Everything is on, as in the configuration of a program that has it all.
fn start(name: &str) -> Exchange {
    let book = "Firstname,Name,Callsign,Telephone,Privat\r\nHans,Meier,HB9AAA,441530,\r\n";
    let setup = Setup { desk: true, book: Some(book.into()), ..Setup::default() };
    let mut exchange = Exchange::with(name, &setup);
    let text = exchange.read("switchboard").replace("config mesh 'mesh'\n\toption enabled '0'", "config mesh 'mesh'");
    exchange.tree.write("switchboard", text);
    for Subsystem { file, .. } in SUBSYSTEMS {
        exchange.tree.write(file, "of a larger program");
    }
    exchange.restart();
    exchange
}

fn missing() -> Vec<Feature> {
    Feature::ALL.into_iter().filter(|feature| !feature.is_there()).collect()
}

#[test]
fn a_configuration_of_the_whole_fits_every_program_and_one_line_tells_of_what_is_missing() {
    let exchange = start("features-config");
    let check = exchange.verb(&["check"]);
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "it is no mistake: {said}");
    assert!(said.ends_with("no problems\n"), "{said}");
    let log = exchange.log();
    let this_start = log.rsplit_once("stopped").unwrap().1;
    for (text, what) in [(this_start, "the log"), (&said, "check")] {
        for Subsystem { feature, section, .. } in SUBSYSTEMS {
            let line = format!("section '{section}' needs the feature '{}', which this program was", feature.name());
            let expected = usize::from(missing().contains(&feature));
            assert_eq!(text.matches(&line).count(), expected, "{what} about {section}: {text}");
        }
    }
    // Who has switched it off wants nothing.
    let text = exchange.read("switchboard");
    let off = SUBSYSTEMS.iter().fold(text, |text, Subsystem { section, .. }| {
        text + &format!("config {section} '{section}'\n\toption enabled '0'\n")
    });
    exchange.tree.write("switchboard", off);
    assert!(!String::from_utf8(exchange.verb(&["check"]).stdout).unwrap().contains("needs the feature"));
}

#[test]
fn paths_of_what_is_missing_say_so_and_all_others_answer() {
    let exchange = start("features-api");
    for Subsystem { feature, shown, asked, .. } in SUBSYSTEMS {
        let is_there = !missing().contains(&feature);
        let sentence =
            json!(format!("this needs the feature '{}', which this program was built without", feature.name()));
        let check = |path: &str, answer: Answer| {
            let told = (answer.status == 501, answer.json()["error"] == sentence);
            assert_eq!(told, (!is_there, !is_there), "{path}: {} {}", answer.status, answer.body);
        };
        shown.iter().for_each(|path| check(path, exchange.ask("GET", path, "")));
        asked.iter().for_each(|path| check(path, exchange.post(path)));
    }
    for path in ["/", "/metrics", "/api/v1/phonebook", "/api/v1/registrations", "/api/v1/calls"] {
        assert_eq!(exchange.ask("GET", path, "").status, 200, "{path}");
    }
    let names: Vec<&str> = Feature::names().collect();
    assert_eq!(exchange.get("/api/v1/status")["features"], json!(names));
    // For the CGI program the answer is always 200; the code is in it.
    let answer = exchange.ask("GET", "/cgi-bin/traceroute_json?ip=127.0.0.1", "");
    let told = answer.json()["code"] == 501;
    assert_eq!((answer.status, told), (200, missing().contains(&Feature::Desk)), "{}", answer.body);
}

#[test]
fn files_of_a_larger_program_are_taken_away_and_none_are_written() {
    let exchange = start("features-files");
    for Subsystem { feature, file, .. } in SUBSYSTEMS {
        let stale = || exchange.read(file) == "of a larger program";
        until(file, PATIENCE, || (!stale()).then_some(()));
        assert!(!missing().contains(&feature) || !exchange.path(file).exists(), "{file}");
    }
    if missing().contains(&Feature::Health) {
        let crash = exchange.verb(&["crash"]);
        assert_eq!(crash.status.code(), Some(1));
        assert!(String::from_utf8(crash.stderr).unwrap().contains("crash needs the feature 'health'"));
    }
}
