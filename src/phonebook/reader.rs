//! Reads the sheets of the field: whatever spreadsheet programs and people make of "first name, name, callsign, number".
//!
//! Columns are found by their names (both generations of the Swiss sheet, and common translations); without a header
//! line they are first name, last name, callsign, number. Comma, semicolon or tab; quotes; LF, CRLF or CR; with or
//! without byte order mark; UTF-8, with a cell that is not taken for Windows-1252; UTF-16 by its mark.
//!
//! Private rows are dropped here, before anything else looks at them: they are in no entry, problem or log line.
//! What cannot be used is skipped and reported; one bad row never costs the others. Not done here: whether a book is
//! good enough to replace another one (`mod.rs`).

use std::borrow::Cow;
use std::fmt;

use csv::ByteRecord;

use super::book::Entry;
use crate::limits::{
    BOOK_BAD_QUOTES, BOOK_CALLSIGN, BOOK_CELLS, BOOK_ENTRIES, BOOK_NAME, BOOK_NUMBER, BOOK_PROBLEM_TEXT, BOOK_PROBLEMS,
    BOOK_ROW_LINES,
};

/// What a sheet holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The public rows with a usable number, at least one, in the order of the sheet.
    pub entries: Vec<Entry>,
    /// What was wrong, by line; at most [`BOOK_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many problems there were in all.
    pub problem_count: usize,
    /// Rows that are not to be published.
    pub private: usize,
}

/// Something in the sheet that its keeper should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file, counted from 1, on which the row begins.
    pub line: u32,
    /// What is wrong.
    pub kind: ProblemKind,
    /// What was found there: the cell, or who the row is about. Clean and short. Empty for private rows.
    pub text: String,
}

/// What can be wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// There is no number. The row is skipped; the text says whose it is.
    NoNumber,
    /// What stands in the place of the number cannot be dialled. The row is skipped.
    BadNumber,
    /// The number stands on an earlier line as well. A row that repeats all of an earlier one is skipped; two people
    /// with one phone both stay.
    Duplicate {
        /// The line on which the number stands first.
        first_line: u32,
    },
    /// A name or callsign is too long and was cut.
    TooLong,
    /// The column `Privat` says neither yes nor no. The row is taken for private.
    UnclearPrivacy,
    /// A quote opens a cell and does not end. The line is skipped.
    UnclosedQuote,
    /// The book is full. This row and all after it are skipped.
    TooManyEntries,
}

impl ProblemKind {
    /// The kind in one word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoNumber => "no_number",
            Self::BadNumber => "bad_number",
            Self::Duplicate { .. } => "duplicate",
            Self::TooLong => "too_long",
            Self::UnclearPrivacy => "unclear_privacy",
            Self::UnclosedQuote => "unclosed_quote",
            Self::TooManyEntries => "too_many_entries",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, kind, text } = self;
        match kind {
            ProblemKind::NoNumber => write!(out, "line {line}: no number for \"{text}\""),
            ProblemKind::BadNumber => write!(out, "line {line}: \"{text}\" is not a number that can be dialled"),
            ProblemKind::Duplicate { first_line } => {
                write!(out, "line {line}: number {text} stands on line {first_line} already")
            }
            ProblemKind::TooLong => write!(out, "line {line}: \"{text}…\" is too long and was cut"),
            ProblemKind::UnclearPrivacy => {
                write!(out, "line {line}: neither y nor n in column Privat, taken for private")
            }
            ProblemKind::UnclosedQuote => write!(out, "line {line}: a quote is not closed, found \"{text}\""),
            ProblemKind::TooManyEntries => {
                write!(out, "line {line}: more than {BOOK_ENTRIES} entries, the rest is left out")
            }
        }
    }
}

