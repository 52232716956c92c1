//! Cisco SPA and 79xx: `CiscoIPPhoneDirectory`, at most 32 entries on a page, names of at most 64 characters.
//!
//! A page names the next one by an absolute URL on a soft key. The first page stands under both names that phones of
//! the field may have configured; the others follow as `phonebook_cisco_page_2.xml` and so on.

use super::xml::Xml;
use super::{File, Look};
use crate::phonebook::book::Entry;

/// Entries on one page.
const PAGE: usize = 32;

/// Characters of a name.
const NAME: usize = 64;

/// All pages; one without entries if there are none.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let pages = entries.len().div_ceil(PAGE).max(1);
    let mut files = Vec::with_capacity(pages.saturating_add(1));
    for number in 1..=pages {
        let start = number.saturating_sub(1).saturating_mul(PAGE);
        let shown = entries.iter().skip(start).take(PAGE);
        let bytes = page(shown, number, pages, look);
        if number == 1 {
            files.push(File::new("phonebook_cisco_pbx.xml", bytes.clone()));
        }
        files.push(File::new(name(number), bytes));
    }
    files
}

fn name(page: usize) -> String {
    match page {
        1 => "phonebook_cisco_direct.xml".into(),
        _ => format!("phonebook_cisco_page_{page}.xml"),
    }
}

fn page<'a>(entries: impl Iterator<Item = &'a Entry>, number: usize, pages: usize, look: Look<'_>) -> Vec<u8> {
    let mut xml = Xml::new("CiscoIPPhoneDirectory");
    xml.text("Title", "Phonebook");
    xml.text("Prompt", &format!("Page {number} of {pages}"));
    for entry in entries {
        let name: String = look.name(entry).chars().take(NAME).collect();
        xml.directory_entry(name.trim_end(), &entry.number);
    }
    let mut keys = vec![("Dial", "SoftKey:Dial".to_owned())];
    if number < pages {
        keys.push(("Next", format!("{}{}", look.base_url, name(number.saturating_add(1)))));
    }
    if number > 1 {
        keys.push(("Back", format!("{}{}", look.base_url, name(number.saturating_sub(1)))));
    }
    keys.push(("Exit", "SoftKey:Exit".to_owned()));
    for (position, (label, url)) in keys.iter().enumerate() {
        xml.open("SoftKeyItem", &[]);
        xml.text("Name", label);
        xml.text("URL", url);
        xml.text("Position", &position.saturating_add(1).to_string());
        xml.close();
    }
    xml.finish()
}
