//! Yealink: `YealinkIPPhoneDirectory`, the form that the C program published and the phones of the field are set to.
//!
//! Phones have both files configured, `_direct` and `_pbx`. Both hold bare numbers (ADR 0010): the phone dials them
//! through its account, and the exchange finds the callee wherever it is.

use super::xml::Xml;
use super::{File, Look};
use crate::phonebook::book::Entry;

/// Both files.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let mut xml = Xml::new("YealinkIPPhoneDirectory");
    for entry in entries {
        xml.directory_entry(&look.name(entry), &entry.number);
    }
    let bytes = xml.finish();
    vec![File::new("phonebook_generic_direct.xml", bytes.clone()), File::new("phonebook_generic_pbx.xml", bytes)]
}
