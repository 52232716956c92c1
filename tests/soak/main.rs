//! Does the daemon stay as it is? Days on a mesh of 300 routers and 500 phones, on a virtual clock, with everything that goes wrong on
//! one; and the same program among real processes for as long as is wanted (`processes.rs`).
//!
//! `make soak` runs all of it. `SOAK_HOURS` is how long the simulated days are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, unsafe_code)]

#[path = "../support/clock.rs"]
mod clock;
#[allow(dead_code)]
#[path = "../support/sip_message.rs"]
mod message;
mod processes;
#[path = "../support/real/mod.rs"]
mod real;
mod steady;
#[allow(dead_code)]
#[path = "../support/mesh_truth.rs"]
mod truth;
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clock::World as _;
use switchboard::health::watch::DRAINING;
use world::{Trouble, World};

/// Counts what is allocated: the world here keeps nothing, so what grows is the daemon.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: all share the heap that is counted.
pub static ALONE: Mutex<()> = Mutex::new(());

const HOUR: Duration = Duration::from_secs(3_600);

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

fn hours(usual: u64) -> u64 {
    std::env::var("SOAK_HOURS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(usual)
}

fn tables_within_limits(world: &World) {
    for table in world.core.tables() {
        assert!(table.used <= table.limit, "{table:?}");
    }
}

/// Until nothing is under way: no call, no download, no test.
fn until_at_rest(world: &mut World) {
    let busy = |world: &World| {
        let tables = world.core.tables();
        tables.into_iter().filter(|table| DRAINING.contains(&table.name) && table.used > 0).collect::<Vec<_>>()
    };
    for _ in 0..3_600 {
        if busy(world).is_empty() {
            return;
        }
        world.run(Duration::from_secs(1));
    }
    panic!("an hour later still under way: {:?}", busy(world));
}

fn health(world: &World) -> serde_json::Value {
    serde_json::from_slice(world.files.get(&world.config.health.file).expect("a report")).expect("JSON")
}

/// Hours in which everything goes wrong, and then a few in which nobody registers any more.
fn busy(hours: u64) {
    let _alone = ALONE.lock();
    PEAK.store(live(), Ordering::Relaxed);
    let began = Instant::now();
    let before = live();
    let mut world = World::new(7);
    let mut memory = Vec::new();
    for hour in 0..hours {
        world.trouble = Trouble { names: hour % 6 == 2, book: hour % 4 == 1, collector: hour % 3 == 1 };
        if hour % 8 == 3 {
            world.new_book(usize::try_from(hour).unwrap());
        }
        for quarter in 0..4 {
            for storm in 0..20_usize {
                world.reload(|config| {
                    config.phonebook.presence_interval = Duration::from_secs(600 + u64::try_from(storm % 2).unwrap());
                    config.sip.max_calls = 2_000 - storm % 3;
                    config.probe.rate = 200 + storm % 2;
                    config.mesh.boundary = if storm % 4 == 3 { vec!["hb*".into()] } else { Vec::new() };
                });
            }
            world.flood(if quarter == 1 { 3_000 } else { 300 });
            world.strangers();
            world.churn();
            for _ in 0..15 {
                world.call();
                world.run(Duration::from_secs(60));
                world.kb = u32::try_from(live() / 1_024).unwrap();
            }
            tables_within_limits(&world);
        }
        until_at_rest(&mut world);
        memory.push(live() - before);
    }
    let report = health(&world);
    let wall = began.elapsed();
    println!(
        "{hours} busy hours in {wall:.1?}: {} events in, {} packets out, {} calls answered",
        world.events, world.sent, world.answered_calls
    );
    println!("heap after each hour (kB): {:?}", memory.iter().map(|bytes| bytes / 1_024).collect::<Vec<_>>());
    println!(
        "most heap at any moment: {} kB; written to flash: {:?}",
        (PEAK.load(Ordering::Relaxed) - before) / 1_024,
        world.files.flash
    );
    println!("health: score {}, {}", report["health_score"], report["checks"]);
    assert!(world.answered_calls as u64 > hours * 30, "{} calls", world.answered_calls);
    assert!(world.posted > 0, "the collector heard of it");
    assert_eq!(report["checks"]["all_threads_responsive"], true, "{report:#}");
    assert_eq!(report["checks"]["memory_stable"], true, "{report:#}");
    for (name, task) in report["threads"].as_object().unwrap().iter().filter(|(_, task)| task.is_object()) {
        assert_eq!(task["restarts"], 0, "{name} was started anew");
    }
    // From the third hour on every table has been as full as it gets.
    if let [_, _, third, .., last] = memory[..] {
        assert!(last <= third + third / 10 + (128 << 10), "memory grows: {memory:?}");
    }

    // Nobody renews, nobody calls.
    world.trouble = Trouble::default();
    world.renewing = false;
    world.run(3 * HOUR);
    until_at_rest(&mut world);
    for table in world.core.tables() {
        let stays = [
            "book",
            "entries",
            "cache",
            "mesh_",
            "host_",
            "probe_phones",
            "probe_routers",
            "probe_rung",
            "slow_turns",
            "kept",
        ];
        assert!(table.used == 0 || stays.iter().any(|word| table.name.contains(word)), "after quiet: {table:?}");
    }
    drop(world);
    assert!(live() <= before + (1 << 20), "{} bytes are still held by nobody", live() - before);
}

#[test]
fn some_busy_hours_leave_nothing_behind() {
    busy(hours(2));
}

#[test]
#[ignore = "minutes: make soak"]
fn a_busy_day_leaves_nothing_behind() {
    busy(hours(24));
}

/// A mesh on which nothing is wrong: phones register, call, are tested; the book does not change.
fn quiet(hours: u64) {
    let _alone = ALONE.lock();
    PEAK.store(live(), Ordering::Relaxed);
    let began = Instant::now();
    let before = live();
    let mut world = World::new(11);
    world.run(HOUR);
    println!(
        "heap after a quiet hour: {} kB, at most {} kB",
        (live() - before) / 1_024,
        (PEAK.load(Ordering::Relaxed) - before) / 1_024
    );
    println!("flash in that hour, with the first book: {:?}", world.files.flash);
    world.files.flash.clear();
    let ram = world.files.ram_writes;
    for _ in 0..hours * 60 {
        world.call();
        world.run(Duration::from_secs(60));
    }
    println!(
        "{hours} quiet hours in {:.1?}: {} events in, {} packets out; files in RAM written {} times; flash {:?}",
        began.elapsed(),
        world.events,
        world.sent,
        world.files.ram_writes - ram,
        world.files.flash
    );
    assert!(world.files.flash.is_empty(), "flash was written on a quiet day: {:?}", world.files.flash);
    let report = health(&world);
    assert_eq!(report["health_score"], 100, "{report:#}");
    assert!(report["checks"].as_object().unwrap().values().all(|check| *check == true), "{report:#}");
    assert_eq!(report["sip_service"]["registered_users"], 300);
    // One when the process starts, then one every four hours.
    assert_eq!(world.posted as u64, 1 + (hours + 1) / 4, "reports to the collector");
    println!("the daemon's own heap after all that: {} kB", world.weigh(live) / 1_024);
}

#[test]
fn some_quiet_hours_write_no_flash() {
    quiet(hours(1));
}

#[test]
#[ignore = "minutes: make soak"]
fn a_quiet_day_writes_no_flash() {
    quiet(hours(24));
}
