//! The verbs of the command line.
//!
//! What a verb has to say is put together first and written at the end, so that a reader who goes away (`| head`) can
//! neither stop it half-way nor change how it ends. `run` does not return before the daemon ends.

mod args;
mod client;
mod crash;
mod import;
mod view;

pub use args::{Ask, Command, Form, Reload, Topic, What, parse};
pub use import::{Imported, NotUnderstood, import};
pub use view::show;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{self, Config};
use crate::features::Feature;
use crate::files::FileError;
use crate::{limits, rt};

/// Where the configuration is if nobody says.
pub const CONFIG: &str = "/etc/config/switchboard";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is as it should be.
    Good = 0,
    /// Something is wrong with a file, or the daemon refuses.
    Bad = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The daemon could not be reached.
    Unreachable = 3,
}

/// What a verb has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the standard output.
    pub out: String,
    /// For the standard error output.
    pub err: String,
    /// How it ended.
    pub end: End,
}

impl Answer {
    fn good(out: String) -> Self {
        Self { out, err: String::new(), end: End::Good }
    }

    fn failed(end: End, err: &str) -> Self {
        Self { out: String::new(), err: format!("switchboard: {err}\n"), end }
    }
}

/// Does what the command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let answer = match parse(arguments) {
        Ok(Command::Run { config, demo }) => {
            let config_required = config.is_some();
            let options = rt::Options { config: config.unwrap_or_else(|| CONFIG.into()), config_required, demo };
            return rt::run(&options);
        }
        Ok(Command::Check { config }) => check(config),
        Ok(Command::Import { file }) => import_file(&file),
        Ok(Command::Crash { .. }) if !Feature::Health.is_there() => {
            Answer::failed(End::Bad, &format!("crash {}", Feature::Health.is_missing()))
        }
        Ok(Command::Crash { config, form }) => crash::crash(config, form),
        Ok(Command::Ask(ask)) => client::ask(&ask),
        Ok(Command::Version) => Answer::good(version()),
        Ok(Command::Help(Topic::Usage)) => Answer::good([USAGE, DEMO].concat()),
        Ok(Command::Help(Topic::Options)) => Answer::good(config::sample(&[])),
        Err(mistake) => Answer::failed(End::Usage, &format!("{mistake}\nSee 'switchboard help'.")),
    };
    let written = write(&mut io::stdout(), &answer.out).and_then(|()| write(&mut io::stderr(), &answer.err));
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(answer.end as u8),
    }
}

fn version() -> String {
    let features: Vec<&str> = Feature::names().collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    format!("switchboard {}\nfeatures: {features}\n", env!("CARGO_PKG_VERSION"))
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn check(named: Option<PathBuf>) -> Answer {
    let file = named.clone().unwrap_or_else(|| CONFIG.into());
    let shown = config::escaped(&file.to_string_lossy());
    let read = rt::read_file(&file, limits::CONFIG_FILE).map(|contents| {
        let (_, problems) = config::parse(&contents.bytes, &shown);
        (problems, config::missing(&contents.bytes, &shown))
    });
    match read {
        Ok((problems, missing)) => {
            let mut out: String = problems.iter().chain(&missing).map(|problem| format!("{problem}\n")).collect();
            let (count, end) = match problems.len() {
                0 => ("no problems".to_owned(), End::Good),
                1 => ("1 problem".to_owned(), End::Bad),
                count => (format!("{count} problems"), End::Bad),
            };
            out.push_str(&format!("{shown}: {count}\n"));
            Answer { out, err: String::new(), end }
        }
        Err(FileError::NotFound) if named.is_none() => {
            Answer::good(format!("{shown}: there is no such file; the defaults hold\n"))
        }
        Err(error) => Answer::failed(End::Bad, &format!("{shown}: {}", describe(error))),
    }
}

/// For verbs that only need to know where something is.
fn read_config(file: &Path) -> Result<Config, FileError> {
    Ok(config::parse(&rt::read_file(file, limits::CONFIG_FILE)?.bytes, "").0)
}

fn import_file(file: &Path) -> Answer {
    let name = config::escaped(&file.to_string_lossy());
    let imported = match rt::read_file(file, limits::CONFIG_FILE) {
        Ok(contents) => import(&contents.bytes, &name),
        Err(error) => return Answer::failed(End::Bad, &format!("{name}: {}", describe(error))),
    };
    match imported {
        Ok(Imported { text, remarks }) => {
            let err = remarks.iter().map(|remark| format!("{name}: {remark}\n")).collect();
            Answer { out: text, err, end: End::Good }
        }
        Err(reason) => Answer::failed(End::Bad, &format!("{name}: {reason}")),
    }
}

fn describe(error: FileError) -> String {
    match error {
        FileError::NotFound => "there is no such file".into(),
        FileError::TooLarge => format!("it is larger than {} KB", limits::CONFIG_FILE >> 10),
        FileError::Os(number) => io::Error::from_raw_os_error(number).to_string(),
    }
}

/// Where it is true.
const DEMO: &str = if cfg!(feature = "demo") {
    "\nFor a look at it without a mesh: 'switchboard run --demo' simulates one, inside the process.\n"
} else {
    ""
};

const USAGE: &str = "\
switchboard: the telephone exchange of a mesh router

Usage: switchboard VERB [OPTIONS]

The daemon:
  run                     run in the foreground until TERM or INT
  check [FILE]            say what is wrong in the configuration
  import FILE             turn /etc/phonebook.conf or /etc/sipserver.conf into a configuration, on stdout
  help options            every option of the configuration with its default
  crash [--show]          how the daemon crashed last, and what happened before

Asking the running daemon:
  status                  how everything is
  phonebook [TEXT]        the book, or the entries that contain TEXT
  phonebook --problems    what is wrong in the book
  registrations           phones that are registered
  calls                   calls that are going on
  trace ADDRESS           the way to an IPv4 address, hop by hop
  test NUMBER             pings and SIP OPTIONS of a phone; it does not ring
  ring NUMBER             a phone rings until its first sign of life
  reload [WHAT]           take over the configuration and download the book; WHAT is 'config' or 'phonebook'

Options:
  --config FILE           the configuration (/etc/config/switchboard)
  --socket PATH           the daemon's socket (what the configuration says)
  --json                  print the daemon's JSON instead of a table
  -h, --help              this text
  -V, --version           the version, and what the program was built with

Exit status: 0 all is well; 1 a file has problems or the daemon refuses; 2 the command line is wrong;
3 no daemon answers.

Signals of the daemon: HUP takes over the configuration, USR1 downloads the book, USR2 writes its state to the
log, TERM and INT end it.
";
