//! The book of the mesh: fetched, read, compared, kept, published.
//!
//! ```text
//!   start --> stored book (or its backup) --> served and published at once: BOOT
//!                                                 |
//!        +----------------------------------------+
//!        v
//!   ask the servers in turn --> a good book, or "unchanged" --> SUCCESS, again after the interval
//!        ^                  \-> none --> FAILED (STALE after three intervals without success), again sooner
//!        +--------------------------------/
//! ```
//!
//! A download replaces the book only if it is a book: not empty, not a web page, with a public row that can be dialled,
//! and not suddenly less than half of what was there, unless a later round finds the same. Whatever happens, what was
//! served goes on being served. Flash is written when the content changed (`store.rs`); marks of who is online change
//! files in RAM only (`publish`).
//!
//! Not done here: the download itself (`http`), who is online (`core/route.rs` asks registrations, host files and name
//! servers), the folding of country prefixes (`sip/ours.rs`), JSON (`api`).

pub mod book;
mod fetcher;
mod presence;
pub mod publish;
pub mod reader;
mod status;
mod store;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use log::{info, warn};

pub use book::{Book, Digest, Entry};
pub use reader::{Problem, ProblemKind, Unusable};
pub use status::{Failure, Origin, State, Status, Why};

use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::files::{Contents, FileError, Reader, Step, Writer};
use crate::limits::{BOOK_ENTRIES, BOOK_PRESENCE, BOOK_PROBLEMS, BOOK_STORED};
use crate::rng::{Rng, Seed};
use crate::time::{Clock, Instant, UnixTime, sooner};
use crate::wire::http::{Download, FetchError, Fetched};
use fetcher::{End, Fetcher, Place, Validators};
pub use presence::Look;
use presence::Presence;
use publish::Publisher;
use store::{Store, beside};

/// How long the stored book is waited for before the servers are asked without it.
const BOOT: Duration = Duration::from_secs(10);

/// How long marks of who is online are collected before the files are written.
const MARKS: Duration = Duration::from_secs(5);

/// A book with fewer entries may shrink as it likes.
const SHRINK_MATTERS: usize = 20;

