//! A configuration file to [`Config`], with everything that is wrong in it said at once.
//!
//! A bad option keeps its default: a phone system does not stay silent over a typing error.

use std::fmt;

use super::field::shown;
use super::table::{OPTIONS, Row, SECTIONS, SectionRow, row};
use super::{Config, Phonebook, Sip};
use crate::features::Feature;
use crate::wire::uci;

/// Something wrong in a file, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What was found, what is allowed and what holds now; fit for a terminal.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// Reads a whole file. The problems stand in the order of their lines.
pub fn parse(text: &[u8], file: &str) -> (Config, Vec<Problem>) {
    let (package, errors) = uci::tolerant(text);
    let mut reader = Reader { config: Config::default(), problems: Vec::new(), file, seen: Vec::new() };
    for error in errors {
        let done = match error.fault {
            uci::Fault::TooManyArguments => "the words behind are ignored",
            uci::Fault::OtherType => "the later type holds",
            uci::Fault::OpenQuote(_) => "the rest of the file is ignored",
            _ => "the line is ignored",
        };
        reader.problem(error.command_line, format!("{}; {done}", error.fault));
    }
    for section in &package.sections {
        reader.section(section);
    }
    reader.together();
    reader.problems.sort_by_key(|problem| problem.line);
    (reader.config, reader.problems)
}

/// What the file wants of this program in vain, because it was built without: a line for each section that is on. It is no
/// mistake, for the same file fits every program.
pub fn missing(text: &[u8], file: &str) -> Vec<Problem> {
    let mut wanted = SECTIONS.iter().filter_map(|row| Some((row, row.missing()?))).peekable();
    if wanted.peek().is_none() {
        return Vec::new();
    }
    let (package, _) = uci::tolerant(text);
    let (config, _) = parse(text, file);
    let problem = |(known, feature): (&SectionRow, Feature)| {
        let section = package.sections.iter().find(|section| section.kind == known.kind)?;
        let on = row(known.kind, "enabled").is_none_or(|row| row.field.text(&config) == ["1"]);
        let text = format!("section '{}' {}; it is ignored", known.kind, feature.is_missing());
        on.then(|| Problem { file: file.into(), line: section.line, text })
    };
    wanted.filter_map(problem).collect()
}

struct Reader<'a> {
    config: Config,
    problems: Vec<Problem>,
    file: &'a str,
    /// The options that were taken, and where they stand.
    seen: Vec<(&'static Row, u32)>,
}

