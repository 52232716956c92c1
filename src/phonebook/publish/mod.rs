//! The book in the forms that phones read, one file for each maker, and which of the files must be written anew.
//!
//! Everything here goes to RAM; on flash stand links to it. Text from the book is escaped by the writer of each form,
//! whatever the reader let through. Which form wants what: `docs/adr` and the comment at the top of each file.

pub mod acrobits;
pub mod cisco;
pub mod fanvil;
pub mod grandstream;
pub mod polycom;
pub mod snom;
pub mod vcard;
pub mod xml;
pub mod yealink;

use std::path::Path;
use std::time::Duration;

use super::book::{Digest, Entry};
use crate::config::{self, Format};
use crate::files::{FileError, Step};
use crate::sorted::SortedMap;
use crate::time::Instant;

/// The first wait after a write that failed, and the longest.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_LONGEST: Duration = Duration::from_secs(3_600);

/// A published file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, below `publish_dir` and `link_dir`.
    pub name: String,
    /// Further names that phones of this maker look for; links only.
    pub aliases: &'static [&'static str],
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl File {
    fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), aliases: &[], bytes }
    }
}

/// What the forms have in common.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Stands before the name of a phone that is online.
    pub marker: &'a str,
    /// Where phones find the published files, ending in a slash.
    pub base_url: &'a str,
}

impl Look<'_> {
    /// The marker, where it belongs.
    fn marker(&self, entry: &Entry) -> &str {
        if entry.online { self.marker } else { "" }
    }

    /// What a phone shows in its list.
    fn name(&self, entry: &Entry) -> String {
        format!("{}{}", self.marker(entry), entry.display_name())
    }

    /// The same in two parts, for forms that put the name together themselves: marker and first name, last name and
    /// callsign.
    fn name_parts(&self, entry: &Entry) -> (String, String) {
        let last = Entry { first: String::new(), ..entry.clone() };
        match (entry.first.is_empty(), last.last.is_empty() && last.callsign.is_empty()) {
            (true, _) => (String::new(), format!("{}{}", self.marker(entry), last.display_name())),
            (false, true) => (format!("{}{}", self.marker(entry), entry.first), String::new()),
            (false, false) if last.last.is_empty() => {
                (format!("{}{}", self.marker(entry), entry.first), format!("({})", entry.callsign))
            }
            (false, false) => (format!("{}{}", self.marker(entry), entry.first), last.display_name()),
        }
    }
}

/// All files of one form.
pub fn render(format: Format, entries: &[Entry], look: Look<'_>) -> Vec<File> {
    match format {
        Format::Yealink => yealink::render(entries, look),
        Format::Cisco => cisco::render(entries, look),
        Format::Snom => snom::render(entries, look),
        Format::Grandstream => grandstream::render(entries, look),
        Format::Fanvil => fanvil::render(entries, look),
        Format::Polycom => polycom::render(entries, look),
        Format::Vcard => vcard::render(entries),
        Format::Acrobits => acrobits::render(entries, look),
    }
}

/// The longest beginning of `text` that has at most `limit` bytes and whole characters.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().trim_end()
}

/// Where phones find what stands in the directory of links: the web server's root is `/www`, and every phone of the
/// mesh reaches its own node by this name.
fn base_url(link_dir: &Path) -> String {
    let path = link_dir.strip_prefix("/www").ok().and_then(Path::to_str).unwrap_or("arednstack");
    format!("http://localnode.local.mesh/{}/", path.trim_matches('/')).replace("mesh//", "mesh/")
}

/// Knows what was published, so that only what changed is written.
#[derive(Debug, Default)]
pub struct Publisher {
    /// The files that stand there, and their aliases.
    files: SortedMap<String, (Digest, &'static [&'static str])>,
    is_writing: bool,
    /// When to write next.
    due: Option<Instant>,
    failures: u32,
    /// Files written since the start.
    pub written: u64,
}

