//! A crash record replayed: what strangers sent goes into a fresh daemon, at the same moments, and it does the same again.
//!
//! `FLIGHT=crash.bin.last cargo test --test sim flight` replays a record from the field.

use std::time::Duration;

use switchboard::core::flight::replay;
use switchboard::time::Instant;
use switchboard::wire::crash::Record;

use super::CALM;
use super::clock::World as _;
use super::phone::Manner;
use super::world::World;

/// The record that the handler of a signal would write now.
fn record(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut record = Record { signal: 11, boot_id: "boot", at_us: world.now.as_micros(), ..Record::default() };
    record.emit(&mut |piece| bytes.extend_from_slice(piece));
    for event in world.core.flight().unwrap().events() {
        event.emit(&mut |piece| bytes.extend_from_slice(piece));
    }
    bytes
}

/// A daemon to which the same happens; how many events that were.
fn again(seed: u64, bytes: &[u8]) -> (World, usize) {
    let record = Record::parse(bytes).unwrap();
    let mut world = World::new(seed, CALM);
    let mut events = 0;
    for flown in record.flight() {
        let Some(event) = replay(&flown) else { continue };
        let at = Instant::from_micros(flown.at_us);
        // What was due before it; what is due at the same moment comes after it.
        world.run(at.since(world.now).saturating_sub(Duration::from_micros(1)));
        world.now = world.now.max(at);
        world.core.handle_event(event, world.now);
        events += 1;
    }
    let end = Instant::from_micros(record.at_us);
    world.run(end.since(world.now));
    (world, events)
}

fn call(seed: u64) -> World {
    let mut world = World::new(seed, CALM);
    for (number, manner) in [("441530", Manner::Answers), ("441531", Manner::Answers)] {
        let phone = world.add_phone(number, manner);
        world.phones[phone].register(3_600, world.now);
    }
    world.run(Duration::from_secs(2));
    let id = world.phones[0].dial("441531", world.now);
    world.run(Duration::from_secs(20));
    assert_eq!(world.core.active_calls(), 1, "{id} is not shown");
    world
}

#[test]
fn a_record_replayed_does_the_same_again() {
    for seed in 0..8 {
        let world = call(seed);
        let bytes = record(&world);
        let (twin, events) = again(seed, &bytes);
        assert!(events >= 8, "{events}");
        assert_eq!((twin.sent, twin.trace), (world.sent, world.trace), "seed {seed}");
        assert_eq!(twin.core.active_calls(), 1);
    }
}

#[test]
fn another_byte_is_another_story() {
    let world = call(1);
    let mut bytes = record(&world);
    let at = bytes.windows(4).position(|word| word == b"1530").unwrap();
    bytes[at + 3] = b'9';
    let (twin, _) = again(1, &bytes);
    assert_ne!(twin.trace, world.trace);
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_record_from_the_field() {
    let Some(path) = std::env::var_os("FLIGHT") else { return };
    let bytes = std::fs::read(path).unwrap();
    let (world, events) = again(0, &bytes);
    println!("{events} events again: {} messages sent, {} calls, and no crash", world.sent, world.core.active_calls());
}
