//! Sheets as they are met, and as nobody hopes to meet them.

use super::*;
use crate::phonebook::book::Book;
use crate::rng::Rng;

macro_rules! sheet {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/data/phonebook/", $name))
    };
}

const SHEETS: [&[u8]; 10] = [
    sheet!("header-2026-crlf-utf8.csv"),
    sheet!("header-before-2026.csv"),
    sheet!("headerless-4-columns.csv"),
    sheet!("latin1-behind-utf8-mark.csv"),
    sheet!("semicolon-excel.csv"),
    sheet!("tabs-utf16le.txt"),
    sheet!("global-numbers.csv"),
    sheet!("problems.csv"),
    sheet!("open-quote.csv"),
    include_bytes!("../../../demo/phonebook.csv"),
];

/// Everybody as `First|Last|CALL|number`.
fn people(reading: &Reading) -> Vec<String> {
    reading.entries.iter().map(|e| format!("{}|{}|{}|{}", e.first, e.last, e.callsign, e.number)).collect()
}

fn problems(reading: &Reading) -> Vec<String> {
    reading.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_sheet_of_today() {
    let reading = read(sheet!("header-2026-crlf-utf8.csv")).unwrap();
    assert_eq!(
        people(&reading),
        [
            "Hans|Müller|HB9AAA|441530",
            "Urs|Meier, Jr.|HB9BBB|441531",
            "Anna \"Ann\"|O'Neil & Söhne|HB9CCC|196630",
            "Club||HB9EE|312430",
            "After|EmptyRow|HB9FFF|441599", // an empty row ends nothing
        ]
    );
    assert_eq!((reading.private, reading.problem_count), (1, 0));
}

#[test]
fn the_sheet_before_2026_has_its_number_elsewhere() {
    let reading = read(sheet!("header-before-2026.csv")).unwrap();
    assert_eq!(people(&reading), ["Hans|Müller|HB9AAA|441530", "Urs|Meier|HB9BBB|441531"]);
    assert_eq!((reading.private, reading.problem_count), (1, 0));
}

#[test]
fn without_a_header_the_order_decides() {
    let reading = read(sheet!("headerless-4-columns.csv")).unwrap();
    assert_eq!(people(&reading), ["Hans|Müller|HB9AAA|441530", "Urs|Meier|HB9BBB|441531"]);
    let reading = read(b"A,B,HB9AAA,1,\nC,D,HB9BBB,2,y\nE,F,HB9CCC,3,someone@example.org\n").unwrap();
    assert_eq!(people(&reading), ["A|B|HB9AAA|1", "E|F|HB9CCC|3"]);
    assert_eq!(reading.private, 1);
}

#[test]
fn encodings_are_told_apart_cell_by_cell() {
    let reading = read(sheet!("latin1-behind-utf8-mark.csv")).unwrap();
    assert_eq!(
        people(&reading),
        ["Hans|Müller|HB9AAA|441530", "Zoë|Mörgeli|HB9BBB|441531", "René|“O’Neil”|HB9CCC|441532"]
    );
    let reading = read(sheet!("tabs-utf16le.txt")).unwrap();
    assert_eq!((people(&reading), reading.private), (vec!["Hans|Müller|HB9AAA|441530".to_owned()], 1));
}

#[test]
fn semicolons_leave_commas_alone() {
    let reading = read(sheet!("semicolon-excel.csv")).unwrap();
    assert_eq!(people(&reading), ["Hans|Müller; Dr.|HB9AAA|441530", "Urs|Meier, Jr.|HB9BBB|441531"]);
    assert_eq!((reading.private, reading.problem_count), (1, 0));
}

#[test]
fn numbers_of_other_countries_stay_as_they_are() {
    let reading = read(sheet!("global-numbers.csv")).unwrap();
    let numbers: Vec<&str> = reading.entries.iter().map(|entry| entry.number.as_str()).collect();
    assert_eq!(numbers, ["0017812345", "4231234567", "041441530"]);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_costs_nobody_else() {
    let reading = read(sheet!("problems.csv")).unwrap();
    assert_eq!(
        people(&reading),
        [
            "Hans|Müller|HB9AAA|441530",
            "Marie|Müller|HB9EEE|441530", // two people share a phone
            "Line Break andBell|Evil|HB9III|441534",
            &format!("{}|Long|HB9JJJ|441535", "A".repeat(64)),
            "Last|Row|HB9KKK|441536",
        ]
    );
    assert_eq!(
        problems(&reading),
        [
            "line 3: no number for \"No Number (HB9BBB)\"",
            "line 4: \"441531/441532\" is not a number that can be dialled",
            "line 6: \"4.4153E+05\" is not a number that can be dialled",
            "line 7: number 441530 stands on line 2 already",
            "line 8: number 441530 stands on line 2 already",
            "line 9: neither y nor n in column Privat, taken for private",
            &format!("line 14: \"{}…\" is too long and was cut", "A".repeat(60)),
        ]
    );
    assert_eq!((reading.problem_count, reading.private), (7, 3));
}

#[test]
fn line_numbers_hold_for_every_line_end() {
    for end in ["\n", "\r\n", "\r"] {
        let sheet = ["Firstname,Name,Callsign,Telephone", "A,B,C,1", "", "D,E,F,x", "G,H,I,"].join(end);
        let reading = read(sheet.as_bytes()).unwrap();
        let lines: Vec<u32> = reading.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [4, 5], "{end:?}");
    }
}

#[test]
fn an_open_quote_costs_its_own_line_only_and_reveals_nobody() {
    let reading = read(sheet!("open-quote.csv")).unwrap();
    assert_eq!(
        people(&reading),
        ["Hans|Müller|HB9AAA|441530", "Urs|Meier|HB9BBB|441531", "Anna|Frei|HB9CCC|441532", "Last|Row|HB9FFF|441534"]
    );
    assert_eq!(
        problems(&reading),
        ["line 3: a quote is not closed, found \"\"", "line 6: a quote is not closed, found \"\""]
    );
}

#[test]
fn private_people_are_nowhere() {
    for sheet in SHEETS {
        let shown = format!("{:?}", read(sheet).unwrap());
        for name in ["Geheim", "Secret", "HB9DDD|", "196639", "X0PRIV", "Maybe"] {
            assert!(!shown.contains(name), "{name} in {shown}");
        }
    }
    for word in ["y", "Y", " yes ", "1", "ja", "JA", "x", "X", "true", "what?"] {
        let sheet = format!("Firstname,Name,Callsign,Telephone,Privat\nA,B,C,1,\nS,T,U,2,{word}\n");
        let reading = read(sheet.as_bytes()).unwrap();
        assert_eq!((reading.entries.len(), reading.private), (1, 1), "{word}");
    }
    for word in ["", " ", "n", "No", "nein", "0", "FALSE"] {
        let sheet = format!("Firstname,Name,Callsign,Telephone,Privat\nA,B,C,1,\nS,T,U,2,{word}\n");
        assert_eq!(read(sheet.as_bytes()).unwrap().entries.len(), 2, "{word}");
    }
}

#[test]
fn what_is_no_book_is_named() {
    for (bytes, why) in [
        (&b""[..], Unusable::Empty),
        (b"\xef\xbb\xbf \r\n\n", Unusable::Empty),
        (b"<!DOCTYPE html><html><body>404,not,found,1</body></html>", Unusable::Page),
        (b"\n <html>", Unusable::Page),
        (b"PK\x03\x04\x00\x00", Unusable::Binary),
        (b"Firstname,Name,Callsign\nA,B,C\n", Unusable::NoNumberColumn),
        (b"Firstname,Name,Callsign,Telephone,Privat\r\n", Unusable::NoEntries),
        (b"Firstname,Name,Callsign,Telephone,Privat\nA,B,C,1,y\n", Unusable::NoEntries),
        (b"error: file not found\n", Unusable::NoEntries),
        (b"\"", Unusable::NoEntries),
    ] {
        assert_eq!(read(bytes).unwrap_err(), why, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn every_bound_holds() {
    let mut sheet = String::from("Firstname,Name,Callsign,Telephone\n");
    for n in 0..BOOK_ENTRIES + 10 {
        sheet.push_str(&format!("A,B,C,{n}\n"));
    }
    let reading = read(sheet.as_bytes()).unwrap();
    assert_eq!(reading.entries.len(), BOOK_ENTRIES);
    assert_eq!(problems(&reading), ["line 5002: more than 5000 entries, the rest is left out"]);

    let mut sheet = String::from("Firstname,Name,Callsign,Telephone\nA,B,C,1\n");
    for _ in 0..BOOK_PROBLEMS + 50 {
        sheet.push_str("D,E,F,none\nA,B,C,1\n");
    }
    let reading = read(sheet.as_bytes()).unwrap();
    assert_eq!((reading.problems.len(), reading.problem_count), (BOOK_PROBLEMS, 2 * BOOK_PROBLEMS + 100));
    assert_eq!(reading.entries.len(), 1);

    let long = "9".repeat(BOOK_NUMBER);
    assert!(read(format!("A,B,C,{long}\n").as_bytes()).is_ok());
    assert!(read(format!("A,B,C,{long}9\n").as_bytes()).is_err());

    let quotes = "A,\"B,C,1\n".repeat(10_000);
    assert!(read(quotes.as_bytes()).is_err_and(|why| why == Unusable::NoEntries));
}

/// The fuzz target `csv` asks the same of every input: nothing panics, and a book that was read and stored is read
/// again as the same book, with nothing to complain about but shared numbers.
fn survives(bytes: &[u8]) {
    let Ok(reading) = read(bytes) else { return };
    let book = Book::new(reading.entries);
    let again = read(&book.canonical()).unwrap();
    assert!(again.problems.iter().all(|problem| matches!(problem.kind, ProblemKind::Duplicate { .. })), "{again:?}");
    assert_eq!(Book::new(again.entries), book);
}

#[test]
fn a_stored_book_is_read_as_it_was() {
    for sheet in SHEETS {
        survives(sheet);
    }
    let mut rng = Rng::new(&[3; 32], "sheets");
    let mut below = |bound: usize| usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap();
    for round in 0..3_000 {
        let mut bytes = SHEETS[round % SHEETS.len()].to_vec();
        for _ in 0..=below(8) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] = b"\"\",;\t\r\n<\0\x80\xc3\xff'=9"[below(15)],
                1 => bytes.insert(at, b"\"\"\"\n\r,"[below(6)]),
                2 => drop(bytes.drain(at..(at + below(20)).min(bytes.len()))),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(b'1');
            }
        }
        survives(&bytes);
    }
}

#[test]
fn a_megabyte_of_commas_is_no_book() {
    for delimiter in [",", ";", "\t"] {
        let text = format!("a{}\n", delimiter.repeat(crate::limits::BOOK_CELLS + 1));
        assert_eq!(read(text.as_bytes()), Err(Unusable::TooManyCells));
    }
    let rows = "Hans,Muster,HB9AAA,1,,,,,,,,,,,,,,,,,,,,,,,,,\n".repeat(5_000);
    assert!(read(rows.as_bytes()).is_ok());
}
