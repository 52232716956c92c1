//! The daemon on the emulated router, started as its service starts it, and what it is asked from outside.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::Machine;
use crate::real::http::{self, Answer};
use crate::real::{Handset, PATIENCE, until};

pub const CONFIG: &str = "/etc/config/switchboard";
pub const LOG: &str = "/tmp/log/switchboard";
/// What each test adds to the configuration of the package: an API that the phones' side can ask.
const API: &str = "\nconfig api\n\tlist listen '127.0.0.1:8088'\n\tlist listen '10.82.0.1:8088'\n";

/// What it uses, in KB and as the kernel says.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u32,
    pub anonymous: u32,
    pub most: u32,
    pub stack: u32,
}

/// The running daemon.
pub struct Service<'a> {
    pub machine: &'a Machine,
    pub id: u32,
}

impl<'a> Service<'a> {
    /// Starts it with the package's configuration and what is `further` in it, and waits until it answers.
    pub fn start(machine: &'a Machine, further: &str) -> Self {
        Self::start_by(machine, further, "switchboard run")
    }

    /// The same by another command.
    pub fn start_by(machine: &'a Machine, further: &str, command: &str) -> Self {
        let old = machine.sh(&format!("cat {CONFIG}"));
        let api = if old.contains(API.trim()) { "" } else { API };
        if !api.is_empty() || !further.is_empty() {
            machine.write(CONFIG, &format!("{old}{api}{further}"));
        }
        let service = Self::started(machine, command);
        service.answers();
        service
    }

    /// By this command.
    pub fn started(machine: &'a Machine, command: &str) -> Self {
        let id = machine.sh(&format!("{command} >>{LOG} 2>&1 & echo $!"));
        Self { machine, id: id.trim().parse().unwrap() }
    }

    /// Waits until a phone is answered, and says how long that took.
    pub fn answers(&self) -> Duration {
        let begin = Instant::now();
        let phone = Handset::between((self.machine.net.host(2), 0), self.machine.at(5_060));
        phone.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut heard = [0; 2_048];
        until("a registration", PATIENCE, || {
            phone.send(&phone.registration("100", "Expires: 60\r\n"));
            let length = phone.socket.recv(&mut heard).ok()?;
            heard[..length].starts_with(b"SIP/2.0 200").then_some(())
        });
        let took = begin.elapsed();
        phone.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        phone.received();
        phone.register("100", "Expires: 0\r\n");
        took
    }

    /// Ends it as its service does; it must end well.
    pub fn stop(self) {
        self.machine.sh(&format!("kill {}", self.id));
        self.is_gone();
        assert!(!self.log().contains("panic"), "{}", self.log());
    }

    /// Waits until its process is no more.
    pub fn is_gone(&self) {
        let gone = format!("[ ! -e /proc/{} ]", self.id);
        until("the end of the daemon", PATIENCE, || (self.machine.try_sh(&gone, PATIENCE)?.0 == 0).then_some(()));
    }

    pub fn log(&self) -> String {
        self.machine.sh(&format!("cat {LOG}"))
    }

    /// What it says over its API, which must be JSON.
    pub fn get(&self, target: &str) -> Value {
        http::get(self.api(), target).expect("the API listens")
    }

    pub fn post(&self, target: &str) -> Answer {
        http::ask(http::connect(self.api()).expect("the API listens"), "POST", target, http::OURS)
    }

    /// Seconds since a server last confirmed the book.
    pub fn age_of_the_book(&self) -> u64 {
        self.get("/api/v1/status")["phonebook"]["age_s"].as_u64().expect("the book was downloaded")
    }

    pub fn api(&self) -> SocketAddrV4 {
        self.machine.at(8_088)
    }

    pub fn memory(&self) -> Memory {
        let status = self.machine.sh(&format!("cat /proc/{}/status", self.id));
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name}")).trim().trim_end_matches(" kB").parse().unwrap()
        };
        Memory { resident: of("VmRSS"), anonymous: of("RssAnon"), most: of("VmHWM"), stack: of("VmStk") }
    }

    /// Processor time until now, by the ticks of proc_pid_stat(5).
    pub fn processor(&self) -> Duration {
        let stat = self.machine.sh(&format!("cat /proc/{}/stat", self.id));
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// What was measured, for whoever reads the log.
pub fn note(text: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("on the router: {text}\n").as_bytes()).unwrap();
}
