//! Snom: `SnomIPPhoneDirectory` for the minibrowser, opened by an action URL on the Directory key, and `tbook`, which
//! firmware from 10.1.178 takes as its own directory.

use super::xml::Xml;
use super::{File, Look};
use crate::phonebook::book::Entry;

/// Both files.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    vec![
        File::new("phonebook_snom.xml", browser(entries, look)),
        File::new("phonebook_snom_tbook.xml", tbook(entries, look)),
    ]
}

fn browser(entries: &[Entry], look: Look<'_>) -> Vec<u8> {
    let mut xml = Xml::new("SnomIPPhoneDirectory");
    xml.text("Title", "Phonebook");
    xml.text("Prompt", "Dial");
    for entry in entries {
        xml.directory_entry(&look.name(entry), &entry.number);
    }
    xml.finish()
}

fn tbook(entries: &[Entry], look: Look<'_>) -> Vec<u8> {
    let mut xml = Xml::with_attributes("tbook", &[("e", "2"), ("version", "2.0")]);
    for entry in entries {
        let (first, last) = look.name_parts(entry);
        xml.open("contact", &[("fav", "false"), ("vip", "false"), ("blocked", "false")]);
        xml.text("first_name", &first);
        xml.text("last_name", &last);
        xml.open("numbers", &[]);
        xml.empty("number", &[("no", entry.number.as_str()), ("type", "sip"), ("outgoing_id", "0")]);
        xml.close();
        xml.close();
    }
    xml.finish()
}
