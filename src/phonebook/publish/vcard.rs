//! vCard 4.0 (RFC 6350 §3.2 folding, §3.4 escaping, §6.2 names, §6.4.1 TEL): one file with a card for everybody.
//!
//! Cards are imported once and stay, so the online marker is left out: it would stay as well.

use super::File;
use crate::phonebook::book::Entry;

/// Bytes of a line before it is folded, without its end (RFC 6350 §3.2).
const LINE: usize = 75;

/// The file.
pub fn render(entries: &[Entry]) -> Vec<File> {
    let mut out = String::new();
    for entry in entries {
        out.push_str("BEGIN:VCARD\r\nVERSION:4.0\r\n");
        line(&mut out, &format!("FN:{}", escaped(&entry.display_name())));
        line(&mut out, &format!("N:{};{};;;", escaped(&entry.last), escaped(&entry.first)));
        if !entry.callsign.is_empty() {
            line(&mut out, &format!("NICKNAME:{}", escaped(&entry.callsign)));
        }
        line(&mut out, &format!("TEL;TYPE=voice:{}", escaped(&entry.number)));
        out.push_str("END:VCARD\r\n");
    }
    vec![File::new("phonebook.vcf", out.into_bytes())]
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ',' | ';' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// One line, folded between characters.
fn line(out: &mut String, text: &str) {
    let mut used = 0_usize;
    for c in text.chars() {
        if used.saturating_add(c.len_utf8()) > LINE {
            out.push_str("\r\n ");
            used = 1;
        }
        out.push(c);
        used = used.saturating_add(c.len_utf8());
    }
    out.push_str("\r\n");
}
