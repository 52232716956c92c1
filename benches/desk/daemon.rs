//! The daemon in a namespace, with a directory of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use crate::ground::{PATIENCE, Process, Tree, until};
use crate::namespaces::Mesh;

const EMPTY: [&str; 10] = [
    "hosts_olsr",
    "services_olsr",
    "setup",
    "aredn",
    "dhcp",
    "lan_hosts",
    "leases",
    "firewall",
    "lqm.info",
    "resolv.conf",
];

pub struct Daemon {
    pub tree: Tree,
    process: Process,
}

impl Daemon {
    /// Starts it in the namespace `member`; what its configuration says of the map and of tests besides where its files are.
    pub fn start(mesh: &Mesh, member: &str, tree: Tree, map: &str, tests: &str) -> Self {
        for empty in EMPTY {
            tree.write(empty, "");
        }
        for directory in ["tmp", "hosts", "services"] {
            std::fs::create_dir_all(tree.path(directory)).unwrap();
        }
        let root = tree.path("");
        let config = include_str!("switchboard").replace("@ROOT@", root.to_str().unwrap().trim_end_matches('/'));
        let config = tree.write("switchboard", config.replace("@MESH@", map) + tests);
        let mut command = mesh.command(member, env!("CARGO_BIN_EXE_switchboard"));
        command.arg("run").arg("--config").arg(&config);
        let process = Process::start("daemon", &mut command, &tree.path(""));
        Self { tree, process }
    }

    pub fn cpu(&self) -> Duration {
        crate::cpu(self.process.id())
    }

    /// The line of its log that holds `words`, as soon as it is there.
    pub fn line(&self, words: &str, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        loop {
            let output = self.process.output();
            if let Some(line) = output.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no {words} in:\n{output}");
            // The machine belongs to those who are measured.
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// GET at the API of the daemon in `member`.
pub fn get(mesh: &Mesh, member: &str, path: &'static str) -> String {
    until(path, PATIENCE, || {
        mesh.inside(member, move || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 8_088)).ok()?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            Some(answer.split_once("\r\n\r\n").unwrap().1.to_owned())
        })
    })
}

/// The value of a metric without labels.
pub fn metric(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{metrics}")).parse().unwrap()
}

/// The number in front of `unit`.
pub fn number_before(line: &str, unit: &str) -> u64 {
    let (before, _) = line.split_once(unit).unwrap();
    before.split_whitespace().next_back().unwrap().parse().unwrap()
}

/// Where the daemon of a namespace takes registrations.
pub const fn exchange(address: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(address, 5_060)
}
