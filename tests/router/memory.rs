//! What the daemon needs of 64 MB and of 32, and that it works with either.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::real::sipp::{Phone, Play, sipp};
use crate::real::{PATIENCE, until};
use crate::service::{Memory, Service, note};

/// The most that is resident, in KB: idle, with a book of a thousand entries, and after calls. A fifth above what was measured
/// (docs/SIZE.md).
const IDLE: u32 = 1_500;
const BOOK: u32 = 1_750;
const BUSY: u32 = 2_200;
const ENTRIES: u32 = 1_000;
const CALLS: u32 = 300;

fn book() -> String {
    let mut text = String::from("First,Last,Call,Telephone\n");
    for number in 0..ENTRIES {
        writeln!(text, "Hans-Peter,Mustermann {number},HB9A{number},{}", 441_000 + number).unwrap();
    }
    text
}

fn told(what: &str, memory: Memory) {
    let Memory { resident, anonymous, most, stack } = memory;
    note(&format!("{what}: {resident} KB resident, {anonymous} of them anonymous, {most} at most; stack {stack} KB"));
}

/// Further lines of the configuration: SIPp's phones expect nothing but calls, and the book is a file.
const FURTHER: &str = "
config probe
	option options_count '0'

config server
	option url 'file:///etc/book.csv'
";
/// With the book for every maker's phones.
const ALL: &str = "
config phonebook
	list formats 'cisco'
	list formats 'snom'
	list formats 'grandstream'
	list formats 'fanvil'
	list formats 'polycom'
	list formats 'vcard'
	list formats 'acrobits'
";

/// The daemon with its book, as far as it is published.
fn published<'a>(machine: &'a Machine, further: &str, last: &str) -> Service<'a> {
    let service = Service::start(machine, further);
    let entries = usize::try_from(ENTRIES).unwrap();
    until("the book", PATIENCE, || {
        (service.get("/api/v1/phonebook")["entries"].as_array()?.len() == entries).then_some(())
    });
    let there = format!("grep -q 'Mustermann 999' /tmp/switchboard/www/{last}");
    until("the published book", PATIENCE, || (machine.try_sh(&there, PATIENCE)?.0 == 0).then_some(()));
    service
}

fn a_busy_day_with(name: &str, megabytes: u32) {
    let Some(machine) = Machine::boot(name, megabytes) else { return };
    if !sipp() {
        return;
    }
    let available = |when: &str| {
        let said = machine.sh("grep MemAvailable /proc/meminfo");
        note(&format!("of {megabytes} MB available {when}: {}", said.split_once(':').unwrap().1.trim()));
    };
    available("without the daemon");
    machine.write("/etc/book.csv", &book());
    let service = Service::started(&machine, "switchboard run");
    let (took, processor) = (service.answers(), service.processor());
    note(&format!("from the start to the first answered REGISTER: {took:?}, {processor:?} of processor time"));
    let idle = service.memory();
    told("idle, without a book", idle);
    service.stop();

    let service = published(&machine, FURTHER, "phonebook_generic_pbx.xml");
    let with_book = service.memory();
    told("with a book of 1000 entries", with_book);
    let stored = machine.sh("cd /www/arednstack; stat -c '%s %n' phonebook.csv phonebook.csv.hash");
    note(&format!("on flash: {}", stored.trim().replace('\n', ", ")));

    let (first, second) =
        (Phone::near(&machine.net, &machine.tree, "441001", 2), Phone::near(&machine.net, &machine.tree, "441002", 3));
    first.registers();
    second.registers();
    let play = Play { calls: CALLS, rate: 15, ..Play::default() };
    let before = service.processor();
    let waiting = second.waits("callee", play);
    first.calls("caller", "441002", play).succeeds();
    waiting.succeeds();
    let per_call = (service.processor() - before) / CALLS;
    note(&format!("a call, from its INVITE to the end of its BYE: {per_call:?} of processor time"));
    let busy = service.memory();
    told("the same after 300 calls, 15 begun in a second", busy);
    available("then");

    // The same book once more, after the calls, so that its age tells of which download it is.
    let which = "stat -c '%i %Y' /www/arednstack/phonebook.csv /www/arednstack/phonebook.csv.hash";
    let (before, written) = (machine.sh(which), service.age_of_the_book());
    assert!(written >= 10, "{written} s");
    assert_eq!(service.post("/api/v1/phonebook/reload").status, 202);
    until("the second download", PATIENCE, || (service.age_of_the_book() < written).then_some(()));
    assert_eq!(machine.sh(which), before, "the same book is not written again");
    service.stop();

    let service = published(&machine, ALL, "phonebook_acrobits.json");
    told("with a book of 1000 entries for every maker's phones", service.memory());
    service.stop();
    assert!(!machine.console().contains("Out of memory"), "{}", machine.console());
    for (memory, most) in [(idle, IDLE), (with_book, BOOK), (busy, BUSY)] {
        assert!(memory.resident < most, "{memory:?} where {most} KB are allowed");
    }
}

#[test]
fn a_router_with_64_mb_has_memory_to_spare() {
    a_busy_day_with("router-64", 64);
}

#[test]
fn a_router_with_32_mb_has_memory_to_spare() {
    a_busy_day_with("router-32", 32);
}
