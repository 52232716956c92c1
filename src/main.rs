//! `switchboard`: see `switchboard help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::cli::main(std::env::args_os().skip(1))
}
