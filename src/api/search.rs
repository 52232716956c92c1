//! The search in the book: every word must be found somewhere in the entry, whatever the case and the accents.
//!
//! `src/api/page.js` does the same in the browser. `muller` and `mueller` both find `Müller`.

use std::borrow::Cow;

use super::view::EntryView;

/// A search, ready to be compared with entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    words: Vec<String>,
    online: Option<bool>,
}

impl Search {
    /// `text` is what was typed: words, all of which must match. `online`: only phones that are, or are not, on the mesh.
    pub fn new(text: &str, online: Option<bool>) -> Self {
        Self { words: text.split_whitespace().map(fold).collect(), online }
    }

    /// Whether the entry is looked for.
    pub fn finds(&self, entry: &EntryView<'_>) -> bool {
        if self.online.is_some_and(|wanted| entry.online.unwrap_or(false) != wanted) {
            return false;
        }
        if self.words.is_empty() {
            return true;
        }
        // The name as shown contains the rest, unless the book says otherwise.
        let fields: [&Cow<'_, str>; 5] =
            [&entry.name, &entry.telephone, &entry.callsign, &entry.first_name, &entry.last_name];
        let text = fields.map(|field| fold(field)).join(" ");
        let short = umlauts(&text);
        self.words.iter().all(|word| text.contains(word.as_str()) || short.contains(umlauts(word).as_str()))
    }
}

/// Lower case, letters of the Latin alphabets without their accents.
fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
            'ç' | 'ć' | 'č' => 'c',
            'ď' | 'đ' => 'd',
            'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
            'ì'..='ï' => 'i',
            'ł' => 'l',
            'ñ' | 'ń' | 'ň' => 'n',
            'ò'..='ö' | 'ø' | 'ő' => 'o',
            'ř' => 'r',
            'ś' | 'š' => 's',
            'ť' => 't',
            'ù'..='ü' | 'ů' | 'ű' => 'u',
            'ý' | 'ÿ' => 'y',
            'ź' | 'ż' | 'ž' => 'z',
            other => other,
        })
        .collect()
}

/// `mueller` and `muller` made the same.
fn umlauts(folded: &str) -> String {
    folded
        .replace("ae", "a")
        .replace("oe", "o")
        .replace("ue", "u")
        .replace('ß', "ss")
        .replace('æ', "a")
        .replace('œ', "o")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> EntryView<'static> {
        EntryView {
            name: "Émile Müller (HB9AAA)".into(),
            telephone: "441530".into(),
            first_name: "Émile".into(),
            last_name: "Müller".into(),
            callsign: "HB9AAA".into(),
            online: None,
        }
    }

    #[test]
    fn words_are_found_whatever_the_case_and_the_accents() {
        for found in ["", "  ", "müller", "MÜLLER", "muller", "mueller", "emile hb9", "4415", "ller mil", "hb9aaa 30"]
        {
            assert!(Search::new(found, None).finds(&entry()), "{found}");
        }
        for missed in ["meier", "muller 99", "m u l l e r x", "**"] {
            assert!(!Search::new(missed, None).finds(&entry()), "{missed}");
        }
    }

    #[test]
    fn a_phone_that_nobody_looked_for_is_not_online() {
        assert!(!Search::new("", Some(true)).finds(&entry()));
        assert!(Search::new("", Some(false)).finds(&entry()));
        let on = EntryView { online: Some(true), ..entry() };
        assert!(Search::new("muller", Some(true)).finds(&on));
        assert!(!Search::new("muller", Some(false)).finds(&on));
    }
}
