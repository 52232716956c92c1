//! Grandstream: `AddressBook`. Phones are told a directory only and look there for `phonebook.xml`, older ones for
//! `gs_phonebook.xml`: links by these names lead to the same file.

use super::xml::Xml;
use super::{File, Look};
use crate::phonebook::book::Entry;

/// The account that dials: 0 would call an address, 1 goes through the first account.
const FIRST_ACCOUNT: &str = "1";

/// The file.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let mut xml = Xml::new("AddressBook");
    xml.text("version", "1");
    xml.open("pbgroup", &[]);
    xml.text("id", "1");
    xml.text("name", "Mesh");
    xml.close();
    for (position, entry) in entries.iter().enumerate() {
        let (first, last) = look.name_parts(entry);
        xml.open("Contact", &[]);
        xml.text("id", &position.saturating_add(1).to_string());
        xml.text("FirstName", &first);
        xml.text("LastName", &last);
        xml.open("Phone", &[("type", "Work")]);
        xml.text("phonenumber", &entry.number);
        xml.text("accountindex", FIRST_ACCOUNT);
        xml.close();
        xml.text("Group", "1");
        xml.close();
    }
    let file = File::new("phonebook_grandstream.xml", xml.finish());
    vec![File { aliases: &["phonebook.xml", "gs_phonebook.xml"], ..file }]
}
