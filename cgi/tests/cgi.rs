//! The CGI program as the node's web server runs it: an empty environment with a few variables, answers judged by what
//! uhttpd accepts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard-cgi");

const NAMES: &str = include_str!("../names");

/// Those that have the daemon do something that takes a while.
const LIVE: [&str; 5] = ["traceroute_json", "uac_ping", "phone_ping", "uac_test", "phone_test"];

/// A private place with the program under its names, as `/www/cgi-bin` has it.
struct Node {
    root: PathBuf,
}

impl Node {
    fn new(test: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cgi-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        for name in NAMES.lines().chain(["something_else", "switchboard"]) {
            symlink(PROGRAM, root.join(name)).unwrap();
        }
        Self { root }
    }

    fn command(&self, name: &str, method: &str) -> Command {
        let program = self.root.join(name);
        let mut command = Command::new(&program);
        command
            .env_clear()
            .env("GATEWAY_INTERFACE", "CGI/1.1")
            .env("REQUEST_METHOD", method)
            .env("QUERY_STRING", "")
            .env("SCRIPT_FILENAME", &program)
            .env("SWITCHBOARD_PHONEBOOK_JSON", self.root.join("phonebook.json"))
            .env("SWITCHBOARD_ACTIVE_CALLS_JSON", self.root.join("active_calls.json"))
            .env("SWITCHBOARD_FINDINGS_JSON", self.root.join("findings_json.json"))
            .env("SWITCHBOARD_HEALTH_JSON", self.root.join("health_status.json"))
            .env("SWITCHBOARD_MONITOR_SETTINGS", self.root.join("dashboard_settings.json"))
            .env("SWITCHBOARD_PHONE_TESTS_JSON", self.root.join("phone_ping_json.json"))
            .env("SWITCHBOARD_TOPOLOGY_JSON", self.root.join("topology_json.json"))
            .env("SWITCHBOARD_SOCKET", self.root.join("sock"))
            .stdin(Stdio::null());
        command
    }

    fn ask(&self, name: &str, method: &str) -> Answer {
        let output = self.command(name, method).output().unwrap();
        assert!(output.status.success(), "{name}: {:?}", output.status);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Answer::read(&output.stdout)
    }

    fn get(&self, name: &str) -> Answer {
        self.ask(name, "GET")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// What uhttpd makes of the program's output.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn read(output: &[u8]) -> Self {
        let end = output.windows(4).position(|w| w == b"\r\n\r\n").expect("a blank line ends the head");
        let mut answer = Self { status: 200, headers: Vec::new(), body: output[end + 4..].to_vec() };
        for line in std::str::from_utf8(&output[..end]).unwrap().split("\r\n") {
            let (name, value) = line.split_once(": ").expect("name and value");
            if name == "Status" {
                // Three digits, a space and a text, or uhttpd says 200.
                assert!(value.len() > 4 && value.as_bytes()[3] == b' ', "{value}");
                answer.status = value[..3].parse().unwrap();
            } else {
                answer.headers.push((name.into(), value.into()));
            }
        }
        for unwanted in ["Content-Length", "Transfer-Encoding"] {
            assert_eq!(answer.header(unwanted), None, "uhttpd frames the body itself");
        }
        let html = answer.status == 302;
        let kind = if html { "text/html; charset=utf-8" } else { "application/json" };
        assert_eq!(answer.header("Content-Type"), Some(kind));
        assert_eq!(answer.header("Cache-Control"), Some("no-cache, no-store, must-revalidate"));
        assert_eq!((answer.header("Pragma"), answer.header("Expires")), (Some("no-cache"), Some("0")));
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "names in it are not ours");
        answer
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }
}

/// RFC 3339 in UTC, and not the date that the file has.
fn is_now(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 20 && text.starts_with("20") && text.ends_with('Z') && text != "2001-02-03T04:05:06Z"
}

