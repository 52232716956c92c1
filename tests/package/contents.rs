//! Every file of both forms: content, owner, permissions, links; and what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apk::{self, Entry};
use crate::{PROJECT, directory, packages, programs, run, version};

/// What a tar contains; everything belongs to root.
fn tar(archive: &Path) -> BTreeMap<String, Entry> {
    let place = directory(&format!("unpacked-{}", archive.file_name().unwrap().to_str().unwrap()));
    run(Command::new("tar").arg("-xpf").arg(archive).arg("-C").arg(&place).arg("--no-same-owner"));
    let listed = run(Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(archive));
    let mut entries = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[1], words[3]), ("0/0", "2023-11-14"), "{line}");
        let path = words[5].trim_start_matches("./").trim_end_matches('/').to_owned();
        let kind = match &words[0][..1] {
            "d" => 0o040_000,
            "l" => 0o120_000,
            "-" => 0o100_000,
            other => panic!("{other} in {line}"),
        };
        let bits = |text: &str| text.chars().fold(0, |mode, letter| mode << 1 | u32::from(letter != '-'));
        let target = words.get(7).map_or_else(String::new, |target| (*target).to_owned());
        let data = if kind == 0o100_000 { fs::read(place.join(&path)).unwrap() } else { Vec::new() };
        entries.insert(path, Entry { mode: kind | bits(&words[0][1..]), data, target });
    }
    fs::remove_dir_all(place).unwrap();
    entries
}

/// Data and control of an .ipk.
fn ipk(file: &Path) -> (BTreeMap<String, Entry>, BTreeMap<String, Entry>) {
    let place = directory(&format!("ipk-{}", file.file_name().unwrap().to_str().unwrap()));
    let listed = run(Command::new("tar").arg("-tzf").arg(file));
    assert_eq!(listed.lines().collect::<Vec<_>>(), ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]);
    run(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&place));
    assert_eq!(fs::read(place.join("debian-binary")).unwrap(), b"2.0\n");
    (tar(&place.join("data.tar.gz")), tar(&place.join("control.tar.gz")))
}

fn own_ipk() -> Option<PathBuf> {
    Some(packages()?.join(format!("switchboard_{}_x86_64.ipk", version(1))))
}

fn own_apk() -> Option<PathBuf> {
    Some(packages()?.join(format!("switchboard-{}_x86_64.apk", version(1))))
}

/// All below a directory, by path: whether it may be executed, content, target of a link.
fn tree(root: &Path, below: &Path, found: &mut BTreeMap<String, (bool, Vec<u8>, String)>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            tree(root, &path, found);
        } else if meta.is_symlink() {
            found.insert(name, (false, Vec::new(), fs::read_link(&path).unwrap().to_str().unwrap().to_owned()));
        } else {
            let executable = meta.permissions().mode() & 0o100 != 0;
            found.insert(name, (executable, fs::read(&path).unwrap(), String::new()));
        }
    }
}

#[test]
fn what_lands_is_the_tree_the_programs_and_their_names() {
    let Some(file) = own_ipk() else { return };
    let (mut data, _) = ipk(&file);
    let mut wanted = BTreeMap::new();
    tree(&Path::new(PROJECT).join("files"), &Path::new(PROJECT).join("files"), &mut wanted);
    for (path, program) in [("usr/sbin/switchboard", "switchboard"), ("usr/libexec/switchboard-cgi", "switchboard-cgi")]
    {
        let bytes = fs::read(programs().unwrap().join(program)).unwrap();
        wanted.insert(path.into(), (true, bytes, String::new()));
    }
    for name in include_str!("../../cgi/names").lines() {
        let link = (false, Vec::new(), "../../usr/libexec/switchboard-cgi".to_owned());
        wanted.insert(format!("www/cgi-bin/{name}"), link);
    }
    let mut directories = BTreeSet::new();
    for (path, (executable, bytes, target)) in wanted {
        let entry = data.remove(&path).unwrap_or_else(|| panic!("{path} is missing"));
        let mode = if !target.is_empty() {
            0o120_777
        } else if executable {
            0o100_755
        } else {
            0o100_644
        };
        assert_eq!((entry.mode, entry.target.as_str()), (mode, target.as_str()), "{path}");
        assert!(entry.data == bytes, "{path} has another content");
        directories.extend(Path::new(&path).ancestors().skip(1).map(|above| above.to_str().unwrap().to_owned()));
    }
    for directory in directories {
        let entry = data.remove(&directory);
        assert_eq!(entry.unwrap_or_else(|| panic!("no {directory}/")).mode, 0o040_755, "{directory}");
    }
    assert!(data.is_empty(), "there is more: {:?}", data.keys());
}