/// Why there is no book in a file at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Nothing, or nothing but space.
    Empty,
    /// A web page, such as an error or login page.
    Page,
    /// Not text.
    Binary,
    /// More cells than the largest book could have.
    TooManyCells,
    /// A header line without a column for the number.
    NoNumberColumn,
    /// No public row with a usable number.
    NoEntries,
}

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "the file is empty",
            Self::Page => "a web page instead of a sheet",
            Self::Binary => "not a text file",
            Self::TooManyCells => "more cells than a book can have",
            Self::NoNumberColumn => "no column Telephone in the header line",
            Self::NoEntries => "no public row with a usable number",
        })
    }
}

impl std::error::Error for Unusable {}

/// Reads a sheet.
pub fn read(bytes: &[u8]) -> Result<Reading, Unusable> {
    let text = unmarked(bytes);
    let first = text.iter().position(|b| !b.is_ascii_whitespace()).ok_or(Unusable::Empty)?;
    if text.contains(&0) {
        return Err(Unusable::Binary);
    }
    if text.get(first) == Some(&b'<') {
        return Err(Unusable::Page);
    }
    // One row may hold all of them, and every cell of a row takes a number besides its text.
    let delimiter = delimiter(&text);
    if text.iter().filter(|byte| **byte == delimiter).count() > BOOK_CELLS {
        return Err(Unusable::TooManyCells);
    }
    let mut sheet = Sheet::default();
    each_row(&text, delimiter, &mut sheet)?;
    sheet.finish()
}

/// The text behind its byte order mark, in an encoding where a comma is one byte.
fn unmarked(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes {
        [0xEF, 0xBB, 0xBF, text @ ..] => Cow::Borrowed(text),
        [0xFF, 0xFE, text @ ..] => Cow::Owned(from_utf16(text, u16::from_le_bytes)),
        [0xFE, 0xFF, text @ ..] => Cow::Owned(from_utf16(text, u16::from_be_bytes)),
        text => Cow::Borrowed(text),
    }
}

fn from_utf16(text: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = text.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes()
}

/// What ends a line or begins another.
fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Hands every row to the sheet; gets around quotes that do not end.
fn each_row(text: &[u8], delimiter: u8, sheet: &mut Sheet) -> Result<(), Unusable> {
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut record = ByteRecord::new();
    let (mut start, mut bad_quotes) = (0_usize, 0_usize);
    'again: loop {
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.get(start..).unwrap_or_default());
        // Reading from memory without a limit on fields cannot fail; an error would end the sheet here.
        while let Ok(true) = rows.read_byte_record(&mut record) {
            let offset = |position: u64| start.saturating_add(usize::try_from(position).unwrap_or(usize::MAX));
            let end = offset(rows.position().byte()).min(text.len());
            let begin = record.position().map_or(start, |position| offset(position.byte()));
            // The crate lets a row begin with the line end of the one before, and with empty lines.
            let skipped = text.get(begin..end).unwrap_or_default().iter().take_while(|b| is_break(**b)).count();
            let begin = begin.saturating_add(skipped);
            let raw = text.get(begin..end).unwrap_or_default();
            let line = lines.number(begin);
            let unclosed = unclosed(raw, end == text.len());
            match if unclosed { Row::Swallowed } else { sheet.row(line, &record, delimiter)? } {
                Row::Taken => {}
                Row::Full => break,
                Row::Swallowed => {
                    let len = raw.iter().position(|b| is_break(*b)).unwrap_or(raw.len());
                    sheet.unclosed_quote(line, raw.get(..len).unwrap_or_default());
                    start = begin.saturating_add(len);
                    bad_quotes = bad_quotes.saturating_add(1);
                    if bad_quotes > BOOK_BAD_QUOTES {
                        break;
                    }
                    continue 'again;
                }
            }
        }
        return Ok(());
    }
}

/// What became of a row.
enum Row {
    /// It was used, skipped or reported.
    Taken,
    /// There is no room for it nor for those after it.
    Full,
    /// A quote that does not end has swallowed other rows.
    Swallowed,
}

