//! Asks, one number after the other and without haste, which phones of the book are on the mesh.
//!
//! Who knows the answer (registrations, host files, name servers) is not decided here, but how far to look is: most
//! phones of a book are switched off or behind other meshes, and every node that asks name servers for all of them in
//! every round is what supernodes were flooded with. An entry is named by a token: its position and the generation of
//! the book, so that an answer to a question about an earlier book marks nobody.

use std::time::Duration;

use super::book::{Book, Entry};
use crate::limits::BOOK_PRESENCE;
use crate::time::{Instant, sooner};

/// Between two questions of the first round, in which everybody wants to see who is there.
const PACE_FIRST: Duration = Duration::from_millis(250);
/// Between two questions of a small book later on; larger ones spread over half of the interval.
const PACE_SLOWEST: Duration = Duration::from_secs(5);
/// A question that was not answered for so long never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a book has come: the daemon learns its own host files first.
const SETTLE: Duration = Duration::from_secs(1);

/// In how many rounds name servers are asked once for a phone that was not found: once an hour as configured.
const FAR_ROUNDS: u64 = 6;

/// How far to look for a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// In what this node knows: registrations and host files. It costs nothing.
    Near,
    /// And then at the name servers.
    Far,
}

/// A phone to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The token.
    pub index: u32,
    /// How far to look.
    pub look: Look,
    /// Its number.
    pub number: String,
}

/// The round.
#[derive(Debug, Default)]
pub struct Presence {
    generation: u16,
    /// The entry to ask for next, while a round is running.
    cursor: Option<u16>,
    pace: Duration,
    in_flight: Vec<(u32, Instant)>,
    next_ask: Option<Instant>,
    next_round: Option<Instant>,
    rounds: u64,
}

impl Presence {
    /// Another book: a round begins soon, answers to earlier questions count no more.
    pub fn handle_book(&mut self, interval: Duration, now: Instant) {
        self.generation = self.generation.wrapping_add(1);
        self.in_flight.clear();
        self.cursor = None;
        self.next_ask = None;
        self.next_round = (!interval.is_zero()).then_some(now + SETTLE);
    }

    /// No book, or nobody wants to know.
    pub fn stop(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.in_flight.clear();
        (self.cursor, self.next_ask, self.next_round) = (None, None, None);
    }

    /// Another interval.
    pub fn handle_interval(&mut self, interval: Duration, now: Instant) {
        if interval.is_zero() {
            self.stop();
        } else if self.cursor.is_none() {
            self.next_round = Some(self.next_round.map_or(now + SETTLE, |at| at.min(now + interval)));
        }
    }

    /// How many questions are out.
    pub fn waiting(&self) -> usize {
        self.in_flight.len()
    }

    /// Begins rounds and gives up on questions. The question that is due now.
    pub fn handle_timeout(&mut self, book: &Book, interval: Duration, now: Instant) -> Option<Question> {
        self.in_flight.retain(|(_, until)| now < *until);
        if self.cursor.is_none() && self.next_round.is_some_and(|at| at <= now) {
            self.begin(book, interval, now);
        }
        if self.in_flight.len() >= BOOK_PRESENCE || self.next_ask.is_none_or(|at| now < at) {
            return None;
        }
        let asked = self.next_number(book);
        self.next_ask = self.cursor.map(|_| now + self.pace);
        if self.cursor.is_none() {
            // A large book may take longer than the interval: the next round does not cut this one short.
            self.next_round = self.next_round.map(|at| at.max(now + SETTLE));
        }
        let (position, entry) = asked?;
        // In the first round everybody; then those who were found, to see them go, and a part of the others.
        let turn = self.rounds.saturating_add(u64::from(position)) % FAR_ROUNDS == 0;
        let look = if entry.online || turn || self.rounds <= 1 { Look::Far } else { Look::Near };
        let index = u32::from(self.generation) << 16 | u32::from(position);
        self.in_flight.push((index, now + PATIENCE));
        Some(Question { index, look, number: entry.number.clone() })
    }

    fn begin(&mut self, book: &Book, interval: Duration, now: Instant) {
        let entries = u32::try_from(book.entries().len()).unwrap_or(u32::MAX).max(1);
        self.pace = match self.rounds {
            0 => PACE_FIRST,
            _ => (interval / 2).checked_div(entries).unwrap_or(PACE_FIRST).clamp(PACE_FIRST, PACE_SLOWEST),
        };
        self.rounds = self.rounds.saturating_add(1);
        self.cursor = Some(0);
        self.next_ask = Some(now);
        self.next_round = Some(now + interval.max(Duration::from_secs(1)));
    }

    /// The next number that was not asked for in this round; ends the round behind the last.
    fn next_number<'a>(&mut self, book: &'a Book) -> Option<(u16, &'a Entry)> {
        loop {
            let position = self.cursor?;
            let Some(entry) = book.entries().get(usize::from(position)) else {
                self.cursor = None;
                return None;
            };
            self.cursor = position.checked_add(1);
            if book.positions(&entry.number).first() == Some(&u32::from(position)) {
                return Some((position, entry));
            }
        }
    }

    /// The position that an answer is about, if it was waited for.
    pub fn handle_answer(&mut self, token: u32) -> Option<usize> {
        let at = self.in_flight.iter().position(|(asked, _)| *asked == token)?;
        self.in_flight.swap_remove(at);
        usize::try_from(token & 0xffff).ok()
    }

    /// When something is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let patience = self.in_flight.iter().map(|(_, until)| *until).min();
        let ask = self.next_ask.filter(|_| self.in_flight.len() < BOOK_PRESENCE);
        sooner(sooner(patience, ask), self.next_round.filter(|_| self.cursor.is_none()))
    }
}
