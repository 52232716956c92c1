//! The command line to a [`Command`], or to one line that says what is wrong with it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{escaped, nearest};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Run {
        /// Its configuration, if one was named.
        config: Option<PathBuf>,
        /// With a simulated mesh around it; only where the program has one.
        demo: bool,
    },
    /// Read a configuration and say what is wrong with it.
    Check {
        /// The file, if one was named.
        config: Option<PathBuf>,
    },
    /// Turn the configuration of another program into ours.
    Import {
        /// That configuration.
        file: PathBuf,
    },
    /// Show how the daemon crashed last.
    Crash {
        /// The configuration that says where the record is, if one was named.
        config: Option<PathBuf>,
        /// How it is shown.
        form: Form,
    },
    /// Ask the daemon.
    Ask(Ask),
    /// Say the version.
    Version,
    /// Say how the program is used.
    Help(Topic),
}

/// A question to the running daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What is asked.
    pub what: What,
    /// The configuration that says where the daemon's socket is, if one was named.
    pub config: Option<PathBuf>,
    /// The socket itself, if it was named.
    pub socket: Option<PathBuf>,
    /// How the answer is shown.
    pub form: Form,
}

/// What can be asked of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// How everything is.
    Status,
    /// The entries of the book in which this text occurs; all if there is none.
    Phonebook(Option<String>),
    /// What is wrong in the book.
    Problems,
    /// Registered phones.
    Registrations,
    /// Calls that are going on.
    Calls,
    /// Take over the configuration, download the book, or both.
    Reload(Reload),
    /// The way to this address.
    Trace(String),
    /// Pings and OPTIONS of the phone with this number.
    Test(String),
    /// A ring of the phone with this number.
    Ring(String),
}

/// What is to be loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Configuration and book.
    Both,
    /// The configuration.
    Config,
    /// The book.
    Phonebook,
}

/// For whom an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table.
    People,
    /// The daemon's own JSON.
    Json,
}

/// What help is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The verbs.
    Usage,
    /// The options of the configuration.
    Options,
}

/// All verbs, for suggestions.
const VERBS: [&str; 14] = [
    "run",
    "check",
    "import",
    "status",
    "phonebook",
    "calls",
    "registrations",
    "reload",
    "trace",
    "test",
    "ring",
    "crash",
    "version",
    "help",
];

/// Reads what stands behind the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut given = Given::read(arguments)?;
    if given.help {
        return Ok(Command::Help(Topic::Usage));
    }
    if given.version {
        return Ok(Command::Version);
    }
    let Some(verb) = given.next_word() else { return Err("a verb is missing".into()) };
    let command = match verb.as_str() {
        "run" => Command::Run { config: given.config.take(), demo: std::mem::take(&mut given.demo) },
        "check" => {
            let config = given.config.take();
            Command::Check { config: config.or_else(|| given.next_path()) }
        }
        "import" => match given.next_path() {
            Some(file) => Command::Import { file },
            None => return Err("import: the name of a file is missing".into()),
        },
        "crash" => {
            // The word of the C phonebook's documents; there is nothing else to do with a crash.
            given.show = false;
            Command::Crash { config: given.config.take(), form: given.form() }
        }
        "status" => given.ask(What::Status),
        "phonebook" if std::mem::take(&mut given.problems) => given.ask(What::Problems),
        "phonebook" => {
            let text = given.next_word();
            given.ask(What::Phonebook(text))
        }
        "calls" => given.ask(What::Calls),
        "registrations" => given.ask(What::Registrations),
        "reload" => {
            let what = match given.next_word().as_deref() {
                None => Reload::Both,
                Some("config") => Reload::Config,
                Some("phonebook") => Reload::Phonebook,
                Some(other) => {
                    return Err(format!("reload: '{}' is neither 'config' nor 'phonebook'", escaped(other)));
                }
            };
            if given.json {
                return Err("reload: --json does not belong to it".into());
            }
            given.ask(What::Reload(what))
        }
        "trace" | "test" | "ring" => {
            let (noun, what): (_, fn(String) -> What) = match verb.as_str() {
                "trace" => ("an address", What::Trace),
                "test" => ("the number of a phone", What::Test),
                _ => ("the number of a phone", What::Ring),
            };
            let Some(word) = given.next_word() else { return Err(format!("{verb}: {noun} is missing")) };
            given.ask(what(word))
        }
        "version" => Command::Version,
        "help" => match given.next_word().as_deref() {
            Some("options") => Command::Help(Topic::Options),
            None => Command::Help(Topic::Usage),
            Some(other) if VERBS.contains(&other) => Command::Help(Topic::Usage),
            Some(other) => return Err(format!("help: there is none on '{}'", escaped(other))),
        },
        other => {
            let hint = nearest(other, VERBS.into_iter()).map(|near| format!("; is '{near}' meant?"));
            return Err(format!("there is no verb '{}'{}", escaped(other), hint.unwrap_or_default()));
        }
    };
    given.nothing_left(&verb)?;
    Ok(command)
}

