//! What the XML forms share: declaration, two spaces of indent, one element on a line, and text that is pure ASCII.
//!
//! Text outside ASCII becomes decimal character references, as the C program wrote them: phones get the files from a
//! web server that names no charset, and some then take them for Latin-1.

use std::fmt::Write as _;

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// A document in the making. Writing to memory cannot fail, so nothing here does.
pub struct Xml {
    writer: Writer<Vec<u8>>,
    open: Vec<&'static str>,
}

impl Xml {
    /// A document with its root element open.
    pub fn new(root: &'static str) -> Self {
        let mut xml = Self { writer: Writer::new_with_indent(Vec::new(), b' ', 2), open: Vec::new() };
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml.open(root, &[]);
        xml
    }

    /// A document whose root element has attributes.
    pub fn with_attributes(root: &'static str, attributes: &[(&str, &str)]) -> Self {
        let mut xml = Self { writer: Writer::new_with_indent(Vec::new(), b' ', 2), open: Vec::new() };
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml.open(root, attributes);
        xml
    }

    fn event(&mut self, event: Event<'_>) {
        let _ = self.writer.write_event(event); // into a Vec
    }

    /// Opens an element that holds others.
    pub fn open(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.event(Event::Start(BytesStart::new(name).with_attributes(attributes.iter().copied())));
        self.open.push(name);
    }

    /// Closes the element that was opened last.
    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.event(Event::End(BytesEnd::new(name)));
        }
    }

    /// An element that holds text.
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.event(Event::Start(BytesStart::new(name)));
        self.event(Event::Text(BytesText::from_escaped(escaped(text))));
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// An element that holds attributes only.
    pub fn empty(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.event(Event::Empty(BytesStart::new(name).with_attributes(attributes.iter().copied())));
    }

    /// `Name` and `Telephone` in a `DirectoryEntry`, as most makers have them.
    pub fn directory_entry(&mut self, name: &str, number: &str) {
        self.open("DirectoryEntry", &[]);
        self.text("Name", name);
        self.text("Telephone", number);
        self.close();
    }

    /// The document, with all that is open closed.
    pub fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        let mut bytes = self.writer.into_inner();
        bytes.push(b'\n');
        bytes
    }
}

/// Text between tags. What no XML 1.0 document may hold, not even as a reference (§2.2), is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in partial_escape(text).chars() {
        match c {
            ' '..='~' => out.push(c),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => {
                let _ = write!(out, "&#{};", u32::from(c)); // writing to a String cannot fail
            }
        }
    }
    out
}
