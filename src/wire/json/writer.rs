//! Values to JSON: strings are escaped here, commas stand where they must.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};

/// What can be written.
pub trait ToJson {
    /// Writes it as one value.
    fn write(&self, out: &mut Writer);
}

/// A text in the making.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// The text of one value.
    pub fn text_of(value: &dyn ToJson) -> Vec<u8> {
        let mut out = Self::default();
        value.write(&mut out);
        out.finish()
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// A value comes: behind another one stands a comma. No value ends with what begins one.
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    /// An object or a list begins with `{` or `[`.
    pub fn begin(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
    }

    /// It ends with `}` or `]`.
    pub fn end(&mut self, bracket: u8) {
        self.out.push(bracket);
    }

    /// A member of an object.
    pub fn field(&mut self, name: &str, value: &dyn ToJson) {
        self.key(name);
        value.write(self);
    }

    /// The name of a member; its value comes next.
    pub fn key(&mut self, name: &str) {
        self.string(name);
        self.out.push(b':');
    }

    /// A whole object.
    pub fn object(&mut self, fields: &[(&str, &dyn ToJson)]) {
        self.begin(b'{');
        for (name, value) in fields {
            self.field(name, *value);
        }
        self.end(b'}');
    }

    /// What is JSON as it is printed: numbers, `true`, `false`, `null`.
    pub fn plain(&mut self, value: Arguments<'_>) {
        self.separate();
        // A vector takes everything.
        let _ = self.out.write_fmt(value);
    }

    /// A string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        for byte in text.bytes() {
            let escape = match byte {
                b'"' | b'\\' => byte,
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x8 => b'b',
                0xc => b'f',
                ..0x20 => {
                    let _ = write!(self.out, "\\u{byte:04x}");
                    continue;
                }
                _ => {
                    self.out.push(byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', escape]);
        }
        self.out.push(b'"');
    }
}

/// Writes a struct as an object of the fields that are named, in this order.
macro_rules! object_to_json {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::wire::json::ToJson for $type {
            fn write(&self, out: &mut $crate::wire::json::Writer) {
                out.object(&[$((stringify!($field), &self.$field)),+]);
            }
        }
    };
}
pub(crate) use object_to_json;

/// Writes what prints as JSON does.
macro_rules! printed_as_json {
    ($($type:ty),+) => {
        $(impl ToJson for $type {
            fn write(&self, out: &mut Writer) {
                out.plain(format_args!("{self}"));
            }
        })+
    };
}
printed_as_json!(bool, u8, u16, u32, u64, usize);

/// Writes what prints as text without anything to be escaped.
macro_rules! printed_as_string {
    ($($type:ty),+) => {
        $(impl ToJson for $type {
            fn write(&self, out: &mut Writer) {
                out.plain(format_args!("\"{self}\""));
            }
        })+
    };
}
printed_as_string!(Ipv4Addr, SocketAddrV4);

impl ToJson for Writer {
    /// What was written there.
    fn write(&self, out: &mut Writer) {
        out.separate();
        out.out.extend_from_slice(&self.out);
    }
}

impl ToJson for str {
    fn write(&self, out: &mut Writer) {
        out.string(self);
    }
}

impl ToJson for String {
    fn write(&self, out: &mut Writer) {
        out.string(self);
    }
}

impl ToJson for Cow<'_, str> {
    fn write(&self, out: &mut Writer) {
        out.string(self);
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write(&self, out: &mut Writer) {
        (**self).write(out);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, out: &mut Writer) {
        match self {
            Some(value) => value.write(out),
            None => out.plain(format_args!("null")),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn write(&self, out: &mut Writer) {
        out.begin(b'[');
        for value in self {
            value.write(out);
        }
        out.end(b']');
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, out: &mut Writer) {
        self.as_slice().write(out);
    }
}