/// Whether a quote in this row goes on for longer than any cell does, or to the end of the file.
fn unclosed(raw: &[u8], at_end: bool) -> bool {
    let inner = raw.trim_ascii_end();
    let count = |byte| inner.iter().filter(|b| **b == byte).count();
    let breaks = count(b'\n').max(count(b'\r'));
    breaks > BOOK_ROW_LINES || (breaks > 0 && at_end && count(b'"') % 2 == 1)
}

/// Whether a cell that should hold a name or a number holds the better part of another row: a quote was forgotten, and
/// the next quote of the sheet ended it. The swallowed row may be a private one.
fn swallows_rows(cell: &[u8], delimiter: u8) -> bool {
    cell.iter().any(|b| is_break(*b)) && cell.iter().filter(|b| **b == delimiter).count() >= 2
}

/// Counts lines up to an offset that only grows.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl Lines<'_> {
    fn number(&mut self, offset: usize) -> u32 {
        let passed = self.text.get(self.at..offset).unwrap_or_default();
        let mut previous = self.at.checked_sub(1).and_then(|at| self.text.get(at).copied());
        for byte in passed {
            // CR LF is one end of line, a lone CR is one too.
            if *byte == b'\r' || (*byte == b'\n' && previous != Some(b'\r')) {
                self.line = self.line.saturating_add(1);
            }
            previous = Some(*byte);
        }
        self.at = self.at.max(offset);
        self.line
    }
}

/// What separates cells: whichever stands most often in the first line with something in it, outside quotes.
fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|b| is_break(*b)).find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in line {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| !quoted && delimiter == byte) {
            *count = count.saturating_add(1);
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(delimiter, _)| *delimiter)
}

/// Where the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Columns {
    first: Option<usize>,
    last: Option<usize>,
    callsign: Option<usize>,
    number: Option<usize>,
    private: Privacy,
}

/// Where it stands whether a row is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Privacy {
    #[default]
    Nowhere,
    /// In a column of that name, where anything but a clear no is a yes.
    Named(usize),
    /// Where the sheet has it, but without a name: only a clear yes counts.
    Positional(usize),
}

impl Columns {
    const HEADERLESS: Self =
        Self { first: Some(0), last: Some(1), callsign: Some(2), number: Some(3), private: Privacy::Positional(4) };

    /// The columns, if this is a header line: one that names the number, or at least two others.
    fn named(record: &ByteRecord) -> Option<Self> {
        let mut columns = Self::default();
        let mut known = 0_usize;
        for (at, cell) in record.iter().enumerate() {
            let name: String =
                decoded(cell).chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            let column = match name.as_str() {
                "firstname" | "first" | "givenname" | "vorname" | "prénom" | "prenom" | "nome" => &mut columns.first,
                "name" | "lastname" | "last" | "surname" | "familyname" | "nachname" | "nom" | "cognome" => {
                    &mut columns.last
                }
                "callsign" | "call" | "rufzeichen" | "indicatif" | "nominativo" => &mut columns.callsign,
                "telephone" | "telephonenumber" | "phone" | "phonenumber" | "number" | "telefon" | "telefonnummer"
                | "nummer" | "téléphone" | "telefono" => &mut columns.number,
                "privat" | "private" | "privé" | "privato" => {
                    if columns.private == Privacy::Nowhere {
                        columns.private = Privacy::Named(at);
                    }
                    continue;
                }
                _ => continue,
            };
            known = known.saturating_add(1);
            column.get_or_insert(at);
        }
        (columns.number.is_some() || known >= 2).then_some(columns)
    }
}

/// What a row says about being published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publication {
    Public,
    Private,
    Unclear,
}

/// The sheet as far as it was read.
#[derive(Default)]
struct Sheet {
    columns: Option<Columns>,
    entries: Vec<Entry>,
    /// The line of each entry.
    lines: Vec<u32>,
    problems: Vec<Problem>,
    problem_count: usize,
    private: usize,
}

