//! The book itself: public entries in the order of the sheet, an index by number, and the one canonical text of them.
//!
//! The canonical text is what stands on flash and what the digest is taken of. It holds public rows only, so the file
//! may be served by the router's web server as it is. No reading of foreign sheets here: that is `reader.rs`.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Somebody who can be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// First name; may be empty.
    pub first: String,
    /// Last name; may be empty.
    pub last: String,
    /// Callsign; may be empty.
    pub callsign: String,
    /// The number: digits only, at least one.
    pub number: String,
    /// Whether the phone was on the mesh when it was last looked for.
    pub online: bool,
}

impl Entry {
    /// `First Last (CALL)`, with less where there is less, `Unnamed` where there is nothing.
    pub fn display_name(&self) -> String {
        let mut name = String::with_capacity(self.first.len() + self.last.len() + self.callsign.len() + 4);
        for part in [&self.first, &self.last] {
            if !name.is_empty() && !part.is_empty() {
                name.push(' ');
            }
            name.push_str(part);
        }
        match (name.is_empty(), self.callsign.is_empty()) {
            (false, false) => {
                let _ = write!(name, " ({})", self.callsign); // writing to a String cannot fail
            }
            (true, false) => name.push_str(&self.callsign),
            (true, true) => name.push_str("Unnamed"),
            (false, true) => {}
        }
        name
    }
}

/// SHA-256 of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
            hex
        })
    }
}

/// A book that is served: at least one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    entries: Vec<Entry>,
    /// Positions in `entries`, by number and then by position.
    by_number: Vec<u32>,
    digest: Digest,
}

impl Book {
    /// The book of these entries, in this order.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut by_number: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
        by_number.sort_unstable_by(|a, b| number_at(&entries, *a).cmp(number_at(&entries, *b)).then(a.cmp(b)));
        let digest = Digest::of(&canonical(&entries));
        Self { entries, by_number, digest }
    }

    /// Everybody, in the order of the sheet.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The digest of [`Book::canonical`]; whether a phone is online does not change it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The text that is stored: a header line and one line for each entry, CSV after RFC 4180 but with bare line feeds.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&self.entries)
    }

    /// The positions of all entries with this number, ascending.
    pub fn positions(&self, number: &str) -> &[u32] {
        let start = self.by_number.partition_point(|at| number_at(&self.entries, *at) < number);
        let tail = self.by_number.get(start..).unwrap_or_default();
        let len = tail.partition_point(|at| number_at(&self.entries, *at) == number);
        tail.get(..len).unwrap_or_default()
    }

    /// Marks all entries with this number; says whether any of them was marked otherwise.
    pub fn set_online(&mut self, number: &str, online: bool) -> bool {
        let mut changed = false;
        for at in self.positions(number).to_vec() {
            if let Some(entry) = self.entries.get_mut(usize::try_from(at).unwrap_or(usize::MAX)) {
                changed |= entry.online != online;
                entry.online = online;
            }
        }
        changed
    }

    /// Takes over from an earlier book who is online.
    pub fn inherit_presence(&mut self, earlier: &Self) {
        for entry in &mut self.entries {
            entry.online = earlier
                .positions(&entry.number)
                .first()
                .and_then(|at| earlier.entries.get(usize::try_from(*at).ok()?))
                .is_some_and(|known| known.online);
        }
    }
}

fn number_at(entries: &[Entry], at: u32) -> &str {
    usize::try_from(at).ok().and_then(|at| entries.get(at)).map_or("", |entry| entry.number.as_str())
}

/// The column names are those of the sheet, so that what reads the sheet (also the C program, which goes by position)
/// reads this as well.
fn canonical(entries: &[Entry]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to a Vec cannot fail, and every record has four fields.
    let _ = writer.write_record(["Firstname", "Name", "Callsign", "Telephone"]);
    for Entry { first, last, callsign, number, .. } in entries {
        let _ = writer.write_record([first, last, callsign, number]);
    }
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: &str, last: &str, callsign: &str, number: &str) -> Entry {
        Entry {
            first: first.into(),
            last: last.into(),
            callsign: callsign.into(),
            number: number.into(),
            online: false,
        }
    }

    #[test]
    fn names_say_what_there_is() {
        for (first, last, callsign, name) in [
            ("Hans", "Müller", "HB9AAA", "Hans Müller (HB9AAA)"),
            ("Hans", "Müller", "", "Hans Müller"),
            ("Hans", "", "", "Hans"),
            ("", "Müller", "HB9AAA", "Müller (HB9AAA)"),
            ("", "", "HB9AAA", "HB9AAA"),
            ("", "", "", "Unnamed"),
        ] {
            assert_eq!(entry(first, last, callsign, "1").display_name(), name);
        }
    }

    #[test]
    fn numbers_are_found_and_shared_ones_marked_together() {
        let mut book = Book::new(vec![entry("B", "", "", "20"), entry("A", "", "", "10"), entry("C", "", "", "20")]);
        assert_eq!(book.positions("20"), [0, 2]);
        assert_eq!(book.positions("10"), [1]);
        assert_eq!(book.positions("2"), [0_u32; 0]);
        assert!(book.set_online("20", true));
        assert!(!book.set_online("20", true));
        assert!(!book.set_online("999", true));
        assert_eq!(book.entries().iter().map(|e| e.online).collect::<Vec<_>>(), [true, false, true]);
        let mut later = Book::new(vec![entry("A", "", "", "10"), entry("B", "", "", "20")]);
        later.inherit_presence(&book);
        assert_eq!(later.entries().iter().map(|e| e.online).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn the_digest_is_of_all_content_and_of_content_only() {
        // The C program's checksum saw only the last bytes of the file (facts: an edit at the top was never noticed).
        let long: Vec<Entry> = (0..500).map(|n| entry("Some", "Body", "HB9AAA", &format!("{n}"))).collect();
        let book = Book::new(long.clone());
        let mut edited = long.clone();
        edited[0].first = "Same".into();
        assert_ne!(Book::new(edited).digest(), book.digest());
        let mut marked = book.clone();
        marked.set_online("7", true);
        assert_eq!(marked.digest(), book.digest());
        assert_eq!(Digest::of(&marked.canonical()), book.digest());
        // FIPS 180-2, appendix B.1.
        assert_eq!(Digest::of(b"abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_canonical_text_quotes_what_must_be_quoted() {
        let book = Book::new(vec![entry("Anna \"Ann\"", "Meier, Jr.", "", "441531")]);
        assert_eq!(
            String::from_utf8(book.canonical()).unwrap(),
            "Firstname,Name,Callsign,Telephone\n\"Anna \"\"Ann\"\"\",\"Meier, Jr.\",,441531\n"
        );
    }
}
