//! Any bytes as a sheet of the phonebook.

use switchboard::config::Format;
use switchboard::limits::{BOOK_CALLSIGN, BOOK_ENTRIES, BOOK_NAME, BOOK_NUMBER, BOOK_PROBLEMS};
use switchboard::phonebook::publish::{Look, render};
use switchboard::phonebook::{Book, ProblemKind, reader};

pub fn check(data: &[u8]) {
    let Ok(reading) = reader::read(data) else { return };
    assert!(!reading.entries.is_empty() && reading.entries.len() <= BOOK_ENTRIES);
    assert!(reading.problems.len() <= BOOK_PROBLEMS && reading.problems.len() <= reading.problem_count);
    let lines = data.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 1;
    for problem in &reading.problems {
        assert!((1..=lines).contains(&usize::try_from(problem.line).unwrap()), "{problem}");
        assert!(!problem.to_string().contains(char::is_control));
    }
    for entry in &reading.entries {
        assert!((1..=BOOK_NUMBER).contains(&entry.number.len()) && entry.number.bytes().all(|b| b.is_ascii_digit()));
        for (text, limit) in [(&entry.first, BOOK_NAME), (&entry.last, BOOK_NAME), (&entry.callsign, BOOK_CALLSIGN)] {
            assert!(text.chars().count() <= limit && !text.contains(char::is_control), "{text:?}");
            assert_eq!(text.trim(), text);
        }
    }

    // What is stored is read again as the same book, and there is nothing to complain about but shared numbers.
    let book = Book::new(reading.entries);
    let again = reader::read(&book.canonical()).unwrap();
    assert!(again.problems.iter().all(|problem| matches!(problem.kind, ProblemKind::Duplicate { .. })));
    assert_eq!(Book::new(again.entries), book);

    // Every form can be made, and the XML ones are ASCII without control characters.
    if data.len() < 10_000 {
        let look = Look { marker: "* ", base_url: "http://localnode.local.mesh/" };
        for format in
            [Format::Yealink, Format::Cisco, Format::Snom, Format::Grandstream, Format::Fanvil, Format::Polycom]
        {
            for file in render(format, book.entries(), look) {
                assert!(file.bytes.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')), "{}", file.name);
            }
        }
        for format in [Format::Vcard, Format::Acrobits] {
            assert!(render(format, book.entries(), look).iter().all(|file| std::str::from_utf8(&file.bytes).is_ok()));
        }
    }
}
