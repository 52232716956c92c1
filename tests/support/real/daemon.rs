//! The exchange under test: the real binary in a private tree, with a generated configuration.
//!
//! `SWITCHBOARD_STAND_IN=kamailio` puts Kamailio in its place, so that a scenario which fails can be told from a daemon
//! which fails; tests that ask for more than a registrar and proxy say so with [`Exchange::is_stand_in`].

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::ground::{PATIENCE, Process, Subnet, Tree, installed, until};
use super::handset::Handset;
use super::http::{self, Answer};

/// The domain behind the numbers; Request-URIs may use it or the address.
pub const DOMAIN: &str = "local.mesh";

/// Who is the exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Us.
    Switchboard,
    /// The stand-in.
    Kamailio,
}

/// What a test wants to have different.
#[derive(Default)]
pub struct Setup {
    /// Who is to be started; by default what the environment says.
    pub kind: Option<Kind>,
    /// Listen on every address, at a port of the system's choice, instead of one address and port 5060.
    pub everywhere: bool,
    /// The processor that it is bound to.
    pub pinned: Option<u32>,
    /// Further option lines of section `sip`, such as `option country_prefix '041'`.
    pub sip: Vec<String>,
    /// Further option lines of section `health`.
    pub health: Vec<String>,
    /// Lines of a host file as arednlink keeps it: `<address>\t<name>`, from the last byte of the address.
    pub hosts: Vec<(u8, String)>,
    /// The stored book (CSV).
    pub book: Option<String>,
    /// Where the book is fetched.
    pub servers: Vec<String>,
    /// Whether somebody may have phones tested. Nothing is tested by itself either way.
    pub desk: bool,
    /// Log level; empty: `info`.
    pub log_level: &'static str,
    /// Where it is to crash on purpose (`src/rt/crash.rs`); empty: nowhere.
    pub plant: &'static str,
}

/// A running exchange.
pub struct Exchange {
    process: Option<Process>,
    kind: Kind,
    pinned: Option<u32>,
    /// Where its next start is to crash on purpose; empty: nowhere.
    pub plant: &'static str,
    listen: SocketAddrV4,
    /// Where it lives; address 1 is its own.
    pub net: Subnet,
    /// What it reads and writes.
    pub tree: Tree,
}

impl Exchange {
    /// One with nothing special.
    pub fn start(name: &str) -> Self {
        Self::with(name, &Setup::default())
    }

