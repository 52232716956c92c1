//! The configuration: UCI as the real program reads it, every option, every message, the sample and the document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use switchboard::wire::uci;

/// What the real `uci export` answered to 62 texts: its exit status, its complaint, its output. For a refused text the
/// output is that of its non-strict mode, behind a line of remarks.
fn corpus() -> Vec<Value> {
    let text = include_str!("data/uci/corpus.json");
    serde_json::from_str::<Value>(text).unwrap().as_array().unwrap().clone()
}

/// The input of a case; the long one is shortened in the file.
fn input(case: &Value) -> Vec<u8> {
    match case["name"].as_str().unwrap() {
        "long" => format!("config t n\noption a '{}'\n", "x".repeat(10_001)).into_bytes(),
        _ => case["input"].as_str().unwrap().as_bytes().to_vec(),
    }
}

#[test]
fn strict_answers_what_the_real_program_answered() {
    let cases = corpus();
    assert_eq!(cases.len(), 62);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let expected = case["export"].as_str().unwrap();
        let complaint = case["error"].as_str().unwrap();
        match uci::strict(&input(case)) {
            Ok(package) => {
                assert_eq!(case["exit"], 0, "{name}: accepted, but the real program says {complaint}");
                let export = String::from_utf8(uci::export("x", &package)).unwrap();
                if name == "long" {
                    let (head, length) = expected.split_once("...").unwrap();
                    assert!(export.starts_with(head));
                    assert_eq!(format!("({})\n", export.len()), length);
                } else {
                    assert_eq!(export, expected, "{name}");
                }
            }
            Err(error) => {
                assert_eq!(case["exit"], 1, "{name}: {error}, but the real program takes it");
                // We say NUL where it is; libuci glues the next line to the rest and stumbles there.
                if name != "nul" {
                    let place = format!("({}) at line {}, byte {}\n", theirs(error.fault), error.line, error.byte);
                    assert_eq!(complaint, format!("uci: Parse error {place}"), "{name}");
                }
            }
        }
    }
}

/// The words of the real program for a fault.
fn theirs(fault: uci::Fault) -> String {
    match fault {
        uci::Fault::UnknownCommand => "invalid command".into(),
        uci::Fault::BeforeFirstSection => "option/list command found before the first section".into(),
        uci::Fault::MissingArgument => "insufficient arguments".into(),
        uci::Fault::TooManyArguments => "too many arguments".into(),
        uci::Fault::BadName => "invalid character in name field".into(),
        uci::Fault::BadType => "invalid character in type field".into(),
        uci::Fault::OtherType => "section of different type overwrites prior section with same name".into(),
        uci::Fault::OpenQuote(quote) => format!("EOF with unterminated {}", char::from(quote)),
        uci::Fault::Nul | uci::Fault::Cut(_) => unreachable!("not said by the real program"),
    }
}

#[test]
fn tolerant_keeps_what_is_good() {
    for case in &corpus() {
        let name = case["name"].as_str().unwrap();
        let (package, errors) = uci::tolerant(&input(case));
        if case["exit"] == 0 {
            assert_eq!(Ok(package), uci::strict(&input(case)), "{name}");
            // Only what is good UCI but hardly meant is mentioned: `x#y`, `x;y`.
            let trap = matches!(name, "comment_full" | "semicolon" | "semicolon_tight" | "semi_mid");
            assert_eq!(errors.iter().all(|error| matches!(error.fault, uci::Fault::Cut(_))), true, "{name}");
            assert_eq!(!errors.is_empty(), trap, "{name}");
            continue;
        }
        assert!(!errors.is_empty(), "{name}");
        // A refused case carries the answer of the non-strict mode.
        let (_, theirs) = case["export"].as_str().unwrap().split_once("\npackage").unwrap();
        let theirs = match name {
            // libuci hands the options under a damaged `config` line to the section above. We drop them.
            "config_noarg_mid" => " x\n\nconfig t 'n'\n\toption a '1'\n",
            // libuci loses the line behind the NUL as well.
            "nul" => " x\n\nconfig t 'n'\n\toption d '1'\n",
            _ => theirs,
        };
        assert_eq!(String::from_utf8(uci::export("x", &package)).unwrap(), format!("package{theirs}"), "{name}");
    }
}

/// Found by comparing 50 000 made-up texts with the real program; the corpus has no such case.
#[test]
fn a_semicolon_separates_commands_behind_quotes_and_blanks() {
    for (line, expected) in [
        ("option a '1'; option b 2", "\toption a '1'\n\toption b '2'\n"),
        ("option a '1';option b 2", "\toption a '1'\n\toption b '2'\n"),
        ("option a 1 ; option b 2", "\toption a '1'\n\toption b '2'\n"),
        ("option a \\1; option c 3; option b 2", "\toption a '1'\n\toption c '3'\n"),
        ("option a 1; option b 2", "\toption a '1'\n"),
        ("option a 1 '' option b 2", "\toption a '1'\n\toption b '2'\n"),
    ] {
        let package = uci::strict(format!("config t\n{line}\n").as_bytes()).unwrap();
        let export = String::from_utf8(uci::export("x", &package)).unwrap();
        assert_eq!(export, format!("package x\n\nconfig t\n{expected}"), "{line}");
    }
}

#[test]
fn what_is_exported_reads_back_as_the_same() {
    for case in &corpus() {
        let (package, _) = uci::tolerant(&input(case));
        let export = uci::export("x", &package);
        let again = uci::strict(&export).expect("own output must be good");
        assert_eq!(uci::export("x", &again), export, "{}", case["name"]);
    }
}

#[test]
fn a_bad_line_is_reported_where_it_begins() {
    for (text, line, message) in [
        ("config t n\nfoo\n", 2, "a line begins with 'config', 'option', 'list', 'package' or '#'"),
        ("option a 1\n", 1, "an 'option' or 'list' needs a 'config' line above it"),
        ("config t\n\toption \n", 2, "a name is missing"),
        ("config t\n\toption a '1\n2' 3\n", 2, "too many words; put a value with blanks into quotes"),
        ("config t\n\toption a-b 1\n", 2, "a name is made of letters, digits and '_'"),
        ("config 'a b'\n", 1, "a section type is made of printable ASCII without blanks"),
        ("config t n\nconfig u n\n", 2, "a section of this name and another type stands above"),
        ("config t\noption a '1\n\n\n", 2, "the quote ' that opens here is never closed"),
        ("config t\n\n\toption a \"1\n\n\n", 3, "the quote \" that opens here is never closed"),
        ("config t\n\toption a x#y\n", 2, "a bare # cuts the line off; put a value that contains it into quotes"),
        ("config t\n\toption a x;y\n", 2, "a bare ; cuts the line off; put a value that contains it into quotes"),
        ("config t\n\n\toption a 1\0\n", 3, "there is a NUL byte; the file is damaged"),
    ] {
        let (_, errors) = uci::tolerant(text.as_bytes());
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!((errors[0].command_line, errors[0].fault.to_string().as_str()), (line, message));
    }
}
