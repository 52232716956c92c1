//! SIPp as a phone: started with a scenario of `tests/data/sipp` at an address of its own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::daemon::{DOMAIN, Exchange};
use super::ground::{PATIENCE, Process, Subnet, Tree, installed, until, until_bound};
use super::line::Line;

/// One phone: a number at an address of its own, port 5060 as in the field.
pub struct Phone<'a> {
    net: &'a Subnet,
    tree: &'a Tree,
    number: &'a str,
    host: u8,
    line: Option<&'a Line>,
}

/// How SIPp is to play.
#[derive(Clone, Copy)]
pub struct Play<'a> {
    /// Calls in all, and begun each second.
    pub calls: u32,
    /// See `calls`.
    pub rate: u32,
    /// Replaced in the scenario, besides what every scenario has.
    pub replace: &'a [(&'a str, &'a str)],
    /// The host part of Request-URI, From and To.
    pub domain: &'a str,
}

impl Default for Play<'_> {
    fn default() -> Self {
        Self { calls: 1, rate: 10, replace: &[], domain: DOMAIN }
    }
}

/// SIPp at work; [`Run::succeeds`] is the assertion.
pub struct Run {
    process: Process,
}

impl Run {
    /// Waits for the end, not longer than `patience`, and answers how many calls failed.
    pub fn failures(&mut self, patience: Duration) -> u32 {
        let deadline = Instant::now() + patience;
        until("the end of SIPp", patience + PATIENCE, || {
            (self.process.ended().is_some() || Instant::now() >= deadline).then_some(())
        });
        // The last screen: `Failed call | in this period | in all`.
        let output = self.process.output();
        let last = output.lines().rfind(|line| line.contains("Failed call ")).unwrap_or_default();
        let failed = last.rsplit('|').next().and_then(|number| number.trim().parse().ok()).unwrap_or(1);
        match self.process.ended().map(|status| status.success()) {
            Some(true) => 0,
            _ => failed.max(1),
        }
    }

    /// Waits for the end; every message must have been the one that was expected.
    pub fn succeeds(mut self) {
        let status = self.process.wait(PATIENCE * 3);
        assert!(status.success(), "{status}: not what the scenario expects; its messages are in the tree");
    }
}

impl<'a> Phone<'a> {
    /// The phone `number` at address `host` of the exchange's piece of loopback.
    pub fn new(exchange: &'a Exchange, number: &'a str, host: u8) -> Self {
        Self::near(&exchange.net, &exchange.tree, number, host)
    }

    /// The same where the exchange, whose address is the first of `net`, is no process of this machine; `tree` gets what SIPp
    /// leaves.
    pub fn near(net: &'a Subnet, tree: &'a Tree, number: &'a str, host: u8) -> Self {
        Self { net, tree, number, host, line: None }
    }

    /// The same behind a bad line.
    pub fn behind(self, line: &'a Line) -> Self {
        Self { line: Some(line), ..self }
    }

    /// The same, registered.
    pub fn registered(exchange: &'a Exchange, number: &'a str, host: u8) -> Self {
        let phone = Self::new(exchange, number, host);
        phone.registers();
        phone
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.net.host(self.host)
    }

    /// Registers it for ten minutes.
    pub fn registers(&self) {
        self.calls("phone_registers", self.number, Play::default()).succeeds();
    }

    /// Plays the active side towards `number`.
    pub fn calls(&self, scenario: &str, number: &str, play: Play) -> Run {
        self.play(scenario, number, play, true)
    }

    /// Plays the passive side; returns when the phone listens.
    pub fn waits(&self, scenario: &str, play: Play) -> Run {
        let run = self.play(scenario, self.number, play, false);
        until_bound(self.address(), 5_060, PATIENCE);
        run
    }

    fn play(&self, scenario: &str, service: &str, play: Play, active: bool) -> Run {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sipp").join(format!("{scenario}.xml"));
        let exchange = self.net.host(1).to_string();
        let mut text = std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        text = text.replace("@EXCHANGE@", &exchange.replace('.', "[.]"));
        // The scenarios know loopback alone.
        text = text.replace("127[", &format!("{}[", self.address().octets()[0]));
        let mut remote = self.net.host(1);
        if let Some(line) = self.line {
            // What the exchange sees of this phone is its line.
            text = text.replace("[local_ip]", &line.address.to_string());
            remote = line.address;
        }
        for (from, to) in play.replace {
            text = text.replace(from, to);
        }
        let name = format!("{scenario}-{}", self.host);
        let tree = self.tree;
        let file = tree.write(&format!("{name}.xml"), text);
        let own = self.address().to_string();
        let mut command = Command::new("sipp");
        command.arg("-sf").arg(file).args(["-i", &own, "-p", "5060", "-ci", &own, "-mi", &own]);
        command.args(["-s", service, "-key", "caller", self.number, "-key", "domain", play.domain]);
        command.args(["-m", &play.calls.to_string(), "-r", &play.rate.to_string(), "-l", "2000"]);
        command.args(["-nostdin", "-timeout", "60", "-timeout_error", "-max_retrans", "11"]);
        // Its own 64 kB overflow when it has no processor for a second, and a lost ACK fails a call.
        command.args(["-buff_size", "1048576"]);
        if play.calls <= 20 {
            command.arg("-trace_msg").arg("-message_file").arg(tree.path(&format!("{name}.messages")));
        }
        command.arg("-trace_err").arg("-error_file").arg(tree.path(&format!("{name}.errors")));
        if active {
            command.arg(SocketAddrV4::new(remote, 5_060).to_string());
        }
        command.current_dir(tree.path(""));
        Run { process: Process::start(&name, &mut command, &tree.path("")) }
    }
}

/// Whether SIPp can be had here.
pub fn sipp() -> bool {
    installed("sipp", "sip-tester")
}
