//! JSON as mesh routers write it, read leniently: what is wanted is taken in whatever type it comes, the rest is skipped.
//!
//! Firmware of ten years writes the same thing as a string, a number, `null` or not at all, and an empty object as `[]`,
//! because Lua has no other word for it. So a value of the wrong shape is as good as none; only text that is no JSON is an
//! error. Nothing of what is skipped is kept, so a reader holds no more than what it asked for; nesting is bounded by
//! `serde_json` (128), and skipping does not nest at all.
//!
//! `serde_json` compiles its reader anew for every type that is read. Here it is one type for all of them ([`Walk`]), which
//! asks a [`Place`] where each value goes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    let mut fields = T::default();
    read_into(bytes, &mut fields)?;
    Ok(fields)
}

fn read_into(bytes: &[u8], place: &mut dyn Place) -> Result<(), BadJson> {
    // Descriptions of old nodes may be Latin-1.
    let text = String::from_utf8_lossy(bytes);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let read = Walk(Some(place)).deserialize(&mut reader);
    read.map_err(|error| BadJson { line: error.line(), column: error.column() })
}

/// Where a value goes. What it has no use for it leaves out.
pub(super) trait Place {
    /// A value comes; one that came before it counts no longer.
    fn begin(&mut self);

    /// It is a string, a number or a truth value.
    fn scalar(&mut self, _: &str) {}

    /// It is an object or a list, and this is where its element of that name goes, which is empty in a list. `None`: it is not
    /// wanted.
    fn element(&mut self, _: &str) -> Option<&mut dyn Place> {
        None
    }
}

/// An object of which some fields are wanted; anything else is as good as an empty one.
pub(super) trait Fields: Default {
    /// Where the value of `key` goes; `None`: it is not wanted.
    fn field(&mut self, key: &str) -> Option<&mut dyn Place>;
}

impl<T: Fields> Place for T {
    fn begin(&mut self) {
        *self = T::default();
    }

    fn element(&mut self, key: &str) -> Option<&mut dyn Place> {
        self.field(key)
    }
}

/// The objects in an object or a list, with their keys (empty in a list), at most so many.
pub(super) struct Each<T, const MOST: usize>(pub Vec<(String, T)>);

impl<T, const MOST: usize> Default for Each<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Fields, const MOST: usize> Place for Each<T, MOST> {
    fn begin(&mut self) {
        self.0.clear();
    }

    fn element(&mut self, key: &str) -> Option<&mut dyn Place> {
        if self.0.len() >= MOST {
            return None;
        }
        self.0.push((cut(key).to_owned(), T::default()));
        self.0.last_mut().map(|(_, element)| element as &mut dyn Place)
    }
}

/// A string, a number or a truth value, as text; anything else is empty.
#[derive(Default)]
pub(super) struct Scalar(pub String);

impl Place for Scalar {
    fn begin(&mut self) {
        self.0.clear();
    }

    fn scalar(&mut self, text: &str) {
        cut(text).clone_into(&mut self.0);
    }
}

impl Scalar {
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

/// Takes a value to its place; `None`: it is passed over.
struct Walk<'p>(Option<&'p mut dyn Place>);

impl Walk<'_> {
    fn scalar<E>(self, text: &str) -> Result<(), E> {
        if let Some(place) = self.0 {
            place.scalar(text);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(place) = self.0 else { return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()) };
        place.begin();
        deserializer.deserialize_any(Walk(Some(place)))
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&plain(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(text)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key_seed(KeyVisitor)? {
            map.next_value_seed(Walk(self.0.as_mut().and_then(|place| place.element(&key))))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Element(&mut self.0))?.is_some() {}
        Ok(())
    }
}

/// An element of a list: its place is asked for when it is there, and not before.
struct Element<'w, 'p>(&'w mut Option<&'p mut dyn Place>);

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Walk(self.0.as_mut().and_then(|place| place.element(""))).deserialize(deserializer)
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'de>(Cow<'de, str>);

struct KeyVisitor;

impl<'de> DeserializeSeed<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

/// A number with nine decimals. What is larger than a million millions is no position, no time and no quality, and empty.
///
/// Not by `format!`: what it needs for floating point weighs more than this whole file.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the bounds are looked at, and what is behind the last digit is cut off"
)]
fn plain(value: f64) -> String {
    const BILLIONTHS: f64 = 1e9;
    let magnitude = value.abs();
    let sign = if value < 0.0 { "-" } else { "" };
    if magnitude < BILLIONTHS {
        let billionths = (magnitude * BILLIONTHS + 0.5) as i64;
        format!("{sign}{}.{:09}", billionths / 1_000_000_000, billionths % 1_000_000_000)
    } else if magnitude < 1e12 {
        format!("{sign}{}.000000000", magnitude as i64)
    } else {
        String::new()
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
        inner: Each<Inner, 3>,
    }

    #[derive(Default)]
    struct Inner {
        b: Scalar,
    }

    impl Fields for Probe {
        fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
            match key {
                "a" => Some(&mut self.a),
                "inner" => Some(&mut self.inner),
                _ => None,
            }
        }
    }

    impl Fields for Inner {
        fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
            match key {
                "b" => Some(&mut self.b),
                _ => None,
            }
        }
    }

    #[test]
    fn a_value_is_taken_in_whatever_type_it_comes() {
        for (json, expected) in [
            ("\"x\"", "x"),
            ("\" 47.5 \"", "47.5"),
            ("47.5", "47.500000000"),
            ("-3", "-3"),
            ("18446744073709551615", "18446744073709551615"),
            ("true", "true"),
            ("null", ""),
            ("[]", ""),
            ("[1,[2,{\"a\":3}]]", ""),
            ("{\"a\":{\"b\":[]}}", ""),
            ("1e300", ""),
            ("-7.4474012345678", "-7.447401235"),
            ("0.00185", "0.001850000"),
            ("-0.0", "0.000000000"),
            ("123456789.5", "123456789.500000000"),
            ("9.999999999e11", "999999999900.000000000"),
            ("1e12", ""),
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
            let found: Vec<_> = read.inner.0.iter().map(|(key, inner)| (key.as_str(), inner.b.text())).collect();
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
