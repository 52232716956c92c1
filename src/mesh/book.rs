//! When the phone of each number of the book was last seen, by anybody: registered here, announced by a node, found in a host
//! file or by its answer to a test.
//!
//! Kept in RAM only: after a restart the time begins anew, so "not seen for 30 days" is said 30 days later at the earliest.

use std::time::Duration;

use crate::limits;
use crate::sorted::SortedMap;
use crate::time::Instant;

/// What is known of the phone of one number.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When it was last seen, or when the number came into the book.
    at: Instant,
    /// It is seen now, until somebody says that it is not.
    online: bool,
}

/// The numbers of the book.
#[derive(Debug, Default)]
pub struct Book {
    numbers: SortedMap<Box<str>, Seen>,
    /// Digits that a number may carry in front, or not.
    prefix: String,
}

impl Book {
    /// Digits that a number of this country may carry in front.
    pub fn set_prefix(&mut self, prefix: &str) {
        self.prefix = prefix.to_owned();
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is a book at all.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The whole book as it is now, and whether each phone is online. What is known of numbers that stay, stays.
    pub fn replace<'a>(&mut self, entries: impl Iterator<Item = (&'a str, bool)>, now: Instant) {
        let mut old = std::mem::take(&mut self.numbers);
        for (number, online) in entries.take(limits::BOOK_ENTRIES) {
            let before = old.remove(number);
            let was_online = before.is_some_and(|seen| seen.online);
            let at = if online || was_online { now } else { before.map_or(now, |seen| seen.at) };
            self.numbers.insert(number.into(), Seen { at, online });
        }
    }

    /// A phone was seen.
    pub fn sighted(&mut self, number: &str, now: Instant) {
        if let Some(seen) = self.listed_as(number).and_then(|listed| self.numbers.get_mut(&*listed)) {
            seen.at = now;
        }
    }

    /// Whether the number is listed, with or without the country in front.
    pub fn lists(&self, number: &str) -> bool {
        self.listed_as(number).is_some()
    }

    fn listed_as(&self, number: &str) -> Option<String> {
        if self.numbers.contains_key(number) {
            return Some(number.to_owned());
        }
        if self.prefix.is_empty() {
            return None;
        }
        let with = format!("{}{number}", self.prefix);
        let without = number.strip_prefix(&self.prefix).map(str::to_owned);
        [Some(with), without].into_iter().flatten().find(|form| self.numbers.contains_key(form.as_str()))
    }

    /// Numbers that were not seen for so long, with how long it is.
    pub fn unseen(&self, after: Duration, now: Instant) -> impl Iterator<Item = (&str, Duration)> {
        let unseen = self.numbers.iter().filter(|(_, seen)| !seen.online);
        unseen.map(move |(number, seen)| (&**number, now.since(seen.at))).filter(move |(_, since)| *since >= after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn what_was_seen_when() {
        let mut book = Book::default();
        let start = Instant::from_micros(0);
        let unseen = |book: &Book, now| book.unseen(DAY, now).map(|(number, _)| number.to_owned()).collect::<Vec<_>>();
        book.replace([("1", false), ("2", true), ("3", false)].into_iter(), start);
        assert_eq!(unseen(&book, start + DAY), ["1", "3"]);
        book.sighted("1", start + DAY);
        book.replace([("1", false), ("2", false), ("3", false), ("4", false)].into_iter(), start + DAY);
        assert_eq!(unseen(&book, start + DAY), ["3"], "2 was online until now");
        assert_eq!(unseen(&book, start + DAY * 2), ["1", "2", "3", "4"]);
        book.replace([("3", true)].into_iter(), start + DAY * 2);
        assert_eq!((unseen(&book, start + DAY * 9), book.len()), (vec![], 1));
    }

    #[test]
    fn a_number_may_carry_its_country() {
        let mut book = Book::default();
        book.replace([("041441530", false), ("7", false)].into_iter(), Instant::default());
        assert!(!book.lists("441530"));
        book.set_prefix("041");
        assert!(book.lists("441530") && book.lists("041441530") && book.lists("0417") && !book.lists("8"));
        book.sighted("441530", Instant::default() + DAY);
        assert_eq!(book.unseen(DAY, Instant::default() + DAY).map(|(number, _)| number).collect::<Vec<_>>(), ["7"]);
    }
}
