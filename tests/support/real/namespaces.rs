//! Network namespaces of the test's own, joined by pairs of virtual cables.
//!
//! A thread steps into a namespace and opens its socket there; the socket stays inside, whoever uses it afterwards.
//! Addresses exist only inside. Everything goes away with [`Mesh`].

use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

use super::ground::{installed, skipped};

/// `ip netns` prepares its directory when it is first used, which two at a time must not do.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Namespaces, by short names that mean something only within the test.
pub struct Mesh {
    prefix: String,
    members: Vec<String>,
}

/// Whether namespaces may be made here. Where not, that is said, and is a failure with `SWITCHBOARD_REQUIRE_PEERS=1`.
pub fn may_be_made() -> bool {
    if !installed("ip", "iproute2") {
        return false;
    }
    let mut trial = Mesh::new("trial");
    let made = trial.try_add("x");
    if let Err(reason) = &made {
        skipped(&format!("network namespaces may not be made here ({})", reason.trim()));
    }
    made.is_ok()
}

impl Mesh {
    /// None yet; their names are unique to this process and `name`.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { prefix: format!("switchboard-{}-{turn}-{name}", std::process::id()), members: Vec::new() }
    }

    /// What the system calls the namespace.
    pub fn name(&self, member: &str) -> String {
        format!("{}-{member}", self.prefix)
    }

    fn try_add(&mut self, member: &str) -> Result<(), String> {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ip(&["netns", "add", &self.name(member)])?;
        self.members.push(member.into());
        self.ip(member, "link set lo up");
        Ok(())
    }

    /// A namespace with loopback and nothing else.
    pub fn add(&mut self, member: &str) {
        self.try_add(member).unwrap();
    }

    /// One that passes on what is not for it.
    pub fn add_router(&mut self, member: &str) {
        self.add(member);
        self.set(member, "ip_forward", "1");
    }

    /// A cable between two, with an address at either end; each end is called after who is at the other.
    pub fn join(&self, (near, near_address): (&str, Ipv4Addr), (far, far_address): (&str, Ipv4Addr)) {
        let (at_near, at_far) = (self.name(near), self.name(far));
        ip(&["link", "add", far, "netns", &at_near, "type", "veth", "peer", "name", near, "netns", &at_far]).unwrap();
        for (member, device, address) in [(near, far, near_address), (far, near, far_address)] {
            self.ip(member, &format!("address add {address}/24 dev {device}"));
            self.ip(member, &format!("link set {device} up"));
        }
    }

    /// `ip` with these words inside a namespace.
    pub fn ip(&self, member: &str, words: &str) {
        let name = self.name(member);
        let all: Vec<&str> = ["-n", &name].into_iter().chain(words.split(' ')).collect();
        ip(&all).unwrap();
    }

    /// Sets a value below `/proc/sys/net/ipv4` of a namespace.
    pub fn set(&self, member: &str, key: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/net/ipv4/{key}"), value.to_owned());
        self.inside(member, move || std::fs::write(path, value).unwrap());
    }

    /// The value of a kernel's counter of ICMP in a namespace; `None`: this kernel does not keep it.
    pub fn icmp_counter(&self, member: &str, key: &str) -> Option<u64> {
        let key = key.to_owned();
        self.inside(member, move || {
            let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
            let mut lines =
                text.lines().filter_map(|line| line.strip_prefix("Icmp: ")).map(str::split_ascii_whitespace);
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            names.zip(values).find(|(name, _)| *name == key).map(|(_, value)| value.parse().unwrap())
        })
    }

    /// Packets of IPv4 that came into a namespace so far.
    pub fn packets_received(&self, member: &str) -> u64 {
        self.inside(member, move || {
            let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: ")).map(str::split_ascii_whitespace);
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            names.zip(values).find(|(name, _)| *name == "InReceives").unwrap().1.parse().unwrap()
        })
    }

    /// Has a thread do something inside a namespace.
    pub fn inside<T: Send + 'static>(&self, member: &str, what: impl FnOnce() -> T + Send + 'static) -> T {
        let path = format!("/run/netns/{}", self.name(member));
        let enter_and_do = move || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            what()
        };
        std::thread::spawn(enter_and_do).join().unwrap()
    }

    /// A command that runs inside a namespace.
    pub fn command(&self, member: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(member), program]);
        command
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        for member in &self.members {
            if let Err(reason) = ip(&["netns", "del", &self.name(member)]) {
                let _ = writeln!(std::io::stderr(), "a namespace stays: {reason}");
            }
        }
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = || format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(said)
}
