//! The daemon in a namespace, with a directory of its own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::real::namespaces::Mesh;
use crate::real::{PATIENCE, Process, Tree, http, until};

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
            let stream = http::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8_088))?;
            Some(http::ask(stream, "GET", path, "").body)
        })
    })
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
