//! Polycom: `directory/item_list/item`, the contact directory that phones fetch as `000000000000-directory.xml`.

use super::xml::Xml;
use super::{File, Look, cut};
use crate::phonebook::book::Entry;

/// Bytes of UTF-8 that a first or last name may have.
const NAME: usize = 40;

/// The file.
pub fn render(entries: &[Entry], look: Look<'_>) -> Vec<File> {
    let mut xml = Xml::new("directory");
    xml.open("item_list", &[]);
    for entry in entries {
        let (first, last) = look.name_parts(entry);
        xml.open("item", &[]);
        xml.text("ln", cut(&last, NAME));
        xml.text("fn", cut(&first, NAME));
        xml.text("ct", &entry.number);
        xml.close();
    }
    vec![File::new("phonebook_polycom.xml", xml.finish())]
}
