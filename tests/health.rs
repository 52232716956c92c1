//! The real daemon watches itself: its file, its restarts, what it tells a real collector, and what a real parser of Prometheus' format
//! makes of its metrics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use real::{Exchange, Handset, Kind, PATIENCE, Process, Setup, installed, until};
use serde_json::Value;

const COLLECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/health/collector.py");

fn exchange(name: &str, health: &[String]) -> Exchange {
    Exchange::with(name, &Setup { kind: Some(Kind::Switchboard), health: health.to_vec(), ..Setup::default() })
}

/// The file, when it is there and as it is wanted.
fn file(exchange: &Exchange, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, PATIENCE, || {
        let report: Value = serde_json::from_str(&exchange.read("tmp/software_health.json")).ok()?;
        wanted(&report).then_some(report)
    })
}

#[test]
fn the_daemon_says_how_it_is_and_counts_its_restarts() {
    let mut exchange = exchange("health-file", &["option interval '1'".into()]);
    let first = file(&exchange, "the first report", |_| true);
    for (key, value) in [("schema", "meshmon.v2"), ("type", "agent_health"), ("reporting_reason", "scheduled")] {
        assert_eq!(first[key], value);
    }
    let memory = first["mem_mb"].as_f64().unwrap();
    assert!((0.5..30.0).contains(&memory), "{first:#}");
    assert_eq!((&first["restart_count"], &first["health_score"]), (&0.into(), &100.into()), "{first:#}");
    assert_eq!(first["threads"]["all_responsive"], true);
    assert_eq!(first["phonebook"]["fetch_status"], "BOOT");
    assert_eq!(first["last_crash"], Value::Null);
    assert!(first["sent_at"].as_str().unwrap().starts_with("20"), "{first:#}");
    let later = file(&exchange, "a later report", |report| report["uptime_seconds"].as_u64() > Some(8));
    assert!(later["timestamp"].as_u64() > first["timestamp"].as_u64());
    assert!(later["cpu_pct"].as_f64().unwrap() < 20.0, "an idle daemon: {later:#}");
    assert!(later["threads"]["health_reporter"]["heartbeat_age_seconds"].as_u64().unwrap() < 3, "{later:#}");

    for path in ["/api/v1/health", "/cgi-bin/health_status"] {
        let shown: Value = exchange.get(path);
        assert_eq!(shown["checks"], later["checks"], "{path}");
    }

    // An orderly restart, and one that was not.
    exchange.restart();
    let second = file(&exchange, "the report of the second", |report| report["restart_count"] == 1);
    assert_eq!((&second["health_score"], &second["checks"]["no_recent_crashes"]), (&80.into(), &true.into()));
    exchange.process().signal(Signal::SIGKILL);
    exchange.process().wait(PATIENCE);
    exchange.launch();
    file(&exchange, "the report of the third", |report| report["restart_count"] == 2);

    // Switched off, it leaves no old report behind.
    let off = Setup { kind: Some(Kind::Switchboard), health: vec!["option enabled '0'".into()], ..Setup::default() };
    exchange.write_config(&off);
    exchange.process().signal(Signal::SIGHUP);
    until("the file to be gone", PATIENCE, || (!exchange.path("tmp/software_health.json").exists()).then_some(()));
    assert!(exchange.text("/api/v1/health").starts_with("{\"error\":"));
}

