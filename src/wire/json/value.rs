//! A whole text in memory: for what is small, and read by name.

use std::fmt;

use super::{BadJson, Reader, ToJson, Writer};

/// A value and everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it stands in the text.
    Number(String),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object, in the order of the text.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads a text that is one value.
    pub fn parse(text: &str) -> Result<Self, BadJson> {
        let mut reader = Reader::new(text);
        let value = Self::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// Takes the next value.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, BadJson> {
        match reader.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                reader.elements(&mut |key, reader| {
                    members.push((key.to_owned(), Self::read(reader)?));
                    Ok(())
                })?;
                Ok(Self::Object(members))
            }
            Some(b'[') => {
                let mut values = Vec::new();
                reader.elements(&mut |_, reader| {
                    values.push(Self::read(reader)?);
                    Ok(())
                })?;
                Ok(Self::List(values))
            }
            Some(b'"') => Ok(Self::Text(reader.string()?.into_owned())),
            _ => Ok(match reader.plain()? {
                "null" => Self::Null,
                "true" => Self::Bool(true),
                "false" => Self::Bool(false),
                number => Self::Number(number.to_owned()),
            }),
        }
    }

    /// A member of an object; of several with this name the last one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A string.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A number, if it is one of that type.
    pub fn number<T: std::str::FromStr>(&self) -> Option<T> {
        if let Self::Number(number) = self { number.parse().ok() } else { None }
    }

    /// Yes or no.
    pub fn bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The values of a list; anything else has none.
    pub fn list(&self) -> &[Value] {
        if let Self::List(values) = self { values } else { &[] }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(&Writer::text_of(self)))
    }
}

impl ToJson for Value {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Null => out.plain(format_args!("null")),
            Self::Bool(value) => value.write(out),
            Self::Number(number) => out.plain(format_args!("{number}")),
            Self::Text(text) => out.string(text),
            Self::List(values) => values.write(out),
            Self::Object(members) => {
                out.begin(b'{');
                for (key, value) in members {
                    out.field(key, value);
                }
                out.end(b'}');
            }
        }
    }
}