#[test]
fn what_must_run_may_be_run() {
    let Some(file) = own_ipk() else { return };
    let (data, _) = ipk(&file);
    let executable: Vec<&str> =
        data.iter().filter(|(_, entry)| entry.mode == 0o100_755).map(|(path, _)| path.as_str()).collect();
    let expected = [
        "etc/init.d/switchboard",
        "etc/local/mesh-firewall/57-switchboard",
        "etc/uci-defaults/50-switchboard",
        "usr/libexec/switchboard-cgi",
        "usr/sbin/switchboard",
        "www/cgi-bin/apps/switchboard/user",
    ];
    assert_eq!(executable, expected);
    // A link into the package leads somewhere; those into RAM lead to what the daemon will write.
    for (path, entry) in data.iter().filter(|(_, entry)| entry.mode == 0o120_777) {
        if let Some(file) = entry.target.strip_prefix("/tmp/switchboard/www/") {
            assert_eq!(format!("www/arednstack/{file}"), *path);
            continue;
        }
        let mut place: Vec<&str> = path.split('/').collect();
        place.pop();
        for step in entry.target.split('/') {
            if step == ".." {
                place.pop().unwrap();
            } else {
                place.push(step);
            }
        }
        assert!(data.contains_key(&place.join("/")), "{path} leads nowhere: {}", entry.target);
    }
}

#[test]
fn the_ipk_says_what_opkg_asks_for() {
    let Some(file) = own_ipk() else { return };
    let (_, control) = ipk(&file);
    let names: Vec<&str> = control.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "conffiles", "control", "postinst", "postinst-pkg", "postrm", "prerm", "prerm-pkg"]);
    let text = |name: &str| String::from_utf8(control[name].data.clone()).unwrap();
    assert_eq!(text("conffiles"), "/etc/config/switchboard\n");
    for (name, mode) in [("conffiles", 0o644), ("control", 0o644), ("postinst", 0o755), ("postrm", 0o755)] {
        assert_eq!(control[name].mode & 0o7777, mode, "{name}");
    }
    let said = text("control");
    let fields: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once(": ")).collect();
    for (field, value) in [
        ("Package", "switchboard"),
        ("Version", version(1).as_str()),
        ("Conflicts", "AREDN-Phonebook, phonebook, sipserver"),
        ("Provides", "AREDN-Phonebook"),
        ("Architecture", "x86_64"),
        ("Require-User", "switchboard:switchboard"),
        ("License", "MIT OR Apache-2.0"),
        ("Section", "net"),
        ("SourceDateEpoch", "1700000000"),
    ] {
        assert_eq!(fields.get(field), Some(&value), "{field} in {said}");
    }
    assert!(!fields.contains_key("Depends"), "the programs need nothing");
    assert!(fields["Installed-Size"].parse::<u64>().unwrap() > 100_000);
    assert!(said.contains("\nDescription: The telephone exchange") && said.lines().last().unwrap().starts_with(' '));
    assert!(
        text("postinst").contains("\ndefault_postinst $0 $@\n") && text("prerm").contains("\ndefault_prerm $0 $@\n")
    );
}