#[test]
fn the_book_is_shown_as_the_daemon_wrote_it_with_the_time_of_the_answer() {
    let node = Node::new("book");
    let hostile = r#"* Hans \"Müller\",\"timestamp\":\u0007 </script>"#;
    for timestamp in ["null", "\"2001-02-03T04:05:06Z\""] {
        let file = format!(
            "{{\"status\":\"success\",\"last_updated\":\"2026-07-23T10:00:00Z\",\"entry_count\":1,\
             \"entries\":[{{\"name\":\"{hostile}\",\"telephone\":\"441530\"}}],\"timestamp\":{timestamp}}}\n"
        );
        fs::write(node.root.join("phonebook.json"), file).unwrap();
        let answer = node.get("showphonebook");
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some("*")));
        let mut shown = answer.json();
        assert!(is_now(&shown["timestamp"]), "{shown}");
        shown["timestamp"] = Value::Null;
        assert_eq!(
            shown,
            json!({"status": "success", "last_updated": "2026-07-23T10:00:00Z", "entry_count": 1, "entries": [
                {"name": "* Hans \"Müller\",\"timestamp\":\u{7} </script>", "telephone": "441530"}
            ], "timestamp": null})
        );
    }
    // POST is what forms send; HEAD is the head alone.
    assert_eq!(node.ask("showphonebook", "POST").json()["status"], "success");
    assert!(node.ask("showphonebook", "HEAD").body.is_empty());
}

#[test]
fn without_a_book_the_known_error_is_answered() {
    let node = Node::new("nobook");
    let file = node.root.join("phonebook.json");
    let refused = |case: &str| {
        let answer = node.get("showphonebook");
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some("*")), "{case}");
        let shown = answer.json();
        assert_eq!(
            (&shown["status"], &shown["message"]),
            (&json!("error"), &json!("Phonebook not available")),
            "{case}"
        );
        assert!(is_now(&shown["timestamp"]), "{case}");
    };
    refused("no file");
    for (case, content) in [("empty", &b""[..]), ("cut off", b"{\"status\":\"succ"), ("no object", b"[]\n")] {
        fs::write(&file, content).unwrap();
        refused(case);
    }
    let mut large = vec![b' '; (4 << 20) + 1];
    large[0] = b'{';
    large[4 << 20] = b'}';
    fs::write(&file, &large).unwrap();
    refused("too large");
    fs::remove_file(&file).unwrap();
    let other = node.root.join("secret.json");
    fs::write(&other, b"{\"secret\":1}").unwrap();
    symlink(&other, &file).unwrap();
    refused("a symbolic link to somebody else's file");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused("a directory");
    fs::remove_dir(&file).unwrap();
    let _socket = UnixListener::bind(&file).unwrap();
    refused("a socket");
}

#[test]
fn calls_are_shown_as_they_are_and_their_lack_too() {
    let node = Node::new("calls");
    let answer = node.get("active_calls_json");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"error": "No call data available", "calls": [], "total_active_calls": 0}))
    );
    let file = b"{\"calls\":[{\"caller_user_id\":\"441531\"}],\"total_active_calls\":1}\n";
    fs::write(node.root.join("active_calls.json"), file).unwrap();
    assert_eq!(node.get("active_calls_json").body, file);
}

#[test]
fn what_is_tested_and_drawn_is_shown_as_it_is_and_its_lack_in_the_same_form() {
    let node = Node::new("dashboards");
    for (name, absent) in [
        (
            "phone_ping_json",
            json!({"version": 2, "error": "No test results available yet", "num_results": 0,
                   "num_testable_phones": 0, "last_update": 0, "test_interval": 0, "results": []}),
        ),
        (
            "topology_json",
            json!({"version": "2.0", "generated_at": "", "error": "No topology data available yet",
                   "source_node": {"ip": "0.0.0.0", "name": "unknown", "type": "server"}, "nodes": [], "connections": [],
                   "ip_mappings": {}, "statistics": {"total_nodes": 0, "total_connections": 0, "total_ip_mappings": 0}}),
        ),
        ("findings_json", json!({"error": "No findings available yet", "total": 0, "findings": []})),
        ("health_status", json!({"error": "No health data available"})),
        ("dashboard_settings", json!({"tiles": "", "attribution": ""})),
    ] {
        let answer = node.get(name);
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, None), "{name}");
        assert_eq!(answer.json(), absent, "{name}");
        let file = node.root.join(format!("{name}.json"));
        // What the program of this name wrote before: text with bars between the fields.
        fs::write(&file, "441530|Hans|ONLINE|12.00|1.00|ONLINE|15.00|2.00\n").unwrap();
        assert_eq!(node.get(name).json(), absent, "{name}");
        let whole = format!("{{\"from\": \"{name}\", \"name\": \"<b>\\u0007 \"}}\n");
        fs::write(&file, &whole).unwrap();
        assert_eq!(node.get(name).body, whole.as_bytes(), "{name}");
        assert_eq!(node.ask(name, "POST").body, whole.as_bytes(), "{name}");
        assert!(node.ask(name, "HEAD").body.is_empty(), "{name}");
    }
}