impl Reader<'_> {
    fn problem(&mut self, line: u32, text: String) {
        self.problems.push(Problem { file: self.file.into(), line, text });
    }

    fn section(&mut self, section: &uci::Section) {
        let Some(known) = SECTIONS.iter().find(|known| known.kind == section.kind) else {
            let names: Vec<&str> = SECTIONS.iter().map(|known| known.kind).collect();
            let text = match nearest(&section.kind, names.iter().copied()) {
                Some(near) => format!(
                    "there is no section '{}'; is '{near}' meant? it is ignored",
                    shown(section.kind.as_bytes())
                ),
                None => format!(
                    "there is no section '{}'; allowed are {}; it is ignored",
                    shown(section.kind.as_bytes()),
                    names.join(", ")
                ),
            };
            return self.problem(section.line, text);
        };
        for item in &section.items {
            self.item(known.kind, item);
        }
        if known.name.is_none() && !section.items.iter().any(|item| row(known.kind, &item.name).is_some()) {
            let needed = OPTIONS.iter().find(|row| row.section == known.kind).map_or("", |row| row.name);
            self.problem(section.line, format!("a '{}' section needs '{needed}'; it is ignored", known.kind));
        }
    }

    fn item(&mut self, section: &str, item: &uci::Item) {
        let line = item.values.first().map_or(0, |value| value.line);
        let Some(row) = row(section, &item.name) else {
            let name = shown(item.name.as_bytes());
            let names = OPTIONS.iter().filter(|row| row.section == section).map(|row| row.name);
            let elsewhere = OPTIONS.iter().find(|row| row.name == item.name).map(|row| row.section);
            let hint = match (elsewhere, nearest(&item.name, names)) {
                (Some(other), _) => format!("it belongs to section '{other}'; "),
                (None, Some(near)) => format!("is '{near}' meant? "),
                (None, None) => String::new(),
            };
            return self.problem(line, format!("section '{section}' has no option '{name}'; {hint}it is ignored"));
        };
        // A list may be written as one option with blanks, as shell scripts write it.
        let words: Vec<(&[u8], u32)> = if row.field.is_list() && item.kind == uci::Kind::Option {
            let words = item.values.iter().flat_map(|value| {
                value.bytes.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()).map(|word| (word, value.line))
            });
            words.collect()
        } else {
            item.values.iter().map(|value| (value.bytes.as_slice(), value.line)).collect()
        };
        if !row.field.is_list() && words.len() > 1 {
            let line = words.get(1).map_or(line, |(_, line)| *line);
            let default = self.default_text(row);
            let text = format!("{section}.{} is one value and not a list; {default}", row.name);
            return self.problem(line, text);
        }
        let plain: Vec<&[u8]> = words.iter().map(|(word, _)| *word).collect();
        let refused = row.field.set(&mut self.config, &plain);
        let all_refused = !words.is_empty() && refused.len() == words.len();
        for index in refused {
            let Some((word, line)) = words.get(index) else { continue };
            let then =
                if row.field.is_list() && !all_refused { "it is left out".into() } else { self.default_text(row) };
            let text = format!(
                "{section}.{}: '{}' is not allowed; allowed is {}; {then}",
                row.name,
                shown(word),
                row.field.allowed()
            );
            self.problem(*line, text);
        }
        if !all_refused {
            self.seen.push((row, line));
        }
    }

    /// "the default holds: 2000", or what else happens without a value.
    fn default_text(&self, row: &Row) -> String {
        let texts = row.field.text(&Config::default());
        if texts.is_empty() { "it is ignored".into() } else { format!("the default holds: {}", texts.join(" ")) }
    }

    /// What single options cannot know: which of them go together. What the file does not say gives way to what it says.
    fn together(&mut self) {
        let (least, most) = (self.said("sip", "min_expires"), self.said("sip", "max_expires"));
        let sip = &mut self.config.sip;
        if sip.min_expires > sip.max_expires {
            match (least, most) {
                (None, _) => sip.min_expires = sip.max_expires,
                (_, None) => sip.max_expires = sip.min_expires,
                (Some(a), Some(b)) => {
                    let default = Sip::default();
                    (sip.min_expires, sip.max_expires) = (default.min_expires, default.max_expires);
                    let text = "sip.min_expires is longer than max_expires; the defaults hold: 1m and 1h";
                    self.problem(a.max(b), text.into());
                }
            }
        }
        let sip = &mut self.config.sip;
        let fitting = sip.default_expires.clamp(sip.min_expires, sip.max_expires);
        if std::mem::replace(&mut sip.default_expires, fitting) != fitting {
            if let Some(line) = self.said("sip", "default_expires") {
                let text =
                    "sip.default_expires does not lie between min_expires and max_expires; the nearer of them holds";
                self.problem(line, text.into());
            }
        }
        let (connect, total) = (self.said("phonebook", "connect_timeout"), self.said("phonebook", "total_timeout"));
        let book = &mut self.config.phonebook;
        if book.connect_timeout > book.total_timeout {
            match (connect, total) {
                (None, _) => book.connect_timeout = book.total_timeout,
                (_, None) => book.total_timeout = book.connect_timeout,
                (Some(a), Some(b)) => {
                    let default = Phonebook::default();
                    (book.connect_timeout, book.total_timeout) = (default.connect_timeout, default.total_timeout);
                    let text = "phonebook.connect_timeout is longer than total_timeout; the defaults hold: 10s and 1m";
                    self.problem(a.max(b), text.into());
                }
            }
        }
    }

    /// The line on which the file says an option that was taken.
    fn said(&self, section: &str, name: &str) -> Option<u32> {
        let ours = |row: &Row| row.section == section && row.name == name;
        self.seen.iter().filter(|(row, _)| ours(row)).map(|(_, line)| *line).max()
    }
}

/// The known name that a person probably meant: at most two letters away, and less than half of the word.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.get(..64.min(word.len()))?;
    names
        .map(|name| (distance(word.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, name)| *distance <= 2 && distance.saturating_mul(2) < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be changed, added or taken away (Levenshtein), row by row.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut left = i.saturating_add(1);
        let mut diagonal = std::mem::replace(above.first_mut().unwrap_or(&mut 0), left);
        for (y, cell) in b.iter().zip(above.iter_mut().skip(1)) {
            let changed = diagonal.saturating_add(usize::from(x != y));
            left = changed.min(left.saturating_add(1)).min(cell.saturating_add(1));
            diagonal = std::mem::replace(cell, left);
        }
    }
    above.last().copied().unwrap_or(0)
}
