//! A router with OpenWrt's own programs and scripts, where `SWITCHBOARD_OPENWRT` names a root directory of them: procd is
//! process 1, the package manager, ubus, rpcd, uhttpd, logd and the shell are the router's. CONTRIBUTING.md says what the
//! directory must hold and where one gets it. The namespaces and the right to restart the machine are not the router's.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::ground::{PATIENCE, until};
use crate::router::{Form, bring};
use crate::{directory, programs, run, version};

/// What must be there; the rest is looked at where it is used.
const PARTS: [&str; 11] = [
    "bin/busybox",
    "bin/ubus",
    "etc/rc.common",
    "lib/functions.sh",
    "lib/functions/procd.sh",
    "sbin/logd",
    "sbin/procd",
    "sbin/reload_config",
    "sbin/rpcd",
    "sbin/ubusd",
    "usr/sbin/uhttpd",
];

/// Becomes the router: its root, its devices, memory for what a router has in memory, nothing of this machine's settings. What
/// procd finds in the environment tells it that the devices are made.
const BECOME: &str = "set -e
mount --make-rprivate /
mount --bind \"$0\" \"$0\"
cd \"$0\"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s null dev/console
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p tmp/run tmp/lock tmp/state tmp/shm mnt
ip link set lo up
pivot_root . mnt
exec /bin/busybox sh -c 'umount -l /mnt; exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/procd'";

/// What no router in a directory needs: restarting the machine, its modules, its clock, its kernel's messages.
const WITHOUT: &str = "-sys_boot,-sys_module,-sys_rawio,-sys_time,-syslog,-wake_alarm";

pub struct Node {
    pub root: PathBuf,
    keeper: Option<Child>,
    /// procd, as this machine counts.
    inside: String,
}

/// Says what was not tried, in words that whoever reads the log of a merge finds (`.ci/run` repeats them).
pub fn not_run(why: &str) {
    std::io::stderr().write_all(format!("NOT RUN: {why}\n").as_bytes()).unwrap();
}

/// The root directory, if one was named.
fn given() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("SWITCHBOARD_OPENWRT").map(PathBuf::from) else {
        not_run("a router with OpenWrt's own programs (SWITCHBOARD_OPENWRT names no root directory)");
        return None;
    };
    for part in PARTS {
        assert!(root.join(part).exists(), "SWITCHBOARD_OPENWRT={}: no {part}", root.display());
    }
    Some(root)
}

impl Node {
    /// A router that has booted. `None`: none is given.
    pub fn boot(name: &str) -> Option<Self> {
        let given = given()?;
        programs()?;
        let root = directory(&format!("openwrt-{name}"));
        run(Command::new("cp").arg("-a").arg(given.join(".")).arg(&root));
        for program in ["switchboard", "switchboard-cgi"] {
            bring(&root, &programs().unwrap().join(program));
        }
        let mut node = Self { root, keeper: None, inside: String::new() };
        node.start();
        Some(node)
    }

