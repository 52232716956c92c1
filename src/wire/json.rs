//! JSON (RFC 8259), read and written.
//!
//! [`Reader`] gives one value after the other, [`Value`] holds a whole text, and [`Writer`] writes. They replace a crate that
//! compiles its reader anew for every type that is read, which was a tenth of the program (`docs/adr/0040`); in the tests
//! that crate says what is right.
//!
//! Mesh routers are read leniently: what is wanted is taken in whatever type it comes, the rest is skipped. Firmware of ten
//! years writes the same thing as a string, a number, `null` or not at all, and an empty object as `[]`, because Lua has no
//! other word for it. So a value of the wrong shape is as good as none; only text that is no JSON is an error. Nothing of
//! what is skipped is kept, so a reader holds no more than what it asked for; nesting is bounded.

mod reader;
mod value;
mod writer;

use std::fmt;

pub use reader::Reader;
pub use value::Value;
pub(crate) use writer::object_to_json;
pub use writer::{ToJson, Writer};

/// Bytes of a text that are kept: names have 63 at most, models of routers about 50.
const TEXT: usize = 128;

/// The text is no JSON, or ends before it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadJson {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for BadJson {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no JSON at line {}, column {}", self.line, self.column)
    }
}

/// Reads the object that `bytes` hold. What stands behind it is not looked at.
pub(super) fn read<T: Fields>(bytes: &[u8]) -> Result<T, BadJson> {
    // Descriptions of old nodes may be Latin-1.
    let text = String::from_utf8_lossy(bytes);
    object(&mut Reader::new(&text))
}

/// What is wanted of an object.
pub(super) trait Fields: Default {
    /// Takes the value of `key`, exactly one, from `reader`.
    fn take(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<(), BadJson>;
}

/// An object; anything else is as good as an empty one.
pub(super) fn object<T: Fields>(reader: &mut Reader<'_>) -> Result<T, BadJson> {
    let mut fields = T::default();
    reader.elements(&mut |key, reader| fields.take(key, reader))?;
    Ok(fields)
}

/// The objects in an object or a list, with their keys (empty in a list), at most so many.
pub(super) fn each<T: Fields>(reader: &mut Reader<'_>, most: usize) -> Result<Vec<(String, T)>, BadJson> {
    let mut each = Vec::new();
    reader.elements(&mut |key, reader| {
        if each.len() >= most {
            return reader.skip();
        }
        each.push((cut(key).to_owned(), object(reader)?));
        Ok(())
    })?;
    Ok(each)
}

/// A string, a number or a truth value, as text; anything else is empty.
#[derive(Default)]
pub(super) struct Scalar(pub String);

impl Scalar {
    /// Takes the next value.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, BadJson> {
        let text = match reader.peek() {
            Some(b'"') => cut(&reader.string()?).to_owned(),
            Some(b'{' | b'[') => {
                reader.skip()?;
                String::new()
            }
            Some(b'-' | b'0'..=b'9') => plain(reader.plain()?),
            _ => Some(reader.plain()?).filter(|word| *word != "null").unwrap_or_default().to_owned(),
        };
        Ok(Self(text))
    }

    /// The text without blanks around it.
    pub fn text(&self) -> &str {
        self.0.trim()
    }

    /// An address that a node can have: no network, no group, not this machine.
    pub fn address(&self) -> Option<std::net::Ipv4Addr> {
        self.text().parse().ok().filter(|address| super::hosts::is_host(*address))
    }

    /// Whether it says yes.
    pub fn is_true(&self) -> bool {
        matches!(self.text(), "true" | "1")
    }

    /// A decimal number, as a whole number of its `digits`th part, the rest cut off: `1.25` with 3 digits is 1250.
    pub fn decimal(&self, digits: u32) -> Option<i64> {
        decimal(self.text(), digits)
    }
}

fn decimal(text: &str, digits: u32) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if (whole.is_empty() && part.is_empty()) || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut value: i64 = 0;
    let wanted = usize::try_from(digits).ok()?;
    for digit in whole.bytes().chain(part.bytes().chain(std::iter::repeat(b'0')).take(wanted)) {
        value = value.checked_mul(10)?.checked_add(i64::from(digit.checked_sub(b'0')?))?;
    }
    if negative { value.checked_neg() } else { Some(value) }
}

