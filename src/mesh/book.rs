//! When the phone of each number of the book was last seen, by anybody: registered here, announced by a node, found in a host
//! file or by its answer to a test.
//!
//! Kept over a restart of the daemon in the file of its state, which stands in RAM. When the machine starts anew the time
//! begins anew, so "not seen for 30 days" is then said 30 days later at the earliest: too late, never wrongly. To know it
//! sooner would cost a write to flash every day.

use std::time::Duration;

use crate::limits;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::moments;

/// In what steps a sighting is worth a write of the file: the finding counts in days.
const STEP: Duration = Duration::from_secs(3_600);

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
    /// What the process before knew, until the book has come.
    before: SortedMap<Box<str>, Instant>,
    revision: u64,
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
            let earlier = self.before.remove(number);
            let was_online = before.is_some_and(|seen| seen.online);
            let at = match before.map(|seen| seen.at).or(earlier) {
                Some(at) if !online && !was_online => at,
                _ => now,
            };
            self.numbers.insert(number.into(), Seen { at, online });
            // While it is online, the time of writing is when it was seen.
            if before.is_none() || online != was_online {
                self.revision = self.revision.wrapping_add(1);
            }
        }
        if !old.is_empty() {
            self.revision = self.revision.wrapping_add(1);
        }
        // The book has come: whoever is not in it is forgotten.
        if !self.numbers.is_empty() {
            self.before.clear();
        }
    }

    /// Changes when [`Book::save`] has something new to say.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Appends to the state file `out` when the phones were last seen.
    pub fn save(&self, out: &mut Vec<u8>, now: Instant) {
        let seen = self.numbers.iter().map(|(number, seen)| (number, if seen.online { now } else { seen.at }));
        let before = self.before.iter().map(|(number, at)| (number, *at));
        moments::append(out, "seen", seen.chain(before).map(|(number, at)| (&**number, at.as_micros())));
    }

    /// Takes back what [`Book::save`] wrote since the machine started, `boot_id` being its name for that.
    pub fn restore(&mut self, file: &[u8], boot_id: &str, now: Instant) {
        for (number, micros) in moments::read(file, boot_id, "seen") {
            let at = Instant::from_micros(micros).min(now);
            match self.numbers.get_mut(number.as_str()) {
                Some(seen) if !seen.online => seen.at = seen.at.min(at),
                Some(_) => {}
                None if self.before.len() < limits::BOOK_ENTRIES && number.len() <= limits::SIP_USER => {
                    self.before.insert(number.into(), at);
                }
                None => {}
            }
        }
    }

    /// A phone was seen.
    pub fn sighted(&mut self, number: &str, now: Instant) {
        if let Some(seen) = self.listed_as(number).and_then(|listed| self.numbers.get_mut(&*listed)) {
            if !seen.online && now.since(seen.at) >= STEP {
                self.revision = self.revision.wrapping_add(1);
            }
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

    #[test]
    fn a_restart_of_the_daemon_forgets_nothing_and_one_of_the_machine_everything() {
        let mut book = Book::default();
        let start = Instant::from_micros(5);
        book.replace([("1", false), ("2\"", true), ("3", false)].into_iter(), start);
        let mut file = b"{\"boot_id\":\"b\",\"calls\":[{}]}".to_vec();
        book.save(&mut file, start + DAY);
        assert_eq!(
            String::from_utf8(file.clone()).unwrap(),
            "{\"boot_id\":\"b\",\"calls\":[{}],\"seen\":{\"1\":5,\"2\\\"\":86400000005,\"3\":5}}"
        );

        let now = start + DAY * 2;
        let unseen = |book: &Book, now| book.unseen(DAY, now).map(|(number, _)| number.to_owned()).collect::<Vec<_>>();
        let mut again = Book::default();
        again.restore(&file, "b", now);
        // What is not in the book yet is not forgotten when the file is written before the book has come.
        let mut kept = b"{\"boot_id\":\"b\",\"calls\":[{}]}".to_vec();
        again.save(&mut kept, now);
        assert_eq!(kept, file);
        again.replace([("1", false), ("2\"", false), ("3", true), ("4", false)].into_iter(), now);
        assert_eq!(unseen(&again, now), ["1", "2\""], "4 is new, 3 is there");

        let mut late = Book::default();
        late.replace([("1", false), ("3", true)].into_iter(), now);
        late.restore(&file, "b", now);
        assert_eq!(unseen(&late, now), ["1"], "the book came first");

        for (boot_id, file) in [("c", &file[..]), ("b", b"{\"boot_id\":\"b\",\"seen\":{\"1\":-5}}"), ("b", b"nothing")]
        {
            let mut anew = Book::default();
            anew.restore(file, boot_id, now);
            anew.replace([("1", false)].into_iter(), now);
            assert_eq!(unseen(&anew, now), [] as [&str; 0]);
        }
        let mut future = Book::default();
        future.restore(b"{\"boot_id\":\"b\",\"seen\":{\"1\":18446744073709551615}}", "b", now);
        future.replace([("1", false)].into_iter(), now);
        assert_eq!(unseen(&future, now + DAY), ["1"], "nobody was seen later than now");
    }

    #[test]
    fn a_book_and_what_was_known_before_it_are_bounded() {
        let many: Vec<String> = (0..limits::BOOK_ENTRIES + 9).map(|number| number.to_string()).collect();
        let members: Vec<String> = many.iter().map(|number| format!("\"{number}\":1")).collect();
        let file = |members: &str| format!("{{\"boot_id\":\"b\",\"seen\":{{{members}}}}}").into_bytes();
        let mut book = Book::default();
        book.restore(&file(&format!("\"{}\":1", "7".repeat(limits::SIP_USER + 1))), "b", Instant::default());
        assert_eq!(book.before.len(), 0);
        book.restore(&file(&members.join(",")), "b", Instant::default());
        assert_eq!(book.before.len(), limits::BOOK_ENTRIES);
        book.replace(many.iter().map(|number| (number.as_str(), false)), Instant::default());
        assert_eq!((book.len(), book.before.len()), (limits::BOOK_ENTRIES, 0), "who is not in it is forgotten");
    }

    #[test]
    fn what_is_worth_a_write() {
        let mut book = Book::default();
        let start = Instant::from_micros(0);
        let entries = [("1", false), ("2", true)];
        let changed = |book: &mut Book, what: &mut dyn FnMut(&mut Book)| {
            let before = book.revision();
            what(book);
            before != book.revision()
        };
        assert!(changed(&mut book, &mut |book| book.replace(entries.into_iter(), start)));
        assert!(!changed(&mut book, &mut |book| book.replace(entries.into_iter(), start + DAY)));
        assert!(!changed(&mut book, &mut |book| book.sighted("2", start + DAY * 2)), "it is there all the time");
        assert!(changed(&mut book, &mut |book| book.sighted("1", start + DAY)));
        assert!(!changed(&mut book, &mut |book| book.sighted("1", start + DAY + STEP / 2)), "not every test");
        assert!(changed(&mut book, &mut |book| book.replace([("1", false), ("2", false)].into_iter(), start + DAY)));
        assert!(changed(&mut book, &mut |book| book.replace([("1", false)].into_iter(), start + DAY)));
    }
}
