//! The web server's part: CGI names through the links that the package makes, under a real web server, in a real browser.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::real::ground::{PATIENCE, Process, Tree, installed, until};
use crate::{PROJECT, directory, programs, run};

/// busybox's httpd with what the package puts below /www.
struct Site {
    address: SocketAddr,
    root: PathBuf,
    _server: Process,
    _tree: Tree,
}

impl Site {
    fn open(name: &str) -> Option<Self> {
        if !installed("busybox", "busybox") {
            return None;
        }
        let root = directory(&format!("site-{name}"));
        run(Command::new(format!("{PROJECT}/openwrt-package/install.sh")).arg(&root).arg(programs()?));
        let tree = Tree::new(&format!("site-{name}"));
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut command = Command::new("busybox");
        command.args(["httpd", "-f", "-p", &free.to_string(), "-h"]).arg(root.join("www"));
        for (variable, file) in [
            ("SWITCHBOARD_PHONEBOOK_JSON", "phonebook.json"),
            ("SWITCHBOARD_ACTIVE_CALLS_JSON", "calls.json"),
            ("SWITCHBOARD_FINDINGS_JSON", "findings.json"),
            ("SWITCHBOARD_HEALTH_JSON", "health.json"),
            ("SWITCHBOARD_MONITOR_SETTINGS", "settings.json"),
            ("SWITCHBOARD_PHONE_TESTS_JSON", "tests.json"),
            ("SWITCHBOARD_TOPOLOGY_JSON", "topology.json"),
            ("SWITCHBOARD_SOCKET", "sock"),
        ] {
            command.env(variable, root.join(file));
        }
        let server = Process::start("httpd", &mut command, &tree.path(""));
        until("the web server", PATIENCE, || TcpStream::connect(free).ok());
        Some(Self { address: free, root, _server: server, _tree: tree })
    }

    /// Head and body of the answer.
    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer}"));
        (head.to_owned(), body.to_owned())
    }
}

#[test]
fn every_name_answers_through_its_link() {
    let Some(site) = Site::open("names") else { return };
    let mut answered = 0;
    for name in include_str!("../../cgi/names").lines() {
        let (head, body) = site.get(&format!("/cgi-bin/{name}"));
        if name == "arednmon" {
            assert!(head.contains(" 302 ") && head.contains("Location: /arednmon/"), "{head}");
        } else {
            assert!(head.contains(" 200 ") || head.contains(" 400 ") || head.contains(" 403 "), "{name}: {head}");
            assert!(serde_json::from_str::<Value>(&body).unwrap().is_object(), "{name}: {body}");
        }
        answered += 1;
    }
    assert!(answered >= 9);
    std::fs::write(site.root.join("calls.json"), "{\"calls\":[],\"total_active_calls\":0,\"here\":1}").unwrap();
    assert!(site.get("/cgi-bin/active_calls_json").1.contains("\"here\":1"));
}

#[test]
fn the_icon_of_aredn_leads_to_the_monitor() {
    let Some(site) = Site::open("icon") else { return };
    for who in ["user", "admin"] {
        let (head, _) = site.get(&format!("/cgi-bin/apps/switchboard/{who}"));
        assert!(head.contains(" 302 ") && head.contains("Location: /arednmon/"), "{who}: {head}");
    }
    let (head, body) = site.get("/apps/switchboard/icon.svg");
    assert!(head.contains(" 200 ") && body.starts_with("<svg "), "{head}");
}

#[test]
fn a_browser_sees_the_monitor_on_the_routers_web_server() {
    if !installed("chromium", "chromium") {
        return;
    }
    let Some(site) = Site::open("browser") else { return };
    let tests = "{\"version\":2,\"num_results\":1,\"num_testable_phones\":1,\"last_update\":1700000000,\"test_interval\":600,\
                 \"results\":[{\"phone_number\":\"441530\",\"name\":\"Hans Muster\",\"ping_status\":\"ONLINE\",\
                 \"ping_rtt\":12.5,\"ping_jitter\":1.0,\"options_status\":\"ONLINE\",\"options_rtt\":14.0,\
                 \"options_jitter\":1.0,\"timestamp\":1700000000}]}";
    std::fs::write(site.root.join("tests.json"), tests).unwrap();
    let tree = Tree::new("package-browser");
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-extensions"])
        .args(["--no-proxy-server", "--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=3000"])
        .arg(format!("--user-data-dir={}", tree.path("profile").display()))
        .arg("--dump-dom")
        .arg(format!("http://{}/cgi-bin/arednmon", site.address));
    let mut browser = Process::start("chromium", &mut command, &tree.path(""));
    browser.wait(Duration::from_secs(90));
    let output = browser.output();
    assert!(output.contains("441530"), "the phone is not shown: {output}");
    assert!(!output.contains("CONSOLE"), "{output}");
}