/// A JSON number without its exponent; empty if it has one and more than a dozen digits before the point, for then it is no
/// position, no time and no quality.
fn plain(number: &str) -> String {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else { return cut(number).to_owned() };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.trim_start_matches('+').parse::<i64>().unwrap_or(i64::MAX);
    // How many digits stand before the point, once there is no exponent.
    let before = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
    if before > 12 {
        return String::new();
    }
    let digits = format!("{}{}", cut(whole), cut(part));
    let zeros = usize::try_from(before.saturating_neg()).unwrap_or(0).min(TEXT);
    let before = usize::try_from(before).unwrap_or(0);
    match digits.split_at_checked(before) {
        Some(("", part)) => format!("{sign}0.{:0<zeros$}{part}", ""),
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, part)) => format!("{sign}{whole}.{part}"),
        None => format!("{sign}{digits:0<before$}"),
    }
}

/// At most [`TEXT`] bytes of it.
fn cut(text: &str) -> &str {
    let end = (0..=TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end.min(text.len())).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Probe {
        a: Scalar,
        inner: Vec<(String, Inner)>,
    }

    #[derive(Default)]
    struct Inner {
        b: Scalar,
    }

    impl Fields for Probe {
        fn take(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<(), BadJson> {
            match key {
                "a" => self.a = Scalar::read(reader)?,
                "inner" => self.inner = each(reader, 3)?,
                _ => reader.skip()?,
            }
            Ok(())
        }
    }

    impl Fields for Inner {
        fn take(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<(), BadJson> {
            match key {
                "b" => self.b = Scalar::read(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        }
    }

    #[test]
    fn a_value_is_taken_in_whatever_type_it_comes() {
        for (json, expected) in [
            ("\"x\"", "x"),
            ("\" 47.5 \"", "47.5"),
            ("47.5", "47.5"),
            ("-3", "-3"),
            ("18446744073709551615", "18446744073709551615"),
            ("true", "true"),
            ("null", ""),
            ("[]", ""),
            ("[1,[2,{\"a\":3}]]", ""),
            ("{\"a\":{\"b\":[]}}", ""),
            ("1e300", ""),
            ("1e3", "1000"),
            ("-1.5E+1", "-15"),
            ("123.456e1", "1234.56"),
            ("1.25e-3", "0.00125"),
            ("25e-1", "2.5"),
            ("25e-2", "0.25"),
            ("99e10", "990000000000"),
            ("99e11", ""),
            ("0e99999999999999999999", ""),
            ("0.0", "0.0"),
            ("\"\\u00fc\\n\"", "ü"),
        ] {
            let read: Probe = read(format!("\n {{\"x\":[{{}}],\"a\":{json},\"a2\":{{}}}}").as_bytes()).unwrap();
            assert_eq!(read.a.text(), expected, "{json}");
        }
        assert_eq!(read::<Probe>(b"{\"a\":1,\"a\":2}").unwrap().a.text(), "2", "the last of two");
        assert_eq!(read::<Probe>(b"{\"d\":\"\xff\",\"a\":2}").unwrap().a.text(), "2", "Latin-1 elsewhere");
    }

    #[test]
    fn objects_may_be_lists_or_nothing_at_all_and_are_counted() {
        for (json, expected) in [
            ("{}", &[][..]),
            ("[]", &[]),
            ("null", &[]),
            ("7", &[]),
            ("\"\"", &[]),
            ("{\"m\":{\"b\":1}}", &[("m", "1")]),
            ("{\"m\":[],\"n\":null,\"o\":{\"b\":2}}", &[("m", ""), ("n", ""), ("o", "2")]),
            ("[{\"b\":1},{\"b\":2}]", &[("", "1"), ("", "2")]),
            ("[{},{},{},{\"b\":2},5]", &[("", ""), ("", ""), ("", "")]),
            ("{\"1\":{},\"2\":{},\"3\":{},\"4\":{\"b\":2}}", &[("1", ""), ("2", ""), ("3", "")]),
        ] {
            let read: Probe = read(format!("{{\"inner\":{json},\"a\":\"end\"}}").as_bytes()).unwrap();
            let found: Vec<_> = read.inner.iter().map(|(key, inner)| (key.as_str(), inner.b.text())).collect();
            assert_eq!(found, expected, "{json}");
            assert_eq!(read.a.text(), "end", "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_an_error_and_what_is_too_deep_as_well() {
        for text in ["", "x", "{", "{\"a\"", "{\"a\":1", "{\"a\":1,}", "<html>", "{\"a\":nan}"] {
            assert!(read::<Probe>(text.as_bytes()).is_err(), "{text}");
        }
        let deep = |of: &str| format!("{{\"a\":{}", of.repeat(100_000));
        assert!(read::<Probe>(deep("[").as_bytes()).is_err());
        assert!(read::<Probe>(deep("{\"a\":").as_bytes()).is_err());
        assert_eq!(read::<Probe>(b"{\"a\":1").err(), Some(BadJson { line: 1, column: 6 }));
        let long: Probe = read(format!("{{\"a\":\"{}\"}}", "ü".repeat(1_000)).as_bytes()).unwrap();
        assert_eq!(long.a.0.len(), TEXT);
    }

    /// Everything that may go wrong in a text, and what is left of real ones when a byte is another or the end is missing.
    fn texts() -> Vec<String> {
        let mut texts: Vec<String> = [
            "0",
            "-0",
            "00",
            "01",
            "-",
            "+1",
            "1.",
            ".1",
            "1.0",
            "1e5",
            "1E+5",
            "1e-5",
            "1e",
            "1e+",
            "12 ",
            " 1 2",
            "nul",
            "null",
            "nulll",
            "true",
            "false",
            "truefalse",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[]",
            "[ ]",
            "{}",
            "{ }",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"b\":[2,{\"c\":null}]}",
            "[1}",
            "{\"a\":1]",
            "\"\u{1}\"",
            "\"\u{7f}\u{fc}\"",
            "\"\\u00fc\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ude00\"",
            "\"\\u12\"",
            "\"\\x\"",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "\"a",
            "'a'",
            "[\"a\" , \"b\"]\r\n\t",
        ]
        .map(str::to_owned)
        .into();
        texts.extend([126, 127, 128].map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
        for real in [
            include_str!("../../tests/data/mesh/sysinfo-2.0.json"),
            include_str!("../../tests/data/mesh/sysinfo-1.14.json"),
        ] {
            for (at, _) in real.char_indices().step_by(5) {
                texts.push(real[..at].to_owned());
                let behind = real[at..].chars().next().map_or(0, char::len_utf8);
                texts.extend(
                    ["", "\"", ",", "9", "}", "\\", "-", "e", "\n"]
                        .map(|other| format!("{}{other}{}", &real[..at], &real[at + behind..])),
                );
            }
        }
        texts
    }

    #[test]
    fn reads_what_serde_reads_and_writes_what_serde_understands() {
        let (mut good, mut bad) = (0, 0);
        for text in texts() {
            let serde = serde_json::from_str::<serde_json::Value>(&text);
            let ours = Value::parse(&text);
            assert_eq!(ours.is_ok(), serde.is_ok(), "{text}: {ours:?}");
            let skipped = {
                let mut reader = Reader::new(&text);
                reader.skip().and_then(|()| reader.end())
            };
            assert_eq!(skipped.err(), ours.as_ref().err().copied(), "{text}");
            match (ours, serde) {
                (Ok(ours), Ok(serde)) => {
                    good += 1;
                    let written = String::from_utf8(Writer::text_of(&ours)).unwrap();
                    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), serde, "{text}");
                    assert_eq!(Value::parse(&written), Ok(ours));
                }
                _ => bad += 1,
            }
        }
        assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
    }

    #[test]
    fn decimals_are_cut_not_rounded_and_bounded() {
        for (text, digits, expected) in [
            ("47.47446", 7, Some(474_744_600)),
            ("-7.1", 7, Some(-71_000_000)),
            ("+.5", 1, Some(5)),
            ("5.", 2, Some(500)),
            ("0.00185", 6, Some(1_850)),
            ("0.0000009", 6, Some(0)),
            ("", 2, None),
            (".", 2, None),
            ("-", 2, None),
            ("1e3", 2, None),
            ("4 7", 2, None),
            ("47,5", 2, None),
            ("٣", 2, None),
            ("9223372036854775807", 0, Some(i64::MAX)),
            ("9223372036854775808", 0, None),
            ("9223372036854775807", 1, None),
        ] {
            assert_eq!(decimal(text, digits), expected, "{text}");
        }
    }
}
