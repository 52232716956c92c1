//! The exchange against transcripts: who sends what when, and what must come back. `tests/data/transcripts/README.md` says how
//! they are read. No clock runs: time is moved by the transcripts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/transcript/mod.rs"]
mod transcript;

use std::fs;
use std::path::Path;

/// Runs all transcripts, or those whose name contains the environment's TRANSCRIPT, and reports every one that fails.
#[test]
#[allow(clippy::disallowed_methods)]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transcripts");
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".txt") && name.contains(&only))
        .collect();
    names.sort();
    assert!(names.len() > 40 || !only.is_empty(), "the transcripts are there");
    let mut failures = String::new();
    for name in &names {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        if let Err(failure) = transcript::run(&text) {
            failures += &format!("\ntests/data/transcripts/{name}:{failure}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The runner itself: a transcript that is wrong must fail, or none of them proves anything.
#[test]
fn a_wrong_transcript_fails() {
    let invite = "send from 10.0.0.2:5060\n  INVITE sip:441530@10.0.0.1\n";
    let trying = "recv to 10.0.0.2:5060\n  SIP/2.0 100 Trying\n";
    let missing = "recv to 10.0.0.2:5060\n  SIP/2.0 404 Not Found\n";
    let good = format!("{invite}{trying}{missing}");
    let acked = "send from 10.0.0.2:5060\n  ACK sip:441530@10.0.0.1\n";
    assert_eq!(transcript::run(&format!("{good}{acked}quiet for 40s\n")), Ok(()));
    for (wrong, why) in [
        (invite.to_owned(), "an answer that nobody expects"),
        (format!("{invite}{missing}"), "another answer than the one expected"),
        (format!("{good}{acked}recv to 10.0.0.2:5060\n  SIP/2.0 200 OK\n"), "an answer that does not come"),
        (format!("{good}quiet for 40s\n"), "repeats that nobody expects"),
        (format!("{invite}recv to 10.0.0.3:5060\n  SIP/2.0 100 Trying\n"), "another destination"),
        (format!("{invite}recv to 10.0.0.2:5060\n  SIP/2.0 100 Trying\n  Via: *nonsense*\n"), "a header that differs"),
        (format!("{invite}recv to 10.0.0.2:5060\n  SIP/2.0 100 Trying\n  !Via\n"), "a header that should be missing"),
        (format!("{invite}recv to 10.0.0.2:5060\n  SIP/2.0 100 Trying\n  count Via 2\n"), "a wrong number of headers"),
        (format!("{good}{acked}counter requests 7\n"), "a wrong count"),
        ("sned from\n".to_owned(), "an unknown word"),
    ] {
        assert!(transcript::run(&wrong).is_err(), "{why}");
    }
}