#[test]
fn the_apk_holds_the_same_and_what_openwrt_looks_for_in_it() {
    let (Some(ipk_file), Some(apk_file)) = (own_ipk(), own_apk()) else { return };
    let (data, _) = ipk(&ipk_file);
    let mut package = apk::read(&apk_file);
    for (key, value) in [("name", "switchboard"), ("version", version(1).as_str()), ("arch", "x86_64")] {
        assert_eq!(package.info[key], value);
    }
    assert_eq!(package.depends, ["!AREDN-Phonebook", "!phonebook", "!sipserver"]);
    assert_eq!(package.provides, [format!("AREDN-Phonebook={}", version(1))]);

    let take = |package: &mut apk::Package, ending: &str| {
        let path = format!("lib/apk/packages/switchboard.{ending}");
        let entry = package.entries.remove(&path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(entry.mode, 0o100_644);
        String::from_utf8(entry.data).unwrap()
    };
    let list = take(&mut package, "list");
    assert_eq!(take(&mut package, "conffiles"), "/etc/config/switchboard\n");
    assert_eq!(take(&mut package, "rusers"), "switchboard:switchboard\n");
    let config = Path::new(PROJECT).join("files/etc/config/switchboard");
    let digest = run(Command::new("sha256sum").arg(config));
    let digest = digest.split_whitespace().next().unwrap();
    assert_eq!(take(&mut package, "conffiles_static"), format!("/etc/config/switchboard {digest}\n"));

    let mut listed: Vec<String> = data
        .iter()
        .filter(|(_, entry)| entry.mode & 0o170_000 != 0o040_000)
        .map(|(path, _)| format!("/{path}"))
        .collect();
    listed.push("/lib/apk/packages/switchboard.rusers".into());
    listed.sort();
    assert_eq!(list.lines().collect::<Vec<_>>(), listed);

    for path in ["lib/apk", "lib/apk/packages"] {
        assert_eq!(package.entries.remove(path).unwrap().mode, 0o040_755);
    }
    assert!(package.entries == data, "the two forms differ");
}

#[test]
fn the_scripts_of_the_apk_are_those_of_the_ipk() {
    let (Some(ipk_file), Some(apk_file)) = (own_ipk(), own_apk()) else { return };
    let (_, control) = ipk(&ipk_file);
    let package = apk::read(&apk_file);
    let names: Vec<&str> = package.scripts.keys().copied().collect();
    assert_eq!(names, ["post-deinstall", "post-install", "post-upgrade", "pre-deinstall"]);
    for (name, own, calls, upgrade) in [
        ("post-install", "postinst-pkg", "\nadd_group_and_user\ndefault_postinst\n", false),
        ("post-upgrade", "postinst-pkg", "\nadd_group_and_user\ndefault_postinst\n", true),
        ("pre-deinstall", "prerm-pkg", "\ndefault_prerm\n", false),
        ("post-deinstall", "postrm", "", false),
    ] {
        let script = &package.scripts[name];
        let own = String::from_utf8(control[own].data.clone()).unwrap();
        let own = own.strip_prefix("#!/bin/sh\n").unwrap();
        assert!(script.starts_with("#!/bin/sh\n") && script.trim_end().ends_with(own.trim_end()), "{name}: {script}");
        assert!(script.contains(calls) && script.matches("#!").count() == 1, "{name}: {script}");
        assert_eq!(script.contains("\nexport PKG_UPGRADE=1\n"), upgrade, "{name}");
        assert_eq!(script.contains("\nexport pkgname=\"switchboard\"\n"), !calls.is_empty(), "{name}");
    }
}

#[test]
fn the_page_for_luci_fits_every_architecture() {
    let Some(packages) = packages() else { return };
    let (data, control) = ipk(&packages.join(format!("luci-app-switchboard_{}_all.ipk", version(1))));
    let package = apk::read(&packages.join(format!("luci-app-switchboard-{}_all.apk", version(1))));
    let control = String::from_utf8(control["control"].data.clone()).unwrap();
    assert!(control.contains("\nArchitecture: all\n") && control.contains("\nDepends: luci-base, rpcd, switchboard\n"));
    assert_eq!((package.info["arch"].as_str(), package.info["name"].as_str()), ("noarch", "luci-app-switchboard"));
    assert_eq!(package.depends, ["luci-base", "rpcd", "switchboard"]);
    let files: Vec<&str> =
        data.iter().filter(|(_, entry)| entry.mode == 0o100_644).map(|(path, _)| path.as_str()).collect();
    let expected = [
        "usr/share/luci/menu.d/luci-app-switchboard.json",
        "usr/share/rpcd/acl.d/luci-app-switchboard.json",
        "www/luci-static/resources/view/switchboard/settings.js",
        "www/luci-static/resources/view/switchboard/status.js",
    ];
    assert_eq!(files, expected);
    assert!(data.iter().all(|(path, entry)| package.entries[path] == *entry));
    let list = String::from_utf8(package.entries["lib/apk/packages/luci-app-switchboard.list"].data.clone()).unwrap();
    assert_eq!(list.lines().map(|line| line.trim_start_matches('/')).collect::<Vec<_>>(), expected);
}

/// In another directory, with files of other ages and a stricter umask.
#[test]
fn the_same_inputs_make_the_same_bytes() {
    let Some(packages) = packages() else { return };
    let project = directory("again");
    for part in ["openwrt-package", "files", "cgi", "Cargo.toml"] {
        run(Command::new("sh")
            .args(["-c", "umask 077; exec cp -R \"$0\" \"$1\""])
            .arg(Path::new(PROJECT).join(part))
            .arg(&project));
    }
    let again = crate::pack(&project, "again-packages").unwrap();
    let names = |directory: &Path| -> BTreeSet<_> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(packages), names(&again));
    assert_eq!(names(&again).len(), 4);
    for name in names(packages) {
        assert!(fs::read(packages.join(&name)).unwrap() == fs::read(again.join(&name)).unwrap(), "{name:?} differs");
    }
}
