//! Fanvil: `FanvilIPPhoneDirectory`.

use super::xml::Xml;
use super::{File, Look};
use crate::phonebook::book::Entry;

/// The file.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let mut xml = Xml::new("FanvilIPPhoneDirectory");
    xml.text("Title", "Phonebook");
    for entry in entries {
        xml.directory_entry(&look.name(entry), &entry.number);
    }
    vec![File::new("phonebook_fanvil.xml", xml.finish())]
}
