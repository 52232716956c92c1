//! Every form is read back by a parser that is not ours, with names that try to break out.

use quick_xml::Reader as XmlReader;
use quick_xml::events::Event;
use serde_json::Value;

use super::*;

const LOOK: Look<'static> = Look { marker: "* ", base_url: "http://localnode.local.mesh/arednstack/" };

fn entry(first: &str, last: &str, callsign: &str, number: &str, online: bool) -> Entry {
    Entry { first: first.into(), last: last.into(), callsign: callsign.into(), number: number.into(), online }
}

fn book() -> Vec<Entry> {
    vec![
        entry("Hans", "Müller", "HB9AAA", "441530", true),
        entry("<&\"'>]]>", "</Name><Telephone>666</Telephone>", "&amp;", "441531", false),
        entry("Bell\u{7}", "Null\u{0}\u{fffe}", "HB9;,\\:", "441532", true),
        entry(&"é".repeat(64), &"漢".repeat(64), "HB9CCC", "441533", false),
        entry("BEGIN:VCARD\r\nTEL:1", "", "", "441534", false),
        entry("", "", "", "441535", true),
        entry("Same", "Phone", "", "441530", true),
    ]
}

/// All leaf elements in order, as (path, text).
fn leaves(bytes: &[u8]) -> Vec<(String, String)> {
    assert!(bytes.is_ascii(), "phones must not have to guess a charset");
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<"), "{text}");
    assert!(text.ends_with(">\n"));
    let mut reader = XmlReader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut path, mut leaves, mut content) = (Vec::new(), Vec::new(), None);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                path.push(String::from_utf8(start.name().as_ref().to_vec()).unwrap());
                content = Some(String::new());
            }
            Event::Text(text) => {
                let text = text.unescape().unwrap().into_owned();
                if let Some(content) = &mut content {
                    content.push_str(&text);
                }
            }
            Event::End(_) => {
                if let Some(content) = content.take() {
                    leaves.push((path.join("/"), content));
                }
                path.pop();
            }
            Event::Empty(empty) => {
                for attribute in empty.attributes() {
                    let attribute = attribute.unwrap();
                    let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    let value = attribute.unescape_value().unwrap().into_owned();
                    leaves.push((format!("{}/@{key}", path.join("/")), value));
                }
            }
            Event::Eof => break,
            Event::Decl(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(path.is_empty());
    leaves
}

fn values<'a>(leaves: &'a [(String, String)], end: &str) -> Vec<&'a str> {
    leaves.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, text)| text.as_str()).collect()
}

fn named<'a>(files: &'a [File], name: &str) -> &'a [u8] {
    &files.iter().find(|file| file.name == name).unwrap().bytes
}

const NUMBERS: [&str; 7] = ["441530", "441531", "441532", "441533", "441534", "441535", "441530"];

fn shown() -> Vec<String> {
    vec![
        "* Hans Müller (HB9AAA)".into(),
        "<&\"'>]]> </Name><Telephone>666</Telephone> (&amp;)".into(),
        "* Bell Null (HB9;,\\:)".into(),
        format!("{} {} (HB9CCC)", "é".repeat(64), "漢".repeat(64)),
        "BEGIN:VCARD  TEL:1".into(),
        "* Unnamed".into(),
        "* Same Phone".into(),
    ]
}

#[test]
fn yealink_is_the_c_programs_file_to_the_byte() {
    let book = [entry("Hans", "Müller", "HB9AAA", "441530", true), entry("Urs", "Meier", "HB9BBB", "441531", false)];
    let files = render(Format::Yealink, &book, LOOK);
    let wanted = include_bytes!("../../../tests/data/phonebook/phonebook_generic_direct.xml");
    for name in ["phonebook_generic_direct.xml", "phonebook_generic_pbx.xml"] {
        assert_eq!(String::from_utf8_lossy(named(&files, name)), String::from_utf8_lossy(wanted));
    }
    assert_eq!(files.len(), 2);
}