impl Sheet {
    /// Takes a row.
    fn row(&mut self, line: u32, record: &ByteRecord, delimiter: u8) -> Result<Row, Unusable> {
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return Ok(Row::Taken); // empty rows are everywhere in sheets, and end nothing
        }
        let columns = match self.columns {
            Some(columns) => columns,
            None => {
                let named = Columns::named(record);
                self.columns = Some(named.unwrap_or(Columns::HEADERLESS));
                match named {
                    Some(columns) if columns.number.is_none() => return Err(Unusable::NoNumberColumn),
                    Some(_) => return Ok(Row::Taken),
                    None => Columns::HEADERLESS,
                }
            }
        };
        let cell = |column: Option<usize>| column.and_then(|at| record.get(at)).unwrap_or_default();
        let cells = [columns.first, columns.last, columns.callsign, columns.number].map(cell);
        if cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return Ok(Row::Taken);
        }
        if cells.iter().any(|cell| swallows_rows(cell, delimiter)) {
            return Ok(Row::Swallowed);
        }
        match publication(columns.private, record) {
            Publication::Public => {}
            Publication::Private => {
                self.private = self.private.saturating_add(1);
                return Ok(Row::Taken);
            }
            Publication::Unclear => {
                self.private = self.private.saturating_add(1);
                self.problem(line, ProblemKind::UnclearPrivacy, String::new());
                return Ok(Row::Taken);
            }
        }
        let [first, last, callsign, number] = cells.map(decoded);
        let mut entry = Entry {
            first: self.cell(line, &first, BOOK_NAME),
            last: self.cell(line, &last, BOOK_NAME),
            callsign: self.cell(line, &callsign, BOOK_CALLSIGN),
            number: String::new(),
            online: false,
        };
        match dialled(&number) {
            Ok(number) => entry.number = number,
            Err(ProblemKind::NoNumber) => {
                self.problem(line, ProblemKind::NoNumber, quoted(&entry.display_name()));
                return Ok(Row::Taken);
            }
            Err(kind) => {
                self.problem(line, kind, quoted(&number));
                return Ok(Row::Taken);
            }
        }
        if self.entries.len() >= BOOK_ENTRIES {
            self.problem(line, ProblemKind::TooManyEntries, entry.number);
            return Ok(Row::Full);
        }
        self.entries.push(entry);
        self.lines.push(line);
        Ok(Row::Taken)
    }

    /// A cell as it may be shown, with a problem if it had to be cut.
    fn cell(&mut self, line: u32, text: &str, limit: usize) -> String {
        let (clean, cut) = cleaned(text, limit);
        if cut {
            self.problem(line, ProblemKind::TooLong, quoted(&clean));
        }
        clean
    }

    fn unclosed_quote(&mut self, line: u32, raw: &[u8]) {
        // A private row must not show up here: without whole cells nobody knows, so only the place is told if the
        // sheet knows private rows at all.
        let text = match self.columns {
            Some(Columns { private: Privacy::Nowhere, .. }) => quoted(&decoded(raw)),
            _ => String::new(),
        };
        self.problem(line, ProblemKind::UnclosedQuote, text);
    }

    fn problem(&mut self, line: u32, kind: ProblemKind, text: String) {
        self.problem_count = self.problem_count.saturating_add(1);
        if self.problems.len() < BOOK_PROBLEMS {
            self.problems.push(Problem { line, kind, text });
        }
    }

    fn finish(mut self) -> Result<Reading, Unusable> {
        self.report_duplicates();
        if self.entries.is_empty() {
            return Err(Unusable::NoEntries);
        }
        let Self { entries, problems, problem_count, private, .. } = self;
        Ok(Reading { entries, problems, problem_count, private })
    }

    /// Reports numbers that stand several times, and removes rows that repeat all of an earlier one.
    fn report_duplicates(&mut self) {
        let mut rows: Vec<(usize, &Entry, u32)> =
            self.entries.iter().zip(&self.lines).enumerate().map(|(at, (entry, line))| (at, entry, *line)).collect();
        rows.sort_unstable_by(|(a, x, _), (b, y, _)| x.number.cmp(&y.number).then(a.cmp(b)));
        let mut repeated = Vec::new();
        let mut found = Vec::new();
        for group in rows.chunk_by_mut(|(_, x, _), (_, y, _)| x.number == y.number) {
            let Some((first_line, others)) = group.split_first().map(|(first, others)| (first.2, others)) else {
                continue;
            };
            for (_, entry, line) in others {
                let text = entry.number.clone();
                found.push(Problem { line: *line, kind: ProblemKind::Duplicate { first_line }, text });
            }
            let who = |entry: &Entry| (entry.first.clone(), entry.last.clone(), entry.callsign.clone());
            group.sort_by_cached_key(|(at, entry, _)| (who(entry), *at));
            for pair in group.windows(2) {
                if let [(_, x, _), (at, y, _)] = pair {
                    if x == y {
                        repeated.push(*at);
                    }
                }
            }
        }
        repeated.sort_unstable();
        let mut at = 0_usize;
        self.entries.retain(|_| {
            let keep = repeated.binary_search(&at).is_err();
            at = at.saturating_add(1);
            keep
        });
        self.problem_count = self.problem_count.saturating_add(found.len());
        self.problems.extend(found);
        self.problems.sort_by_key(|problem| problem.line);
        self.problems.truncate(BOOK_PROBLEMS);
    }
}

