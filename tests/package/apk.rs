//! Reads a package of apk v3, written anew from the description of the format (apk-v3(5)) and not from our writer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::run;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub mode: u32,
    pub data: Vec<u8>,
    pub target: String,
}

/// A package.
#[derive(Debug)]
pub struct Package {
    pub info: BTreeMap<&'static str, String>,
    pub depends: Vec<String>,
    pub provides: Vec<String>,
    pub entries: BTreeMap<String, Entry>,
    pub scripts: BTreeMap<&'static str, String>,
}

/// A database of values: words whose upper four bits are a kind and whose others are a value or a place.
struct Adb<'a>(&'a [u8]);

impl Adb<'_> {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn blob(&self, value: u32) -> &[u8] {
        let at = (value & 0x0fff_ffff) as usize;
        let (length, from) = match value >> 28 {
            0 => return &[],
            8 => (usize::from(self.0[at]), at + 1),
            9 => (usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]])), at + 2),
            10 => (self.word(at) as usize, at + 4),
            kind => panic!("a blob of kind {kind}"),
        };
        &self.0[from..from + length]
    }

    fn text(&self, value: u32) -> String {
        String::from_utf8(self.blob(value).to_vec()).unwrap()
    }

    fn number(&self, value: u32) -> u32 {
        match value >> 28 {
            0 => 0,
            1 => value & 0x0fff_ffff,
            2 => self.word((value & 0x0fff_ffff) as usize),
            kind => panic!("a number of kind {kind}"),
        }
    }

    /// The slots of an array or object, from 1; `[0]` is their number.
    fn slots(&self, value: u32) -> Vec<u32> {
        if value == 0 {
            return vec![1];
        }
        assert!(matches!(value >> 28, 13 | 14), "neither an array nor an object: {value:x}");
        let at = (value & 0x0fff_ffff) as usize;
        (0..self.word(at) as usize).map(|slot| self.word(at + 4 * slot)).collect()
    }

    fn list(&self, value: u32) -> Vec<u32> {
        self.slots(value)[1..].to_vec()
    }
}

fn slot(slots: &[u32], number: usize) -> u32 {
    slots.get(number).copied().unwrap_or(0)
}

pub fn read(file: &Path) -> Package {
    const INFLATE: &str = "import sys, zlib; data = open(sys.argv[1], 'rb').read(); assert data[:4] == b'ADBd'; \
                           sys.stdout.write(zlib.decompress(data[4:], -15).hex())";
    let hex = run(Command::new("python3").args(["-c", INFLATE]).arg(file));
    let bytes: Vec<u8> = (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
    assert_eq!(&bytes[..8], b"ADB.pckg");

    // Blocks: a word with two bits of kind and the length with this word, the contents, zeros up to a multiple of 8.
    let (mut blocks, mut at) = (Vec::new(), 8);
    while at < bytes.len() {
        let word = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = (word & 0x3fff_ffff) as usize;
        blocks.push((word >> 30, &bytes[at + 4..at + length]));
        at += length.next_multiple_of(8);
    }
    assert_eq!(at, bytes.len());
    let adb = Adb(blocks[0].1);
    assert_eq!((blocks[0].0, adb.0[0], adb.0[1]), (0, 0, 0), "first the database, of version 0");
    let mut contents: BTreeMap<(u32, u32), &[u8]> = BTreeMap::new();
    for (kind, data) in &blocks[1..] {
        assert_eq!(*kind, 2, "then the contents");
        let place = Adb(data);
        contents.insert((place.word(0), place.word(4)), &data[8..]);
    }

    let package = adb.slots(adb.word(4));
    let about = adb.slots(package[1]);
    let names = ["", "name", "version", "", "description", "arch", "license", "origin", "maintainer", "url"];
    let info = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
    let info = info.map(|(number, name)| (*name, adb.text(slot(&about, number)))).collect();
    assert_eq!(adb.blob(about[3]).len(), 20, "its identity");
    let relations = |field: usize| {
        let one = |relation: u32| {
            let relation = adb.slots(relation);
            let not = if adb.number(slot(&relation, 3)) & 16 != 0 { "!" } else { "" };
            let version = adb.text(slot(&relation, 2));
            let equals = if version.is_empty() { "" } else { "=" };
            format!("{not}{}{equals}{version}", adb.text(relation[1]))
        };
        adb.list(slot(&about, field)).into_iter().map(one).collect()
    };
    let (depends, provides) = (relations(15), relations(16));

    let mut entries = BTreeMap::new();
    let mut seen = Vec::new();
    for (path_index, path) in adb.list(package[2]).into_iter().enumerate() {
        let path = adb.slots(path);
        let name = adb.text(path[1]);
        entries.insert(
            name.clone(),
            Entry { mode: 0o40000 | mode(&adb, path[2]), data: Vec::new(), target: String::new() },
        );
        let mut before = String::new();
        for (file_index, file) in adb.list(slot(&path, 3)).into_iter().enumerate() {
            let file = adb.slots(file);
            let file_name = adb.text(file[1]);
            assert!(before < file_name, "{before} stands before {file_name}");
            before.clone_from(&file_name);
            let place = (u32::try_from(path_index).unwrap() + 1, u32::try_from(file_index).unwrap() + 1);
            let data = contents.remove(&place).unwrap_or_default().to_vec();
            let size = adb.number(slot(&file, 3)) as usize;
            let target = adb.blob(slot(&file, 6));
            let entry = if let Some(target) = target.strip_prefix(&0xa000_u16.to_le_bytes()) {
                assert_eq!((size, data.len()), (target.len(), 0));
                Entry {
                    mode: 0o120_000 | mode(&adb, file[2]),
                    data,
                    target: String::from_utf8(target.to_vec()).unwrap(),
                }
            } else {
                assert_eq!(size, data.len(), "{file_name}");
                assert_eq!(adb.blob(file[5]).len(), 32, "{file_name} has its digest");
                Entry { mode: 0o100_000 | mode(&adb, file[2]), data, target: String::new() }
            };
            let full = if name.is_empty() { file_name } else { format!("{name}/{file_name}") };
            entries.insert(full, entry);
        }
        seen.push(name);
    }
    assert!(seen.is_sorted() && contents.is_empty());

    let kinds = [
        "",
        "trigger",
        "pre-install",
        "post-install",
        "pre-deinstall",
        "post-deinstall",
        "pre-upgrade",
        "post-upgrade",
    ];
    let run = adb.slots(slot(&package, 3));
    let scripts = kinds.iter().enumerate().filter(|(number, _)| slot(&run, *number) != 0 && *number > 0);
    let scripts = scripts.map(|(number, kind)| (*kind, adb.text(run[number]))).collect();
    Package { info, depends, provides, entries, scripts }
}

/// The permissions; all belongs to root.
fn mode(adb: &Adb<'_>, acl: u32) -> u32 {
    let acl = adb.slots(acl);
    assert_eq!((adb.text(acl[2]).as_str(), adb.text(acl[3]).as_str()), ("root", "root"));
    adb.number(acl[1])
}
