//! An archive as the kernel unpacks it when it boots: cpio's "newc" (the kernel's Documentation/driver-api/early-userspace).

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const DIRECTORY: u32 = 0o040_000;
const CHARACTERS: u32 = 0o020_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    /// Everything below `root`, as root's.
    pub fn tree(&mut self, root: &Path) {
        self.below(root, root);
    }

    /// The device that the first process has before there are others.
    pub fn console(&mut self) {
        self.add(b"dev/console", CHARACTERS | 0o600, (5, 1), &[]);
    }

    /// The whole of it.
    pub fn end(mut self) -> Vec<u8> {
        self.add(b"TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn below(&mut self, root: &Path, directory: &Path) {
        let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let found = fs::symlink_metadata(&path).unwrap();
            let (name, mode) =
                (path.strip_prefix(root).unwrap().as_os_str().as_bytes(), found.permissions().mode() & 0o7777);
            if found.is_dir() {
                self.add(name, DIRECTORY | mode, (0, 0), &[]);
                self.below(root, &path);
            } else if found.is_symlink() {
                self.add(name, LINK | 0o777, (0, 0), fs::read_link(&path).unwrap().as_os_str().as_bytes());
            } else {
                self.add(name, FILE | mode, (0, 0), &fs::read(&path).unwrap());
            }
        }
    }

    fn add(&mut self, name: &[u8], mode: u32, (major, minor): (u32, u32), data: &[u8]) {
        self.count += 1;
        let (size, named) = (u32::try_from(data.len()).unwrap(), u32::try_from(name.len() + 1).unwrap());
        self.bytes.extend_from_slice(b"070701");
        // Number, mode, owner, group, links, date, size, where it was, which device it is, length of the name, a sum that is not used.
        for field in [self.count, mode, 0, 0, 1, 0, size, 0, 0, major, minor, named, 0] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        for part in [&[name, &[0]].concat(), data] {
            self.bytes.extend_from_slice(part);
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
    }
}
