//! Acrobits and Groundwire: the JSON of "web contacts". The app compares checksums to see which contacts changed.

use super::{File, Look};
use crate::phonebook::book::{Digest, Entry};
use crate::sorted::SortedMap;
use crate::wire::json::Writer;

/// The file.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let mut shared: SortedMap<&str, usize> = SortedMap::new();
    let mut out = Writer::default();
    out.begin(b'{');
    out.key("contacts");
    out.begin(b'[');
    for entry in entries {
        let same = shared.or_default(entry.number.as_str());
        *same = same.saturating_add(1);
        contact(&mut out, entry, *same, look);
    }
    out.end(b']');
    out.end(b'}');
    vec![File::new("phonebook_acrobits.json", out.finish())]
}

/// `same` counts the contacts with this number, so that each has a name of its own that stays when others come and go.
fn contact(out: &mut Writer, entry: &Entry, same: usize, look: Look<'_>) {
    let display_name = look.name(entry);
    let content = format!("{display_name}\n{}\n{}\n{}", entry.first, entry.last, entry.number);
    let mut checksum = Digest::of(content.as_bytes()).hex();
    checksum.truncate(16);
    out.begin(b'{');
    match same {
        1 => out.field("contactId", &entry.number),
        _ => out.field("contactId", &format!("{}-{same}", entry.number)),
    }
    out.field("displayName", &display_name);
    out.field("fname", &entry.first);
    out.field("lname", &entry.last);
    out.field("checksum", &checksum);
    out.key("contactEntries");
    out.begin(b'[');
    out.object(&[
        ("entryId", &format!("tel:{}", entry.number)),
        ("label", &"Mesh"),
        ("type", &"tel"),
        ("uri", &entry.number),
    ]);
    out.end(b']');
    out.end(b'}');
}
