//! The files in RAM that the core itself keeps: the state for the process after this one, and the lists that the CGI
//! program prints. Each is written when its content changed, and not more often than its interval.

use std::path::PathBuf;
use std::time::Duration;

use super::Core;
use super::event::Effect;
use crate::config::Config;
use crate::files::{FileError, Reader, Step, Writer, replace};
use crate::health::Reason;
use crate::limits;
use crate::time::{Instant, sooner};

/// One kept file.
#[derive(Debug)]
struct Kept {
    writer: Writer,
    /// Between two writes.
    interval: Duration,
    /// The revision of the content that stands in the file; `None`: it must be written whatever is in it.
    written: Option<u64>,
    /// The revision of the content now.
    wanted: u64,
    /// The next write may not be before.
    earliest: Instant,
}

impl Kept {
    const fn new(writer: Writer, interval: Duration, now: Instant) -> Self {
        Self { writer, interval, written: None, wanted: 0, earliest: now }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.written != Some(self.wanted) && self.earliest <= now
    }
}

/// When which file is due.
#[derive(Debug)]
pub struct Keeper {
    boot_id: String,
    files: [Kept; 7],
    /// How often the configuration was read.
    settings: u64,
    /// How many phones of the book are online, and the revision of the book in which they were counted.
    online: (u64, u64),
    /// The state of the process before was asked for and has not been seen yet: it must not be overwritten.
    state_unread: bool,
}

impl Keeper {
    /// Nothing was written yet.
    pub fn new(boot_id: String, now: Instant) -> Self {
        let files = [
            Kept::new(Writer::State, limits::STATE_INTERVAL, now),
            Kept::new(Writer::ActiveCalls, limits::LIST_INTERVAL, now),
            Kept::new(Writer::BookJson, limits::LIST_INTERVAL, now),
            Kept::new(Writer::PhoneTests, limits::TESTS_INTERVAL, now),
            Kept::new(Writer::MonitorSettings, limits::LIST_INTERVAL, now),
            Kept::new(Writer::Badge, limits::LIST_INTERVAL, now),
            // What the process before said stands until there is a new report.
            Kept { written: Some(0), ..Kept::new(Writer::Health, limits::LIST_INTERVAL, now) },
        ];
        Self { boot_id, files, settings: 0, online: (0, 0), state_unread: true }
    }

    /// Asks for what the process before left.
    pub fn read_state(&self, config: &Config) -> Effect {
        Effect::Read { reader: Reader::State, path: config.main.state_file.clone(), limit: limits::STATE_FILE }
    }

    /// What the process before saved was read, if there was any: from now on it may be overwritten.
    pub fn handle_state(&mut self) -> &str {
        self.state_unread = false;
        &self.boot_id
    }

    /// A path that changed makes its file due.
    pub fn handle_config(&mut self, old: &Config, new: &Config) {
        if (&old.api.tiles, &old.api.tiles_credit) != (&new.api.tiles, &new.api.tiles_credit) {
            self.settings = self.settings.wrapping_add(1);
        }
        for file in &mut self.files {
            if path(old, file.writer) != path(new, file.writer) {
                file.written = None;
            }
        }
    }

    /// The name of this run of the machine.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Whoever makes the file's content counts its revisions anew.
    pub fn forget(&mut self, writer: Writer) {
        if let Some(file) = self.files.iter_mut().find(|file| file.writer == writer) {
            file.written = None;
        }
    }

    /// A write that failed is tried again, in a while: a full RAM disk is not emptied by hammering on it.
    pub fn handle_written(&mut self, writer: Writer, result: Result<(), FileError>, now: Instant) {
        if let (Err(_), Some(file)) = (result, self.files.iter_mut().find(|file| file.writer == writer)) {
            file.written = None;
            file.earliest = now + limits::WRITE_RETRY;
        }
    }

