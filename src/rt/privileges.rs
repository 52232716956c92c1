//! From root to a user without rights: once everything is open that needs root, and before anything from outside is read.
//!
//! Nothing is kept, because nothing is needed again: the ICMP socket and the unix socket stay open over a reload. Only where a
//! configured port is below 1024 the right to bind one stays. What the daemon writes is made and handed over here, also what an
//! earlier process left that ran as root; a configuration that names new places may need a restart.
//!
//! It deliberately does not filter system calls: the kernels of AREDN have no seccomp (`docs/adr/0041-privileges.md`).

#![allow(unsafe_code, clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Gid, Uid, User, access, geteuid, setgroups, setresgid, setresuid};

use crate::config::Config;

/// What stands beside a file that the daemon writes.
const BESIDE: [&str; 6] = ["", ".new", ".last", ".last.new", ".hash", ".bak"];

/// Directories that others write to as well; they are given to nobody.
const SHARED: [&str; 6] = ["/var/run", "/var/log", "/var/lib", "/var/tmp", "/tmp/run", "/tmp/log"];

/// Capabilities, linux/capability.h.
const CAP_NET_BIND_SERVICE: u32 = 10;
/// As many as the interface with two words knows.
const CAPABILITIES: libc::c_ulong = 64;

/// Gives up being root, if it is. The error is a sentence.
pub fn give_up(config: &Config, config_file: &Path) -> Result<(), String> {
    if geteuid().is_root() && !config.main.user.is_empty() {
        match User::from_name(&config.main.user) {
            Ok(Some(user)) if !user.uid.is_root() => {
                hand_over(config, config_file, user.uid, user.gid);
                become_user(config, user.uid, user.gid)
                    .map_err(|error| format!("cannot become {}: {error}", user.name))?;
                tell_what_is_out_of_reach(config, config_file, &user.name);
            }
            Ok(Some(_)) => log::info!("runs as root, as the configuration wants"),
            Ok(None) => log::info!("there is no user {}: runs as root", config.main.user),
            Err(error) => {
                let error = io::Error::from(error);
                return Err(format!("cannot look for the user {}: {error}", config.main.user));
            }
        }
    }
    // SAFETY: prctl(2) with numbers alone. A program that this one cannot start must not have more rights either.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(format!("cannot give up new privileges: {}", io::Error::last_os_error())),
    }
}

