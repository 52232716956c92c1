//! What calls leave behind when they are over: not a byte. The load of the hour in real time (`processes.rs`) on a virtual clock, where the
//! heap is counted and not guessed from pages. Tables fill and empty, files are written, strangers come and the configuration is read
//! again; then everything comes to rest, and the heap must be what it was the time before.
//!
//! Pages of a real process tell less: which of them were ever touched depends on how far the program was behind at its worst moment.

use std::time::Duration;

use switchboard::config::Config;

use crate::clock::World as _;
use crate::world::World;
use crate::{ALONE, hours, live, until_at_rest};

/// Calls of one round, twenty a second.
const CALLS: usize = 400;

/// Rounds in which tables become as large as they get.
const WARM: usize = 10;

/// Rounds of which the least counts.
const FEW: usize = 5;

/// What may be more at the end than near the beginning, in bytes, however many rounds there were: what the name server said of
/// numbers that nobody has dialled before.
const SLACK: usize = 2 << 10;

/// What the heap holds at rest after each of so many rounds, and the least and the most of it under load.
fn live_through(rounds: usize, change: impl FnOnce(&mut Config)) -> (Vec<usize>, usize, usize) {
    let (mut rest, mut least, mut most) = (Vec::with_capacity(rounds), usize::MAX, 0);
    let before = live();
    let mut world = World::with(13, change);
    world.run(Duration::from_secs(120));
    for round in 0..rounds {
        for _ in 0..CALLS {
            world.call();
            world.run(Duration::from_millis(50));
        }
        let loaded = live() - before - world.files.bytes();
        (least, most) = (least.min(loaded), most.max(loaded));
        world.reload(|config| config.sip.max_calls = 2_000 - round % 3);
        world.strangers();
        // A minute of talk, and 32 s for repeats.
        world.run(Duration::from_secs(100));
        until_at_rest(&mut world);
        rest.push(live() - before - world.files.bytes());
    }
    assert!(world.answered_calls > rounds * CALLS / 2, "{} calls were answered", world.answered_calls);
    (rest, least, most)
}

fn steady(rounds: usize, change: impl FnOnce(&mut Config)) {
    let _alone = ALONE.lock();
    let (rest, least, most) = live_through(rounds, change);
    println!("{} calls; heap under load {least} to {most} bytes, at rest after each {CALLS}:", rounds * CALLS);
    println!("  {rest:?}");
    // In some rounds the map or a cycle of tests has something more in hand.
    let least = |rounds: &[usize]| rounds.iter().copied().min().unwrap();
    let (early, late) = (least(&rest[WARM..WARM + FEW]), least(&rest[rounds - FEW..]));
    let calls = CALLS * (rounds - FEW - WARM);
    assert!(late <= early + SLACK, "{calls} calls leave {} bytes: {rest:?}", late - early);
}

/// Of the exchange alone, whose heap comes to rest at once.
#[test]
fn some_calls_leave_nothing_behind() {
    steady(2 * WARM + FEW, |config| (config.probe.enabled, config.mesh.enabled) = (false, false));
}

/// Of the whole program; the statistics of a phone are full after some hours.
#[test]
#[ignore = "a minute: make soak"]
fn many_calls_leave_nothing_behind() {
    steady(usize::try_from(hours(24)).unwrap() * 10, |_| {});
}