    /// When the next file is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let due = self.files.iter().filter(|file| file.written != Some(file.wanted)).map(|file| file.earliest);
        due.map(Some).fold(None, sooner)
    }
}

impl Core {
    /// Writes what is due.
    pub(super) fn keep(&mut self, now: Instant) {
        let book = self.phonebook.revision();
        if self.keeper.online.1 != book {
            let online = self.phonebook.entries().iter().filter(|entry| entry.online).count();
            self.keeper.online = (online as u64, book);
        }
        let revisions = [
            [
                self.sip.revision(),
                self.map.get().map_or(0, |map| map.mesh.book().revision()),
                self.desk.get().map_or(0, |desk| desk.probe.rung_revision()),
            ]
            .into_iter()
            .fold(0, u64::wrapping_add),
            self.sip.calls().shown_revision(),
            book,
            self.desk.get().map_or(0, |desk| desk.probe.revision()),
            self.keeper.settings,
            self.keeper.online.0,
            // Nobody renews what a program that measured itself has left: it is taken away.
            self.care.get().map_or(u64::MAX, |care| care.health.revision()),
        ];
        for (file, revision) in self.keeper.files.iter_mut().zip(revisions) {
            file.wanted = revision;
        }
        for index in 0..self.keeper.files.len() {
            let Some(file) = self.keeper.files.get_mut(index).filter(|file| file.is_due(now)) else { continue };
            let writer = file.writer;
            if writer == Writer::State && self.keeper.state_unread {
                continue;
            }
            file.written = Some(file.wanted);
            file.earliest = now + file.interval;
            self.write(writer, now);
        }
    }

    /// Saves what must survive, due or not.
    pub(super) fn farewell(&mut self, now: Instant) {
        self.write(Writer::State, now);
        self.effects.push_back(Effect::Exit);
    }

    fn write(&mut self, writer: Writer, now: Instant) {
        let Some(path) = path(&self.config, writer) else { return };
        let steps = match self.contents(writer, now) {
            Some(bytes) => replace(&path, bytes),
            // What stood there is of no use any more.
            None => vec![Step::Remove(path)],
        };
        self.effects.push_back(Effect::Write { writer, steps });
    }

    /// What an engine or a process that follows must know: who is registered, calls, who was seen and who was rung when.
    pub(super) fn state(&self, now: Instant) -> Vec<u8> {
        let mut state = self.sip.save(&self.keeper.boot_id);
        if let Some(map) = self.map.get() {
            map.mesh.book().save(&mut state, now);
        }
        if let Some(desk) = self.desk.get() {
            desk.probe.save(&mut state);
        }
        state
    }

    /// `None`: there is nothing to be said.
    fn contents(&self, writer: Writer, now: Instant) -> Option<Vec<u8>> {
        Some(match writer {
            Writer::State => self.state(now),
            Writer::ActiveCalls => self.active_calls_json(now),
            Writer::PhoneTests => self.phone_ping_json(now)?,
            Writer::MonitorSettings => self.monitor_settings(),
            // An empty badge is none.
            Writer::Badge if self.keeper.online.0 == 0 => Vec::new(),
            Writer::Badge => self.keeper.online.0.to_string().into_bytes(),
            Writer::Health => self.health_json(Reason::Scheduled, now)?,
            _ => self.phonebook_json(now),
        })
    }
}

/// Where a file stands; an empty option is a file that nobody wants.
fn path(config: &Config, writer: Writer) -> Option<PathBuf> {
    let path = match writer {
        Writer::State => &config.main.state_file,
        Writer::ActiveCalls => &config.main.active_calls_file,
        Writer::PhoneTests => &config.probe.results_file,
        Writer::MonitorSettings => &config.api.settings_file,
        Writer::Badge => &config.phonebook.badge_file,
        Writer::Health => &config.health.file,
        _ => &config.phonebook.phonebook_json_file,
    };
    (!path.as_os_str().is_empty()).then(|| path.clone())
}
