//! The tests of the library, and those of the whole on a virtual clock, as programs of a router.

use std::fs;
use std::time::{Duration, Instant};

use crate::machine::{Machine, given};
use crate::service::note;

/// For one program of tests. The longest takes a fifth of it.
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
fn the_tests_pass_on_it() {
    let Some(parts) = given() else { return };
    let mut programs: Vec<_> = fs::read_dir(parts.join("tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    programs.sort();
    assert!(!programs.is_empty(), "no tests were built");
    // What they need besides themselves they find at the path that they were built with; of memory they need more than a router.
    let machine = Machine::boot("router-tests", 256).unwrap();
    let checkout = env!("CARGO_MANIFEST_DIR");
    machine.sh(&format!(
        "mkdir -p {checkout} && mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 checkout {checkout}"
    ));
    for program in programs {
        let begin = Instant::now();
        let path = fs::canonicalize(&program).unwrap();
        let said = machine.try_sh(&format!("cd {checkout} && {}", path.display()), PATIENCE);
        let (status, said) =
            said.unwrap_or_else(|| panic!("{}: not in {PATIENCE:?}\n{}", program.display(), machine.console()));
        assert_eq!(status, 0, "{}:\n{said}", program.display());
        let result = said.lines().rfind(|line| line.starts_with("test result: ")).expect("a result");
        note(&format!(
            "{:<12} {}, {:?}",
            program.file_name().unwrap().display(),
            result.trim_start_matches("test "),
            begin.elapsed()
        ));
    }
}