/// What the phonebook wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read a file; the answer goes to [`Phonebook::handle_read`].
    Read {
        /// What for.
        reader: Reader,
        /// Which file.
        path: PathBuf,
        /// The most it may hold, in bytes.
        limit: usize,
    },
    /// Download the book; the answer goes to [`Phonebook::handle_fetched`].
    Fetch(Download),
    /// Find out whether a phone is on the mesh; the answer goes to [`Phonebook::handle_presence`].
    Presence {
        /// To be given back with the answer; not a position in [`Phonebook::entries`].
        index: u32,
        /// How far to look.
        look: Look,
        /// The number as it stands in the book.
        number: String,
    },
    /// Change files; the result goes to [`Phonebook::handle_written`].
    Write {
        /// What for.
        writer: Writer,
        /// In this order.
        steps: Vec<Step>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boot {
    Waiting { reader: Reader, until: Instant },
    Done,
}

#[derive(Debug, Default)]
struct Counts {
    servers_failed: u64,
    downloads_changed: u64,
    downloads_unchanged: u64,
    downloads_held: u64,
    presence_asked: u64,
    presence_unexpected: u64,
    answers_unexpected: u64,
    writes_failed: u64,
}

/// The engine.
#[derive(Debug)]
pub struct Phonebook {
    config: config::Phonebook,
    boot: Boot,
    started: Instant,
    book: Option<Book>,
    problems: Vec<Problem>,
    fetcher: Fetcher,
    /// The round of `status.error`.
    failed_in: u64,
    /// A book that is much smaller than the one that is served, and the round that found it.
    held: Option<(Digest, u64)>,
    store: Store,
    publisher: Publisher,
    presence: Presence,
    requests: VecDeque<Request>,
    status: Status,
    clock: Clock,
    counts: Counts,
    revision: u64,
}

impl Phonebook {
    /// Asks for the stored book at once.
    pub fn new(config: &config::Phonebook, servers: &[config::Server], seed: &Seed, now: Instant) -> Self {
        let mut phonebook = Self {
            config: config.clone(),
            boot: Boot::Done,
            started: now,
            book: None,
            problems: Vec::new(),
            fetcher: Fetcher::new(servers, Rng::new(seed, "phonebook"), now),
            failed_in: 0,
            held: None,
            store: Store::new(config.book_file.clone()),
            publisher: Publisher::default(),
            presence: Presence::default(),
            requests: VecDeque::new(),
            status: Status::default(),
            clock: Clock::default(),
            counts: Counts::default(),
            revision: 0,
        };
        phonebook.start(now);
        phonebook
    }

    fn start(&mut self, now: Instant) {
        if self.config.enabled {
            self.read_stored(Reader::StoredBook, self.config.book_file.clone(), now);
        }
        self.advance(now);
    }

    fn read_stored(&mut self, reader: Reader, path: PathBuf, now: Instant) {
        self.boot = Boot::Waiting { reader, until: now + BOOT };
        self.requests.push_back(Request::Read { reader, path, limit: BOOK_STORED });
    }

    /// Another configuration: only what changed is touched.
    pub fn handle_config(&mut self, config: &config::Phonebook, servers: &[config::Server], now: Instant) {
        let old = std::mem::replace(&mut self.config, config.clone());
        self.fetcher.handle_config(servers, config.interval, now);
        if old.publish_dir != config.publish_dir || old.link_dir != config.link_dir {
            let steps = self.publisher.withdraw(&old);
            self.write(Writer::Published, steps);
        }
        if old.book_file != config.book_file {
            self.store = Store::new(config.book_file.clone());
        }
        match (old.enabled, config.enabled) {
            (false, true) => {
                self.started = now;
                self.fetcher.restart(now);
                return self.start(now);
            }
            (true, false) => self.stop(now),
            _ if old.presence_interval != config.presence_interval && self.book.is_some() => {
                self.presence.handle_interval(config.presence_interval, now);
            }
            _ => {}
        }
        self.changed(now); // writes what differs, and nothing if nothing does
        self.advance(now);
    }

    /// Stops serving; what is stored stays.
    fn stop(&mut self, now: Instant) {
        self.boot = Boot::Done;
        self.book = None;
        self.problems.clear();
        self.held = None;
        self.presence.stop();
        self.fetcher.restart(now);
        self.revision = self.revision.wrapping_add(1);
        self.requests.retain(|request| !matches!(request, Request::Presence { .. }));
        self.status = Status::default();
    }

    /// What the date is.
    pub fn handle_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Somebody wants the book fetched now. A running round is as good.
    pub fn fetch_now(&mut self, now: Instant) {
        self.fetcher.fetch_now(now);
        self.advance(now);
    }

    /// A file that was asked for.
    pub fn handle_read(&mut self, reader: Reader, contents: Result<Contents, FileError>, now: Instant) {
        match reader {
            Reader::StoredBook | Reader::BackupBook => self.handle_stored(reader, contents, now),
            Reader::BookHash if self.config.enabled => {
                let hash = contents.map(|contents| contents.bytes).unwrap_or_default();
                if let Some(steps) = self.store.hash_read(&hash) {
                    self.write(Writer::Book, steps);
                }
            }
            Reader::BookServer if self.fetcher.end_if_outdated() => {}
            Reader::BookServer => match self.fetcher.waits_for() {
                Some((_, Ok(Place::File(_)), _)) => match contents {
                    Ok(contents) => self.handle_download(&contents.bytes, None, now),
                    Err(error) => self.server_failed(Why::File(error), now),
                },
                _ => self.unexpected(),
            },
            Reader::BookHash | Reader::State | Reader::Starts => self.unexpected(),
        }
        self.advance(now);
    }

    fn handle_stored(&mut self, reader: Reader, contents: Result<Contents, FileError>, now: Instant) {
        if !matches!(self.boot, Boot::Waiting { reader: waiting, .. } if waiting == reader) {
            return self.unexpected();
        }
        self.boot = Boot::Done;
        let found = match &contents {
            Ok(contents) => reader::read(&contents.bytes).map_err(Some),
            Err(_) => Err(None),
        };
        let (reading, contents) = match (found, contents) {
            (Ok(reading), Ok(contents)) => (reading, contents),
            (damage, contents) => {
                let missing = contents.err() == Some(FileError::NotFound);
                if !missing {
                    let path = self.config.book_file.display();
                    let damage = damage.err().flatten().map_or_else(String::new, |damage| format!(": {damage}"));
                    match reader {
                        Reader::StoredBook => warn!("{path} cannot be used{damage}; its backup is tried"),
                        _ => warn!("the backup of {path} cannot be used either{damage}"),
                    }
                }
                if reader == Reader::StoredBook {
                    self.read_stored(Reader::BackupBook, beside(&self.config.book_file, ".bak"), now);
                }
                return;
            }
        };
        if self.book.is_some() {
            return; // a server was quicker
        }
        let book = Book::new(reading.entries);
        if reader == Reader::StoredBook && book.canonical() == contents.bytes {
            self.store.found(book.digest());
            let path = beside(&self.config.book_file, ".hash");
            self.requests.push_back(Request::Read { reader: Reader::BookHash, path, limit: 256 });
        }
        self.status.origin = if reader == Reader::StoredBook { Origin::Stored } else { Origin::Backup };
        let which = if reader == Reader::StoredBook { "stored book" } else { "backup of the stored book" };
        info!("serving the {which}, {} entries", book.entries().len());
        self.status.stored_date = Some(contents.modified);
        self.status.private = reading.private;
        self.status.problems = reading.problem_count;
        self.problems = reading.problems;
        self.adopt(book, now);
    }

    /// The answer to [`Request::Fetch`].
    pub fn handle_fetched(&mut self, result: Result<Fetched, FetchError>, now: Instant) {
        let outdated = self.fetcher.end_if_outdated();
        match self.fetcher.waits_for() {
            Some((_, Ok(Place::Http(_)), conditional)) => match result {
                Ok(Fetched { status: 304, .. }) if conditional => self.round_succeeded(now),
                Ok(Fetched { status: 200, etag, last_modified, body }) => {
                    self.handle_download(&body, Some((etag, last_modified)), now);
                }
                Ok(Fetched { status, .. }) => self.server_failed(Why::Status(status), now),
                Err(error) => self.server_failed(Why::Fetch(error), now),
            },
            _ if !outdated => self.unexpected(),
            _ => {}
        }
        self.advance(now);
    }

    /// Decides whether what a server has is the book from now on.
    fn handle_download(&mut self, bytes: &[u8], validators: Option<(Option<String>, Option<String>)>, now: Instant) {
        let reading = match reader::read(bytes) {
            Ok(reading) => reading,
            Err(unusable) => return self.server_failed(Why::Unusable(unusable), now),
        };
        let book = Book::new(reading.entries);
        let digest = book.digest();
        let changed = self.book.as_ref().is_none_or(|served| served.digest() != digest);
        if let Some(why) = self.shrunk(&book) {
            let round = self.fetcher.rounds;
            if !self.held.is_some_and(|(held, since)| held == digest && since != round) {
                self.held = Some((digest, round));
                self.counts.downloads_held = self.counts.downloads_held.saturating_add(1);
                return self.server_failed(why, now);
            }
        }
        self.fetcher.remember(validators.and_then(|(etag, last_modified)| {
            let known = etag.is_some() || last_modified.is_some();
            known.then_some(Validators { etag, last_modified, digest })
        }));
        if changed {
            let url = self.fetcher.waits_for().map_or("", |(url, ..)| url);
            let skipped = match reading.problems.first() {
                Some(first) => format!(", {} problems, the first: {first}", reading.problem_count),
                None => String::new(),
            };
            let (entries, private) = (book.entries().len(), reading.private);
            info!("new book from {url}: {entries} entries, {private} private rows left out{skipped}");
            self.status.origin = Origin::Server;
            self.status.stored_date = None;
            self.fetcher.rest(entries, now);
            self.adopt(book, now);
        }
        self.status.private = reading.private;
        self.status.problems = reading.problem_count;
        self.problems = reading.problems;
        self.round_succeeded(now);
        match changed {
            true => self.counts.downloads_changed = self.counts.downloads_changed.saturating_add(1),
            false => self.counts.downloads_unchanged = self.counts.downloads_unchanged.saturating_add(1),
        }
    }

    /// Whether this book has less than half of the entries that are served.
    fn shrunk(&self, book: &Book) -> Option<Why> {
        let (from, to) = (self.book.as_ref()?.entries().len(), book.entries().len());
        (from >= SHRINK_MATTERS && to.saturating_mul(2) < from).then_some(Why::Shrunk { from, to })
    }

    /// From now on this book is served.
    fn adopt(&mut self, mut book: Book, now: Instant) {
        if let Some(served) = &self.book {
            book.inherit_presence(served);
        }
        self.status.last_change = Some(now);
        self.book = Some(book);
        self.held = None;
        self.presence.handle_book(self.config.presence_interval, now);
        self.changed(now);
    }

    fn round_succeeded(&mut self, now: Instant) {
        let url = self.fetcher.waits_for().map(|(url, ..)| url.to_owned());
        if matches!(self.status.state, State::Failed | State::Stale) {
            info!("{} has the book again", url.as_deref().unwrap_or_default());
        }
        self.held = None;
        self.status.url = url;
        self.status.state = State::Success;
        self.status.error = None;
        self.status.last_success = Some(now);
        self.fetcher.end(End::Good, self.config.interval, now);
    }

    /// The server whose turn it was has nothing good; the next one is asked, if there is one.
    fn server_failed(&mut self, why: Why, now: Instant) {
        if self.fetcher.end_if_outdated() {
            return;
        }
        self.counts.servers_failed = self.counts.servers_failed.saturating_add(1);
        let url = self.fetcher.waits_for().map(|(url, ..)| url.to_owned()).unwrap_or_default();
        log::debug!("{url}: {why}");
        // Of a round that one is told which says most: a book that is none, rather than the server after it that is not there.
        let before = self.status.error.as_ref().filter(|_| self.failed_in == self.fetcher.rounds);
        if !before.is_some_and(|before| before.why.is_an_answer()) || why.is_an_answer() {
            self.status.error = Some(Failure { url, why });
        }
        self.failed_in = self.fetcher.rounds;
        if self.fetcher.try_next() {
            return;
        }
        let held = self.held.is_some_and(|(_, round)| round == self.fetcher.rounds);
        self.fetcher.end(if held { End::Confirm } else { End::Bad }, self.config.interval, now);
        if matches!(self.status.state, State::Boot | State::Success) {
            if let Some(Failure { url, why }) = &self.status.error {
                warn!("no server has the book, {} entries stay; {url}: {why}", self.entries().len());
            }
            self.status.state = State::Failed;
        }
        self.notice_staleness(now);
    }

    /// When the book will be stale, if nothing succeeds before.
    fn stale_at(&self) -> Option<Instant> {
        let wanted = self.config.enabled && self.fetcher.has_servers() && self.status.state != State::Stale;
        let since = self.status.last_success.unwrap_or(self.started);
        wanted.then_some(since + self.config.interval.saturating_mul(3))
    }

    fn notice_staleness(&mut self, now: Instant) {
        if self.stale_at().is_some_and(|at| at <= now) {
            warn!("no server had the book for three intervals; {} entries stay", self.entries().len());
            self.status.state = State::Stale;
        }
    }

    /// The answer to [`Request::Presence`].
    pub fn handle_presence(&mut self, index: u32, online: bool, now: Instant) {
        let number = self.presence.handle_answer(index).and_then(|position| {
            let entry = self.book.as_ref()?.entries().get(position)?;
            Some(entry.number.clone())
        });
        match number {
            Some(number) => self.mark(&number, online, now),
            None => self.counts.presence_unexpected = self.counts.presence_unexpected.saturating_add(1),
        }
        self.advance(now);
    }

    /// Somebody learned without being asked that the phone with this number came or went, as the registrar does.
    pub fn handle_sighting(&mut self, number: &str, online: bool, now: Instant) {
        self.mark(number, online, now);
        self.advance(now);
    }

    fn mark(&mut self, number: &str, online: bool, now: Instant) {
        if self.book.as_mut().is_some_and(|book| book.set_online(number, online)) {
            self.changed(now + MARKS);
        }
    }

    /// The answer to [`Request::Write`].
    pub fn handle_written(&mut self, writer: Writer, result: Result<(), FileError>, now: Instant) {
        if result.is_err() {
            self.counts.writes_failed = self.counts.writes_failed.saturating_add(1);
        }
        match writer {
            Writer::Book => {
                if self.store.handle_written(result, now) {
                    let (path, why) = (self.config.book_file.display(), words(result));
                    warn!("the book cannot be written to {path}{why}; it is served from memory");
                }
            }
            Writer::Published => {
                if self.publisher.handle_written(result, now) {
                    let (path, why) = (self.config.publish_dir.display(), words(result));
                    warn!("the phones' books cannot be written to {path} or linked to{why}");
                }
            }
            _ => self.unexpected(),
        }
        self.advance(now);
    }

    /// What phones and people see is to be written anew at `at`.
    fn changed(&mut self, at: Instant) {
        self.revision = self.revision.wrapping_add(1);
        self.publisher.schedule(at);
    }

    fn unexpected(&mut self) {
        self.counts.answers_unexpected = self.counts.answers_unexpected.saturating_add(1);
    }

    fn write(&mut self, writer: Writer, steps: Vec<Step>) {
        if !steps.is_empty() {
            self.requests.push_back(Request::Write { writer, steps });
        }
    }

    /// Does what can be done now: begin a round, ask the next server, publish, store.
    fn advance(&mut self, now: Instant) {
        if self.config.enabled && self.boot == Boot::Done && self.fetcher.begin_if_due(now) {
            self.status.last_attempt = Some(now);
        }
        let have = self.book.as_ref().map(Book::digest);
        while let Some(question) = self.fetcher.poll_question(have, &self.config, now) {
            let (etag, last_modified) =
                question.validators.map_or((None, None), |known| (known.etag, known.last_modified));
            match question.place {
                Ok(Place::Http(url)) => self.requests.push_back(Request::Fetch(Download {
                    url,
                    etag,
                    last_modified,
                    connect_timeout: self.config.connect_timeout,
                    total_timeout: self.config.total_timeout,
                    max_body: self.config.max_size,
                })),
                Ok(Place::File(path)) => self.requests.push_back(Request::Read {
                    reader: Reader::BookServer,
                    path,
                    limit: self.config.max_size,
                }),
                Err(bad) => self.server_failed(Why::BadUrl(bad), now),
            }
        }
        // Phones first: the files in RAM are ready before flash, which is slow, is touched.
        let entries = self.book.as_ref().map(Book::entries);
        if let Some(steps) = self.publisher.poll(entries, &self.config, now) {
            self.write(Writer::Published, steps);
        }
        let stored = self.book.as_ref().and_then(|book| self.store.poll(book.digest(), || book.canonical(), now));
        if let Some(steps) = stored {
            self.write(Writer::Book, steps);
        }
        self.status.entries = self.entries().len();
        self.status.digest = self.book.as_ref().map(Book::digest);
        self.status.fetching = self.fetcher.is_running();
        self.status.next_fetch = self.fetcher.next_round().filter(|_| self.config.enabled);
    }

    /// What is to be done next.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// The served book, in the order of the sheet.
    pub fn entries(&self) -> &[Entry] {
        self.book.as_ref().map(Book::entries).unwrap_or_default()
    }

    /// Whether the book has this number, digit by digit.
    pub fn knows(&self, number: &str) -> bool {
        self.find(number).is_some()
    }

    /// The first entry with this number.
    pub fn find(&self, number: &str) -> Option<&Entry> {
        let book = self.book.as_ref()?;
        book.entries().get(usize::try_from(*book.positions(number).first()?).ok()?)
    }

    /// How the book is doing.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What is wrong with the sheet, by line; the first [`BOOK_PROBLEMS`].
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Grows whenever an entry, or whether its phone is online, changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The date of the served content: of the file, if it came from flash, else of the download that brought it.
    pub fn last_updated(&self) -> Option<UnixTime> {
        self.book.as_ref()?;
        self.status.stored_date.or_else(|| self.status.last_change.map(|at| self.clock.date(at)))
    }
}

impl Engine for Phonebook {
    fn handle_timeout(&mut self, now: Instant) {
        if !self.config.enabled {
            return self.advance(now);
        }
        if matches!(self.boot, Boot::Waiting { until, .. } if until <= now) {
            self.boot = Boot::Done; // whoever reads files is stuck; the servers may answer all the same
        }
        if self.fetcher.is_overdue(now) {
            self.server_failed(Why::NoAnswer, now);
        }
        self.notice_staleness(now);
        self.store.handle_timeout(now);
        if let Some(book) = &self.book {
            if let Some(question) = self.presence.handle_timeout(book, self.config.presence_interval, now) {
                let presence::Question { index, look, number } = question;
                self.counts.presence_asked = self.counts.presence_asked.saturating_add(1);
                self.requests.push_back(Request::Presence { index, look, number });
            }
        }
        self.advance(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        if !self.config.enabled {
            return self.publisher.next_deadline();
        }
        let fetch = match self.boot {
            Boot::Waiting { until, .. } => Some(until),
            Boot::Done => self.fetcher.next_deadline(),
        };
        let presence = self.book.as_ref().and_then(|_| self.presence.next_deadline());
        let files = sooner(self.store.next_deadline(), self.publisher.next_deadline());
        sooner(sooner(fetch, presence), sooner(files, self.stale_at()))
    }

    fn tables(&self) -> Vec<Table> {
        vec![
            Table { name: "phonebook_kept_entries", used: self.entries().len(), limit: BOOK_ENTRIES },
            Table { name: "phonebook_kept_problems", used: self.problems.len(), limit: BOOK_PROBLEMS },
            Table { name: "phonebook_presence_questions", used: self.presence.waiting(), limit: BOOK_PRESENCE },
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts { servers_failed, downloads_changed, downloads_unchanged, downloads_held, .. } = self.counts;
        let Counts { presence_asked, presence_unexpected, answers_unexpected, writes_failed, .. } = self.counts;
        vec![
            Counter { name: "rounds", count: self.fetcher.rounds },
            Counter { name: "servers_failed", count: servers_failed },
            Counter { name: "downloads_changed", count: downloads_changed },
            Counter { name: "downloads_unchanged", count: downloads_unchanged },
            Counter { name: "downloads_held", count: downloads_held },
            Counter { name: "presence_asked", count: presence_asked },
            Counter { name: "presence_unexpected", count: presence_unexpected },
            Counter { name: "answers_unexpected", count: answers_unexpected },
            Counter { name: "flash_writes", count: self.store.written },
            Counter { name: "published_files_written", count: self.publisher.written },
            Counter { name: "writes_failed", count: writes_failed },
        ]
    }
}

/// Why a write failed.
fn words(result: Result<(), FileError>) -> String {
    result.err().map_or_else(String::new, |error| format!(": {error}"))
}

#[cfg(test)]
mod tests;
