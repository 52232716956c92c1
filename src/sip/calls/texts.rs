//! The texts of a call, packed: 2000 calls are to fit beside everything else on 64 MB.

/// Which text of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    CallId,
    Caller,
    CallerDisplay,
    Callee,
    CalleeDisplay,
    Host,
    Codec,
}

/// All texts of a call in one allocation.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub(super) bytes: Box<[u8]>,
    /// Where each field ends; the one before is where it begins.
    ends: [u16; Texts::FIELDS],
}

impl Texts {
    const FIELDS: usize = 7;

    /// Each text is bounded by its caller, and all of them are far below 64 kB.
    pub(super) fn new(fields: [&[u8]; Self::FIELDS]) -> Self {
        let bytes: Box<[u8]> = fields.concat().into();
        let mut end = 0_usize;
        let ends = fields.map(|field| {
            end = end.saturating_add(field.len());
            u16::try_from(end).unwrap_or(u16::MAX)
        });
        Self { bytes, ends }
    }

    pub(super) fn bytes(&self, field: Field) -> &[u8] {
        self.at(field as usize)
    }

    pub(super) fn text(&self, field: Field) -> &str {
        std::str::from_utf8(self.bytes(field)).unwrap_or_default()
    }

    fn at(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(0);
        self.bytes.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// Replaces one text; says whether it was another one before.
    pub(super) fn set(&mut self, field: Field, value: &[u8]) -> bool {
        if self.bytes(field) == value {
            return false;
        }
        let fields = std::array::from_fn(|index| if index == field as usize { value } else { self.at(index) });
        *self = Self::new(fields);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_its_own() {
        let mut texts = Texts::new([b"id", b"", b"Anna", "Zoë".as_bytes(), b"\xff", b"", b"PCMU"]);
        assert!(texts.set(Field::Host, b"h.local.mesh"));
        assert!(!texts.set(Field::Host, b"h.local.mesh"));
        assert!(texts.set(Field::Codec, b""));
        assert!(texts.set(Field::Caller, b"441530"));
        let all = [Field::Caller, Field::CallerDisplay, Field::Callee, Field::CalleeDisplay, Field::Host, Field::Codec];
        assert_eq!(texts.bytes(Field::CallId), b"id");
        assert_eq!(all.map(|field| texts.text(field)), ["441530", "Anna", "Zoë", "", "h.local.mesh", ""]);
        assert_eq!(Texts::default().bytes(Field::Codec), b"");
    }
}
