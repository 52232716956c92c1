//! Bytes looked at without knowing what they mean: white space, tokens, the next line end, the next comma that splits.
//!
//! Read first: RFC 3261 §7.3.1, §25.1.

/// White space within a value; CR and LF are there only as part of a fold.
pub(super) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// token of §25.1.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Without white space at both ends.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let Some(first) = bytes.iter().position(|b| !is_lws(*b)) else { return &[] };
    let behind = bytes.iter().rposition(|b| !is_lws(*b)).map_or(0, |last| last.saturating_add(1));
    bytes.get(first..behind).unwrap_or_default()
}

/// The elements of a comma list with their offsets; commas inside quotes and angle brackets do not split.
pub(super) struct Elements<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn of(value: &'a [u8]) -> Self {
        Self { value, at: 0 }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.value.get(self.at..).filter(|rest| !rest.is_empty())?;
            let length = element_length(rest);
            let raw = rest.get(..length).unwrap_or_default();
            let lead = raw.iter().take_while(|b| is_lws(**b)).count();
            let element_at = self.at.saturating_add(lead);
            self.at = self.at.saturating_add(length).saturating_add(1);
            let element = trim(raw);
            if !element.is_empty() {
                return Some((element_at, element));
            }
        }
    }
}

/// Bytes before the first comma that splits.
fn element_length(rest: &[u8]) -> usize {
    // Most values hold a single element.
    if find(rest, b',').is_none() {
        return rest.len();
    }
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    let comma = rest.iter().position(|b| {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            b'<' if !quoted => angle = true,
            b'>' if !quoted => angle = false,
            b',' if !quoted && !angle => return true,
            _ => {}
        }
        false
    });
    comma.unwrap_or(rest.len())
}

/// Where `wanted` first is, a word at a time.
pub(super) fn find(haystack: &[u8], wanted: u8) -> Option<usize> {
    const WORD: usize = size_of::<usize>();
    const ONES: usize = usize::MAX / 255;
    const TOPS: usize = ONES.wrapping_mul(0x80);
    let pattern = ONES.wrapping_mul(usize::from(wanted));
    let mut at = 0_usize;
    let mut words = haystack.chunks_exact(WORD);
    for chunk in words.by_ref() {
        let mut word = [0_u8; WORD];
        word.copy_from_slice(chunk);
        // Little-endian on every machine: the lowest of the marked bytes is the first one, and marked rightly.
        let differs = usize::from_le_bytes(word) ^ pattern;
        let zero_bytes = differs.wrapping_sub(ONES) & !differs & TOPS;
        if zero_bytes != 0 {
            let bits = usize::try_from(zero_bytes.trailing_zeros()).unwrap_or(0);
            return Some(at.saturating_add(bits / 8));
        }
        at = at.wrapping_add(WORD);
    }
    words.remainder().iter().position(|b| *b == wanted).map(|found| at.saturating_add(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(value: &str) -> Vec<String> {
        Elements::of(value.as_bytes()).map(|(_, e)| String::from_utf8_lossy(e).into_owned()).collect()
    }

    #[test]
    fn commas_split_outside_quotes_and_brackets_only() {
        assert_eq!(
            elements(r#"<sip:a,b>;x="1,2" , "c, \", d" <sip:e>,f"#),
            [r#"<sip:a,b>;x="1,2""#, r#""c, \", d" <sip:e>"#, "f"]
        );
        assert_eq!(elements(" ,, a ,\r\n b,"), ["a", "b"]);
        assert_eq!(elements(r#""never closed, a"#), [r#""never closed, a"#]);
        assert_eq!(elements(""), [""; 0]);
        assert_eq!(Elements::of(b" a ,\tbc").map(|(at, e)| (at, e.len())).collect::<Vec<_>>(), [(1, 1), (5, 2)]);
    }

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for length in 0..40 {
            for at in 0..length {
                let mut bytes = vec![0x8a_u8; length];
                bytes[at] = b'\n';
                assert_eq!(find(&bytes, b'\n'), Some(at));
                assert_eq!(find(&bytes, 0x0b), None);
            }
        }
    }
}