    fn start(&mut self) {
        let keeper = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "setpriv"])
            .args(["--bounding-set", WITHOUT, "sh", "-c", BECOME])
            .arg(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", keeper.id());
        self.inside = until("process 1", PATIENCE, || {
            Some(fs::read_to_string(&children).ok()?.trim().to_owned()).filter(|found| !found.is_empty())
        });
        let program = format!("/proc/{}/comm", self.inside);
        self.keeper = Some(keeper);
        until("procd", PATIENCE, || (fs::read_to_string(&program).ok()?.trim() == "procd").then_some(()));
        until("the end of the boot", PATIENCE, || {
            self.try_sh("logread | grep -q 'init complete'").status.success().then_some(())
        });
    }

    /// Its power goes and comes back: what is in memory is gone.
    pub fn power_cycle(&mut self) {
        self.halt();
        self.start();
    }

    fn halt(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.kill();
            let _ = keeper.wait();
            // Process 1 is ended with its keeper; the directory is free once it has gone.
            let gone = PathBuf::from(format!("/proc/{}", self.inside));
            until("the end of procd", PATIENCE, || (!gone.exists()).then_some(()));
        }
    }

    /// Runs a line of the router's shell.
    pub fn try_sh(&self, script: &str) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.inside, "--mount", "--net", "--pid", "--ipc", "--uts", "--"])
            .args(["/bin/busybox", "timeout", "90", "/bin/sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The same, which must succeed; what it prints.
    pub fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (said(&output.stdout), said(&output.stderr));
        assert!(output.status.success(), "{script}: {:?} {out} {err}\n{}", output.status, self.log());
        out
    }

    /// Waits until a line of shell succeeds.
    pub fn until(&self, what: &str) {
        until(what, PATIENCE, || self.try_sh(what).status.success().then_some(()));
    }

    /// What the daemon and its scripts left in the system's log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.try_sh("logread -e switchboard").stdout).into_owned()
    }

    /// Whether one of these is missing; what is not tried without them is said.
    pub fn lacks(&self, paths: &[&str], what: &str) -> bool {
        let missing = paths.iter().find(|path| !self.has(path));
        if let Some(path) = missing {
            not_run(&format!("{what} (SWITCHBOARD_OPENWRT has no {path})"));
        }
        missing.is_some()
    }

    pub fn has(&self, path: &str) -> bool {
        self.root.join(path.trim_start_matches('/')).symlink_metadata().is_ok()
    }

    /// A file outside the memory.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path.trim_start_matches('/'))).unwrap_or_default()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The daemon's process, or nothing. Scripts have the same name, and procd runs one whenever a service has started.
    pub fn daemon(&self) -> String {
        let of_the_program =
            "for p in $(pidof switchboard); do readlink /proc/$p/exe | grep -q sbin/switchboard && echo $p; done; true";
        self.sh(of_the_program).trim().to_owned()
    }

    /// The daemon answers; its process.
    pub fn runs(&self) -> String {
        self.until("ubus call switchboard status | grep -q uptime_s");
        self.daemon()
    }

    /// Waits until the process is not this one any more.
    pub fn until_not(&self, old: &str) {
        until("another daemon", PATIENCE, || (self.daemon() != old).then_some(()));
    }

    /// The package managers that are there.
    pub fn managers(&self) -> Vec<Form> {
        [Form::Ipk, Form::Apk].into_iter().filter(|form| self.has(form.program())).collect()
    }

    /// Makes one of them the router's only one, as on every release.
    pub fn keep_manager(&self, form: Form) {
        match form {
            Form::Ipk => {
                self.sh("rm -rf /usr/bin/apk /lib/apk /etc/apk; mkdir -p /usr/lib/opkg/info");
                self.sh("grep -qs ^arch /etc/opkg.conf || echo 'arch all 1' >>/etc/opkg.conf");
                self.sh("grep -q '^arch x86_64 ' /etc/opkg.conf || echo 'arch x86_64 10' >>/etc/opkg.conf");
            }
            Form::Apk => {
                self.sh("rm -rf /bin/opkg /usr/lib/opkg /etc/opkg.conf");
                self.sh("[ -s /lib/apk/db/installed ] || apk add --initdb");
                self.sh("mkdir -p /lib/apk/packages; [ -s /etc/apk/arch ] || echo x86_64 >/etc/apk/arch");
            }
        }
    }

    /// Installs or upgrades a file.
    pub fn install_file(&self, file: &Path, form: Form) -> Output {
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(file, self.root.join("root").join(name)).unwrap();
        let output = self.try_sh(&match form {
            Form::Ipk => format!("opkg install /root/{name}"),
            Form::Apk => format!("apk add --allow-untrusted --no-network /root/{name}"),
        });
        fs::remove_file(self.root.join("root").join(name)).unwrap();
        output
    }

    /// The same with a release of ours, which must succeed.
    pub fn install(&self, packages: &Path, form: Form, release: u32) {
        let version = version(release);
        let output = self.install_file(
            &packages.join(match form {
                Form::Ipk => format!("switchboard_{version}_x86_64.ipk"),
                Form::Apk => format!("switchboard-{version}_x86_64.apk"),
            }),
            form,
        );
        assert!(output.status.success(), "{output:?}");
    }

    pub fn remove(&self, name: &str, form: Form) {
        self.sh(&match form {
            Form::Ipk => format!("opkg remove {name}"),
            Form::Apk => format!("apk del --no-network {name}"),
        });
    }

    /// All files and links outside the memory, but the package managers' own.
    pub fn inventory(&self) -> Vec<String> {
        let own = "! -path '/usr/lib/opkg/*' ! -path '/lib/apk/*' ! -path '/etc/apk/*'";
        let all = self.sh(&format!("find / -xdev ! -type d {own} | sort"));
        all.lines().map(str::to_owned).collect()
    }

    /// Asks the router's web server; head and body. Chunks are put together.
    pub fn http(&self, request: &str) -> (String, String) {
        let namespace = format!("/proc/{}/ns/net", self.inside);
        let sent = request.to_owned();
        let ask = move || {
            setns(File::open(namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 80)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(sent.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        };
        let answer = std::thread::spawn(ask).join().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.unwrap_or_else(|| panic!("{request}: {}", said(&answer))));
        let (head, body) = (said(head), &body[4..]);
        let whole = if head.contains("Transfer-Encoding: chunked") { unchunked(body) } else { body.to_vec() };
        (head, said(&whole))
    }

    pub fn get(&self, path: &str) -> (String, String) {
        self.http(&format!("GET {path} HTTP/1.1\r\nHost: localnode\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.halt();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}
