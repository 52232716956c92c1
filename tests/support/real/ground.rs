//! The ground that every test here stands on: a piece of loopback and a directory of its own, children that die with
//! the test, and waiting for events with a deadline.
//!
//! Nothing here sleeps for a fixed time: [`until`] looks again and again until what it waits for is true.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A deadline that is only met when something is wrong: a loaded machine of two cores must fit.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something, and fails the test at the deadline with what was awaited.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a peer is installed. A missing one is named, and is a failure where `SWITCHBOARD_REQUIRE_PEERS=1` is set.
pub fn installed(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file());
    if !found {
        skipped(&format!("{program} not installed (Debian package {package})"));
    }
    found
}

/// Says why something is not tested, which is a failure with `SWITCHBOARD_REQUIRE_PEERS=1`.
pub fn skipped(why: &str) {
    let message = format!("SKIPPED: {why}\n");
    assert!(std::env::var_os("SWITCHBOARD_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{message}");
    // Not by a print macro: the test harness would swallow it.
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// A /24 of loopback that nobody else uses while this lives, in this process or another; or one of a namespace of the test's own.
pub struct Subnet {
    network: [u8; 3],
    _lock: Option<TcpListener>,
}

impl Subnet {
    /// Takes a free one; a listening socket on its last address is the lock.
    pub fn claim() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..1_000 {
            let turn = NEXT.fetch_add(1, Ordering::Relaxed);
            let place = std::process::id().wrapping_mul(61).wrapping_add(turn);
            let network = [127, 10 + (place / 250 % 200) as u8, (place % 250) as u8];
            let [a, b, c] = network;
            if let Ok(lock) = TcpListener::bind((Ipv4Addr::new(a, b, c, 254), 9)).or_else(|_| {
                // Port 9 needs root.
                TcpListener::bind((Ipv4Addr::new(a, b, c, 254), 65_009))
            }) {
                return Self { network, _lock: Some(lock) };
            }
        }
        panic!("no free piece of loopback")
    }

    /// This one, in a namespace where nobody else is.
    pub fn of(network: [u8; 3]) -> Self {
        Self { network, _lock: None }
    }

    /// Address number `host` in it; 1 is the exchange, 254 the lock.
    pub fn host(&self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, host)
    }
}

/// A directory that goes away with the test, unless the test failed.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A fresh one.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("switchboard-{}-{turn}-{name}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file in it, with the directories on the way, and answers its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "kept for inspection: {}", self.root.display());
        } else {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// A child process whose output goes to `<name>.out`; it and its own children do not outlive the test.
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output in `directory`.
    pub fn start(name: &str, command: &mut Command, directory: &Path) -> Self {
        let output = directory.join(format!("{name}.out"));
        let file = fs::File::options().create(true).append(true).open(&output).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.into(), child, output, ended: None }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed until now.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let name = format!("the end of {}", self.name);
        until(&name, patience, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let how = match self.ended() {
                None => "still running".into(),
                Some(status) => match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, signal) => format!("signal {signal:?}"),
                },
            };
            let output = self.output();
            let tail = output.get(output.len().saturating_sub(6_000)..).unwrap_or(&output);
            let _ = writeln!(std::io::stderr(), "--- {} ({how}) printed:\n{tail}\n---", self.name);
        }
        let _ = killpg(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Waits until somebody has bound this UDP address, as the kernel tells it.
pub fn until_bound(address: Ipv4Addr, port: u16, patience: Duration) {
    let wanted = format!(" {:08X}:{port:04X} ", u32::from_ne_bytes(address.octets()));
    until(&format!("somebody on UDP {address}:{port}"), patience, || {
        fs::read_to_string("/proc/thread-self/net/udp").unwrap().contains(&wanted).then_some(())
    });
}
