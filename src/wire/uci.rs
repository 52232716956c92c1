//! UCI, the text of OpenWrt's configuration files: bytes to sections and options with their line numbers, and back.
//!
//! The grammar is what libuci does, found by running it, not what its manual says:
//!
//! * `config TYPE [NAME]`, `option NAME [VALUE]`, `list NAME [VALUE]`, `package NAME`; one letter is enough (`c t n`).
//! * A word is made of pieces: `'raw'`, `"with \ escapes"`, bare with `\` escapes. Quoted pieces may span lines.
//! * A bare `#`, even inside a word, begins a comment. A bare `;` ends the command; glued to a word without quotes or
//!   escapes it takes the rest of the line away.
//! * Sections of one name are one section. The last `option` wins, `list` adds, an option without a value is not there.
//!
//! [`strict`] answers like the `uci` program, which refuses a file at its first error; [`tolerant`] reports every bad
//! line, skips it and goes on, because a typing error must not stop a telephone exchange.
//!
//! It deliberately does not read staged changes (`/tmp/.uci`), does not name anonymous sections, and takes a NUL byte for
//! an error where libuci loses the rest of the line and the end of it.

use std::fmt;

/// A parsed file: its sections in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Package {
    /// In the order in which they first stand in the file.
    pub sections: Vec<Section>,
}

/// One section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The first word after `config`, printable ASCII.
    pub kind: String,
    /// The second word, `[A-Za-z0-9_]+`; `None` for an anonymous section.
    pub name: Option<String>,
    /// In the order in which they first stand in the section.
    pub items: Vec<Item>,
    /// Where it begins, counted from 1.
    pub line: u32,
}

/// One option or one list of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `[A-Za-z0-9_]+`.
    pub name: String,
    /// Whether it was written as `option` or as `list`.
    pub kind: Kind,
    /// One value of an option, one or more of a list.
    pub values: Vec<Value>,
}

/// How an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `option`: one value, never empty.
    Option,
    /// `list`: values in order, possibly equal, possibly empty.
    List,
}

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Any bytes but NUL; usually UTF-8, but nobody promises.
    pub bytes: Vec<u8>,
    /// The line on which its command begins, counted from 1.
    pub line: u32,
}

/// What is wrong with a line, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line that was read last, counted from 1.
    pub line: u32,
    /// How far the command had been read, in bytes from the start of its first line, as libuci counts.
    pub byte: u32,
    /// The line on which the command begins: where a person has to look.
    pub command_line: u32,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line begins with none of the four commands.
    UnknownCommand,
    /// `option` or `list` with no section above it.
    BeforeFirstSection,
    /// A type or a name is missing.
    MissingArgument,
    /// More words than the command takes.
    TooManyArguments,
    /// A name with something else than letters, digits and `_`.
    BadName,
    /// A section type with a blank or with something outside ASCII.
    BadType,
    /// A section of this name stands above, with another type.
    OtherType,
    /// The file ends inside quotes.
    OpenQuote(u8),
    /// A NUL byte.
    Nul,
    /// A bare `#` or `;` in the middle of a word takes the rest of the line away. Good UCI, but hardly meant so: only
    /// [`tolerant`] says it, and takes what stands before.
    Cut(u8),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand => f.write_str("a line begins with 'config', 'option', 'list', 'package' or '#'"),
            Self::BeforeFirstSection => f.write_str("an 'option' or 'list' needs a 'config' line above it"),
            Self::MissingArgument => f.write_str("a name is missing"),
            Self::TooManyArguments => f.write_str("too many words; put a value with blanks into quotes"),
            Self::BadName => f.write_str("a name is made of letters, digits and '_'"),
            Self::BadType => f.write_str("a section type is made of printable ASCII without blanks"),
            Self::OtherType => f.write_str("a section of this name and another type stands above"),
            Self::OpenQuote(quote) => {
                write!(f, "the quote {} that opens here is never closed", char::from(*quote))
            }
            Self::Cut(byte) => {
                write!(f, "a bare {} cuts the line off; put a value that contains it into quotes", char::from(*byte))
            }
            Self::Nul => f.write_str("there is a NUL byte; the file is damaged"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, byte {})", self.fault, self.line, self.byte)
    }
}

impl std::error::Error for Error {}

/// Reads a file as the `uci` program does: one error refuses all of it.
pub fn strict(text: &[u8]) -> Result<Package, Error> {
    let mut reader = Reader::new(text);
    while reader.load_line() {
        reader.commands(Mode::Strict)?;
    }
    Ok(reader.package)
}