/// The order matters: each step takes a right that the next one must not need any more.
fn become_user(config: &Config, uid: Uid, gid: Gid) -> io::Result<()> {
    let listens = [config.sip.listen.port(), config.probe.listen.port()];
    let low =
        listens.into_iter().chain(config.api.listen.iter().map(|at| at.port())).any(|port| (1..1_024).contains(&port));
    let kept = if low { 1_u32 << CAP_NET_BIND_SERVICE } else { 0 };
    // SAFETY: prctl(2) with numbers alone. Capabilities that the kernel does not know are refused, which is as good.
    unsafe {
        for capability in 0..CAPABILITIES {
            if capability != libc::c_ulong::from(CAP_NET_BIND_SERVICE) || !low {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
        }
        libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(low), 0, 0, 0);
    }
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    set_capabilities(kept)?;
    if geteuid() != uid || setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok() {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(())
}

/// capset(2) has no wrapper in libc: version 3 has two words of each set.
fn set_capabilities(low: u32) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let sets =
        [Sets { effective: low, permitted: low, inheritable: 0 }, Sets { effective: 0, permitted: 0, inheritable: 0 }];
    // SAFETY: both structures are as the kernel's interface of version 3 has them, and live through the call.
    match unsafe { libc::syscall(libc::SYS_capset, &header, sets.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the directories that the daemon writes to and gives them to the user, and files that stand where everybody writes.
fn hand_over(config: &Config, config_file: &Path, uid: Uid, gid: Gid) {
    let places = config.places();
    let parents = places.files.iter().filter_map(|file| file.parent());
    for directory in parents.chain(places.directories.iter().copied()) {
        if let Err(error) = give_directory(directory, uid, gid) {
            log::warn!("{} cannot be given to {}: {error}", directory.display(), config.main.user);
        }
    }
    for file in &places.files {
        for end in BESIDE {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            give_file(&PathBuf::from(name), uid, gid);
        }
    }
    share(config_file, gid, 0o040);
    share(&config.mesh.babel_socket, gid, 0o060);
}

fn give_directory(path: &Path, uid: Uid, gid: Gid) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    if leads_astray(path) {
        return Err(io::Error::other("somebody's link is on the way to it"));
    }
    fs::create_dir_all(path)?;
    let found = fs::symlink_metadata(path)?;
    // One right below the root, or one of the system's, belongs to many.
    let shared = path.components().count() < 3 || SHARED.iter().any(|shared| path == Path::new(shared));
    if !found.is_dir() || shared || path.starts_with("/etc") || found.mode() & libc::S_ISVTX != 0 {
        return Ok(());
    }
    match found.uid() {
        0 => lchown(path, Some(uid.as_raw()), Some(gid.as_raw())),
        owner if owner == uid.as_raw() => Ok(()),
        _ => Err(io::Error::other("it belongs to somebody else")),
    }
}

/// Whether there is a link on the way that is not root's: in /tmp anybody may have made it, and it may lead to what is root's.
fn leads_astray(path: &Path) -> bool {
    let mut above = path.ancestors().skip(1).filter_map(|above| fs::symlink_metadata(above).ok());
    above.any(|found| found.is_symlink() && found.uid() != 0)
}

/// A plain file of root's that has no other name: what is linked from elsewhere may be somebody's trap.
fn give_file(path: &Path, uid: Uid, gid: Gid) {
    let found = fs::symlink_metadata(path);
    let ours =
        found.is_ok_and(|found| (found.is_file() && found.nlink() == 1 || found.is_symlink()) && found.uid() == 0);
    if ours && !leads_astray(path) {
        let _ = lchown(path, Some(uid.as_raw()), Some(gid.as_raw()));
    }
}

/// Lets the user's group read (or use) what is root's, if not everybody may: the configuration, for a reload.
fn share(path: &Path, gid: Gid, bits: u32) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let everybody = found.mode() & (bits >> 3) == bits >> 3;
    let plain = found.is_file() || found.file_type().is_socket();
    if !everybody && plain && found.uid() == 0 && (found.gid() != gid.as_raw() || found.mode() & bits != bits) {
        let mode = fs::Permissions::from_mode(found.mode() & 0o777 | bits);
        let shared = lchown(path, None, Some(gid.as_raw())).and_then(|()| fs::set_permissions(path, mode));
        if let Err(error) = shared {
            log::warn!("{} cannot be shared: {error}", path.display());
        }
    }
}

/// Says once what this user can neither write nor read, instead of failing at it for ever.
fn tell_what_is_out_of_reach(config: &Config, config_file: &Path, name: &str) {
    let places = config.places();
    let parents = places.files.iter().filter_map(|file| file.parent());
    let directories = parents.chain(places.directories.iter().copied()).filter(|path| !path.as_os_str().is_empty());
    let mut missing: Vec<String> = Vec::new();
    let mut miss = |path: &Path, flags, what: &str| {
        let text = format!("{} ({what})", path.display());
        if path.exists() && access(path, flags).is_err() && !missing.contains(&text) {
            missing.push(text);
        }
    };
    for directory in directories {
        miss(directory, AccessFlags::W_OK | AccessFlags::X_OK, "write");
    }
    for file in places.read.iter().copied().chain([config_file]).filter(|path| !path.as_os_str().is_empty()) {
        miss(file, AccessFlags::R_OK, "read");
    }
    miss(&config.mesh.babel_socket, AccessFlags::W_OK, "connect");
    match missing.is_empty() {
        true => log::info!("runs as {name}"),
        false => log::warn!("runs as {name}, who is not allowed to use: {}", missing.join(", ")),
    }
}
