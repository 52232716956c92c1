//! The core on a virtual clock: how it is driven, files in memory, a name server, and what a stream has to say.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use switchboard::core::Core;
use switchboard::core::event::{Effect, Event};
use switchboard::engine::StreamId;
use switchboard::files::{Contents, FileError, Step};
use switchboard::time::{Instant, UnixTime};

/// The date at which every test begins.
pub const NOON: UnixTime = UnixTime(1_784_800_800);

/// A core with something around it.
pub trait World {
    fn core(&mut self) -> &mut Core;

    fn now(&mut self) -> &mut Instant;

    /// When the next thing happens around the core.
    fn next(&self) -> Option<Instant>;

    /// Lets happen what is due around the core.
    fn happen(&mut self);

    /// Takes everything that the core has to say.
    fn settle(&mut self);

    /// Lets the time pass, with all that happens in it.
    fn run(&mut self, duration: Duration) {
        let end = *self.now() + duration;
        loop {
            self.settle();
            let next = [self.next(), self.core().next_deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            let now = next.max(*self.now());
            *self.now() = now;
            self.happen();
            if self.core().next_deadline().is_some_and(|deadline| deadline <= now) {
                self.core().handle_timeout(now);
                self.settle();
                let next = self.core().next_deadline();
                assert!(next.is_none_or(|next| next > now), "the deadline does not advance: {next:?}");
            }
        }
        *self.now() = end;
    }
}

/// Files in memory, and how often those outside RAM were written.
#[derive(Default)]
pub struct Files {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Times and bytes of writing outside RAM, by file.
    pub flash: BTreeMap<PathBuf, (usize, usize)>,
    pub ram_writes: usize,
}

impl Files {
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Vec<u8>> {
        self.files.get(path.as_ref())
    }

    pub fn put(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// What all of them hold, with the room that is kept for them.
    pub fn bytes(&self) -> usize {
        self.files.values().map(Vec::capacity).sum()
    }

    pub fn remove(&mut self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.files.remove(path.as_ref())
    }

    /// Does at once what is to be done with a file, and tells the core; gives back what is not.
    pub fn perform(&mut self, effect: Effect, core: &mut Core, now: Instant) -> Option<Effect> {
        match effect {
            Effect::Read { reader, path, .. } => {
                let contents = self.get(&path).map(|bytes| Contents { bytes: bytes.clone(), modified: NOON });
                core.handle_event(Event::Read { reader, contents: contents.ok_or(FileError::NotFound) }, now);
            }
            Effect::Write { writer, steps } => {
                steps.into_iter().for_each(|step| self.step(step));
                core.handle_event(Event::Written { writer, result: Ok(()) }, now);
            }
            effect => return Some(effect),
        }
        None
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(path, bytes) => {
                self.count(&path, bytes.len());
                self.put(path, bytes);
            }
            Step::Rename { from, to } => {
                let bytes = self.remove(&from).expect("what is renamed was written");
                self.put(to, bytes);
            }
            Step::Keep { file, copy } => {
                let bytes = self.get(&file).expect("what is kept is there").clone();
                self.count(&copy, 0);
                self.put(copy, bytes);
            }
            Step::Remove(path) => {
                if self.remove(&path).is_some() {
                    self.count(&path, 0);
                }
            }
            // A link that is there already is not written again (`rt/files.rs`).
            Step::Link { at, target } => {
                let text = target.display().to_string().into_bytes();
                if self.get(&at) != Some(&text) {
                    self.count(&at, 0);
                    self.put(at, text);
                }
            }
            Step::MakeDir(_) | Step::Sync(_) | Step::SyncDir(_) => {}
        }
    }

    fn count(&mut self, path: &Path, bytes: usize) {
        // What a router has in RAM.
        if path.starts_with("/tmp") || path.starts_with("/var/run") {
            self.ram_writes += 1;
        } else {
            let (times, sum) = self.flash.entry(path.into()).or_default();
            (*times, *sum) = (*times + 1, *sum + bytes);
        }
    }
}

/// What a name server says (RFC 1035 §4.1): one question for a name of the mesh, one address or "no such name".
pub fn name_server(question: &[u8], address: impl Fn(&str) -> Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8(question[at + 1..at + 1 + length].to_vec()).ok()?.to_ascii_lowercase());
        at += length + 1;
    }
    let address = address(labels.join(".").strip_suffix(".local.mesh")?);
    let mut answer = question[..at + 5].to_vec();
    answer[2] = 0x84;
    answer[3] = if address.is_some() { 0x80 } else { 0x83 };
    answer[6..12].copy_from_slice(&[0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    Some(answer)
}

/// Everything that the core has to say on a stream.
pub fn said(core: &mut Core, stream: StreamId) -> Vec<u8> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4_096]);
    while let length @ 1.. = core.poll_stream(stream, &mut buffer) {
        said.extend_from_slice(&buffer[..length]);
    }
    said
}
