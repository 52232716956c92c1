//! Files as data: what engines want read, watched and written. `src/rt/files.rs` does it.
//!
//! Paths come from the configuration only, never from the network.

use std::path::PathBuf;

use crate::time::UnixTime;

/// Who wants a file once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// The phonebook, for the book kept on flash.
    StoredBook,
    /// The phonebook, for the previous book, when the stored one is missing or damaged.
    BackupBook,
    /// The phonebook, for the digest beside the stored book.
    BookHash,
    /// The phonebook, for a `file://` server.
    BookServer,
    /// The exchange, for the registrations and calls of the process before.
    State,
    /// The watch over the daemon, for when it was started.
    Starts,
}

/// What is watched: delivered once at the start and again whenever it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Every file of the directory that arednlink keeps.
    HostsDir,
    /// The host file of OLSR firmware.
    HostsOlsr,
    /// The system's list of name servers.
    ResolvConf,
    /// Every file of the directory of services that arednlink keeps.
    ServicesDir,
    /// The services file of OLSR firmware.
    ServicesOlsr,
    /// What the firmware measures of its neighbours.
    Lqm,
    /// The node's settings.
    ArednConfig,
    /// The node's settings for its addresses.
    NodeSetup,
    /// What the node's DHCP server says.
    DhcpConfig,
    /// Reserved names on the node's LAN.
    LanHosts,
    /// Who has an address on the node's LAN.
    DhcpLeases,
    /// The firewall rule for the exchange.
    FirewallRule,
}

impl Watched {
    /// Whether it is a directory of files or a single one.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::HostsDir | Self::ServicesDir)
    }
}

/// Who writes, and is told how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// The book on flash.
    Book,
    /// The published files in RAM and the links to them.
    Published,
    /// The list of active calls.
    ActiveCalls,
    /// The book as JSON, for the CGI program.
    BookJson,
    /// Registrations and calls.
    State,
    /// The tests of the phones.
    PhoneTests,
    /// What the mesh monitor is to know of the configuration.
    MonitorSettings,
    /// How many phones are online.
    Badge,
    /// The map of the mesh.
    Topology,
    /// What is wrong on the mesh.
    Findings,
    /// How the daemon is.
    Health,
    /// When it was started.
    Starts,
}

impl Writer {
    /// What writing takes time for, for people.
    pub const fn work(self) -> &'static str {
        match self {
            Self::Book => "writing the book to flash",
            Self::Published => "publishing the book",
            Self::ActiveCalls => "writing the list of calls",
            Self::BookJson => "writing the book as JSON",
            Self::State => "saving registrations and calls",
            Self::PhoneTests => "writing the tests of phones",
            Self::MonitorSettings => "writing settings",
            Self::Topology => "writing the map",
            Self::Findings => "writing the findings",
            Self::Badge => "writing the badge",
            Self::Health | Self::Starts => "writing how the daemon is",
        }
    }
}

/// One step on the file system. A writer lists them in an order that leaves a good file behind wherever the power
/// fails; the shell does them in that order and stops at the first that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a directory and those above it, if they are not there.
    MakeDir(PathBuf),
    /// Write a whole file, which readers do not look at yet.
    Write(PathBuf, Vec<u8>),
    /// Wait until the file's bytes are on the medium (fsync).
    Sync(PathBuf),
    /// Replace `to` by `from`, all at once.
    Rename {
        /// The complete new file.
        from: PathBuf,
        /// The name that readers know.
        to: PathBuf,
    },
    /// Give the file a second name, replacing what had that name (link to a temporary name, rename).
    Keep {
        /// The file that stays.
        file: PathBuf,
        /// Its second name.
        copy: PathBuf,
    },
    /// Wait until the directory itself is on the medium.
    SyncDir(PathBuf),
    /// Make `at` a symbolic link to `target`; nothing is written if it is one already.
    Link {
        /// Where the link stands.
        at: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// Remove a file if it is there.
    Remove(PathBuf),
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// All of it.
    pub bytes: Vec<u8>,
    /// When it was last changed.
    pub modified: UnixTime,
}

/// Why a file could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// There is none.
    NotFound,
    /// It is larger than what the reader allows.
    TooLarge,
    /// The system's error number.
    Os(i32),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file"),
            Self::TooLarge => f.write_str("the file is too large"),
            Self::Os(number) => write!(f, "{}", std::io::Error::from_raw_os_error(*number)),
        }
    }
}

/// The steps that replace a file in RAM: readers see the old one or the new one, never a part.
pub fn replace(path: &std::path::Path, bytes: Vec<u8>) -> Vec<Step> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let directory = path.parent().map(|directory| Step::MakeDir(directory.to_owned()));
    let write = [Step::Write(temporary.clone(), bytes), Step::Rename { from: temporary, to: path.to_owned() }];
    directory.into_iter().chain(write).collect()
}