#[test]
fn one_list_forms_carry_every_name_unharmed() {
    for (format, name, root) in [
        (Format::Yealink, "phonebook_generic_direct.xml", "YealinkIPPhoneDirectory"),
        (Format::Yealink, "phonebook_generic_pbx.xml", "YealinkIPPhoneDirectory"),
        (Format::Fanvil, "phonebook_fanvil.xml", "FanvilIPPhoneDirectory"),
        (Format::Snom, "phonebook_snom.xml", "SnomIPPhoneDirectory"),
    ] {
        let files = render(format, &book(), LOOK);
        let leaves = leaves(named(&files, name));
        assert_eq!(values(&leaves, &format!("{root}/DirectoryEntry/Name")), shown(), "{name}");
        assert_eq!(values(&leaves, &format!("{root}/DirectoryEntry/Telephone")), NUMBERS, "{name}");
    }
}

#[test]
fn snom_has_a_directory_of_its_own_too() {
    let files = render(Format::Snom, &book(), LOOK);
    let leaves = leaves(named(&files, "phonebook_snom_tbook.xml"));
    assert_eq!(values(&leaves, "tbook/contact/numbers/@no"), NUMBERS);
    assert_eq!(values(&leaves, "tbook/contact/first_name")[..2], ["* Hans", "<&\"'>]]>"]);
    assert_eq!(values(&leaves, "tbook/contact/last_name")[0], "Müller (HB9AAA)");
    assert_eq!(values(&leaves, "tbook/contact/last_name")[5], "* Unnamed");
    assert!(
        String::from_utf8_lossy(named(&files, "phonebook_snom_tbook.xml")).contains("<tbook e=\"2\" version=\"2.0\">")
    );
}

#[test]
fn grandstream_dials_through_its_account() {
    let files = render(Format::Grandstream, &book(), LOOK);
    assert_eq!(files[0].aliases, ["phonebook.xml", "gs_phonebook.xml"]);
    let leaves = leaves(named(&files, "phonebook_grandstream.xml"));
    assert_eq!(values(&leaves, "AddressBook/Contact/Phone/phonenumber"), NUMBERS);
    assert_eq!(values(&leaves, "AddressBook/Contact/Phone/accountindex"), ["1"; 7]);
    assert_eq!(values(&leaves, "AddressBook/Contact/FirstName")[..2], ["* Hans", "<&\"'>]]>"]);
    assert_eq!(values(&leaves, "AddressBook/Contact/LastName")[1], "</Name><Telephone>666</Telephone> (&amp;)");
    assert_eq!(values(&leaves, "AddressBook/Contact/id"), ["1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn polycom_names_fit_its_fields() {
    let files = render(Format::Polycom, &book(), LOOK);
    let leaves = leaves(named(&files, "phonebook_polycom.xml"));
    assert_eq!(values(&leaves, "directory/item_list/item/ct"), NUMBERS);
    assert_eq!(values(&leaves, "directory/item_list/item/fn")[3], "é".repeat(20));
    assert_eq!(values(&leaves, "directory/item_list/item/ln")[3], "漢".repeat(13));
    assert_eq!(values(&leaves, "directory/item_list/item/fn")[0], "* Hans");
}

#[test]
fn cisco_turns_pages_of_32() {
    for (entries, pages) in [(0, 1), (1, 1), (32, 1), (33, 2), (65, 3)] {
        let book: Vec<Entry> = (0..entries).map(|n| entry("A", "B", "C", &format!("{n}"), false)).collect();
        let files = render(Format::Cisco, &book, LOOK);
        assert_eq!(files.len(), pages + 1);
        assert_eq!(named(&files, "phonebook_cisco_pbx.xml"), named(&files, "phonebook_cisco_direct.xml"));
        // Turn the pages as a phone does, by the key Next, and find everybody once and in order.
        let (mut name, mut found) = ("phonebook_cisco_direct.xml".to_owned(), Vec::new());
        for page in 1..=pages {
            let leaves = leaves(named(&files, &name));
            assert_eq!(values(&leaves, "CiscoIPPhoneDirectory/Prompt"), [format!("Page {page} of {pages}")]);
            let shown = values(&leaves, "CiscoIPPhoneDirectory/DirectoryEntry/Telephone");
            assert!(shown.len() <= 32);
            found.extend(shown.iter().map(ToString::to_string));
            let keys = values(&leaves, "SoftKeyItem/Name");
            let next = keys.iter().position(|key| *key == "Next");
            assert_eq!(next.is_some(), page < pages);
            assert_eq!(keys.contains(&"Back"), page > 1);
            if let Some(next) = next {
                name = values(&leaves, "SoftKeyItem/URL")[next].strip_prefix(LOOK.base_url).unwrap().to_owned();
            }
        }
        assert_eq!(found, (0..entries).map(|n| format!("{n}")).collect::<Vec<_>>());
    }
    let files = render(Format::Cisco, &book(), LOOK);
    let leaves = leaves(named(&files, "phonebook_cisco_direct.xml"));
    let names = values(&leaves, "DirectoryEntry/Name");
    assert!(names.iter().all(|name| name.chars().count() <= 64));
    assert_eq!(names[0], "* Hans Müller (HB9AAA)");
}

#[test]
fn vcards_fold_and_escape() {
    let files = render(Format::Vcard, &book(), LOOK);
    let text = String::from_utf8(files[0].bytes.clone()).unwrap();
    assert!(text.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])));
    // RFC 6350 §3.2: unfold, then read line by line.
    let unfolded = text.replace("\r\n ", "");
    let field = |card: &str, name: &str| {
        let mut lines = card.lines().filter_map(|line| line.strip_prefix(name));
        let value = lines.next().map(ToString::to_string);
        assert_eq!(lines.next(), None, "{card}");
        value
    };
    let cards: Vec<&str> =
        unfolded.split("BEGIN:VCARD\r\n").skip(1).filter(|card| card.ends_with("END:VCARD\r\n")).collect();
    let numbers: Vec<String> = cards.iter().map(|card| field(card, "TEL;TYPE=voice:").unwrap()).collect();
    assert_eq!(numbers, NUMBERS);
    assert_eq!(field(cards[0], "FN:").unwrap(), "Hans Müller (HB9AAA)"); // no marker: cards stay
    assert_eq!(field(cards[0], "N:").unwrap(), "Müller;Hans;;;");
    assert_eq!(field(cards[2], "NICKNAME:").unwrap(), "HB9\\;\\,\\\\:");
    assert_eq!(field(cards[4], "FN:").unwrap(), "BEGIN:VCARD\\nTEL:1");
    assert_eq!(field(cards[3], "FN:").unwrap(), shown()[3]);
}