/// Reads what can be read. A bad line is reported and skipped; so is all that follows a bad `config` line up to the next
/// one, since it belongs to no section that we know.
pub fn tolerant(text: &[u8]) -> (Package, Vec<Error>) {
    let mut reader = Reader::new(text);
    let mut errors = Vec::new();
    while reader.load_line() {
        if let Err(error) = reader.commands(Mode::Tolerant) {
            errors.push(error);
            if matches!(error.fault, Fault::OpenQuote(_)) {
                break;
            }
        }
    }
    (reader.package, errors)
}

/// Writes a package as `uci export NAME` does.
pub fn export(name: &str, package: &Package) -> Vec<u8> {
    let mut out = format!("package {name}\n").into_bytes();
    out.extend(write(package));
    out
}

/// Writes the sections of a package, as they stand in `/etc/config`.
pub fn write(package: &Package) -> Vec<u8> {
    let mut out = Vec::new();
    for section in &package.sections {
        out.extend_from_slice(b"\nconfig ");
        // libuci writes any type bare, and then cannot read those back that need quotes.
        if section.kind.bytes().any(|b| matches!(b, b'\'' | b'"' | b'\\' | b'#' | b';')) {
            quote(&mut out, section.kind.as_bytes());
        } else {
            out.extend_from_slice(section.kind.as_bytes());
        }
        if let Some(name) = &section.name {
            out.push(b' ');
            quote(&mut out, name.as_bytes());
        }
        out.push(b'\n');
        for item in &section.items {
            let word: &[u8] = match item.kind {
                Kind::Option => b"\toption ",
                Kind::List => b"\tlist ",
            };
            for value in &item.values {
                out.extend_from_slice(word);
                out.extend_from_slice(item.name.as_bytes());
                out.push(b' ');
                quote(&mut out, &value.bytes);
                out.push(b'\n');
            }
        }
    }
    out
}

/// Single quotes know no escape: a quote is written outside of them.
pub(crate) fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
}

impl Package {
    /// The section of that name, for writers.
    pub fn named(&mut self, kind: &str, name: Option<&str>) -> Option<&mut Section> {
        let found = name.and_then(|name| self.sections.iter().position(|s| s.name.as_deref() == Some(name)));
        match found {
            Some(at) => self.sections.get_mut(at),
            None => {
                let section = Section { kind: kind.into(), name: name.map(Into::into), items: Vec::new(), line: 0 };
                self.sections.push(section);
                self.sections.last_mut()
            }
        }
    }
}

impl Section {
    /// Adds what an `option` line says: it replaces what was there, unless it says nothing.
    pub fn set(&mut self, name: &str, value: Value) {
        if value.bytes.is_empty() {
            return;
        }
        match self.items.iter_mut().find(|item| item.name == name) {
            Some(item) => {
                item.kind = Kind::Option;
                item.values = vec![value];
            }
            None => self.items.push(Item { name: name.into(), kind: Kind::Option, values: vec![value] }),
        }
    }

