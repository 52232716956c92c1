//! Every file of `fuzz/corpus/` through the function that fuzzing calls: what was found once stays found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/fuzz/mod.rs"]
mod fuzz;

use std::path::Path;

#[test]
#[allow(clippy::disallowed_methods)]
fn every_corpus_file_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, check) in fuzz::TARGETS {
        let mut files = 0;
        for entry in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let held = std::panic::catch_unwind(|| check(&bytes));
            assert!(held.is_ok(), "{}", path.display());
            files += 1;
        }
        assert!(files > 0, "fuzz/corpus/{name} is empty");
    }
}

/// A folder without a function would be a corpus that nothing reads.
#[test]
fn every_corpus_folder_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(fuzz::TARGETS.iter().any(|(target, _)| *target == name), "{name}");
    }
}