#[test]
fn acrobits_contacts_have_names_of_their_own() {
    let files = render(Format::Acrobits, &book(), LOOK);
    let json: Value = serde_json::from_slice(&files[0].bytes).unwrap();
    let contacts = json["contacts"].as_array().unwrap();
    let ids: Vec<&str> = contacts.iter().map(|contact| contact["contactId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["441530", "441531", "441532", "441533", "441534", "441535", "441530-2"]);
    for (contact, number) in contacts.iter().zip(NUMBERS) {
        assert_eq!(contact["contactEntries"][0]["uri"], number);
        assert_eq!(contact["contactEntries"][0]["type"], "tel");
        assert_eq!(contact["checksum"].as_str().unwrap().len(), 16);
    }
    assert_eq!(contacts[1]["displayName"], shown()[1].as_str());
    assert_eq!(contacts[0]["fname"], "Hans");
    let mut offline = book();
    offline[0].online = false;
    let later: Value = serde_json::from_slice(&render(Format::Acrobits, &offline, LOOK)[0].bytes).unwrap();
    assert_ne!(later["contacts"][0]["checksum"], contacts[0]["checksum"]);
    assert_eq!(later["contacts"][1]["checksum"], contacts[1]["checksum"]);
}

#[test]
fn the_marker_is_an_option() {
    let files = render(Format::Yealink, &book(), Look { marker: "", ..LOOK });
    assert_eq!(values(&leaves(&files[0].bytes), "Name")[0], "Hans Müller (HB9AAA)");
    let files = render(Format::Yealink, &book(), Look { marker: "<✓> ", ..LOOK });
    assert_eq!(values(&leaves(&files[0].bytes), "Name")[0], "<✓> Hans Müller (HB9AAA)");
}

#[test]
fn urls_follow_the_directory_of_links() {
    for (link_dir, url) in [
        ("/www/arednstack", "http://localnode.local.mesh/arednstack/"),
        ("/www", "http://localnode.local.mesh/"),
        ("/www/a/b/", "http://localnode.local.mesh/a/b/"),
        ("/tmp/private/www", "http://localnode.local.mesh/arednstack/"),
        ("", "http://localnode.local.mesh/arednstack/"),
    ] {
        assert_eq!(base_url(Path::new(link_dir)), url);
    }
}

fn written(steps: &[Step]) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let renamed = steps.iter().filter_map(|step| match step {
        Step::Rename { to, .. } => Some(name(to)),
        _ => None,
    });
    renamed.collect()
}

#[test]
fn only_what_changed_is_written_and_links_are_made_once() {
    let now = Instant::from_micros(1);
    let mut config = config::Phonebook { formats: vec![Format::Yealink, Format::Vcard], ..Default::default() };
    let mut publisher = Publisher::default();
    let mut book = book();
    assert_eq!(publisher.poll(Some(&book), &config, now), None); // nobody asked for it
    publisher.schedule(now);
    let steps = publisher.poll(Some(&book), &config, now).unwrap();
    assert_eq!(written(&steps), ["phonebook_generic_direct.xml", "phonebook_generic_pbx.xml", "phonebook.vcf"]);
    let link =
        Step::Link { at: "/www/arednstack/phonebook.vcf".into(), target: "/tmp/switchboard/www/phonebook.vcf".into() };
    assert!(steps.contains(&link));
    assert_eq!(steps[0], Step::MakeDir("/tmp/switchboard/www".into()));
    // Readers see whole files only: what is written directly is never a published name.
    for step in &steps {
        if let Step::Write(path, _) = step {
            assert_eq!(path.extension().unwrap(), "new");
        }
    }
    publisher.schedule(now);
    assert_eq!(publisher.poll(Some(&book), &config, now), None); // one write at a time
    assert_eq!(publisher.next_deadline(), None);
    assert!(!publisher.handle_written(Ok(()), now));
    assert_eq!(publisher.poll(Some(&book), &config, now), None); // nothing changed

    book[1].online = true;
    publisher.schedule(now);
    let steps = publisher.poll(Some(&book), &config, now).unwrap();
    assert_eq!(written(&steps), ["phonebook_generic_direct.xml", "phonebook_generic_pbx.xml"]);
    assert!(!steps.iter().any(|step| matches!(step, Step::Link { .. })));
    // Flash is not touched by marks.
    assert!(!format!("{steps:?}").contains("\"/www"));
    publisher.handle_written(Ok(()), now);

    config.formats = vec![Format::Yealink];
    publisher.schedule(now);
    let steps = publisher.poll(Some(&book), &config, now).unwrap();
    assert_eq!(
        steps,
        [
            Step::Remove("/www/arednstack/phonebook.vcf".into()),
            Step::Remove("/tmp/switchboard/www/phonebook.vcf".into())
        ]
    );
    publisher.handle_written(Ok(()), now);

    config.link_dir = "".into();
    config.formats = vec![Format::Grandstream];
    publisher.schedule(now);
    let steps = publisher.poll(Some(&book), &config, now).unwrap();
    assert!(!steps.iter().any(|step| matches!(step, Step::Link { .. })));
}

#[test]
fn a_failed_write_is_tried_again_as_a_whole() {
    let mut now = Instant::from_micros(1);
    let config = config::Phonebook { formats: vec![Format::Grandstream], ..Default::default() };
    let mut publisher = Publisher::default();
    publisher.schedule(now);
    let first = publisher.poll(Some(&book()), &config, now).unwrap();
    let links = first.iter().filter(|step| matches!(step, Step::Link { .. })).count();
    assert_eq!(links, 3);
    assert!(publisher.handle_written(Err(FileError::Os(30)), now)); // worth one warning
    for _ in 0..10 {
        assert_eq!(publisher.poll(Some(&book()), &config, now), None);
        let due = publisher.next_deadline().unwrap();
        assert!(due > now && due <= now + RETRY_LONGEST);
        now = due;
        assert_eq!(publisher.poll(Some(&book()), &config, now).unwrap(), first);
        assert!(!publisher.handle_written(Err(FileError::Os(30)), now)); // not one each time
    }
    now = publisher.next_deadline().unwrap();
    assert!(publisher.poll(Some(&book()), &config, now).is_some());
    assert!(!publisher.handle_written(Ok(()), now));
    assert_eq!(publisher.next_deadline(), None);
}