fn publication(privacy: Privacy, record: &ByteRecord) -> Publication {
    let (at, otherwise) = match privacy {
        Privacy::Nowhere => return Publication::Public,
        Privacy::Named(at) => (at, Publication::Unclear),
        Privacy::Positional(at) => (at, Publication::Public),
    };
    let cell = cleaned(&decoded(record.get(at).unwrap_or_default()), BOOK_NAME).0;
    let word: String = cell.chars().flat_map(char::to_lowercase).collect();
    match word.as_str() {
        "" | "n" | "no" | "nein" | "non" | "0" | "false" | "falsch" | "-" => Publication::Public,
        "y" | "yes" | "j" | "ja" | "1" | "x" | "true" | "wahr" | "oui" | "si" | "sì" | "privat" | "private" => {
            Publication::Private
        }
        _ => otherwise,
    }
}

/// A cell as text: UTF-8 if it is, else Windows-1252, which is Latin-1 with letters where that has control characters.
fn decoded(cell: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(cell) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(cell.iter().map(|byte| from_windows_1252(*byte)).collect()),
    }
}

fn from_windows_1252(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => UPPER.get(usize::from(byte & 0x1f)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::from(byte),
    }
}

/// Characters that are not shown but change what is shown around them, or that XML cannot carry.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// Text on one line without hidden characters, at most `limit` characters; true if some had to go for length.
fn cleaned(text: &str, limit: usize) -> (String, bool) {
    let mut clean = String::with_capacity(text.len().min(limit.saturating_mul(4)));
    let mut used = 0_usize;
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = true;
        } else if !is_hidden(c) {
            let gap = space && used > 0;
            if used.saturating_add(usize::from(gap)) >= limit {
                return (clean, true);
            }
            if gap {
                clean.push(' ');
                used = used.saturating_add(1);
            }
            clean.push(c);
            used = used.saturating_add(1);
            space = false;
        }
    }
    (clean, false)
}

fn quoted(text: &str) -> String {
    cleaned(text, BOOK_PROBLEM_TEXT).0
}

/// The digits to be dialled. Spaces, hyphens and the apostrophe by which spreadsheets mark text are not part of them;
/// anything else, such as a second number or an IP address, makes it no number.
fn dialled(cell: &str) -> Result<String, ProblemKind> {
    let mut digits = String::new();
    for c in cell.chars().filter(|c| !is_hidden(*c) && !c.is_whitespace() && !matches!(c, '-' | '\'')) {
        if !c.is_ascii_digit() || digits.len() >= BOOK_NUMBER {
            return Err(ProblemKind::BadNumber);
        }
        digits.push(c);
    }
    if digits.is_empty() { Err(ProblemKind::NoNumber) } else { Ok(digits) }
}

#[cfg(test)]
mod tests;
