//! The program itself: what its verbs print, where, and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code)]
#[path = "support/real/ground.rs"]
mod ground;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

use ground::Tree;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use switchboard::features::Feature;

fn switchboard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Exit status, standard output, standard error output.
fn run(arguments: &[&str]) -> (i32, String, String) {
    told(switchboard(arguments).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A file of its own for a test: its directory, with which it goes away, and its name.
fn file(content: &str) -> (Tree, String) {
    let tree = Tree::new("cli");
    let name = tree.write("file", content).to_str().unwrap().into();
    (tree, name)
}

#[test]
fn version_and_help_go_to_the_standard_output() {
    let features: Vec<&str> = Feature::names().collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let version = format!("switchboard {}\nfeatures: {features}\n", env!("CARGO_PKG_VERSION"));
    for verb in ["version", "--version", "-V"] {
        assert_eq!(run(&[verb]), (0, version.clone(), String::new()));
    }
    let (status, help, err) = run(&["help"]);
    assert_eq!((status, err.as_str()), (0, ""));
    for verb in ["run", "check", "import", "status", "phonebook", "calls", "registrations", "reload", "help"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}");
    }
    for line in help.lines() {
        assert!(line.len() <= 110, "{line}");
    }
    assert_eq!(run(&["-h"]).1, help);
    let (status, options, _) = run(&["help", "options"]);
    assert_eq!(status, 0);
    assert!(options.contains("\toption max_calls '2000'\n"));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let expected = "switchboard: there is no verb 'stat'; is 'status' meant?\nSee 'switchboard help'.\n";
    assert_eq!(run(&["stat"]), (2, String::new(), expected.into()));
    assert_eq!(run(&[]).0, 2);
    assert_eq!(run(&["status", "--no"]).0, 2);
}

#[test]
fn check_ends_with_1_when_something_is_wrong() {
    let (_good, good) = file("config sip\n\toption max_calls 5\n");
    assert_eq!(run(&["check", "--config", &good]), (0, format!("{good}: no problems\n"), String::new()));
    let (_bad, bad) = file("config sip\n\toption max_calls x\n\n\tfoo\n");
    let expected = format!(
        "{bad}:2: sip.max_calls: 'x' is not allowed; allowed is a whole number from 1 to 20000; the default holds: 2000\n\
         {bad}:4: a line begins with 'config', 'option', 'list', 'package' or '#'; the line is ignored\n\
         {bad}: 2 problems\n"
    );
    assert_eq!(run(&["check", &bad]), (1, expected, String::new()));
    let expected = "switchboard: /nowhere: there is no such file\n";
    assert_eq!(run(&["check", "/nowhere"]), (1, String::new(), expected.into()));
    let (_huge, huge) = file(&"#".repeat(200_000));
    let expected = format!("switchboard: {huge}: it is larger than 128 KB\n");
    assert_eq!(run(&["check", &huge]), (1, String::new(), expected));
}

#[test]
fn the_shipped_configuration_has_no_problems() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/files/etc/config/switchboard");
    let (status, out, err) = run(&["check", file]);
    assert_eq!((status, err.as_str()), (0, ""));
    let remarks: Vec<&str> = out.lines().filter(|line| line.contains("needs the feature")).collect();
    let missing = ["desk", "health", "mesh"].iter().filter(|name| !Feature::names().any(|there| there == **name));
    assert_eq!(remarks.len(), missing.count(), "{out}");
    assert_eq!(
        out.lines().filter(|line| !remarks.contains(line)).collect::<Vec<_>>(),
        [format!("{file}: no problems")]
    );
}

#[test]
fn import_prints_a_configuration_and_says_what_is_left() {
    let (_old, old) = file("PB_INTERVAL_SECONDS=1800\nCRASH_REPORTING_ENABLED=1\nX=1\n");
    let (status, out, err) = run(&["import", &old]);
    assert_eq!(status, 0);
    assert_eq!(err, format!("{old}: not yet used: CRASH_REPORTING_ENABLED=1\n{old}: unknown: X=1\n"));
    let (_new, new) = file(&out);
    assert_eq!(run(&["check", &new]), (0, format!("{new}: no problems\n"), String::new()));
    let (_other, other) = file("hello\n");
    let expected = format!("switchboard: {other}: there is no KEY=VALUE line in it\n");
    assert_eq!(run(&["import", &other]), (1, String::new(), expected));
}

#[test]
fn without_a_daemon_the_questions_end_with_3() {
    let (_config, config) = file("config api\n\toption socket '/nowhere/switchboard.sock'\n");
    let expected =
        "switchboard: no daemon answers at /nowhere/switchboard.sock: No such file or directory (os error 2)\n";
    for verb in ["status", "phonebook", "calls", "registrations", "reload"] {
        assert_eq!(run(&[verb, "--config", &config]), (3, String::new(), expected.into()), "{verb}");
    }
    let (status, _, err) = run(&["status", "--socket", "/nowhere/else"]);
    assert_eq!(status, 3);
    assert!(err.contains("/nowhere/else"));
    assert_eq!(run(&["status", "--config", "/nowhere"]).0, 1);
}

/// A daemon that answers each request with the next of these answers; gives back what it was asked.
fn daemon(answers: &[&str], arguments: &[&str]) -> (Vec<String>, (i32, String, String)) {
    let tree = Tree::new("cli");
    let socket = tree.path("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    // A program that never calls must fail the test, not stop it.
    setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::new(20, 0)).unwrap();
    let mut command = switchboard(arguments);
    command.arg("--socket").arg(&socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let mut asked = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        asked.push(String::from_utf8(request).unwrap().lines().next().unwrap().into());
        stream.write_all(answer.as_bytes()).unwrap();
    }
    (asked, told(child.wait_with_output().unwrap()))
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn the_daemon_is_asked_and_its_answer_shown() {
    let body = r#"{"calls":[],"total_active_calls":0}"#;
    let answer = http("200 OK", body);
    let (asked, told) = daemon(&[&answer], &["calls"]);
    assert_eq!(asked, ["GET /api/v1/calls HTTP/1.1"]);
    assert_eq!(told, (0, "no calls\n".into(), String::new()));
    let (_, told) = daemon(&[&answer], &["calls", "--json"]);
    assert_eq!(told, (0, format!("{body}\n"), String::new()));
    let (asked, _) = daemon(&[&answer], &["phonebook", "hb9 x"]);
    assert_eq!(asked, ["GET /api/v1/phonebook?q=hb9%20x HTTP/1.1"]);
}

#[test]
fn reload_asks_for_both_and_stops_at_a_refusal() {
    let accepted = http("202 Accepted", r#"{"status":"success","message":"done"}"#);
    let (asked, told) = daemon(&[&accepted, &accepted], &["reload"]);
    assert_eq!(asked, ["POST /api/v1/reload HTTP/1.1", "POST /api/v1/phonebook/reload HTTP/1.1"]);
    assert_eq!(told, (0, "done\ndone\n".into(), String::new()));
    let refused = http("403 Forbidden", r#"{"error":"not you"}"#);
    let (_, told) = daemon(&[&accepted, &refused], &["reload"]);
    assert_eq!(told, (1, "done\n".into(), "switchboard: the daemon refuses: not you\n".into()));
    let (_, told) = daemon(&["SIP/2.0 200 OK\r\n\r\n"], &["reload", "config"]);
    assert_eq!(told.0, 3);
}
