//! The packages: what is in them, what the feed says of them, and what becomes of a router that installs, upgrades and
//! removes them.
//!
//! `openwrt-package/pack.py` makes them of the programs that were built for this machine. A router is a directory with
//! busybox, stand-ins for what OpenWrt brings (`root/`), and namespaces of its own, in which the real daemon runs.
//! The real `opkg` and `apk` are used where they are installed, or where `SWITCHBOARD_OPKG` and `SWITCHBOARD_APK` say, and a whole
//! router of OpenWrt's own programs (`openwrt.rs`) where `SWITCHBOARD_OPENWRT` says; distributions rarely have them, so that they
//! are not missed, but it is said that they were not there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod apk;
mod contents;
mod feed;
mod life;
mod openwrt;
#[path = "../support/real/mod.rs"]
mod real;
mod router;
mod scripts;
mod userland;
mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use real::ground::{self, skipped};

/// The project.
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs it and wants it to succeed; its standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A new directory.
fn directory(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ours = format!("package-{}-", std::process::id());
    if turn == 0 {
        // What runs before this one left, for people to look at.
        for old in fs::read_dir(place).unwrap().flatten() {
            let name = old.file_name().into_string().unwrap_or_default();
            if name.starts_with("package-") && !name.starts_with(&ours) {
                let _ = fs::remove_dir_all(old.path());
            }
        }
    }
    let directory = place.join(format!("{ours}{turn}-{name}"));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The built programs without what debuggers need, which would be most of every package.
fn programs() -> Option<&'static Path> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let built = Path::new(env!("CARGO_BIN_EXE_switchboard")).parent().unwrap();
        if !built.join("switchboard-cgi").exists() {
            skipped("switchboard-cgi not built (cargo test --workspace builds it)");
            return None;
        }
        let directory = directory("programs");
        for program in ["switchboard", "switchboard-cgi"] {
            fs::copy(built.join(program), directory.join(program)).unwrap();
            run(Command::new("strip").arg(directory.join(program)));
        }
        Some(directory)
    };
    PROGRAMS.get_or_init(make).as_deref()
}

/// Makes the packages of a project for this machine, and says where they are.
fn pack(project: &Path, name: &str) -> Option<PathBuf> {
    if !ground::installed("python3", "python3") {
        return None;
    }
    let packages = directory(name);
    let machine = format!("x86_64={}", programs()?.display());
    run(Command::new("python3")
        .arg(project.join("openwrt-package/pack.py"))
        .args([packages.as_os_str(), machine.as_ref()])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    Some(packages)
}

/// The packages of this project.
fn packages() -> Option<&'static Path> {
    static PACKAGES: OnceLock<Option<PathBuf>> = OnceLock::new();
    PACKAGES.get_or_init(|| pack(Path::new(PROJECT), "packages")).as_deref()
}

/// The packages of the next release: with another default configuration.
fn next_packages() -> Option<&'static Path> {
    static PACKAGES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let project = directory("next");
        for part in ["openwrt-package", "files", "cgi", "Cargo.toml"] {
            run(Command::new("cp").arg("-R").arg(Path::new(PROJECT).join(part)).arg(&project));
        }
        let makefile = project.join("openwrt-package/switchboard/Makefile");
        let text = fs::read_to_string(&makefile).unwrap();
        assert!(text.contains("PKG_RELEASE:=1\n"));
        fs::write(makefile, text.replace("PKG_RELEASE:=1\n", "PKG_RELEASE:=2\n")).unwrap();
        let config = project.join("files/etc/config/switchboard");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, format!("{text}\n# New in this release.\n")).unwrap();
        pack(&project, "next-packages")
    };
    PACKAGES.get_or_init(make).as_deref()
}

/// A program that most machines lack: where the variable says, or where programs are.
fn rare(variable: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(program));
    let found = std::env::var_os(variable).map(PathBuf::from).or_else(|| places.find(|place| place.is_file()));
    if found.is_none() {
        userland::not_run(&format!("the real {program} ({variable} names none)"));
    }
    found
}

/// `0.1.0-r1`, as the packages are called.
fn version(release: u32) -> String {
    format!("{}-r{release}", env!("CARGO_PKG_VERSION").replace('-', "_"))
}
