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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;

    const fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    fn core() -> Core {
        Core::new(Config::default(), &[3; 32], "boot".into(), at(1_000))
    }

    /// One whose files are all written.
    fn settled() -> Core {
        let mut core = core();
        core.handle_event(Event::Read { reader: Reader::State, contents: Err(FileError::NotFound) }, at(1_000));
        core.keep(at(2_000));
        written(&mut core);
        assert_eq!(core.keeper.next_deadline(), None);
        core
    }

    /// Whose files are to be written now.
    fn written(core: &mut Core) -> Vec<Writer> {
        let effects = std::iter::from_fn(|| core.poll_effect());
        effects
            .filter_map(|effect| if let Effect::Write { writer, .. } = effect { Some(writer) } else { None })
            .collect()
    }

    #[test]
    fn the_state_of_the_process_before_is_read_before_it_is_overwritten() {
        let mut core = core();
        core.keep(at(60_000));
        assert!(!written(&mut core).contains(&Writer::State));
        core.handle_event(Event::Read { reader: Reader::State, contents: Err(FileError::NotFound) }, at(60_001));
        assert!(written(&mut core).contains(&Writer::State));
    }

    #[test]
    fn a_write_that_failed_is_tried_again_in_a_while() {
        let mut core = settled();
        core.keeper.handle_written(Writer::ActiveCalls, Ok(()), at(10_000));
        assert_eq!(core.keeper.next_deadline(), None);
        core.keeper.handle_written(Writer::ActiveCalls, Err(FileError::Os(28)), at(10_000));
        let again = at(10_000) + limits::WRITE_RETRY;
        assert_eq!(core.keeper.next_deadline(), Some(again));
        core.keep(at(69_999));
        assert_eq!(written(&mut core), []);
        core.keep(again);
        assert_eq!(written(&mut core), [Writer::ActiveCalls]);
    }

    #[test]
    fn what_changes_all_the_time_is_written_once_in_its_interval() {
        let mut core = settled();
        let mut times = Vec::new();
        for millis in (10_000..13_000).step_by(100) {
            core.keeper.settings += 1;
            core.keep(at(millis));
            times.extend(written(&mut core).iter().map(|writer| (millis, *writer)));
        }
        assert_eq!(times, [10_000, 11_000, 12_000].map(|millis| (millis, Writer::MonitorSettings)));
        assert_eq!(core.keeper.next_deadline(), Some(at(13_000)));
    }

    #[test]
    fn another_configuration_and_another_maker_make_a_file_due() {
        let mut core = settled();
        let before = core.config.clone();
        let due = |core: &mut Core, change: fn(&mut Config)| {
            let mut config = before.clone();
            change(&mut config);
            core.keeper.handle_config(&before, &config);
            core.config = config;
            core.keep(at(20_000));
            core.config = before.clone();
            written(core)
        };
        assert_eq!(due(&mut core, |_| {}), []);
        assert_eq!(due(&mut core, |config| config.main.active_calls_file = "/x".into()), [Writer::ActiveCalls]);
        assert_eq!(due(&mut core, |config| config.api.tiles = "x".into()), [Writer::MonitorSettings]);
        assert_eq!(due(&mut core, |config| config.main.state_file = PathBuf::new()), [], "nobody wants it");
        core.keeper.forget(Writer::BookJson);
        core.keep(at(30_000));
        assert_eq!(written(&mut core), [Writer::BookJson]);
    }
}
