//! The CGI program as rpcd runs it for `ubus call switchboard …`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// `/usr/libexec/rpcd` with the link.
struct Rpcd {
    root: PathBuf,
}

impl Rpcd {
    fn new(test: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rpcd-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        symlink(env!("CARGO_BIN_EXE_switchboard-cgi"), root.join("switchboard")).unwrap();
        Self { root }
    }

    /// What it prints; an object on standard input is nobody's business.
    fn run(&self, words: &[&str]) -> String {
        let mut child = Command::new(self.root.join("switchboard"))
            .args(words)
            .env_clear()
            .env("SWITCHBOARD_SOCKET", self.root.join("sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have ended without reading; that is its right.
        let _ = child.stdin.take().unwrap().write_all(b"{\"ubus_rpc_session\":\"0\"}");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn call(&self, method: &str) -> Value {
        serde_json::from_str(&self.run(&["call", method])).unwrap()
    }
}

impl Drop for Rpcd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn it_lists_its_methods() {
    let methods: Value = serde_json::from_str(&Rpcd::new("list").run(&["list"])).unwrap();
    let names: Vec<&String> = methods.as_object().unwrap().keys().collect();
    assert_eq!(names, ["calls", "fetch", "findings", "registrations", "reload", "status"]);
    assert!(methods.as_object().unwrap().values().all(|arguments| *arguments == json!({})));
}

#[test]
fn the_daemon_answers_and_is_asked_the_right_thing() {
    for (method, request) in [
        ("calls", "GET /api/v1/calls "),
        ("fetch", "POST /api/v1/phonebook/reload "),
        ("findings", "GET /api/v1/mesh/findings "),
        ("registrations", "GET /api/v1/registrations "),
        ("reload", "POST /api/v1/reload "),
        ("status", "GET /api/v1/status "),
    ] {
        let rpcd = Rpcd::new("call");
        let listener = UnixListener::bind(rpcd.root.join("sock")).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 200];
            let length = stream.read(&mut head).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"node\":\"HB9ABC\"}\n")
                .unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        assert_eq!(rpcd.call(method), json!({"node": "HB9ABC"}));
        let head = daemon.join().unwrap();
        assert!(head.starts_with(request), "{method}: {head}");
    }
}

/// AREDN's collector of metrics runs it under its own name; it is a CGI program itself, so that the web server's variables are
/// there: they say nothing of ours.
#[test]
fn metrics_are_printed_as_they_are_and_nothing_without_a_daemon() {
    for web_server in
        [&[][..], &[("GATEWAY_INTERFACE", "CGI/1.1"), ("SCRIPT_NAME", "/metrics"), ("REQUEST_METHOD", "GET")]]
    {
        let rpcd = Rpcd::new("metrics");
        let run = || {
            let output = Command::new(env!("CARGO_BIN_EXE_switchboard-cgi"))
                .arg("metrics")
                .env_clear()
                .env("SWITCHBOARD_SOCKET", rpcd.root.join("sock"))
                .envs(web_server.iter().copied())
                .output()
                .unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(), "");
        let listener = UnixListener::bind(rpcd.root.join("sock")).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 200];
            let length = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nswitchboard_calls 3\n").unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        assert_eq!(run(), "switchboard_calls 3\n");
        assert!(daemon.join().unwrap().starts_with("GET /metrics "));
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let rpcd = Rpcd::new("wrong");
    assert_eq!(rpcd.call("status"), json!({"error": "Switchboard is not running"}));
    assert_eq!(rpcd.call("destroy"), json!({"error": "there is no such method"}));
    let _never_accepts = UnixListener::bind(rpcd.root.join("sock")).unwrap();
    assert_eq!(rpcd.call("status"), json!({"error": "Switchboard does not answer"}));
}

/// The link's name below `/www/cgi-bin` would be no door to the methods.
#[test]
fn a_web_server_gets_none_of_it() {
    let rpcd = Rpcd::new("cgi");
    let program = rpcd.root.join("switchboard");
    let output = Command::new(program)
        .args(["call", "reload"])
        .env_clear()
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", "GET")
        .env("SWITCHBOARD_SOCKET", rpcd.root.join("sock"))
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"Status: 404 "), "{output:?}");
}