impl Publisher {
    /// The book or a mark changed: the files are due at that time, if not sooner.
    pub fn schedule(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// The steps that make the published files those of `entries`, if they are due and any differs. Without entries
    /// there is nothing to publish, and what was published before is removed.
    pub fn poll(&mut self, entries: Option<&[Entry]>, config: &config::Phonebook, now: Instant) -> Option<Vec<Step>> {
        if self.is_writing || self.due.is_none_or(|due| now < due) {
            return None;
        }
        self.due = None;
        let steps = self.steps(entries, config);
        self.is_writing = !steps.is_empty();
        self.is_writing.then_some(steps)
    }

    fn steps(&mut self, entries: Option<&[Entry]>, config: &config::Phonebook) -> Vec<Step> {
        let base_url = base_url(&config.link_dir);
        let look = Look { marker: &config.online_marker, base_url: &base_url };
        let (mut steps, mut links) = (Vec::new(), Vec::new());
        let mut files = SortedMap::new();
        for format in config.formats.iter().filter(|_| entries.is_some()) {
            for file in render(*format, entries.unwrap_or_default(), look) {
                let digest = Digest::of(&file.bytes);
                let known = self.files.get(&file.name);
                if known.is_none_or(|(known, _)| *known != digest) {
                    let at = config.publish_dir.join(&file.name);
                    let fresh = config.publish_dir.join(format!("{}.new", file.name));
                    steps.push(Step::Write(fresh.clone(), file.bytes));
                    steps.push(Step::Rename { from: fresh, to: at });
                    self.written = self.written.saturating_add(1);
                }
                if known.is_none() {
                    links.extend(link_steps(&file.name, file.aliases, config));
                }
                files.insert(file.name, (digest, file.aliases));
            }
        }
        if !steps.is_empty() {
            steps.insert(0, Step::MakeDir(config.publish_dir.clone()));
        }
        if !links.is_empty() {
            links.insert(0, Step::MakeDir(config.link_dir.clone()));
        }
        steps.append(&mut links);
        for (name, (_, aliases)) in self.files.iter().filter(|(name, _)| !files.contains_key(*name)) {
            steps.extend(removal_steps(name, aliases, config));
        }
        self.files = files;
        steps
    }

    /// The steps that remove all that was published, before its place changes.
    pub fn withdraw(&mut self, config: &config::Phonebook) -> Vec<Step> {
        let files = std::mem::take(&mut self.files);
        files.iter().flat_map(|(name, (_, aliases))| removal_steps(name, aliases, config)).collect()
    }

    /// A write ended. Says whether a warning is due: at the first failure of a row.
    pub fn handle_written(&mut self, result: Result<(), FileError>, now: Instant) -> bool {
        if !self.is_writing {
            return false;
        }
        self.is_writing = false;
        if result.is_ok() {
            self.failures = 0;
            return false;
        }
        // Nobody knows which of the files were written: all of them, once more.
        self.files.clear();
        self.failures = self.failures.saturating_add(1);
        let wait = RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(6));
        self.due = Some(now + wait.min(RETRY_LONGEST));
        self.failures == 1
    }

    /// When the files are due, unless they are being written.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_writing)
    }
}

fn has_links(config: &config::Phonebook) -> bool {
    !config.link_dir.as_os_str().is_empty() && config.link_dir != config.publish_dir
}

fn link_steps(name: &str, aliases: &[&str], config: &config::Phonebook) -> Vec<Step> {
    let target = config.publish_dir.join(name);
    let names = std::iter::once(name).chain(aliases.iter().copied()).filter(|_| has_links(config));
    names.map(|name| Step::Link { at: config.link_dir.join(name), target: target.clone() }).collect()
}

fn removal_steps(name: &str, aliases: &[&str], config: &config::Phonebook) -> Vec<Step> {
    let names = std::iter::once(name).chain(aliases.iter().copied()).filter(|_| has_links(config));
    let mut steps: Vec<Step> = names.map(|name| Step::Remove(config.link_dir.join(name))).collect();
    steps.push(Step::Remove(config.publish_dir.join(name)));
    steps
}

#[cfg(test)]
mod tests;