/// Words and options, sorted apart.
#[derive(Default)]
struct Given {
    words: std::collections::VecDeque<OsString>,
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
    json: bool,
    problems: bool,
    show: bool,
    demo: bool,
    help: bool,
    version: bool,
}

impl Given {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut given = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy().into_owned();
            let (name, value) = match text.split_once('=') {
                Some((name, _)) if name.starts_with("--") => {
                    // The value may be a path that is no UTF-8: it is cut from the original.
                    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(argument.as_os_str());
                    let value = bytes.get(name.len().saturating_add(1)..).unwrap_or_default();
                    (name, Some(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(value.to_vec())))
                }
                _ => (text.as_str(), None),
            };
            let mut path = || match value.clone().or_else(|| arguments.next()).filter(|value| !value.is_empty()) {
                Some(value) => Ok(Some(PathBuf::from(value))),
                None => Err(format!("{name} needs the name of a file")),
            };
            match name {
                "--config" => given.config = path()?,
                "--socket" => given.socket = path()?,
                "--json" | "--problems" | "--show" | "--demo" | "--help" | "--version" if value.is_some() => {
                    return Err(format!("{name} takes no value"));
                }
                "--json" => given.json = true,
                "--problems" => given.problems = true,
                "--show" => given.show = true,
                "--demo" if cfg!(feature = "demo") => given.demo = true,
                "--help" | "-h" => given.help = true,
                "--version" | "-V" => given.version = true,
                _ if name.starts_with('-') && name.len() > 1 => {
                    return Err(format!("there is no option '{}'", escaped(name)));
                }
                _ => given.words.push_back(argument),
            }
        }
        Ok(given)
    }

    fn next_word(&mut self) -> Option<String> {
        self.words.pop_front().map(|word| word.to_string_lossy().into_owned())
    }

    fn next_path(&mut self) -> Option<PathBuf> {
        self.words.pop_front().map(PathBuf::from)
    }

    fn form(&mut self) -> Form {
        if std::mem::take(&mut self.json) { Form::Json } else { Form::People }
    }

    fn ask(&mut self, what: What) -> Command {
        let form = self.form();
        Command::Ask(Ask { what, config: self.config.take(), socket: self.socket.take(), form })
    }

    /// An option that the verb did not take is a mistake, not a wish to be ignored.
    fn nothing_left(&self, verb: &str) -> Result<(), String> {
        let option = [
            (self.config.is_some(), "--config"),
            (self.socket.is_some(), "--socket"),
            (self.json, "--json"),
            (self.problems, "--problems"),
            (self.show, "--show"),
            (self.demo, "--demo"),
        ];
        if let Some((_, name)) = option.iter().find(|(given, _)| *given) {
            return Err(format!("{verb}: {name} does not belong to it"));
        }
        match self.words.front() {
            Some(word) => Err(format!("{verb}: '{}' is one word too many", escaped(&word.to_string_lossy()))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Command, String> {
        parse(text.split_whitespace().map(OsString::from))
    }

    fn ask(what: What) -> Command {
        Command::Ask(Ask { what, config: None, socket: None, form: Form::People })
    }

    #[test]
    fn every_verb_is_understood() {
        for (text, command) in [
            ("run", Command::Run { config: None, demo: false }),
            #[cfg(feature = "demo")]
            ("run --demo", Command::Run { config: None, demo: true }),
            ("run --config a", Command::Run { config: Some("a".into()), demo: false }),
            ("--config=a=b run", Command::Run { config: Some("a=b".into()), demo: false }),
            ("crash", Command::Crash { config: None, form: Form::People }),
            ("crash --show --config c", Command::Crash { config: Some("c".into()), form: Form::People }),
            ("crash --json", Command::Crash { config: None, form: Form::Json }),
            ("check", Command::Check { config: None }),
            ("check a", Command::Check { config: Some("a".into()) }),
            ("check --config a", Command::Check { config: Some("a".into()) }),
            ("import a", Command::Import { file: "a".into() }),
            ("status", ask(What::Status)),
            (
                "status --json --socket s --config c",
                Command::Ask(Ask {
                    what: What::Status,
                    config: Some("c".into()),
                    socket: Some("s".into()),
                    form: Form::Json,
                }),
            ),
            ("phonebook", ask(What::Phonebook(None))),
            ("phonebook meier", ask(What::Phonebook(Some("meier".into())))),
            ("phonebook --problems", ask(What::Problems)),
            ("calls", ask(What::Calls)),
            ("registrations", ask(What::Registrations)),
            ("reload", ask(What::Reload(Reload::Both))),
            ("reload config", ask(What::Reload(Reload::Config))),
            ("reload phonebook", ask(What::Reload(Reload::Phonebook))),
            ("trace 10.1.2.3", ask(What::Trace("10.1.2.3".into()))),
            ("test 441530", ask(What::Test("441530".into()))),
            ("ring 441530", ask(What::Ring("441530".into()))),
            ("version", Command::Version),
            ("--version", Command::Version),
            ("-V", Command::Version),
            ("help", Command::Help(Topic::Usage)),
            ("--help", Command::Help(Topic::Usage)),
            ("-h", Command::Help(Topic::Usage)),
            ("run --help", Command::Help(Topic::Usage)),
            ("help run", Command::Help(Topic::Usage)),
            ("help options", Command::Help(Topic::Options)),
        ] {
            assert_eq!(line(text), Ok(command), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, message) in [
            ("", "a verb is missing"),
            ("statsu", "there is no verb 'statsu'; is 'status' meant?"),
            ("frobnicate", "there is no verb 'frobnicate'"),
            ("run fast", "run: 'fast' is one word too many"),
            ("run --json", "run: --json does not belong to it"),
            ("run --socket s", "run: --socket does not belong to it"),
            ("check a --config b", "check: 'a' is one word too many"),
            ("check --json", "check: --json does not belong to it"),
            ("status --problems", "status: --problems does not belong to it"),
            ("import", "import: the name of a file is missing"),
            ("import a b", "import: 'b' is one word too many"),
            ("phonebook --problems meier", "phonebook: 'meier' is one word too many"),
            ("reload everything", "reload: 'everything' is neither 'config' nor 'phonebook'"),
            ("reload --json", "reload: --json does not belong to it"),
            ("trace", "trace: an address is missing"),
            ("test", "test: the number of a phone is missing"),
            ("ring 1 2", "ring: '2' is one word too many"),
            ("status --quiet", "there is no option '--quiet'"),
            ("status -j", "there is no option '-j'"),
            ("run --config", "--config needs the name of a file"),
            ("run --config=", "--config needs the name of a file"),
            ("status --json=1", "--json takes no value"),
            ("help me", "help: there is none on 'me'"),
            ("version 2", "version: '2' is one word too many"),
        ] {
            assert_eq!(line(text), Err(message.into()), "{text}");
        }
        assert_eq!(parse([OsString::from("\u{1b}[2J")]), Err("there is no verb '\\u{1b}[2J'".into()));
    }
}
