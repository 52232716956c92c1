//! The arrows between the folders of `src/` point down only; nothing but `rt` touches the world.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const GROUND: &[&str] = &["config", "engine", "features", "files", "limits", "rng", "sorted", "time", "wire"];
const ENGINES: &[&str] = &["api", "dns", "health", "hosts", "http", "mesh", "phonebook", "probe", "sip"];

/// What each folder or file of `src/` may use. One that is not named here fails the test.
fn allowed(module: &str) -> Vec<&'static str> {
    match module {
        "features" | "limits" | "sorted" | "time" => vec![],
        "rng" | "engine" | "files" => vec!["limits", "time"],
        "wire" => vec!["limits"],
        "config" => vec!["features", "limits", "wire"],
        engine if ENGINES.contains(&engine) => GROUND.to_vec(),
        "core" => [GROUND, ENGINES].concat(),
        "demo" => [GROUND, &["core"]].concat(),
        "rt" => [GROUND, &["core", "demo"]].concat(),
        "cli" => [GROUND, &["api", "rt"]].concat(),
        "main" => vec!["cli"],
        other => panic!("src/{other} has no place in the layers: give it one in this test and in docs/ARCHITECTURE.md"),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module of `src/` that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.strip_prefix(root()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules that a source names behind `crate::` or `switchboard::`, groups included, comments left out.
fn uses(source: &str) -> BTreeSet<String> {
    let code: String = source.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "switchboard::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                None => found.extend(name(rest)),
                Some(group) => {
                    let mut depth = 0;
                    for part in group.split_inclusive([',', '{', '}']) {
                        if depth == 0 {
                            found.extend(name(part.trim_start()));
                        }
                        depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
                        if depth < 0 {
                            break;
                        }
                    }
                }
            }
        }
    }
    found
}

/// The identifier at the front, if it is a module's.
fn name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    name.starts_with(char::is_lowercase).then_some(name)
}

#[test]
fn arrows_point_down() {
    let modules: BTreeSet<String> = sources(&root()).iter().map(|path| module(path)).collect();
    let mut arrows = 0;
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        let module = module(&path);
        if module == "lib" {
            continue;
        }
        let allowed = allowed(&module);
        for used in uses(&fs::read_to_string(&path).unwrap()) {
            arrows += 1;
            if used != module && modules.contains(&used) && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {module} must not use {used}", path.display()));
            }
        }
    }
    assert!(arrows > 50, "the scan found too little");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_scan_sees_what_it_must() {
    let found = |source| uses(source).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::sip::Sip; // crate::rt"), ["sip"]);
    assert_eq!(found("use crate::{limits, wire::{dns, http}, rt};"), ["limits", "rt", "wire"]);
    assert_eq!(found("let x = crate::rt::now();"), ["rt"]);
}

#[test]
fn only_the_shell_is_unsafe_or_touches_the_world() {
    let banned =
        ["unsafe ", "std::process::Command", " mio::", " nix::", "libc::", "std::os::fd", "Instant::now", "SystemTime"];
    for path in sources(&root()) {
        if ["rt", "lib"].contains(&module(&path).as_str()) {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for word in banned {
                assert!(!code.contains(word), "{}:{}: {word} belongs into src/rt", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn trees_are_for_what_may_hold_a_million() {
    let mut trees = Vec::new();
    for path in sources(&root()) {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        // Routers get programs without the demo.
        let elsewhere = name.ends_with("tests.rs") || name.starts_with("demo/");
        if !elsewhere && code.lines().any(|line| line.split("//").next().unwrap().contains("BTree")) {
            trees.push(name);
        }
    }
    assert_eq!(trees, ["sip/transaction/store.rs"], "each type of tree is 7 KB on mips: use sorted::SortedMap");
}
