//! The whole engine on a clock that is moved by hand.

use std::collections::BTreeMap;

use super::*;
use crate::config::Server;

const BOOK: &[u8] = include_bytes!("../../tests/data/phonebook/header-2026-crlf-utf8.csv");
const A: &str = "http://a.local.mesh/book.csv";
const B: &str = "http://b.local.mesh/book.csv";

/// An engine with its clock; requests are looked at as they come.
struct Bench {
    phonebook: Phonebook,
    config: config::Phonebook,
    now: Instant,
}

impl Bench {
    fn new(servers: &[&str]) -> Self {
        Self::with(config::Phonebook::default(), servers)
    }

    fn with(config: config::Phonebook, urls: &[&str]) -> Self {
        let now = Instant::from_micros(1_000_000);
        let phonebook = Phonebook::new(&config, &servers(urls), &[5; 32], now);
        Self { phonebook, config, now }
    }

    /// Past the reads of the boot, with this on flash.
    fn booted(stored: Option<&[u8]>, urls: &[&str]) -> Self {
        let mut bench = Self::new(urls);
        bench.boot(stored, None);
        bench
    }

    fn boot(&mut self, stored: Option<&[u8]>, backup: Option<&[u8]>) {
        while let Some(reader) = self.requests().iter().find_map(|request| match request {
            Request::Read { reader, .. } => Some(*reader),
            _ => None,
        }) {
            let bytes = match reader {
                Reader::StoredBook => stored,
                Reader::BackupBook => backup,
                _ => None,
            };
            let contents = bytes.map(|bytes| Contents { bytes: bytes.to_vec(), modified: UnixTime(1_700_000_000) });
            self.phonebook.handle_read(reader, contents.ok_or(FileError::NotFound), self.now);
        }
    }

    /// All requests; writes are done at once and well.
    fn requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        while let Some(request) = self.phonebook.poll_request() {
            if let Request::Write { writer, .. } = &request {
                self.phonebook.handle_written(*writer, Ok(()), self.now);
            }
            requests.push(request);
        }
        requests
    }

    /// Moves the clock to the next deadline; the law that it lies ahead is checked each time.
    fn turn(&mut self) -> Vec<Request> {
        let due = self.phonebook.next_deadline().expect("something to wait for");
        self.now = self.now.max(due);
        self.phonebook.handle_timeout(self.now);
        if let Some(next) = self.phonebook.next_deadline() {
            assert!(next > self.now, "the next deadline {next:?} is not later than {:?}", self.now);
        }
        for table in self.phonebook.tables() {
            assert!(table.used <= table.limit, "{table:?}");
        }
        self.requests()
    }

    /// Turns until a download is wanted; phones are all reported as absent meanwhile.
    fn download(&mut self) -> Download {
        for _ in 0..10_000 {
            for request in self.turn() {
                match request {
                    Request::Fetch(download) => return download,
                    Request::Presence { index, .. } => self.phonebook.handle_presence(index, false, self.now),
                    _ => {}
                }
            }
        }
        panic!("no download");
    }

    fn answer(&mut self, status: u16, etag: Option<&str>, body: &[u8]) -> Vec<Request> {
        let etag = etag.map(ToOwned::to_owned);
        let fetched = Fetched { status, etag, last_modified: None, body: body.to_vec() };
        self.phonebook.handle_fetched(Ok(fetched), self.now);
        self.requests()
    }

    fn fail(&mut self) -> Vec<Request> {
        self.phonebook.handle_fetched(Err(FetchError::NotReached), self.now);
        self.requests()
    }

    fn state(&self) -> State {
        self.phonebook.status().state
    }

    fn counter(&self, name: &str) -> u64 {
        self.phonebook.counters().iter().find(|counter| counter.name == name).unwrap().count
    }
}

fn servers(urls: &[&str]) -> Vec<Server> {
    urls.iter().map(|url| Server { url: (*url).into() }).collect()
}

fn sheet(entries: usize) -> Vec<u8> {
    let mut sheet = String::from("Firstname,Name,Callsign,Telephone\n");
    for n in 0..entries {
        sheet.push_str(&format!("Some,Body,X{n},{}\n", 1_000 + n));
    }
    sheet.into_bytes()
}

