//! An emulated router: qemu's Malta board with a 24Kc, big-endian, a Linux kernel of Debian's sources, busybox, the package for
//! mips_24kc as it is installed, and a cable to a network namespace of the test's own.
//!
//! `SWITCHBOARD_ROUTER` names the directory in which `make router` put all that together. The board's clock is this machine's, and its
//! processor is as fast as qemu makes it: times say little about a router, memory and what the kernel does say the same.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;

use crate::archive::Archive;
use crate::real::ground::{Subnet, installed, skipped};
use crate::real::{PATIENCE, Process, Tree, until};

/// The exchange is the first of its network, the phones are the others.
const NETWORK: [u8; 3] = [10, 82, 0];

/// The last phone's place in the network.
pub const PHONES: u8 = 40;

/// What has been built, and for what it is needed.
const PARTS: [&str; 5] = ["vmlinux", "busybox", "busybox.links", "package.ipk", "tests"];

/// A boot takes four seconds; on a machine that builds something besides, more.
const BOOT: Duration = Duration::from_secs(120);

/// The directory of `make router`, if it was named.
pub fn given() -> Option<PathBuf> {
    let Some(parts) = std::env::var_os("SWITCHBOARD_ROUTER").map(PathBuf::from) else {
        let why = "NOT RUN: an emulated router (SWITCHBOARD_ROUTER names no parts of one; make router does it all)\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return None;
    };
    for part in PARTS {
        assert!(parts.join(part).exists(), "SWITCHBOARD_ROUTER={}: no {part}", parts.display());
    }
    for (program, package) in [("qemu-system-mips", "qemu-system-mips"), ("ip", "iproute2"), ("setpriv", "util-linux")]
    {
        if !installed(program, package) {
            return None;
        }
    }
    if !geteuid().is_root() {
        skipped("an emulated router takes root: for its cable");
        return None;
    }
    Some(parts)
}

pub struct Machine {
    qemu: Process,
    /// Its network, as the phones see it.
    pub net: Subnet,
    pub tree: Tree,
}

impl Machine {
    /// One that has booted, with so many megabytes and without the daemon running. This thread is in the phones' namespace from now
    /// on, and so is what it starts. `None`: there is nothing to make it of.
    pub fn boot(name: &str, megabytes: u32) -> Option<Self> {
        let parts = given()?;
        let (net, tree) = (Subnet::of(NETWORK), Tree::new(name));
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run(Command::new("ip").args(["link", "set", "lo", "up"]));
        run(Command::new("ip").args(["tuntap", "add", "cable", "mode", "tap"]));
        run(Command::new("ip").args(["link", "set", "cable", "up"]));
        for host in 2..=PHONES {
            run(Command::new("ip").args(["address", "add", &format!("{}/24", net.host(host)), "dev", "cable"]));
        }
        let root = tree.write("root.cpio", furnish(&parts, &tree));
        // It ends with this thread, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "qemu-system-mips"])
            .args(["-M", "malta", "-cpu", "24Kc", "-m", &megabytes.to_string()])
            .args(["-nodefaults", "-vga", "none", "-display", "none", "-monitor", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(parts.join("vmlinux"))
            .arg("-initrd")
            .arg(root)
            .args(["-append", "console=ttyS0 panic=-1 rootfstype=ramfs rdinit=/sbin/init"])
            .arg("-serial")
            .arg(format!("file:{}", tree.path("console").display()))
            .args(["-netdev", "tap,id=lan,ifname=cable,script=no,downscript=no"])
            .args(["-device", "virtio-net-pci,netdev=lan,romfile="])
            // The checkout, at the same path as here, for tests that read files of it.
            .arg("-fsdev")
            .arg(format!("local,id=checkout,path={},security_model=none,readonly=on", env!("CARGO_MANIFEST_DIR")))
            .args(["-device", "virtio-9p-pci,fsdev=checkout,mount_tag=checkout"]);
        let qemu = Process::start("qemu", &mut command, &tree.path(""));
        let mut machine = Self { qemu, net, tree };
        until("the router's shell", BOOT, || {
            if let Some(status) = machine.qemu.ended() {
                panic!("it ended ({status}) after it had said:\n{}", machine.console());
            }
            (machine.console().contains("the router is up") && machine.try_sh("true", PATIENCE).is_some()).then_some(())
        });
        Some(machine)
    }

    /// Everything that came over the serial line.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.tree.path("console")).unwrap_or_default()).into_owned()
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.net.host(1)
    }

    /// A port there.
    pub fn at(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(), port)
    }

    /// What a line of shell says, both outputs, and how it ended; `None`: no shell answered, or none that came to the end.
    pub fn try_sh(&self, script: &str, patience: Duration) -> Option<(i32, String)> {
        const END: &str = "\nthe end: ";
        let mut shell = TcpStream::connect_timeout(&self.at(23).into(), patience).ok()?;
        shell.set_read_timeout(Some(patience)).unwrap();
        // Read to its end before anything of it runs, for its commands have no input.
        write!(shell, "{{\n{script}\n}} </dev/null 2>&1\nstatus=$?\necho; echo \"the end: $status\"\n").ok()?;
        shell.shutdown(Shutdown::Write).ok()?;
        let mut said = Vec::new();
        shell.read_to_end(&mut said).ok()?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let (text, status) = said.rsplit_once(END)?;
        Some((status.trim().parse().ok()?, text.to_owned()))
    }

    /// What a line of shell says, which must succeed.
    pub fn sh(&self, script: &str) -> String {
        self.sh_for(script, PATIENCE)
    }

    /// The same where it may take longer.
    pub fn sh_for(&self, script: &str, patience: Duration) -> String {
        match self.try_sh(script, patience) {
            Some((0, text)) => text,
            Some((status, text)) => panic!("{script}: {status}\n{text}"),
            None => panic!("{script}: no answer within {patience:?}; the console:\n{}", self.console()),
        }
    }

    /// A file there gets this content.
    pub fn write(&self, path: &str, content: &str) {
        assert!(!content.contains("\nEND-OF-FILE\n"));
        self.sh(&format!("mkdir -p {} && cat > {path} <<'END-OF-FILE'\n{content}\nEND-OF-FILE", parent(path)));
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// Runs it and wants it to succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Its file system: busybox, the package, who lives there.
fn furnish(parts: &Path, tree: &Tree) -> Vec<u8> {
    let root = tree.path("root");
    for directory in ["bin", "sbin", "dev", "proc", "sys", "tmp", "etc"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::os::unix::fs::symlink("/tmp", root.join("var")).unwrap();
    fs::copy(parts.join("busybox"), root.join("bin/busybox")).unwrap();
    for name in fs::read_to_string(parts.join("busybox.links")).unwrap().lines() {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let init = root.join("sbin/init");
    fs::write(&init, include_str!("init")).unwrap();
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    // As the package's scripts leave them.
    tree.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nswitchboard:x:457:457::/var:/bin/false\n");
    tree.write("root/etc/group", "root:x:0:\nswitchboard:x:457:\n");
    let package = tree.path("package");
    fs::create_dir_all(&package).unwrap();
    run(Command::new("tar").arg("-xzf").arg(parts.join("package.ipk")).arg("-C").arg(&package));
    run(Command::new("tar").arg("-xzf").arg(package.join("data.tar.gz")).arg("-C").arg(&root));
    let mut archive = Archive::default();
    archive.tree(&root);
    archive.console();
    archive.end()
}
