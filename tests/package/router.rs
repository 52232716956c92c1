//! A router: a directory with busybox and stand-ins for what OpenWrt and AREDN bring (`root/`), in namespaces of its own
//! for processes, network and mounts. What runs inside sees nothing of this machine and ends with [`Router`].

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::unistd::geteuid;

use crate::apk::{self, Entry};
use crate::{directory, ground, programs, run, skipped, version};

/// Process 1 of the namespaces: takes leave of the dead until its standard input is closed.
const INIT: &str = "\
import os, signal, sys
def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass
signal.signal(signal.SIGCHLD, reap)
print('ready', flush=True)
sys.stdin.read()
";

/// One package manager or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Ipk,
    Apk,
}

impl Form {
    /// Where the package manager is on a router.
    pub fn program(self) -> &'static str {
        match self {
            Self::Ipk => "/bin/opkg",
            Self::Apk => "/usr/bin/apk",
        }
    }
}

pub struct Router {
    pub root: PathBuf,
    /// Whether opkg or apk themselves are there; otherwise their steps are taken here.
    real: bool,
    keeper: Child,
    /// The first process inside, as this machine counts.
    inside: String,
}

impl Router {
    /// `None`: such a thing cannot be made here, and that was said.
    pub fn new(name: &str) -> Option<Self> {
        for (program, package) in
            [("busybox", "busybox"), ("python3", "python3"), ("unshare", "util-linux"), ("ldd", "libc-bin")]
        {
            if !ground::installed(program, package) {
                return None;
            }
        }
        if !geteuid().is_root() {
            skipped("a router in a directory takes root");
            return None;
        }
        programs()?;
        let root = directory(&format!("router-{name}"));
        furnish(&root);
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .arg(format!("--mount-proc={}", root.join("proc").display()))
            .args([
                "sh",
                "-c",
                "mount --bind /dev/null $0/null && mount --bind /dev/urandom $0/urandom && exec python3 -c \"$1\"",
            ])
            .args([root.join("dev").as_os_str(), INIT.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        if keeper.stdout.as_mut().unwrap().read_exact(&mut ready).is_err() {
            let mut why = String::new();
            keeper.stderr.as_mut().unwrap().read_to_string(&mut why).unwrap();
            keeper.wait().unwrap();
            skipped(&format!("namespaces may not be made here ({})", why.trim()));
            return None;
        }
        let children = format!("/proc/{0}/task/{0}/children", keeper.id());
        let inside = fs::read_to_string(children).unwrap().trim().to_owned();
        let router = Self { root, real: false, keeper, inside };
        router.sh("ip link set lo up");
        Some(router)
    }

    /// Runs a line of shell on the router.
    pub fn try_sh(&self, script: &str) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.inside, "--mount", "--net", "--pid", "chroot"])
            .arg(&self.root)
            .args(["/usr/bin/timeout", "60", "/bin/sh", "-c", script])
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
        assert!(
            output.status.success(),
            "{script}: {:?} {} {}",
            output.status,
            said(&output.stdout),
            said(&output.stderr)
        );
        said(&output.stdout)
    }

    /// Waits for something, with a deadline.
    pub fn until(&self, what: &str) {
        self.sh(&format!("n=0; until {what}; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done"));
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// What procd was told since the last question.
    pub fn told(&self) -> Vec<String> {
        let told = self.read("/tmp/procd.told").lines().map(str::to_owned).collect();
        self.write("/tmp/procd.told", "");
        told
    }

    /// The daemon's process, if there is one.
    pub fn daemon(&self) -> Option<String> {
        let output = self.try_sh("pidof switchboard");
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Lets AREDN's firewall be built anew, as was asked for, and waits until that is done.
    pub fn rebuild_firewall(&self) {
        self.sh("rm -f /tmp/firewall.done; timeout 20 sh -c 'echo >/tmp/firewall.go'");
        self.until("[ -s /tmp/firewall.done ]");
    }

    /// All files and links but what changes by itself. Empty directories do no harm, and the real opkg leaves them.
    pub fn inventory(&self) -> Vec<String> {
        let all = self.sh("find / -xdev ! -type d ! -path '/proc/*' ! -path '/tmp/*' ! -path '/var/*' ! -path '/usr/lib/opkg/*' ! -path '/lib/apk/*' ! -path '/etc/apk/*' | sort");
        all.lines().map(str::to_owned).collect()
    }

    /// Brings the package manager itself.
    pub fn equip(&mut self, form: Form, program: &Path) {
        bring(&self.root, program);
        let at = self.path(if form == Form::Ipk { "/bin/opkg" } else { "/bin/apk" });
        fs::copy(program, at).unwrap();
        match form {
            Form::Ipk => self.write("/etc/opkg.conf", "dest root /\narch all 1\narch x86_64 10\n"),
            Form::Apk => {
                self.write("/etc/apk/arch", "x86_64\n");
                self.sh("rm -rf /lib/apk && apk add --initdb && mkdir -p /lib/apk/packages");
            }
        }
        self.real = true;
    }

    fn install_really(&self, file: &Path, form: Form) -> Output {
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(file, self.path("/root").join(name)).unwrap();
        let output = self.try_sh(&match form {
            Form::Ipk => format!("opkg install /root/{name}"),
            Form::Apk => format!("apk add --allow-untrusted --no-network /root/{name}"),
        });
        fs::remove_file(self.path("/root").join(name)).unwrap();
        output
    }

    /// Installs or upgrades as the package manager does; what the scripts print reaches nobody who waits for it.
    pub fn install(&self, packages: &Path, form: Form, release: u32) -> Output {
        if self.real {
            let version = version(release);
            let name = match form {
                Form::Ipk => format!("switchboard_{version}_x86_64.ipk"),
                Form::Apk => format!("switchboard-{version}_x86_64.apk"),
            };
            return self.install_really(&packages.join(name), form);
        }
        let upgrade = self.exists(match form {
            Form::Ipk => "/usr/lib/opkg/info/switchboard.control",
            Form::Apk => "/lib/apk/exec/switchboard.pre-deinstall",
        });
        match form {
            Form::Ipk => {
                self.install_ipk(&packages.join(format!("switchboard_{}_x86_64.ipk", version(release))), upgrade)
            }
            Form::Apk => {
                self.install_apk(&packages.join(format!("switchboard-{}_x86_64.apk", version(release))), upgrade)
            }
        }
    }

    fn install_ipk(&self, file: &Path, upgrade: bool) -> Output {
        let flag = format!("PKG_UPGRADE={}", u8::from(upgrade));
        if upgrade {
            self.sh(&format!("{flag} /usr/lib/opkg/info/switchboard.prerm"));
        }
        let kept = fs::read(self.path("/etc/config/switchboard")).ok();
        let info = self.path("/usr/lib/opkg/info");
        let place = directory("opkg-unpacks");
        run(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&place));
        fs::create_dir_all(place.join("control")).unwrap();
        run(Command::new("tar").arg("-xzf").arg(place.join("control.tar.gz")).arg("-C").arg(place.join("control")));
        for part in fs::read_dir(place.join("control")).unwrap() {
            let part = part.unwrap();
            fs::copy(part.path(), info.join(format!("switchboard.{}", part.file_name().to_str().unwrap()))).unwrap();
        }
        run(Command::new("tar").arg("-xpzf").arg(place.join("data.tar.gz")).arg("-C").arg(&self.root));
        let list = run(Command::new("tar").arg("-tzf").arg(place.join("data.tar.gz")));
        let list: Vec<&str> =
            list.lines().map(|path| path.trim_start_matches('.')).filter(|p| !p.ends_with('/')).collect();
        fs::write(info.join("switchboard.list"), list.join("\n") + "\n").unwrap();
        self.keep(kept, "-opkg");
        self.try_sh(&format!("{flag} /usr/lib/opkg/info/switchboard.postinst configure"))
    }

    fn install_apk(&self, file: &Path, upgrade: bool) -> Output {
        let kept = fs::read(self.path("/etc/config/switchboard")).ok();
        let package = apk::read(file);
        for (path, entry) in &package.entries {
            self.place(path, entry);
        }
        self.keep(kept, ".apk-new");
        for (kind, script) in &package.scripts {
            let path = format!("/lib/apk/exec/switchboard.{kind}");
            self.write(&path, script);
            fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let kind = if upgrade { "post-upgrade" } else { "post-install" };
        self.try_sh(&format!("/lib/apk/exec/switchboard.{kind}"))
    }

    fn place(&self, path: &str, entry: &Entry) {
        let at = self.path(path);
        if entry.mode & 0o170_000 == 0o040_000 {
            fs::create_dir_all(at).unwrap();
            return;
        }
        let _ = fs::remove_file(&at);
        if entry.target.is_empty() {
            fs::write(&at, &entry.data).unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(entry.mode & 0o7777)).unwrap();
        } else {
            symlink(&entry.target, at).unwrap();
        }
    }

    /// A configuration that was changed stays, and the new one lies beside it.
    fn keep(&self, kept: Option<Vec<u8>>, ending: &str) {
        let config = self.path("/etc/config/switchboard");
        if let Some(kept) = kept.filter(|kept| *kept != fs::read(&config).unwrap()) {
            fs::rename(&config, self.path(&format!("/etc/config/switchboard{ending}"))).unwrap();
            fs::write(config, kept).unwrap();
        }
    }

    /// Removes the package as its manager does.
    pub fn remove(&self, form: Form) {
        if self.real {
            self.sh(if form == Form::Ipk { "opkg remove switchboard" } else { "apk del switchboard" });
            return;
        }
        let (before, list, after) = match form {
            Form::Ipk => (
                "/usr/lib/opkg/info/switchboard.prerm",
                "/usr/lib/opkg/info/switchboard.list",
                "/usr/lib/opkg/info/switchboard.postrm",
            ),
            Form::Apk => (
                "/lib/apk/exec/switchboard.pre-deinstall",
                "/lib/apk/packages/switchboard.list",
                "/lib/apk/exec/switchboard.post-deinstall",
            ),
        };
        self.sh(&format!("PKG_UPGRADE=0 {before} remove"));
        let files = self.read(list);
        for file in files.lines().filter(|file| *file != "/etc/config/switchboard") {
            let _ = fs::remove_file(self.path(file));
            for above in Path::new(file).ancestors().skip(1).filter(|above| above.parent().is_some()) {
                let _ = fs::remove_dir(self.path(above.to_str().unwrap()));
            }
        }
        self.sh(&format!("PKG_UPGRADE=0 {after} remove"));
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// The libraries that a program of this machine needs there.
pub fn bring(root: &Path, program: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    for word in String::from_utf8_lossy(&listed.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
        let at = root.join(&word[1..]);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::copy(word, at).unwrap();
    }
}

/// What stands on every router.
fn furnish(root: &Path) {
    for directory in [
        "bin",
        "sbin",
        "proc",
        "dev",
        "root",
        "lib/apk/exec",
        "lib/apk/packages",
        "usr/bin",
        "usr/sbin",
        "usr/lib/opkg/info",
        "usr/local/bin",
        "usr/libexec",
        "etc/config",
        "etc/init.d",
        "etc/rc.d",
        "etc/uci-defaults",
        "tmp/nft",
        "www/cgi-bin",
    ] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("tmp", root.join("var")).unwrap();
    for directory in ["tmp/run", "tmp/lock"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("dev/null"), "").unwrap();
    fs::write(root.join("dev/urandom"), "").unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/ash\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();

    let busybox = PathBuf::from(run(Command::new("sh").args(["-c", "command -v busybox"])).trim());
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    for applet in run(Command::new(&busybox).arg("--list")).lines() {
        let _ = symlink("/bin/busybox", root.join("usr/bin").join(applet));
    }
    symlink("busybox", root.join("bin/sh")).unwrap();
    for program in [busybox, programs().unwrap().join("switchboard")] {
        bring(root, &program);
    }

    let stands_in = Path::new(crate::PROJECT).join("tests/package/root");
    for (name, place) in [
        ("functions.sh", "lib/functions.sh"),
        ("rc.common", "etc/rc.common"),
        ("uci", "sbin/uci"),
        ("nft", "usr/sbin/nft"),
        ("logger", "usr/sbin/logger"),
        ("rpcd", "etc/init.d/rpcd"),
        ("restart-firewall", "usr/local/bin/restart-firewall"),
    ] {
        fs::copy(stands_in.join(name), root.join(place)).unwrap();
        fs::set_permissions(root.join(place), fs::Permissions::from_mode(0o755)).unwrap();
    }
    run(Command::new("mkfifo").arg(root.join("tmp/firewall.go")));
    for chain in ["input_lan", "input_wifi", "input_dtdlink", "input_vpn", "input_wan"] {
        fs::write(root.join("tmp/nft").join(chain), "").unwrap();
    }
}
