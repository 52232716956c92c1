//! A phonebook, its files, its servers and the phones in it.

use switchboard::config;
use switchboard::engine::Engine;
use switchboard::files::{Contents, FileError, Reader, Writer};
use switchboard::phonebook::{Phonebook, Request};
use switchboard::rng::Seed;
use switchboard::time::{Clock, Instant, UnixTime};
use switchboard::wire::http::{FetchError, Fetched};

use crate::Chance;

pub struct Subject {
    phonebook: Phonebook,
    reads: Vec<Reader>,
    fetches: usize,
    writes: Vec<Writer>,
    asked: Vec<u32>,
}

const BOOKS: [&str; 6] = [
    "Firstname,Name,Callsign,Telephone,Privat\nUrs,Meier,HB9BBB,441530,\nEva,Frei,HB9CCC,441531,y\n",
    "Firstname,Name,Callsign,Telephone\r\nUrs,\"Meier, jr\",HB9BBB,441530\r\nEva,Frei,HB9CCC,441531\r\n",
    "Urs;Meier;HB9BBB;441530\n",
    "",
    "<html>",
    "first_name,name,callsign,telephone\na,b,c,d\n",
];

fn servers() -> Vec<config::Server> {
    ["http://a.local.mesh/x.csv", "file:///srv/x.csv", "gopher://x"]
        .map(|url| config::Server { url: url.into() })
        .to_vec()
}

fn book(chance: &mut Chance) -> Vec<u8> {
    let text = chance.of(&BOOKS).as_bytes().to_vec();
    if chance.one_in(4) { chance.damaged(text) } else { text }
}

impl crate::Subject for Subject {
    const NAME: &'static str = "phonebook";
    const PERIODIC: bool = true;
    const RESTING: &'static [&'static str] = &[];

    fn new(seed: &Seed, now: Instant) -> Self {
        let phonebook = Phonebook::new(&config::Phonebook::default(), &servers(), seed, now);
        Self { phonebook, reads: Vec::new(), fetches: 0, writes: Vec::new(), asked: Vec::new() }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.phonebook
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(20) {
            0..=4 if !self.reads.is_empty() => {
                let reader = self.reads.remove(chance.below(self.reads.len()));
                let contents = match chance.below(4) {
                    0 => Err(*chance.of(&[FileError::NotFound, FileError::TooLarge, FileError::Os(5)])),
                    _ => Ok(Contents { bytes: book(chance), modified: UnixTime(1_000) }),
                };
                self.phonebook.handle_read(reader, contents, now);
            }
            5..=9 if self.fetches > 0 => {
                self.fetches -= 1;
                let status = *chance.of(&[200, 200, 200, 304, 404]);
                let fetched = Fetched { status, etag: Some("\"1\"".into()), last_modified: None, body: book(chance) };
                let result = if chance.one_in(4) { Err(FetchError::NotReached) } else { Ok(fetched) };
                self.phonebook.handle_fetched(result, now);
            }
            10..=13 if !self.writes.is_empty() => {
                let writer = self.writes.remove(chance.below(self.writes.len()));
                let result = if chance.one_in(4) { Err(FileError::Os(28)) } else { Ok(()) };
                self.phonebook.handle_written(writer, result, now);
            }
            14 | 15 if !self.asked.is_empty() => {
                let index = self.asked.remove(chance.below(self.asked.len()));
                self.phonebook.handle_presence(index, chance.one_in(2), now);
            }
            16 => self.phonebook.handle_sighting(chance.of::<&str>(&["441530", "441531", ""]), chance.one_in(2), now),
            17 => self.phonebook.handle_clock(Clock::new(UnixTime(1_784_800_800), now)),
            18 => {
                let enabled = !chance.one_in(4);
                let formats = vec![config::Format::Yealink, config::Format::Cisco, config::Format::Vcard];
                let config = config::Phonebook { enabled, formats, ..config::Phonebook::default() };
                self.phonebook.handle_config(&config, &servers()[..chance.below(4)], now);
            }
            _ => self.phonebook.fetch_now(now),
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some(request) = self.phonebook.poll_request() {
            log.push(format!("{request:?}"));
            match request {
                Request::Read { reader, .. } => self.reads.push(reader),
                Request::Fetch(_) => self.fetches += 1,
                Request::Presence { index, .. } => self.asked.push(index),
                Request::Write { writer, .. } => self.writes.push(writer),
            }
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(3) {
            0 => self.phonebook.handle_presence(u32::MAX, true, now),
            1 => self.phonebook.handle_written(*chance.of(&[Writer::ActiveCalls, Writer::State]), Ok(()), now),
            _ => self.phonebook.handle_read(Reader::State, Err(FileError::NotFound), now),
        }
    }
}
