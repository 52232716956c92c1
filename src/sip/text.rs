//! Text of strangers made fit for people and for JSON: display names, and bytes that must survive a restart exactly.

use std::fmt::Write;

/// A display name or product name as people see it: quotes and their escapes undone (RFC 3261 §25.1, quoted-string), Latin-1
/// read as such, control characters and runs of white space made one space, at most `limit` bytes of UTF-8.
pub fn shown(raw: &[u8], limit: usize) -> String {
    let raw = raw.trim_ascii();
    let unquoted: Vec<u8> = match raw.strip_prefix(b"\"") {
        None => raw.to_vec(),
        Some(rest) => {
            let rest = rest.strip_suffix(b"\"").unwrap_or(rest);
            let mut escaped = false;
            rest.iter()
                .copied()
                .filter(|byte| {
                    escaped = *byte == b'\\' && !escaped;
                    !escaped
                })
                .collect()
        }
    };
    // Old phones send Latin-1, whose bytes are the first 256 characters of Unicode.
    let text = String::from_utf8(unquoted)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect::<String>());
    let mut out = String::with_capacity(text.len().min(limit));
    let mut gap = false;
    for character in text.chars() {
        if character.is_control() || character.is_whitespace() {
            gap = !out.is_empty();
            continue;
        }
        if out.len() + usize::from(gap) + character.len_utf8() > limit {
            break;
        }
        if std::mem::take(&mut gap) {
            out.push(' ');
        }
        out.push(character);
    }
    out
}

/// Bytes as printable ASCII: `%` and everything that is not printable become `%XX`. [`unescape`] undoes it exactly.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The bytes that [`escape`] was given; `None` if it never wrote this.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte if byte.is_ascii_graphic() => out.push(byte),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_people_see_them() {
        for (raw, expected) in [
            (&b"Anna"[..], "Anna"),
            (b"\"Anna \\\"HB9\\\" M\\\\\"", "Anna \"HB9\" M\\"),
            (b"  Anna\r\n   Maria\t ", "Anna Maria"),
            (b"\"M\xfcller\"", "Müller"),
            ("\"Müller\"".as_bytes(), "Müller"),
            (b"\"a\0b\x1b[31m\"", "a b [31m"),
            (b"\"\"", ""),
            (b"\"", ""),
            (b"", ""),
            (b"\"unterminated \\", "unterminated"),
        ] {
            assert_eq!(shown(raw, 64), expected);
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for limit in 0..8 {
            let cut = shown("äöüä".as_bytes(), limit);
            assert_eq!(cut.len(), limit / 2 * 2);
        }
        assert_eq!(shown(b"ab cd", 3), "ab");
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escape(&all);
        assert!(text.is_ascii());
        assert_eq!(unescape(&text), Some(all));
        for bad in ["%", "%1", "%zz", "a b", "\n", "ä"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}
