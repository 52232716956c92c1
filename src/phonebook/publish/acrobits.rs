//! Acrobits and Groundwire: the JSON of "web contacts". The app compares checksums to see which contacts changed.

use serde::Serialize;

use super::{File, Look};
use crate::phonebook::book::{Digest, Entry};
use crate::sorted::SortedMap;

#[derive(Serialize)]
struct Contacts {
    contacts: Vec<Contact>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    contact_id: String,
    display_name: String,
    fname: String,
    lname: String,
    checksum: String,
    contact_entries: [ContactEntry; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContactEntry {
    entry_id: String,
    label: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    uri: String,
}

/// The file.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let mut shared: SortedMap<&str, usize> = SortedMap::new();
    let contacts = entries.iter().map(|entry| {
        let same = shared.or_default(entry.number.as_str());
        *same = same.saturating_add(1);
        contact(entry, *same, look)
    });
    let contacts = Contacts { contacts: contacts.collect() };
    // Strings and arrays only: this cannot fail.
    vec![File::new("phonebook_acrobits.json", serde_json::to_vec(&contacts).unwrap_or_default())]
}

/// `same` counts the contacts with this number, so that each has a name of its own that stays when others come and go.
fn contact(entry: &Entry, same: usize, look: Look<'_>) -> Contact {
    let display_name = look.name(entry);
    let content = format!("{display_name}\n{}\n{}\n{}", entry.first, entry.last, entry.number);
    let mut checksum = Digest::of(content.as_bytes()).hex();
    checksum.truncate(16);
    Contact {
        contact_id: if same == 1 { entry.number.clone() } else { format!("{}-{same}", entry.number) },
        display_name,
        fname: entry.first.clone(),
        lname: entry.last.clone(),
        checksum,
        contact_entries: [ContactEntry {
            entry_id: format!("tel:{}", entry.number),
            label: "Mesh",
            kind: "tel",
            uri: entry.number.clone(),
        }],
    }
}