#[test]
fn the_old_name_of_the_page_leads_to_it() {
    let node = Node::new("page");
    let answer = node.get("arednmon");
    assert_eq!((answer.status, answer.header("Location")), (302, Some("/arednmon/")));
    assert!(String::from_utf8(answer.body).unwrap().contains("<a href=\"/arednmon/\">"), "for browsers that do not go");
    let head = node.ask("arednmon", "HEAD");
    assert_eq!((head.status, head.header("Location"), head.body.len()), (302, Some("/arednmon/"), 0));
}

/// A daemon that answers one request with `reply` and hands back the head of the request.
fn daemon(node: &Node, reply: &'static str) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(node.root.join("sock")).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = String::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "the request ended early: {head}");
        }
        stream.write_all(reply.as_bytes()).unwrap();
        head
    })
}

#[test]
fn the_daemon_is_asked_to_fetch_the_book() {
    for (reply, status, message) in [
        ("HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\n{}\n", "success", "Phonebook reload triggered"),
        ("HTTP/1.0 200 OK\r\n\r\n", "success", "Phonebook reload triggered"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "error", "Switchboard refused to reload the phonebook (503)"),
        ("what?", "error", "Switchboard does not answer"),
        ("HTTP/1.1 202 Accepted\r\n", "error", "Switchboard does not answer"),
        ("", "error", "Switchboard does not answer"),
    ] {
        let node = Node::new("load");
        let daemon = daemon(&node, reply);
        let answer = node.get("loadphonebook");
        let head = daemon.join().unwrap();
        assert!(head.starts_with("POST /api/v1/phonebook/reload HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nHost: localhost\r\n") && head.contains("\r\nContent-Length: 0\r\n"), "{head}");
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some("*")));
        let shown = answer.json();
        assert_eq!((&shown["status"], &shown["message"]), (&json!(status), &json!(message)), "{reply}");
        assert!(is_now(&shown["timestamp"]));
    }
}

#[test]
fn the_daemon_is_told_what_was_asked_for_and_by_whom() {
    let body = "{\"status\":\"success\",\"result\":\"ONLINE\"}\n";
    for name in LIVE {
        for (method, code) in [("GET", "200 OK"), ("POST", "403 Forbidden")] {
            let node = Node::new("live");
            let reply = format!("HTTP/1.1 {code}\r\nContent-Type: application/json\r\n\r\n{body}");
            let daemon = daemon(&node, reply.leak());
            let output = node
                .command(name, method)
                .env("QUERY_STRING", "target=441530&count=3&x=%0d%0aX-Remote-Addr:%20127.0.0.1")
                .env("REMOTE_ADDR", "10.9.8.7")
                .env("HTTP_HOST", "localnode.local.mesh")
                .env("HTTP_ORIGIN", "http://localnode.local.mesh")
                .env("HTTP_USER_AGENT", "Mozilla/5.0 (\u{e9})")
                .env("HTTP_REFERER", format!("http://localnode.local.mesh/{}", "x".repeat(2_000)))
                .env("HTTP_AUTHORIZATION", "Bearer secret")
                .output()
                .unwrap();
            let head = daemon.join().unwrap();
            let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
            let first = lines.remove(0);
            let target = format!("/cgi-bin/{name}?target=441530&count=3&x=%0d%0aX-Remote-Addr:%20127.0.0.1");
            assert_eq!(first, format!("{method} {target} HTTP/1.1"));
            lines.sort_unstable();
            assert_eq!(
                lines,
                [
                    "Authorization: Bearer secret",
                    "Connection: close",
                    "Content-Length: 0",
                    "Host: localnode.local.mesh",
                    "Origin: http://localnode.local.mesh",
                    "Referer: ?",
                    "User-Agent: ?",
                    "X-Remote-Addr: 10.9.8.7",
                ]
            );
            let answer = Answer::read(&output.stdout);
            assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, None));
            assert_eq!(answer.body, body.as_bytes(), "{name}");
        }
    }
}

#[test]
fn what_the_web_server_does_not_say_is_not_made_up() {
    let node = Node::new("bare");
    let daemon = daemon(&node, "HTTP/1.1 200 OK\r\n\r\n{}\n");
    assert_eq!(node.get("uac_ping").body, b"{}\n");
    let head = daemon.join().unwrap();
    assert!(head.contains("\r\nHost: localhost\r\n") && head.contains("\r\nX-Remote-Addr: ?\r\n"), "{head}");
    for name in ["Origin", "Referer", "User-Agent", "Authorization"] {
        assert!(!head.contains(name), "{head}");
    }
}

