//! One value after the other out of a text that is JSON. Nothing is kept, and what is not wanted is passed over.

use std::borrow::Cow;

use super::BadJson;

/// How deep values may stand in each other, because skipping calls itself.
const DEPTH: u8 = 127;

/// Stands before a value, or behind the last.
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
}

/// What is done with an element of an object or a list: takes exactly one value. The key is empty in a list.
pub type Take<'t> = &'t mut dyn FnMut(&str, &mut Reader<'_>) -> Result<(), BadJson>;

impl<'a> Reader<'a> {
    /// Stands before the first value.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Where it stands, as the reason that nothing can be read there.
    pub fn bad(&self) -> BadJson {
        let seen = self.at.saturating_add(1).min(self.text.len());
        let before = self.text.as_bytes().get(..seen).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        BadJson { line, column: seen.saturating_sub(line_start) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// The first byte of what comes next; `None`: nothing comes any more.
    pub fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
        self.byte()
    }

    fn eat(&mut self, wanted: u8) -> Result<(), BadJson> {
        if self.peek() != Some(wanted) {
            return Err(self.bad());
        }
        self.step();
        Ok(())
    }

    /// Nothing may come any more.
    pub fn end(&mut self) -> Result<(), BadJson> {
        if self.peek().is_some() { Err(self.bad()) } else { Ok(()) }
    }

    /// The elements of an object or a list; any other value has none.
    pub fn elements(&mut self, take: Take<'_>) -> Result<(), BadJson> {
        let (named, close) = match self.peek() {
            Some(b'{') => (true, b'}'),
            Some(b'[') => (false, b']'),
            _ => return self.skip(),
        };
        if self.depth >= DEPTH {
            return Err(self.bad());
        }
        self.step();
        if self.peek() == Some(close) {
            self.step();
            return Ok(());
        }
        self.depth = self.depth.saturating_add(1);
        loop {
            let mut key = Cow::Borrowed("");
            if named {
                key = self.string()?;
                self.eat(b':')?;
            }
            take(&key, self)?;
            if self.peek() == Some(close) {
                break;
            }
            self.eat(b',')?;
        }
        self.step();
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Passes over a value.
    pub fn skip(&mut self) -> Result<(), BadJson> {
        match self.peek() {
            Some(b'{' | b'[') => self.elements(&mut |_, reader| reader.skip()),
            Some(b'"') => self.string().map(|_| ()),
            _ => self.plain().map(|_| ()),
        }
    }

    /// A number, `true`, `false` or `null`, as it stands there.
    pub fn plain(&mut self) -> Result<&'a str, BadJson> {
        self.peek();
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        match ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word)) {
            Some(word) => self.at = start.saturating_add(word.len()),
            None => self.number()?,
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn number(&mut self) -> Result<(), BadJson> {
        if self.byte() == Some(b'-') {
            self.step();
        }
        if self.byte() == Some(b'0') {
            self.step();
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        if self.at == start { Err(self.bad()) } else { Ok(()) }
    }

    /// A string, borrowed where it has no escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>, BadJson> {
        self.eat(b'"')?;
        let mut start = self.at;
        let mut before = String::new();
        loop {
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    before.push_str(self.text.get(start..self.at).unwrap_or_default());
                    self.step();
                    before.push(self.escape()?);
                    start = self.at;
                }
                None | Some(..=0x1f) => return Err(self.bad()),
                Some(_) => self.step(),
            }
        }
        let last = self.text.get(start..self.at).unwrap_or_default();
        self.step();
        if before.is_empty() {
            return Ok(Cow::Borrowed(last));
        }
        before.push_str(last);
        Ok(Cow::Owned(before))
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, BadJson> {
        let c = match self.byte() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.step();
                return self.code();
            }
            _ => return Err(self.bad()),
        };
        self.step();
        Ok(c)
    }

    /// RFC 8259 §7: what is beyond the first 65 536 characters comes as a pair of surrogates.
    fn code(&mut self) -> Result<char, BadJson> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff => {
                for byte in [b'\\', b'u'] {
                    if self.byte() != Some(byte) {
                        return Err(self.bad());
                    }
                    self.step();
                }
                match self.hex()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000_u32.saturating_add((first & 0x3ff) << 10 | (second & 0x3ff)),
                    _ => return Err(self.bad()),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or(self.bad())
    }

    fn hex(&mut self) -> Result<u32, BadJson> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16)).ok_or(self.bad())?;
            code = code << 4 | digit;
            self.step();
        }
        Ok(code)
    }
}
