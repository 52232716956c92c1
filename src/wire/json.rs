//! JSON as mesh routers write it, read leniently: what is wanted is taken in whatever type it comes, the rest is skipped.
//!
//! Firmware of ten years writes the same thing as a string, a number, `null` or not at all, and an empty object as `[]`,
//! because Lua has no other word for it. So a value of the wrong shape is as good as none; only text that is no JSON is an
//! error. Nothing of what is skipped is kept, so a reader holds no more than what it asked for; nesting is bounded by
//! `serde_json` (128), and skipping does not nest at all.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    let mut reader = serde_json::Deserializer::from_str(&text);
    let object = Object::<T>::deserialize(&mut reader);
    object.map(|object| object.0).map_err(|error| BadJson { line: error.line(), column: error.column() })
}

/// What is wanted of an object.
pub(super) trait Fields: Default {
    /// Takes the value of `key`, exactly one, out of `map`.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// The value of a field that is not wanted.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// An object; anything else is as good as an empty one.
#[derive(Default)]
pub(super) struct Object<T>(pub T);

/// The objects in an object or a list, with their keys (empty in a list), at most so many.
pub(super) struct Each<T, const MOST: usize>(pub Vec<(String, T)>);

/// A string, a number or a truth value, as text; anything else is empty.
#[derive(Default)]
pub(super) struct Scalar(pub String);

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

impl<'de, T: Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl<'de, T: Fields, const MOST: usize> Deserialize<'de> for Each<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EachVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
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
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// What a visitor makes of every shape that it does not want.
macro_rules! anything_else_is {
    ($value:expr) => {
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("any JSON")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

/// The same for the shapes that only a [`Scalar`] wants.
macro_rules! scalars_are {
    ($value:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    anything_else_is!(Object(T::default()));
    scalars_are!(Object(T::default()));

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut fields = T::default();
        while let Some(Key(key)) = map.next_key()? {
            fields.take(&key, &mut map)?;
        }
        Ok(Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
        drain(seq).map(|()| Object(T::default()))
    }
}

struct EachVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Fields, const MOST: usize> Visitor<'de> for EachVisitor<T, MOST> {
    type Value = Each<T, MOST>;

    anything_else_is!(Each(Vec::new()));
    scalars_are!(Each(Vec::new()));

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut each = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if each.len() < MOST {
                each.push((cut(&key).to_owned(), map.next_value::<Object<T>>()?.0));
            } else {
                skip(&mut map)?;
            }
        }
        Ok(Each(each))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut each = Vec::new();
        while each.len() < MOST {
            match seq.next_element::<Object<T>>()? {
                Some(object) => each.push((String::new(), object.0)),
                None => return Ok(Each(each)),
            }
        }
        drain(seq).map(|()| Each(each))
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    anything_else_is!(Scalar::default());

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        // What is larger is no position, no time and no quality; and its text would be long.
        Ok(Scalar(if value.abs() < 1e12 { format!("{value:.9}") } else { String::new() }))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(cut(text).to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar, A::Error> {
        drain(seq).map(|()| Scalar::default())
    }
}

fn drain<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
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
        fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
            match key {
                "a" => self.a = map.next_value()?,
                "inner" => self.inner = map.next_value::<Each<Inner, 3>>()?.0,
                _ => skip(map)?,
            }
            Ok(())
        }
    }

    impl Fields for Inner {
        fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
            match key {
                "b" => self.b = map.next_value()?,
                _ => skip(map)?,
            }
            Ok(())
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
