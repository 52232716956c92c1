//! Any bytes as a configuration file: raw UCI, the daemon's configuration, and a file to import.

use switchboard::config;
use switchboard::wire::uci::{self, Fault};

pub fn check(data: &[u8]) {
    let (package, errors) = uci::tolerant(data);
    let lines = u32::try_from(data.split(|b| *b == b'\n').count()).unwrap();
    for error in &errors {
        assert!((1..=error.line).contains(&error.command_line) && error.line <= lines, "{error:?}");
    }
    if let Ok(strict) = uci::strict(data) {
        assert_eq!(package, strict, "the tolerant reader changes what the strict one takes");
        assert!(errors.iter().all(|error| matches!(error.fault, Fault::Cut(_))), "{errors:?}");
    } else {
        assert!(!errors.is_empty());
    }
    let written = uci::export("x", &package);
    let again = uci::strict(&written).expect("own output is good");
    assert_eq!(uci::export("x", &again), written);
    assert_eq!(uci::tolerant(&written).1, []);

    let (read, problems) = config::parse(data, "f");
    assert!(problems.iter().all(|problem| !problem.to_string().contains(|c: char| c.is_control())));
    assert!(errors.len() <= problems.len());
    assert!(problems.is_sorted_by_key(|problem| problem.line));
    assert_eq!(config::parse(&lines_of(&read), "f"), (read, vec![]), "what was taken is allowed");

    if let Ok(imported) = switchboard::cli::import(data, "old") {
        let (_, problems) = config::parse(imported.text.as_bytes(), "new");
        assert_eq!(problems, [], "{}", imported.text);
    }
}

/// A configuration with every option written out.
fn lines_of(config: &config::Config) -> Vec<u8> {
    let mut package = uci::Package::default();
    for row in config::OPTIONS {
        for text in row.field.text(config) {
            let name = (row.section != "server").then_some(row.section);
            let section = package.named(row.section, name).unwrap();
            let value = uci::Value { bytes: text.clone().into_bytes(), line: 0 };
            if row.field.is_list() && text != "none" {
                section.add(row.name, value);
            } else {
                section.set(row.name, value);
            }
        }
    }
    uci::write(&package)
}