#[test]
fn a_collector_hears_of_the_daemon_and_what_it_refused_comes_again() {
    if !installed("python3", "python3") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let health = [
        "option interval '1'".into(),
        "option collector '1'".into(),
        format!("option collector_url 'http://127.0.0.1:{port}/ingest'"),
    ];
    // It starts before the collector does: the first report fails at once, and comes again.
    let mut exchange = exchange("collector", &health);
    let received = exchange.path("received");
    let mut command = Command::new("python3");
    command.args([COLLECTOR, "127.0.0.1", &port.to_string()]).arg(&received);
    let _collector = Process::start("collector", &mut command, &exchange.path(""));
    let heard = |count: usize| {
        until("reports", Duration::from_secs(60), || {
            let text = std::fs::read_to_string(&received).ok()?;
            let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= count).then_some(lines)
        })
    };
    let lines = heard(2);
    for line in &lines {
        assert_eq!((&line["path"], &line["type"]), (&"/ingest".into(), &"application/json".into()));
        let message = &line["message"];
        assert_eq!((&message["schema"], &message["type"]), (&"meshmon.v2".into(), &"agent_health".into()));
        assert_eq!(message["reporting_reason"], "restart");
    }
    assert_eq!(lines.len(), 2, "once, and once more because it was refused: {lines:#?}");
    until("the report to count as sent", PATIENCE, || {
        let metrics = exchange.text("/metrics");
        let counted = |line: &str| metrics.lines().any(|found| found == line);
        (counted("switchboard_health_reports_sent_total 1") && counted("switchboard_health_reports_failed_total 1"))
            .then_some(())
    });

    // A crash is the first that the next process tells, again until it is taken; then it says that it is there.
    exchange.process().signal(Signal::SIGSEGV);
    exchange.process().wait(PATIENCE);
    exchange.launch();
    let lines = heard(5);
    let types: Vec<&str> = lines.iter().map(|line| line["message"]["type"].as_str().unwrap()).collect();
    assert_eq!(types[2..], ["crash_report", "crash_report", "agent_health"]);
    let (crash, after) = (&lines[3]["message"], &lines[4]["message"]);
    assert_eq!((&crash["signal_name"], &crash["crash_count_24h"]), (&"SIGSEGV".into(), &1.into()), "{crash:#}");
    assert_eq!((&after["reporting_reason"], &after["restart_count"]), (&"restart".into(), &1.into()));
    assert_eq!(after["last_crash"]["crash_time"], crash["crash_time"]);
    assert_eq!(after["checks"]["no_recent_crashes"], false);
}

/// How long OPTIONS takes to be answered.
fn options(exchange: &Exchange) -> Duration {
    let phone = Handset::new(exchange, 9, 0);
    let began = Instant::now();
    phone.send(&phone.request("OPTIONS", &format!("sip:{}", exchange.address()), "o", ""));
    phone.hears("SIP/2.0 200");
    began.elapsed()
}

#[test]
fn a_collector_that_takes_the_connection_and_says_nothing_stops_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let health = [
        "option interval '1'".into(),
        "option collector '1'".into(),
        "option collector_timeout '1'".into(),
        format!("option collector_url 'http://{}/ingest'", silent.local_addr().unwrap()),
    ];
    let exchange = exchange("collector-silent", &health);
    let (mut stream, _) = silent.accept().unwrap();
    let took = options(&exchange);
    assert!(took < Duration::from_millis(500), "{took:?}");
    let mut asked = [0; 5];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"POST ");
    until("the report to be given up", PATIENCE, || {
        exchange.text("/metrics").contains("switchboard_health_reports_failed_total 1\n").then_some(())
    });
    let report = file(&exchange, "a report in RAM", |report| report["uptime_seconds"].as_u64() > Some(6));
    assert_eq!(report["health_score"], 100, "{report:#}");
}

#[test]
fn the_metrics_are_what_prometheus_reads() {
    // Debian's own, which has the package.
    let python = "/usr/bin/python3";
    let parser = Command::new(python).args(["-c", "import prometheus_client.parser"]).stderr(Stdio::null()).status();
    if !parser.is_ok_and(|status| status.success()) {
        assert!(!installed("prometheus_client", "python3-prometheus-client"));
        return;
    }
    let exchange = exchange("health-metrics", &["option interval '1'".into()]);
    file(&exchange, "a report", |_| true);
    let metrics = exchange.text("/metrics");
    for family in metrics.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert_eq!(metrics.lines().filter(|line| *line == family).count(), 1, "said once only: {family}");
    }
    exchange.tree.write("metrics.txt", metrics);
    let script = "import sys; from prometheus_client.parser import text_string_to_metric_families as parse; \
                  families = list(parse(open(sys.argv[1]).read())); \
                  print(len(families), sum(len(f.samples) for f in families), \
                  [f for f in families if f.name == 'switchboard_health_score'][0].samples[0].value)";
    let output = Command::new(python).args(["-c", script]).arg(exchange.path("metrics.txt")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = said.split_whitespace().collect();
    assert!(output.status.success() && words.len() == 3, "{said}");
    assert!(words[0].parse::<usize>().unwrap() > 80 && words[1].parse::<usize>().unwrap() > 100, "{said}");
    assert_eq!(words[2], "100.0");
}