    /// Writes the tree, starts it, and waits until it answers.
    pub fn with(name: &str, setup: &Setup) -> Self {
        let kind = setup.kind.unwrap_or_else(|| match std::env::var("SWITCHBOARD_STAND_IN").as_deref() {
            Ok("kamailio") => Kind::Kamailio,
            _ => Kind::Switchboard,
        });
        let (net, tree) = (Subnet::claim(), Tree::new(name));
        let listen = if setup.everywhere {
            let free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port();
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, free)
        } else {
            SocketAddrV4::new(net.host(1), 5_060)
        };
        let mut exchange = Self { process: None, kind, pinned: setup.pinned, plant: setup.plant, listen, net, tree };
        exchange.write_config(setup);
        exchange.launch();
        exchange
    }

    /// Whether Kamailio answers instead of us.
    pub fn is_stand_in(&self) -> bool {
        self.kind == Kind::Kamailio
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.net.host(1)
    }

    /// The port for SIP.
    pub fn port(&self) -> u16 {
        self.listen.port()
    }

    /// Where its API listens.
    pub fn api(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(), 8_088)
    }

    /// Asks its API over TCP, as a browser or a program would; `headers` are whole lines.
    pub fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let own = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.api()) };
        http::ask(http::connect(self.api()).unwrap(), method, target, &format!("{own}{headers}"))
    }

    /// What its API says there.
    pub fn text(&self, target: &str) -> String {
        let answer = self.ask("GET", target, "");
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.body
    }

    /// The same, which must be JSON.
    pub fn get(&self, target: &str) -> Value {
        serde_json::from_str(&self.text(target)).unwrap_or_else(|error| panic!("{target}: {error}"))
    }

    /// POST at its API, as the mesh monitor does it.
    pub fn post(&self, target: &str) -> Answer {
        self.ask("POST", target, http::OURS)
    }

    /// Its API for this machine's owner.
    pub fn owner(&self) -> UnixStream {
        UnixStream::connect(self.path("tmp/api.sock")).unwrap()
    }

    /// What the kernel says of its process in this field, such as `Uid`.
    pub fn status(&self, field: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field}")).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The same where it is memory, such as `VmRSS`.
    pub fn kilobytes(&self, field: &str) -> usize {
        self.status(field).trim_end_matches(" kB").parse().unwrap()
    }

    /// How long it was on a processor and waited for one (schedstat in proc(5)), in nanoseconds, and how often.
    pub fn schedule(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/schedstat", self.id())).unwrap_or_default().trim_end().to_owned()
    }

    /// A reading of the configuration once more, and the wait for it.
    pub fn reload(&mut self) {
        let read = |log: &str| log.matches("configuration read again\n").count();
        let before = read(&self.log());
        self.process().signal(Signal::SIGHUP);
        until("the reload", PATIENCE, || (read(&self.log()) > before).then_some(()));
    }

    /// The daemon by one of its other verbs, on the configuration that it has.
    pub fn verb(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(words).arg("--config").arg(self.path("switchboard")).output().unwrap()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().unwrap().output()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Writes the configuration of `setup` over the one it had; a HUP or a restart makes it true.
    pub fn write_config(&self, setup: &Setup) {
        let tree = &self.tree;
        tree.write("hosts_olsr", "");
        tree.write("resolv.conf", "");
        tree.write("setup", "");
        let mut hosts = String::new();
        for (host, name) in &setup.hosts {
            writeln!(hosts, "{}\t{name}", self.net.host(*host)).unwrap();
        }
        tree.write(&format!("hosts/{}", self.net.host(200)), hosts);
        if let Some(book) = &setup.book {
            tree.write("phonebook.csv", book);
        }
        for directory in ["www", "tmp"] {
            std::fs::create_dir_all(tree.path(directory)).unwrap();
        }

        let mut text = String::new();
        let mut section = |kind: &str, options: &[(&str, String)], further: &[String]| {
            let name = if kind == "switchboard" { "main" } else { kind };
            writeln!(text, "config {kind} '{name}'").unwrap();
            for (option, value) in options {
                writeln!(text, "\toption {option} '{value}'").unwrap();
            }
            for line in further {
                writeln!(text, "\t{line}").unwrap();
            }
            text.push('\n');
        };
        let path = |name: &str| tree.path(name).display().to_string();
        let level = if setup.log_level.is_empty() { "info" } else { setup.log_level };
        section(
            "switchboard",
            &[
                ("log_level", level.into()),
                ("state_file", path("tmp/state.json")),
                ("active_calls_file", path("tmp/active_calls.json")),
                ("crash_file", path("tmp/crash.bin")),
                ("crash_report_file", path("tmp/last_crash.json")),
            ],
            &[],
        );
        section("sip", &[("listen", self.listen.to_string())], &setup.sip);
        section(
            "names",
            &[
                ("hosts_dir", path("hosts")),
                ("hosts_olsr", path("hosts_olsr")),
                ("resolv_conf", path("resolv.conf")),
                ("node_config", path("setup")),
            ],
            &[],
        );
        section(
            "phonebook",
            &[
                ("book_file", path("phonebook.csv")),
                ("publish_dir", path("tmp/www")),
                ("link_dir", path("www")),
                ("phonebook_json_file", path("tmp/phonebook.json")),
                ("badge_file", path("tmp/badge")),
                ("connect_timeout", "2".into()),
                ("total_timeout", "5".into()),
            ],
            &[],
        );
        // The map and the tests of phones are not what these tests are about, and scripted phones expect no OPTIONS.
        let mesh = [
            ("enabled", "0".into()),
            ("topology_file", path("tmp/network_topology.json")),
            ("topology_link", "none".into()),
            ("findings_file", path("tmp/findings.json")),
        ];
        section("mesh", &mesh, &[]);
        let probe = [
            ("enabled", u8::from(setup.desk).to_string()),
            ("listen", SocketAddrV4::new(self.address(), 5_070).to_string()),
            ("ping_count", "0".into()),
            ("options_count", "0".into()),
            ("results_file", path("tmp/uac_bulk_results.txt")),
        ];
        section("probe", &probe, &[]);
        let health = [("file", path("tmp/software_health.json")), ("starts_file", path("tmp/starts"))];
        section("health", &health, &setup.health);
        let api = [("socket", path("tmp/api.sock")), ("settings_file", path("tmp/settings.json"))];
        section("api", &api, &[format!("list listen '{}'", self.api())]);
        for server in &setup.servers {
            write!(text, "config server\n\toption url '{server}'\n\n").unwrap();
        }
        tree.write("switchboard", text);
    }

    /// Starts it on the tree as it is, and waits until it answers OPTIONS.
    pub fn launch(&mut self) {
        let program = match self.kind {
            Kind::Switchboard => {
                std::env::var("SWITCHBOARD_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_switchboard").into())
            }
            Kind::Kamailio => "kamailio".into(),
        };
        let mut command = match self.pinned {
            None => Command::new(program),
            Some(processor) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(processor.to_string()).arg(program);
                command
            }
        };
        match self.kind {
            Kind::Switchboard => command.arg("run").arg("--config").arg(self.tree.path("switchboard")),
            Kind::Kamailio => {
                assert!(installed("kamailio", "kamailio"), "the stand-in is asked for but not installed");
                let config = include_str!("kamailio.cfg").replace("@LISTEN@", &self.listen.to_string());
                let config = self.tree.write("kamailio.cfg", config);
                command
                    .arg("-f")
                    .arg(config)
                    .args(["-DD", "-E", "-m", "1024", "-M", "16", "-Y"])
                    .arg(self.tree.path("tmp"))
            }
        };
        if !self.plant.is_empty() {
            command.env("SWITCHBOARD_PLANT", self.plant);
        }
        self.process = Some(Process::start("exchange", &mut command, &self.tree.path("")));
        self.until_answering();
    }

    fn until_answering(&mut self) {
        let phone = Handset::new(self, 253, 0);
        phone.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (mut turn, uri) = (0, format!("sip:{}", self.address()));
        let process = self.process.as_mut().unwrap();
        until("the exchange to answer", PATIENCE, || {
            if let Some(status) = process.ended() {
                panic!("the exchange ended at once: {status}");
            }
            turn += 1;
            // Nobody who listens yet and no answer in time are the same: ask again.
            phone.send(&phone.request("OPTIONS", &uri, &format!("ready{turn}"), ""));
            let mut answer = [0; 2_048];
            let length = phone.socket.recv(&mut answer).ok()?;
            answer.get(..length)?.starts_with(b"SIP/2.0 200").then_some(())
        });
    }

    /// TERM, and how long it took to be gone; fails unless that was within `patience` and with exit code 0.
    pub fn stop(&mut self, patience: Duration) {
        let process = self.process.as_mut().unwrap();
        process.signal(Signal::SIGTERM);
        let status = process.wait(patience);
        assert!(self.is_stand_in() || status.success(), "TERM ended the daemon with {status}");
    }

    /// A stop and a start on the same tree.
    pub fn restart(&mut self) {
        self.stop(Duration::from_secs(5));
        self.launch();
    }

    /// A file of the tree, as text; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.tree.path(name)).unwrap_or_default()
    }

    /// A path in the tree.
    pub fn path(&self, name: &str) -> PathBuf {
        self.tree.path(name)
    }
}