    /// Adds what a `list` line says: one more value, also to what was an option.
    pub fn add(&mut self, name: &str, value: Value) {
        match self.items.iter_mut().find(|item| item.name == name) {
            Some(item) => {
                item.kind = Kind::List;
                item.values.push(value);
            }
            None => self.items.push(Item { name: name.into(), kind: Kind::List, values: vec![value] }),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict,
    Tolerant,
}

#[derive(Clone, Copy)]
enum Command {
    Package,
    Config,
    Option,
    List,
}

/// Which section takes the options that come.
#[derive(Clone, Copy)]
enum Current {
    /// No `config` line was read yet.
    None,
    /// The section with this index.
    Section(usize),
    /// The `config` line above was bad, and reported.
    Skipped,
}

/// A command is read from a window `start..end` of whole lines; quotes and continued lines widen it.
struct Reader<'a> {
    text: &'a [u8],
    /// The first byte of the command's first line.
    start: usize,
    /// The next byte to read.
    at: usize,
    /// Behind the last byte that counts: the end of the line, or the comment that cuts it.
    end: usize,
    /// The first byte of the next line.
    next: usize,
    /// Line breaks that a backslash took out of the window.
    joined: usize,
    /// What cut a word off, and with it the rest of the line.
    cut: Option<u8>,
    /// The number of the line that was loaded last.
    line: u32,
    /// The number of the line at `start`.
    first_line: u32,
    current: Current,
    package: Package,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            start: 0,
            at: 0,
            end: 0,
            next: 0,
            joined: 0,
            cut: None,
            line: 0,
            first_line: 0,
            current: Current::None,
            package: Package::default(),
        }
    }

    /// Begins a new window with the next line; false at the end of the file.
    fn load_line(&mut self) -> bool {
        (self.start, self.at, self.end, self.joined) = (self.next, self.next, self.next, 0);
        self.cut = None;
        let more = self.widen();
        self.first_line = self.line;
        more
    }

    /// Takes the next line into the window; false at the end of the file.
    fn widen(&mut self) -> bool {
        let rest = self.text.get(self.next..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let length = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |p| p.saturating_add(1));
        self.next = self.next.saturating_add(length);
        self.end = self.next;
        self.line = self.line.saturating_add(1);
        true
    }

    /// How far the command was read, as libuci counts.
    fn offset(&self) -> usize {
        self.at.saturating_sub(self.start).saturating_sub(self.joined)
    }

    fn error(&self, fault: Fault) -> Error {
        let byte = self.offset();
        Error { line: self.line, byte: u32::try_from(byte).unwrap_or(u32::MAX), command_line: self.first_line, fault }
    }

    fn peek(&self) -> Option<u8> {
        if self.at < self.end { self.text.get(self.at).copied() } else { None }
    }

    fn skip(&mut self) {
        self.at = self.at.saturating_add(1).min(self.end);
    }

    /// What `isspace` says in the C locale.
    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.skip();
        }
    }

    /// Everything on one line. More than one command fits only behind an empty surplus word: `option a 1 '' option b 2`.
    fn commands(&mut self, mode: Mode) -> Result<(), Error> {
        self.skip_blanks();
        loop {
            // Only here are blanks nothing but space and tab: `config` with nothing but a line break behind is no command.
            let rest = self.text.get(self.at..self.end).unwrap_or_default();
            let lead = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
            let rest = rest.get(lead..).unwrap_or_default();
            let word = rest.split(|&b| b == b' ' || b == b'\t').next().unwrap_or_default();
            if word.first().is_none_or(|&b| b == b'#') {
                return match self.cut {
                    Some(byte) if mode == Mode::Tolerant => Err(self.error(Fault::Cut(byte))),
                    _ => Ok(()),
                };
            }
            let command = match word {
                b"package" | b"p" => Command::Package,
                b"config" | b"c" => Command::Config,
                b"option" | b"o" => Command::Option,
                b"list" | b"l" => Command::List,
                _ if word.contains(&0) => return Err(self.error(Fault::Nul)),
                _ => {
                    if mode == Mode::Tolerant && word.starts_with(b"config") {
                        self.current = Current::Skipped;
                    }
                    return Err(self.error(Fault::UnknownCommand));
                }
            };
            if matches!((command, self.current), (Command::Option | Command::List, Current::None)) {
                return Err(self.error(Fault::BeforeFirstSection));
            }
            let behind = self.at.saturating_add(lead).saturating_add(word.len());
            if behind >= self.end {
                return Err(self.error(Fault::MissingArgument));
            }
            self.at = behind.saturating_add(1);
            match command {
                Command::Package => {
                    self.name(Needed::Yes, is_package_name)?;
                    self.end_of_line(mode)?;
                }
                Command::Config => {
                    if mode == Mode::Tolerant {
                        self.current = Current::Skipped;
                    }
                    self.config(mode)?;
                }
                Command::Option | Command::List => self.item(command, mode)?,
            }
        }
    }

    fn config(&mut self, mode: Mode) -> Result<(), Error> {
        let kind = self.name(Needed::Yes, |_| true)?;
        if !kind.bytes().all(|b| b.is_ascii_graphic()) || kind.is_empty() {
            return Err(self.error(Fault::BadType));
        }
        let name = self.name(Needed::No, is_name)?;
        let surplus = self.end_of_line(mode);
        if mode == Mode::Strict {
            surplus?;
        }
        let line = self.first_line;
        let same = self.package.sections.iter().position(|s| !name.is_empty() && s.name.as_deref() == Some(&name));
        let mut other_type = false;
        match same.and_then(|at| self.package.sections.get_mut(at).map(|section| (at, section))) {
            Some((at, section)) => {
                other_type = section.kind != kind;
                section.kind = kind;
                self.current = Current::Section(at);
            }
            None => {
                self.current = Current::Section(self.package.sections.len());
                let name = Some(name).filter(|name| !name.is_empty());
                self.package.sections.push(Section { kind, name, items: Vec::new(), line });
            }
        }
        if other_type {
            return Err(self.error(Fault::OtherType));
        }
        surplus
    }

    fn item(&mut self, command: Command, mode: Mode) -> Result<(), Error> {
        let name = self.name(Needed::Yes, is_name)?;
        let value = Value { bytes: self.word()?, line: self.first_line };
        let surplus = self.end_of_line(mode);
        if mode == Mode::Strict {
            surplus?;
        }
        if let Current::Section(at) = self.current {
            if let Some(section) = self.package.sections.get_mut(at) {
                match command {
                    Command::List => section.add(&name, value),
                    _ => section.set(&name, value),
                }
            }
        }
        surplus
    }

    fn name(&mut self, needed: Needed, allowed: fn(u8) -> bool) -> Result<String, Error> {
        let word = self.word()?;
        if word.is_empty() && needed == Needed::Yes {
            return Err(self.error(Fault::MissingArgument));
        }
        // A type is checked by the caller, for everything outside ASCII as well.
        if !word.iter().all(|&b| allowed(b)) {
            return Err(self.error(Fault::BadName));
        }
        Ok(String::from_utf8(word).unwrap_or_else(|_| "\u{fffd}".into()))
    }

    fn end_of_line(&mut self, mode: Mode) -> Result<(), Error> {
        if self.word()?.is_empty() {
            return Ok(());
        }
        if mode == Mode::Tolerant {
            // What stands here is no value and no command of its own.
            let error = self.error(Fault::TooManyArguments);
            self.at = self.end;
            return Err(error);
        }
        Err(self.error(Fault::TooManyArguments))
    }

    /// The next word; empty if there is none, or if it is `''`.
    fn word(&mut self) -> Result<Vec<u8>, Error> {
        self.skip_blanks();
        let mut word = Vec::new();
        if self.peek() == Some(b';') {
            self.skip();
            return Ok(word);
        }
        let begin = self.offset();
        loop {
            match self.peek() {
                None => break,
                Some(b'#') => {
                    self.cut_here(b'#', word.is_empty());
                    break;
                }
                // libuci writes a word over its own source and ends it with a NUL. Where quotes and escapes made the word
                // shorter, the semicolon survives that and separates commands; otherwise the NUL falls onto it.
                Some(b';') if self.offset().saturating_sub(begin) > word.len() => return Ok(word),
                Some(b';') => {
                    self.cut_here(b';', false);
                    break;
                }
                Some(0) => return Err(self.error(Fault::Nul)),
                Some(b'\'') => self.single_quoted(&mut word)?,
                Some(b'"') => self.double_quoted(&mut word)?,
                Some(b'\\') => self.escaped(&mut word),
                Some(byte) => {
                    word.push(byte);
                    self.skip();
                }
            }
            if self.peek().is_none_or(is_blank) {
                break;
            }
        }
        // The blank behind a word belongs to it: libuci ends the word there, and counts it.
        self.skip();
        Ok(word)
    }

    /// Ends the line here. Remembers it if something is lost that looks like a part of the value.
    fn cut_here(&mut self, byte: u8, comment: bool) {
        let behind = self.text.get(self.at.saturating_add(1)..self.end).unwrap_or_default();
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        let lost = !behind.trim_ascii().is_empty() && !matches!(before, Some(b'\'' | b'"'));
        if lost && !comment {
            self.cut = Some(byte);
        }
        self.end = self.at;
    }

    fn single_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), Error> {
        let opened = self.line;
        self.skip();
        loop {
            match self.peek() {
                Some(b'\'') => {
                    self.skip();
                    return Ok(());
                }
                Some(0) => return Err(self.error(Fault::Nul)),
                Some(byte) => {
                    word.push(byte);
                    self.skip();
                }
                None => self.widen_in_quotes(b'\'', opened)?,
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), Error> {
        let opened = self.line;
        self.skip();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.skip();
                    return Ok(());
                }
                Some(0) => return Err(self.error(Fault::Nul)),
                Some(b'\\') => self.escaped(word),
                Some(byte) => {
                    word.push(byte);
                    self.skip();
                }
                None => self.widen_in_quotes(b'"', opened)?,
            }
        }
    }

    fn widen_in_quotes(&mut self, quote: u8, opened: u32) -> Result<(), Error> {
        if self.widen() {
            return Ok(());
        }
        Err(Error { command_line: opened, ..self.error(Fault::OpenQuote(quote)) })
    }

    /// A backslash: the next byte is itself, and a line break is nothing.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        self.skip();
        let rest = self.text.get(self.at..self.end).unwrap_or_default();
        let line_break = match rest {
            [b'\r', b'\n'] => 2,
            [b'\n'] => 1,
            _ => 0,
        };
        if line_break > 0 {
            self.at = self.end;
            self.joined = self.joined.saturating_add(line_break);
            self.widen();
        } else if let Some(byte) = self.peek().filter(|&b| b != 0) {
            word.push(byte);
            self.skip();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_package_name(byte: u8) -> bool {
    is_name(byte) || byte == b'-'
}