fn writes(requests: &[Request], wanted: Writer) -> Vec<&[Step]> {
    let steps = requests.iter().filter_map(|request| match request {
        Request::Write { writer, steps } if *writer == wanted => Some(steps.as_slice()),
        _ => None,
    });
    steps.collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_stored_book_serves_at_once_and_costs_flash_nothing() {
    let mut bench = Bench::new(&[A]);
    let canonical = Book::new(reader::read(BOOK).unwrap().entries).canonical();
    let requests = bench.requests();
    let path = "/www/arednstack/phonebook.csv".into();
    assert_eq!(requests, [Request::Read { reader: Reader::StoredBook, path, limit: BOOK_STORED }]);
    let contents = Contents { bytes: canonical, modified: UnixTime(1_700_000_000) };
    bench.phonebook.handle_read(Reader::StoredBook, Ok(contents), bench.now); // the clock has not moved
    let requests = bench.requests();
    assert_eq!(writes(&requests, Writer::Published).len(), 1);
    assert_eq!(writes(&requests, Writer::Book), [&[] as &[Step]; 0]);
    assert_eq!(bench.phonebook.entries().len(), 5);
    assert!(bench.phonebook.knows("441530") && !bench.phonebook.knows("44153"));
    assert_eq!(bench.phonebook.find("441531").unwrap().display_name(), "Urs Meier, Jr. (HB9BBB)");
    let status = bench.phonebook.status();
    assert_eq!((status.state, status.origin), (State::Boot, Origin::Stored));
    assert_eq!(bench.phonebook.last_updated(), Some(UnixTime(1_700_000_000)));
    // The digest beside it is looked at, and right: nothing is written. Then wrong: it alone is.
    let hash = status.digest.unwrap().hex();
    assert!(matches!(&requests[0], Request::Read { reader: Reader::BookHash, .. }));
    for (hash, corrections) in [(format!("{hash}\n"), 0), ("11A8204BF5C4180A".into(), 1)] {
        let contents = Contents { bytes: hash.into_bytes(), modified: UnixTime(0) };
        bench.phonebook.handle_read(Reader::BookHash, Ok(contents), bench.now);
        let requests = bench.requests();
        let writes = writes(&requests, Writer::Book);
        assert_eq!(writes.len(), corrections);
        assert!(!format!("{writes:?}").contains("phonebook.csv\""), "the book itself is left alone");
    }
    assert_eq!(bench.counter("flash_writes"), 0);
}

#[test]
fn a_raw_sheet_on_flash_is_replaced_by_its_public_rows() {
    // The C program stored the sheet as it came, private rows included, below the web server's root.
    let mut bench = Bench::new(&[]);
    bench.requests();
    let contents = Contents { bytes: BOOK.to_vec(), modified: UnixTime(0) };
    bench.phonebook.handle_read(Reader::StoredBook, Ok(contents), bench.now);
    let requests = bench.requests();
    let [steps] = writes(&requests, Writer::Book)[..] else { panic!("{requests:?}") };
    let rename = steps.iter().position(|step| matches!(step, Step::Rename { .. })).unwrap();
    let keep = steps.iter().position(|step| matches!(step, Step::Keep { .. })).unwrap();
    assert!(rename < keep, "the raw sheet must not become the backup: {steps:?}");
    assert!(!format!("{steps:?}").contains("Geheim"));
    assert!(!requests.iter().any(|request| matches!(request, Request::Read { .. })));
    assert_eq!((bench.counter("flash_writes"), bench.phonebook.status().private), (1, 1));
}

#[test]
fn a_damaged_book_gives_way_to_its_backup_which_is_restored() {
    let canonical = Book::new(reader::read(BOOK).unwrap().entries).canonical();
    for damaged in [None, Some(&b""[..]), Some(b"\0\0\0\0"), Some(b"Firstname,Na")] {
        let mut bench = Bench::new(&[A]);
        bench.boot(damaged, Some(&canonical));
        assert_eq!(bench.phonebook.status().origin, Origin::Backup);
        assert_eq!(bench.phonebook.entries().len(), 5);
        assert_eq!(bench.counter("flash_writes"), 1, "{damaged:?}");
    }
    let mut bench = Bench::new(&[A]);
    bench.boot(None, None);
    assert_eq!((bench.phonebook.status().origin, bench.counter("flash_writes")), (Origin::Nowhere, 0));
    assert_eq!(bench.counter("published_files_written"), 0);
    assert_eq!(bench.phonebook.last_updated(), None);
}

#[test]
fn the_first_round_comes_soon_and_the_next_after_the_interval() {
    let mut bench = Bench::booted(None, &[A]);
    let start = bench.now;
    let download = bench.download();
    assert!(bench.now.since(start) >= seconds(2) && bench.now.since(start) < seconds(7));
    assert_eq!((download.url.host.as_str(), download.max_body), ("a.local.mesh", 1 << 20));
    assert!(bench.phonebook.status().fetching);
    assert_eq!(bench.phonebook.status().next_fetch, None);
    let requests = bench.answer(200, None, BOOK);
    assert_eq!(writes(&requests, Writer::Book).len(), 1);
    // Phones first, flash later.
    let order: Vec<Writer> = requests
        .iter()
        .filter_map(|request| match request {
            Request::Write { writer, .. } => Some(*writer),
            _ => None,
        })
        .collect();
    assert_eq!(order, [Writer::Published, Writer::Book]);
    let status = bench.phonebook.status();
    assert_eq!((status.state, status.origin, status.entries, status.private), (State::Success, Origin::Server, 5, 1));
    assert_eq!(status.url.as_deref(), Some(A));
    let fetched = bench.now;
    bench.phonebook.handle_clock(Clock::new(UnixTime(1_800_000_000), bench.now));
    assert_eq!(bench.phonebook.last_updated(), Some(UnixTime(1_800_000_000)));
    bench.download();
    assert!((3_240..=3_960).contains(&bench.now.since(fetched).as_secs()), "{:?}", bench.now.since(fetched));
}

#[test]
fn an_unchanged_book_touches_no_file() {
    let mut bench = Bench::booted(None, &[A]);
    bench.download();
    bench.answer(200, Some("\"one\""), BOOK);
    let changed = bench.phonebook.status().last_change;
    // By digest: the same people in another dress (other quotes, line ends, a further private row).
    let download = bench.download();
    assert_eq!(download.etag.as_deref(), Some("\"one\""));
    let redressed = String::from_utf8(BOOK.to_vec()).unwrap().replace("\r\n", "\n") + "\nX,Y,Z,1,y\n";
    assert_eq!(bench.answer(200, Some("\"two\""), redressed.as_bytes()), []);
    // By the server's word.
    assert_eq!(bench.download().etag.as_deref(), Some("\"two\""));
    assert_eq!(bench.answer(304, None, b""), []);
    let status = bench.phonebook.status();
    assert_eq!((status.state, status.last_success), (State::Success, Some(bench.now)));
    assert_eq!(status.last_change, changed);
    assert_eq!((bench.counter("flash_writes"), bench.counter("downloads_unchanged")), (1, 1));
    assert_eq!(bench.counter("published_files_written"), 2);
}

#[test]
fn an_edit_anywhere_is_noticed() {
    // facts §1.7: the C program's checksum missed all but the last bytes.
    let mut bench = Bench::booted(None, &[A]);
    bench.download();
    bench.answer(200, None, &sheet(500));
    bench.download();
    let edited = String::from_utf8(sheet(500)).unwrap().replacen("Some", "Same", 1);
    let requests = bench.answer(200, None, edited.as_bytes());
    assert_eq!(writes(&requests, Writer::Book).len(), 1);
    assert_eq!(bench.phonebook.entries()[0].first, "Same");
}

#[test]
fn validators_are_sent_for_the_book_they_came_with_only() {
    let mut bench = Bench::booted(None, &[A, B]);
    bench.download();
    bench.answer(200, Some("\"a\""), BOOK);
    bench.download();
    bench.fail(); // a is down: b is asked, without a's validators
    let fetched = Fetched { status: 200, etag: None, last_modified: Some("Thu".into()), body: sheet(3) };
    bench.phonebook.handle_fetched(Ok(fetched), bench.now);
    bench.requests();
    assert_eq!(bench.phonebook.entries().len(), 3);
    // a's validators belong to another book than the one that is served now.
    let download = bench.download();
    assert_eq!((download.url.host.as_str(), download.etag), ("a.local.mesh", None));
    // A 304 to an unconditional request is an error of the server.
    let requests = bench.answer(304, None, b"");
    assert!(matches!(&requests[..], [Request::Fetch(next)] if next.last_modified.as_deref() == Some("Thu")));
    assert_eq!(bench.phonebook.status().error.as_ref().unwrap().why, Why::Status(304));
}

#[test]
fn servers_are_tried_in_their_order_and_a_bad_book_replaces_nothing() {
    let mut bench = Bench::booted(Some(BOOK), &["http://", A, B, "file:///tmp/book.csv"]);
    for (status, body, why) in [
        (404, &b"not found"[..], Why::Status(404)),
        (200, b"", Why::Unusable(Unusable::Empty)),
        (200, b"<html>login</html>", Why::Unusable(Unusable::Page)),
        (200, b"Firstname,Name,Callsign,Telephone,Privat\r\n", Why::Unusable(Unusable::NoEntries)),
        (200, b"Firstname,Name\nA,B", Why::Unusable(Unusable::NoNumberColumn)),
        (200, b"\x1f\x8b\x08\x00\x00", Why::Unusable(Unusable::Binary)),
    ] {
        // The first URL is none and is passed over at once.
        assert_eq!(bench.download().url.host, "a.local.mesh");
        let requests = bench.answer(status, None, body);
        assert!(matches!(&requests[..], [Request::Fetch(next)] if next.url.host == "b.local.mesh"));
        assert_eq!(bench.phonebook.status().error, Some(Failure { url: A.into(), why }));
        let requests = bench.fail();
        let path = "/tmp/book.csv".into();
        assert_eq!(requests, [Request::Read { reader: Reader::BookServer, path, limit: 1 << 20 }]);
        let told = bench.phonebook.status().error.clone();
        assert_eq!(told, Some(Failure { url: A.into(), why }), "that the next one is not there says less");
        bench.phonebook.handle_read(Reader::BookServer, Err(FileError::NotFound), bench.now);
        assert_eq!(bench.requests(), []);
        assert_eq!((bench.state(), bench.phonebook.entries().len()), (State::Failed, 5));
        assert!(!bench.phonebook.status().fetching);
    }
    bench.download();
    bench.fail();
    bench.fail();
    let contents = Contents { bytes: sheet(7), modified: UnixTime(0) };
    bench.phonebook.handle_read(Reader::BookServer, Ok(contents), bench.now);
    let status = bench.phonebook.status();
    assert_eq!((status.state, status.entries, &status.error), (State::Success, 7, &None));
    assert_eq!(status.url.as_deref(), Some("file:///tmp/book.csv"));
}

#[test]
fn failed_rounds_are_repeated_sooner_and_then_as_usual_until_the_book_is_stale() {
    let mut bench = Bench::booted(Some(BOOK), &[A]);
    let mut waits = Vec::new();
    bench.download();
    bench.answer(200, None, BOOK);
    let success = bench.now;
    bench.download();
    for _ in 0..9 {
        bench.fail();
        let failed = bench.now;
        assert_eq!(bench.state() == State::Stale, bench.now.since(success) >= seconds(3 * 3_600));
        bench.download();
        waits.push(bench.now.since(failed).as_secs());
    }
    for (wait, nominal) in waits.iter().zip([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]) {
        assert!((nominal * 9 / 10..=nominal * 11 / 10).contains(wait), "{waits:?}");
    }
    // Stale by the passing of time alone, while the server keeps us waiting.
    bench.answer(200, None, BOOK);
    assert_eq!(bench.state(), State::Success);
    bench.config.interval = seconds(20);
    bench.phonebook.handle_config(&bench.config.clone(), &servers(&[A]), bench.now);
    let success = bench.now;
    bench.download();
    while bench.state() == State::Success {
        bench.turn();
    }
    assert_eq!((bench.state(), bench.now), (State::Stale, success + seconds(60)));
}

#[test]
fn a_drastic_shrink_must_be_seen_twice() {
    let mut bench = Bench::booted(Some(&sheet(100)), &[A, B]);
    bench.download();
    bench.answer(200, Some("\"short\""), &sheet(49));
    bench.answer(200, None, &sheet(49)); // the other server has the same; that is one round still
    assert_eq!((bench.state(), bench.phonebook.entries().len()), (State::Failed, 100));
    let why = bench.phonebook.status().error.as_ref().unwrap().why;
    assert_eq!(why, Why::Shrunk { from: 100, to: 49 });
    let held = bench.now;
    let download = bench.download();
    assert_eq!(download.etag, None);
    assert!(bench.now.since(held) <= seconds(330), "confirmed soon, not after the interval");
    bench.answer(200, None, &sheet(48)); // another short one: not confirmed
    bench.fail();
    assert_eq!(bench.phonebook.entries().len(), 100);
    bench.download();
    bench.answer(200, None, &sheet(48));
    assert_eq!((bench.state(), bench.phonebook.entries().len()), (State::Success, 48));
    // Half is not drastic, and small books may do as they like.
    bench.download();
    bench.answer(200, None, &sheet(24));
    assert_eq!(bench.phonebook.entries().len(), 24);
    let mut bench = Bench::booted(Some(&sheet(19)), &[A]);
    bench.download();
    bench.answer(200, None, &sheet(1));
    assert_eq!(bench.phonebook.entries().len(), 1);
}

#[test]
fn fetch_now_starts_a_round_or_joins_the_running_one() {
    let mut bench = Bench::booted(Some(BOOK), &[A]);
    bench.download();
    bench.phonebook.fetch_now(bench.now);
    assert_eq!(bench.requests(), []);
    bench.answer(200, None, BOOK);
    // Whoever asks again and again has it fetched once in a few seconds.
    for _ in 0..9 {
        bench.phonebook.fetch_now(bench.now);
    }
    assert_eq!(bench.requests(), []);
    bench.now = bench.now + Duration::from_secs(5);
    bench.phonebook.handle_timeout(bench.now);
    assert!(matches!(&bench.requests()[..], [Request::Fetch(_)]));
    assert_eq!(bench.counter("rounds"), 2);
    bench.answer(200, None, BOOK);
    assert_eq!(bench.requests(), []);
    // Before the stored book is there it waits for that; without servers it does nothing.
    let mut bench = Bench::new(&[A]);
    bench.phonebook.fetch_now(bench.now);
    assert!(!bench.requests().iter().any(|request| matches!(request, Request::Fetch(_))));
    bench.phonebook.handle_read(Reader::StoredBook, Err(FileError::NotFound), bench.now);
    bench.phonebook.handle_read(Reader::BackupBook, Err(FileError::NotFound), bench.now);
    assert!(bench.requests().iter().any(|request| matches!(request, Request::Fetch(_))));
    let mut bench = Bench::booted(Some(BOOK), &[]);
    bench.phonebook.fetch_now(bench.now);
    assert_eq!((bench.requests(), bench.state()), (vec![], State::Boot));
}

#[test]
fn the_larger_a_new_book_is_the_longer_nobody_has_the_next_one_fetched() {
    for (entries, pause) in [(300, 5), (5_000, 30)] {
        let mut bench = Bench::booted(None, &[A]);
        bench.download();
        let fetched = bench.now;
        bench.answer(200, None, &sheet(entries));
        bench.phonebook.fetch_now(bench.now);
        bench.download();
        assert_eq!(bench.now.since(fetched), seconds(pause), "{entries} entries");
    }
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut bench = Bench::booted(Some(BOOK), &[A, "file:///x"]);
    bench.fail();
    bench.answer(200, None, &sheet(9));
    for reader in [Reader::StoredBook, Reader::BackupBook, Reader::BookServer, Reader::State] {
        let contents = Contents { bytes: sheet(9), modified: UnixTime(0) };
        bench.phonebook.handle_read(reader, Ok(contents), bench.now);
    }
    for writer in [Writer::Book, Writer::Published, Writer::State] {
        bench.phonebook.handle_written(writer, Err(FileError::Os(5)), bench.now);
    }
    bench.phonebook.handle_presence(77, true, bench.now);
    assert_eq!((bench.phonebook.entries().len(), bench.state()), (5, State::Boot));
    assert_eq!((bench.counter("answers_unexpected"), bench.counter("presence_unexpected")), (7, 1));
    assert_eq!(bench.requests(), []);
    // A file where a download was asked for.
    bench.download();
    let contents = Contents { bytes: sheet(9), modified: UnixTime(0) };
    bench.phonebook.handle_read(Reader::BookServer, Ok(contents), bench.now);
    assert_eq!(bench.phonebook.entries().len(), 5);
}

#[test]
fn a_server_that_never_answers_is_left() {
    let mut bench = Bench::booted(Some(BOOK), &[A, B]);
    bench.download();
    let asked = bench.now;
    assert_eq!(bench.download().url.host, "b.local.mesh");
    assert_eq!(bench.now.since(asked), seconds(10 + 60 + 30));
    // Nor does a shell that reads no files keep the servers from being asked.
    let mut bench = Bench::new(&[A]);
    bench.requests();
    bench.download();
    assert!(bench.now <= Instant::from_micros(1_000_000) + seconds(10));
}

#[test]
fn presence_is_asked_without_haste_and_marks_ram_only() {
    let mut bench = Bench::booted(Some(&sheet(40)), &[]);
    let mut asked = Vec::new();
    while asked.len() < BOOK_PRESENCE {
        for request in bench.turn() {
            if let Request::Presence { index, number, .. } = request {
                asked.push((index, number, bench.now));
            }
        }
    }
    for pair in asked.windows(2) {
        assert!(pair[1].2.since(pair[0].2) >= Duration::from_millis(250));
    }
    assert_eq!(asked[3].1, "1003");
    // The table of questions is full: nothing more is asked until something is answered or given up.
    let full = bench.now;
    let given_up = loop {
        let requests = bench.turn();
        if requests.iter().any(|request| matches!(request, Request::Presence { .. })) {
            break bench.now;
        }
    };
    assert!(given_up.since(full) > seconds(50));
    bench.phonebook.handle_presence(asked[5].0, true, bench.now); // may have been given up as well by now
    let mut marked = 0;
    let mut writes_seen = 0;
    for _ in 0..400 {
        for request in bench.turn() {
            match request {
                Request::Presence { index, number, .. } => {
                    bench.phonebook.handle_presence(index, number == "1030", bench.now);
                    marked += usize::from(number == "1030");
                }
                Request::Write { writer, steps } => {
                    assert_eq!(writer, Writer::Published);
                    assert!(!format!("{steps:?}").contains("\"/www"), "flash was touched: {steps:?}");
                    writes_seen += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(marked >= 2, "asked in every round");
    assert!(writes_seen <= 2, "{writes_seen} writes for one phone that came and stayed");
    let online: Vec<&str> =
        bench.phonebook.entries().iter().filter(|entry| entry.online).map(|entry| entry.number.as_str()).collect();
    assert_eq!(online, ["1030"]);
    bench.phonebook.handle_sighting("1007", true, bench.now);
    assert!(bench.phonebook.find("1007").unwrap().online);
    assert_eq!(bench.counter("flash_writes"), 0);
}

#[test]
fn name_servers_are_asked_for_everybody_once_and_then_mostly_for_those_who_are_there() {
    let mut bench = Bench::booted(Some(&sheet(60)), &[]);
    let mut rounds: Vec<(usize, usize)> = Vec::new();
    let mut absent: BTreeMap<String, usize> = BTreeMap::new();
    while rounds.len() < 14 {
        for request in bench.turn() {
            if let Request::Presence { index, look, number } = request {
                if number == "1000" {
                    rounds.push((0, 0));
                }
                let online = number == "1030";
                if let Some((asked, far)) = rounds.last_mut() {
                    *asked += 1;
                    *far += usize::from(look == Look::Far);
                }
                if look == Look::Far && rounds.len() > 1 {
                    *absent.entry(number).or_default() += 1;
                }
                bench.phonebook.handle_presence(index, online, bench.now);
            }
        }
    }
    rounds.pop();
    assert_eq!(rounds[0], (60, 60));
    assert!(rounds[1..].iter().all(|(asked, far)| *asked == 60 && (10..=11).contains(far)), "{rounds:?}");
    // Twelve later rounds: everybody twice, who is there every time.
    assert_eq!(absent.len(), 60);
    assert_eq!(absent["1030"], 12);
    assert!(absent.iter().all(|(number, far)| number == "1030" || (2..=3).contains(far)), "{absent:?}");
}

#[test]
fn a_new_book_keeps_the_marks_and_forgets_the_questions() {
    let mut bench = Bench::booted(Some(&sheet(30)), &[A]);
    bench.phonebook.handle_sighting("1002", true, bench.now);
    let mut old = None;
    while old.is_none() {
        old = bench.turn().iter().find_map(|request| match request {
            Request::Presence { index, .. } => Some(*index),
            _ => None,
        });
    }
    while !bench.turn().iter().any(|request| matches!(request, Request::Fetch(_))) {}
    let mut reversed: Vec<String> =
        String::from_utf8(sheet(31)).unwrap().lines().skip(1).map(ToOwned::to_owned).collect();
    reversed.reverse();
    bench.answer(200, None, reversed.join("\n").as_bytes());
    assert!(bench.phonebook.find("1002").unwrap().online);
    bench.phonebook.handle_presence(old.unwrap(), true, bench.now);
    let online = bench.phonebook.entries().iter().filter(|entry| entry.online).count();
    assert_eq!((online, bench.counter("presence_unexpected")), (1, 1));
}

#[test]
fn a_full_flash_is_tried_again_and_phones_do_not_notice() {
    let mut bench = Bench::booted(None, &[]);
    bench.phonebook.handle_config(&bench.config.clone(), &servers(&[A]), bench.now);
    bench.download();
    let fetched = Fetched { status: 200, etag: None, last_modified: None, body: BOOK.to_vec() };
    bench.phonebook.handle_fetched(Ok(fetched), bench.now);
    let mut attempts = 0;
    let mut without_backup = 0;
    let mut tried_at = Vec::new();
    for _ in 0..2_000 {
        while let Some(request) = bench.phonebook.poll_request() {
            match request {
                Request::Write { writer: Writer::Book, steps } => {
                    attempts += 1;
                    tried_at.push(bench.now);
                    without_backup += usize::from(!steps.iter().any(|step| matches!(step, Step::Keep { .. })));
                    let result = if attempts < 6 { Err(FileError::Os(28)) } else { Ok(()) };
                    bench.phonebook.handle_written(Writer::Book, result, bench.now);
                }
                Request::Write { writer, .. } => bench.phonebook.handle_written(writer, Ok(()), bench.now),
                Request::Presence { index, .. } => bench.phonebook.handle_presence(index, false, bench.now),
                Request::Fetch(_) => bench.phonebook.handle_fetched(Err(FetchError::NotReached), bench.now),
                Request::Read { .. } => panic!("{request:?}"),
            }
        }
        bench.now = bench.phonebook.next_deadline().unwrap();
        bench.phonebook.handle_timeout(bench.now);
    }
    assert_eq!((attempts, without_backup), (6, 3));
    let pauses: Vec<u64> = tried_at.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 960], "each pause is twice the one before");
    assert_eq!((bench.counter("flash_writes"), bench.counter("writes_failed")), (1, 5));
    assert_eq!(bench.phonebook.entries().len(), 5);
}

/// Whoever answers as the server of the book, and has it fetched again and again.
#[test]
fn a_book_that_is_another_every_time_does_not_wear_out_the_flash() {
    let mut bench = Bench::booted(None, &[A]);
    let start = bench.now;
    while bench.now.since(start) < seconds(2 * 3_600) {
        bench.download();
        let number = (100_000 + bench.now.since(start).as_secs()).to_string();
        bench.answer(200, None, format!("Firstname,Name,Callsign,Telephone\nA,B,C,{number}\n").as_bytes());
        assert!(bench.phonebook.knows(&number), "served at once: {:?}", bench.phonebook.status());
        bench.phonebook.fetch_now(bench.now);
    }
    assert!(bench.counter("downloads_changed") > 1_000);
    assert!((3..=5).contains(&bench.counter("flash_writes")), "{}", bench.counter("flash_writes"));
    // The last one gets there without a further download.
    bench.download();
    bench.answer(200, None, &sheet(3));
    let written = bench.counter("flash_writes");
    while bench.counter("flash_writes") == written {
        assert!(!bench.turn().iter().any(|request| matches!(request, Request::Fetch(_))));
    }
}

#[test]
fn a_reload_touches_what_changed() {
    let mut bench = Bench::booted(Some(&sheet(30)), &[A]);
    bench.download();
    bench.answer(200, None, &sheet(30));
    let config = bench.config.clone();
    bench.phonebook.handle_config(&config, &servers(&[A]), bench.now);
    assert_eq!(bench.requests(), []);

    // Other servers: asked soon; what a running round brings is not believed.
    bench.phonebook.fetch_now(bench.now);
    bench.requests();
    bench.phonebook.handle_config(&config, &servers(&[B]), bench.now);
    bench.answer(200, None, &sheet(29));
    assert_eq!(bench.phonebook.entries().len(), 30);
    assert_eq!(bench.download().url.host, "b.local.mesh");
    bench.answer(200, None, &sheet(28));
    assert_eq!(bench.phonebook.entries().len(), 28);

    // Another place for the book: it is written there.
    let mut moved = config::Phonebook { book_file: "/etc/book.csv".into(), ..config };
    bench.phonebook.handle_config(&moved, &servers(&[B]), bench.now);
    let requests = bench.requests();
    assert!(format!("{:?}", writes(&requests, Writer::Book)).contains("/etc/book.csv"));
    assert_eq!(writes(&requests, Writer::Published).len(), 0);

    // Another place for the published files: they move.
    moved.publish_dir = "/tmp/elsewhere".into();
    bench.phonebook.handle_config(&moved, &servers(&[B]), bench.now);
    let requests = bench.requests();
    let steps = writes(&requests, Writer::Published).concat();
    assert!(steps.contains(&Step::Remove("/tmp/switchboard/www/phonebook_generic_pbx.xml".into())));
    let (at, target) =
        ("/www/arednstack/phonebook_generic_pbx.xml".into(), "/tmp/elsewhere/phonebook_generic_pbx.xml".into());
    assert!(steps.contains(&Step::Link { at, target }));

    // Off: nothing is served and nothing wanted. On: as after a start.
    moved.enabled = false;
    bench.phonebook.handle_config(&moved, &servers(&[B]), bench.now);
    let requests = bench.requests();
    assert!(requests.iter().all(|request| matches!(request, Request::Write { writer: Writer::Published, .. })));
    assert_eq!(bench.phonebook.entries().len(), 0);
    assert_eq!(bench.phonebook.next_deadline(), None);
    bench.phonebook.fetch_now(bench.now);
    assert_eq!(bench.requests(), []);
    moved.enabled = true;
    bench.phonebook.handle_config(&moved, &servers(&[B]), bench.now);
    bench.boot(Some(&sheet(28)), None);
    assert_eq!((bench.phonebook.entries().len(), bench.state()), (28, State::Boot));
    bench.download();
}

#[test]
fn a_disabled_book_is_silent() {
    let mut bench = Bench::with(config::Phonebook { enabled: false, ..Default::default() }, &[A]);
    assert_eq!(bench.requests(), []);
    assert_eq!(bench.phonebook.next_deadline(), None);
    bench.phonebook.handle_timeout(bench.now + seconds(1_000_000));
    assert_eq!(bench.requests(), []);
}

#[test]
fn the_same_inputs_give_the_same_outputs_and_idle_stays_idle() {
    let run = || {
        let mut bench = Bench::booted(Some(BOOK), &[A, B]);
        let mut log = Vec::new();
        for _ in 0..300 {
            for request in bench.turn() {
                log.push(format!("{:?} {request:?}", bench.now));
                match request {
                    Request::Fetch(_) => log.extend(bench.fail().iter().map(|request| format!("{request:?}"))),
                    Request::Presence { index, .. } => {
                        bench.phonebook.handle_presence(index, index % 2 == 0, bench.now)
                    }
                    _ => {}
                }
            }
            // Called too early it does nothing.
            let deadline = bench.phonebook.next_deadline();
            bench.phonebook.handle_timeout(bench.now);
            log.extend(bench.requests().iter().map(|request| format!("early {request:?}")));
            if bench.phonebook.next_deadline() != deadline {
                log.push("early deadline".into());
            }
        }
        assert!(!log.iter().any(|line| line.starts_with("early")), "{log:?}");
        log
    };
    assert_eq!(run(), run());
}