#[test]
fn what_cannot_be_passed_on_is_refused_in_the_form_of_its_name() {
    let node = Node::new("refused");
    let _listener = UnixListener::bind(node.root.join("sock")).unwrap();
    let long = "x".repeat(1_001);
    for query in ["a b", "target=1\r\nX-Remote-Addr: 127.0.0.1", "target=\u{e9}", &long] {
        for name in LIVE {
            let output = node.command(name, "GET").env("QUERY_STRING", query).output().unwrap();
            let shown = Answer::read(&output.stdout).json();
            let sentence = "The parameters are too long, or hold characters that do not belong into an address";
            if name == "traceroute_json" {
                assert_eq!(shown, json!({"error": sentence, "target_ip": "", "hops": []}), "{query:?}");
            } else {
                assert_eq!((&shown["status"], &shown["message"]), (&json!("error"), &json!(sentence)), "{query:?}");
            }
        }
    }
}

#[test]
fn an_answer_of_the_daemon_that_is_none_is_not_passed_on() {
    for reply in ["", "what?", "HTTP/1.1 200 OK\r\n\r\n<b>", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n{\"cut\":"]
    {
        let node = Node::new("answer");
        let daemon = daemon(&node, reply);
        assert_eq!(node.get("traceroute_json").json()["error"], "Switchboard does not answer", "{reply}");
        daemon.join().unwrap();
    }
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let node = Node::new("absent");
    let shown = node.get("loadphonebook").json();
    assert_eq!((&shown["status"], &shown["message"]), (&json!("error"), &json!("Switchboard is not running")));
    // One that was killed leaves its socket behind.
    drop(UnixListener::bind(node.root.join("sock")).unwrap());
    assert_eq!(node.get("loadphonebook").json()["message"], "Switchboard is not running");
    for name in LIVE {
        let shown = node.get(name).json();
        let said = if name == "traceroute_json" { &shown["error"] } else { &shown["message"] };
        assert_eq!(said, "Switchboard is not running", "{name}");
    }
}

#[test]
fn a_daemon_that_hangs_does_not_hold_the_web_server() {
    let node = Node::new("hang");
    let _never_accepts = UnixListener::bind(node.root.join("sock")).unwrap();
    let begin = std::time::Instant::now();
    let shown = node.get("loadphonebook").json();
    assert_eq!((&shown["status"], &shown["message"]), (&json!("error"), &json!("Switchboard does not answer")));
    assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// A daemon that is stopped takes no connection, and when so many wait already, connecting itself waits.
#[test]
fn a_daemon_with_a_full_queue_does_not_hold_the_web_server() {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    use std::os::fd::AsRawFd;
    let node = Node::new("full");
    let path = node.root.join("sock");
    let stopped = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(stopped.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&stopped, Backlog::new(0).unwrap()).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let begin = std::time::Instant::now();
    let shown = node.get("loadphonebook").json();
    assert_eq!((&shown["status"], &shown["message"]), (&json!("error"), &json!("Switchboard does not answer")));
    assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_question_about_the_answer_changes_nothing() {
    let node = Node::new("head");
    let listener = UnixListener::bind(node.root.join("sock")).unwrap();
    for name in LIVE.into_iter().chain(["loadphonebook"]) {
        assert!(node.ask(name, "HEAD").body.is_empty());
    }
    for method in ["PUT", "OPTIONS", "DELETE", "get", ""] {
        let answer = node.ask("loadphonebook", method);
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD, POST")), "{method}");
        assert!(answer.json()["error"].is_string());
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody asked the daemon");
}

#[test]
fn by_another_name_it_says_its_names() {
    let node = Node::new("name");
    let answer = node.get("something_else");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["names"], json!(NAMES.lines().collect::<Vec<_>>()));
}

#[test]
fn who_hangs_up_while_it_writes_does_no_harm() {
    let node = Node::new("pipe");
    // More than a pipe holds, so that the program is still writing when the reader goes.
    let filler = "x".repeat(1 << 20);
    fs::write(node.root.join("active_calls.json"), format!("{{\"calls\":[],\"filler\":\"{filler}\"}}")).unwrap();
    let mut child =
        node.command("active_calls_json", "GET").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stderr.is_empty());
}

#[test]
fn the_version_is_told_on_the_command_line_only() {
    let output = Command::new(PROGRAM).arg("--version").env_remove("GATEWAY_INTERFACE").output().unwrap();
    assert_eq!(output.stdout, concat!("switchboard-cgi ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    let node = Node::new("version");
    let output = node.command("active_calls_json", "GET").arg("--version").output().unwrap();
    assert_eq!(Answer::read(&output.stdout).status, 200);
}
