//! The test desk on a simulated mesh, and what it says compared with what is true there.
//!
//! `SIM_SEED=7 cargo test --test probe_sim` repeats one mesh, `SIM_SEEDS=200` takes so many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

#[path = "support/probe_world.rs"]
mod probe_world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use probe_world::{Kind, Scenery, World};
use switchboard::config;
use switchboard::engine::Engine;
use switchboard::probe::{Report, Status};

fn seeds(most: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    number("SIM_SEED").map_or(0..number("SIM_SEEDS").unwrap_or(most), |seed| seed..seed + 1)
}

fn mesh(nodes_known: bool) -> Scenery {
    Scenery {
        routers: 300,
        phones: 500,
        silent_percent: 4,
        phone_loss_percent: 20,
        link_loss: 50,
        nodes_known,
        crooked: true,
    }
}

fn counter(world: &World, name: &str) -> u64 {
    world.probe.counters().iter().find(|counter| counter.name == name).unwrap().count
}

/// Lives through a whole cycle; says how long it took.
fn cycle(world: &mut World) -> Duration {
    let before = counter(world, "cycles");
    let end = world.now + Duration::from_secs(3_600);
    let mut started = None;
    let done = world.run(end, |world| {
        started = started.or(world.probe.progress(world.now).started);
        counter(world, "cycles") > before
    });
    assert!(done, "the cycle ends");
    world.now.since(started.unwrap())
}

/// How many hops of the mesh's phones are told as they are, of how many.
struct Hops {
    right: usize,
    all: usize,
    /// Distinct routers on the ways of phones that were traced: who answers is asked once, and who does not too.
    routers: usize,
    /// Phones that were traced.
    phones: usize,
    /// Of them, those that answer no ping: where nobody answers they are, and that takes a question.
    mute: usize,
    /// Distinct routers with phones that were traced.
    lans: usize,
    /// How many questions the most asked router has to answer at least: one for each router and each phone behind it.
    hub: usize,
}

fn hops(world: &World) -> Hops {
    let (mut right, mut all, mut phones, mut mute) = (0, 0, 0, 0);
    let (mut routers, mut lans) = (BTreeSet::new(), BTreeSet::new());
    let mut behind: BTreeMap<usize, BTreeSet<(bool, usize)>> = BTreeMap::new();
    for (index, phone) in world.phones.iter().enumerate() {
        let told = world.probe.find(&phone.number).unwrap();
        let answered = told.ping().1.received > 0 || told.options().1.received > 0;
        if !answered {
            continue;
        }
        phones += 1;
        mute += usize::from(told.ping().1.received == 0);
        lans.insert(phone.router);
        // Behind a silent one everybody asks for himself.
        let way: Vec<usize> = world.way(index).into_iter().filter(|router| !world.routers[*router].silent).collect();
        for pair in way.windows(2) {
            behind.entry(pair[0]).or_default().insert((true, pair[1]));
        }
        let asks = if world.scenery.nodes_known { phone.router } else { index };
        if let Some(last) = way.last() {
            behind.entry(*last).or_default().insert((false, asks));
        }
        let truth: Vec<Option<Ipv4Addr>> = world
            .way(index)
            .iter()
            .map(|router| Some(world.routers[*router].address).filter(|_| !world.routers[*router].silent))
            .collect();
        routers.extend(world.way(index));
        let path = world.probe.paths().find(|path| path.number == phone.number);
        let told: Vec<Option<Ipv4Addr>> =
            path.map(|path| path.hops.iter().map(|hop| hop.address).collect()).unwrap_or_default();
        for (place, address) in truth.iter().enumerate().filter(|(_, address)| address.is_some()) {
            all += 1;
            right += usize::from(told.get(place) == Some(address));
        }
    }
    let hub = behind.values().map(BTreeSet::len).max().unwrap_or_default();
    Hops { right, all, routers: routers.len(), phones, mute, lans: lans.len(), hub }
}

fn check_phones(world: &World, config: &config::Probe) {
    for phone in &world.phones {
        let told = world.probe.find(&phone.number).unwrap();
        let (ping, options) = (told.ping(), told.options());
        // It lost all pings and answered OPTIONS, and then the question that went exactly as far as it seems to be, and those
        // that it is nearer.
        let questions = 1 + usize::try_from(phone.detour.max(0)).unwrap();
        let unlucky = phone.loss_percent > 0
            && ping.1.received == 0
            && options.1.received > 0
            && (1..=questions).contains(&phone.ping_rtts.len());
        let answered = |count: usize| if count > 0 && !unlucky { Status::Online } else { Status::Offline };
        let expected = match phone.kind {
            Kind::Unknown => (Status::NoDns, Status::NoDns),
            _ => (answered(phone.ping_rtts.len()), options.0),
        };
        assert_eq!((ping.0, options.0), expected, "{} {:?}", phone.number, phone.kind);
        match phone.kind {
            Kind::Alive | Kind::NoPing => assert_eq!(options.0, Status::Online, "{}", phone.number),
            Kind::Dead | Kind::NoSip => assert_eq!(options.0, Status::Offline, "{}", phone.number),
            Kind::Unknown => continue,
        }
        let online = matches!(phone.kind, Kind::NoPing) || ping.1.received + options.1.received > 0;
        assert_eq!(told.status(), if online { Status::Online } else { Status::Offline });
        assert_eq!(usize::from(ping.1.sent), config.ping_count);
        assert_eq!(usize::from(options.1.sent), config.options_count);
        assert!(usize::from(ping.1.received) <= phone.ping_rtts.len(), "pings of {}", phone.number);
        if phone.detour > 0 || unlucky {
            continue;
        }
        assert_eq!(usize::from(ping.1.received), phone.ping_rtts.len(), "pings of {}", phone.number);
        let Some(rtt) = ping.1.rtt else { continue };
        let (min, max) = (phone.ping_rtts.iter().min().unwrap(), phone.ping_rtts.iter().max().unwrap());
        assert_eq!((u64::from(rtt.min_us), u64::from(rtt.max_us)), (*min, *max), "{}", phone.number);
        if let Some(rtt) = options.1.rtt {
            assert!(u64::from(rtt.max_us) <= *phone.options_rtts.iter().max().unwrap(), "{}", phone.number);
            assert!(u64::from(rtt.min_us) >= *phone.options_rtts.iter().min().unwrap(), "{}", phone.number);
        }
    }
}

/// In no window of a second more packets than the rate, and what goes out together or a late shell may make up for: 60 ms of it.
fn check_rate(world: &World, config: &config::Probe) {
    let times: Vec<u64> = world.sent.iter().map(|(at, _)| at.as_micros()).collect();
    let most = config.rate + config.rate * 3 / 50 + 2;
    for window in times.windows(most) {
        assert!(window[most - 1] - window[0] >= 1_000_000, "{most} packets within a second");
    }
    assert!(world.under_way_at_most <= config.in_flight, "{} under way", world.under_way_at_most);
}

#[test]
fn five_hundred_phones_behind_three_hundred_routers() {
    for seed in seeds(4) {
        for nodes_known in [false, true] {
            let config = config::Probe::default();
            let mut world = World::new(mesh(nodes_known), &config, seed);
            let took = cycle(&mut world);
            check_phones(&world, &config);
            check_rate(&world, &config);
            let hops = hops(&world);
            let asked = counter(&world, "hops_asked");
            let bound = hops.routers + if nodes_known { hops.lans } else { hops.phones + hops.mute };
            let (right, all, packets) = (hops.right, hops.all, world.sent.len());
            eprintln!(
                "seed {seed}: {took:?}, {right} of {all} hops, {asked} asked, {bound} is the bound, {packets} packets"
            );
            assert!(right * 100 >= all * 99, "seed {seed}: {right} of {all} hops");
            assert!(
                asked * 10 <= u64::try_from(bound).unwrap() * 12,
                "seed {seed}: {asked} asked, {bound} is the bound"
            );
            // All packets at the rate, and the last phone on its own, which answers nothing.
            let each = u32::try_from(config.ping_count + config.options_count).unwrap();
            let spacing = Duration::from_millis(u64::try_from(config.spacing_ms).unwrap());
            let sending =
                Duration::from_secs(1) * u32::try_from(packets).unwrap() / u32::try_from(config.rate).unwrap();
            let least = sending + spacing * (each - 2) + config.timeout * 2;
            // Or the most asked router, which answers six at once and then one a second, from the end of the first tests on.
            let least = least.max(Duration::from_secs(u64::try_from(hops.hub).unwrap()) + config.timeout);
            assert!(took * 10 <= least * 11, "seed {seed}: {took:?}, {least:?} is the bound");
            for name in ["late_answers", "foreign_answers", "malformed", "lost", "options_repeated"] {
                assert!(counter(&world, name) > 0, "the mesh is not as bad as it should be: {name}");
            }
            let held_back: u64 = world.routers.iter().map(|router| router.held_back).sum();
            assert!(held_back * 100 <= asked, "{held_back} of {asked} were dropped by tired routers");
        }
    }
}

#[test]
fn the_next_cycle_knows_whom_to_expect_and_sees_what_changed() {
    for seed in seeds(3) {
        let config = config::Probe { rate: 2_000, ..config::Probe::default() };
        let mut world = World::new(mesh(false), &config, seed);
        let first = cycle(&mut world);
        let asked = counter(&world, "hops_asked");
        // Some parts of the mesh are linked in another way, and some routers fall silent or speak up.
        for index in 0..world.routers.len() {
            let neighbour = (index * 7 + 3) % world.routers.len();
            if index % 29 == 5 && world.routers[neighbour].depth + 1 == world.routers[index].depth {
                world.routers[index].parent = Some(neighbour);
            }
            world.routers[index].silent ^= index % 71 == 13;
        }
        world.phones.iter_mut().for_each(probe_world::SimPhone::forget);
        let second = cycle(&mut world);
        check_phones(&world, &config);
        let hops = hops(&world);
        let again = counter(&world, "hops_asked") - asked;
        let bound = u64::try_from(hops.routers + hops.phones + hops.mute).unwrap();
        let (right, all) = (hops.right, hops.all);
        eprintln!(
            "seed {seed}: {first:?}, then {second:?}, {right} of {all} hops, {again} asked, {bound} is the bound"
        );
        assert!(right * 100 >= all * 99, "seed {seed}: {right} of {all} hops");
        assert!(again * 10 <= bound * 12, "seed {seed}: {again} asked, {bound} is the bound");
        let held_back: u64 = world.routers.iter().map(|router| router.held_back).sum();
        assert!(held_back * 50 <= again, "{held_back} of {again} were dropped by tired routers");
    }
}

#[test]
fn few_at_once_and_slowly_is_as_right() {
    let config = config::Probe { rate: 20, in_flight: 3, ..config::Probe::default() };
    let scenery = Scenery { routers: 30, phones: 40, ..mesh(false) };
    let mut world = World::new(scenery, &config, 5);
    cycle(&mut world);
    check_phones(&world, &config);
    check_rate(&world, &config);
    assert_eq!(world.under_way_at_most, 3, "all that is allowed is used");
    let hops = hops(&world);
    assert_eq!(hops.right, hops.all);
}

#[test]
fn a_resolver_that_says_nothing_holds_up_nothing_but_the_cycle() {
    let config = config::Probe::default();
    let mut world = World::new(Scenery { routers: 20, phones: 60, ..mesh(false) }, &config, 1);
    world.deaf_resolver = true;
    let at = world.now;
    assert!(!world.run(at + Duration::from_secs(3_000), |world| counter(world, "cycles") > 0));
    // Sixteen questions wait; somebody's trace does not.
    let target = world.phones.iter().find(|phone| phone.kind == Kind::Alive).unwrap().address;
    world.probe.trace(target, 7, world.now).unwrap();
    let end = world.now + Duration::from_secs(6);
    assert!(world.run(end, |world| world.reports.len() == 1));
    assert!(world.questions.len() == 16 && world.probe.progress(world.now).done == 0);
    // It comes to life again. The trace has asked the phone too.
    world.phones.iter_mut().for_each(probe_world::SimPhone::forget);
    world.answer_questions();
    world.deaf_resolver = false;
    let end = world.now + Duration::from_secs(60);
    assert!(world.run(end, |world| counter(world, "cycles") > 0));
    check_phones(&world, &config);
}

#[test]
fn somebodys_trace_comes_within_its_time_in_the_middle_of_a_cycle() {
    for seed in seeds(3) {
        let config = config::Probe::default();
        let mut world = World::new(Scenery { silent_percent: 10, ..mesh(true) }, &config, seed);
        let end = world.now + Duration::from_secs(60);
        assert!(world.run(end, |world| world.probe.progress(world.now).done > 50));
        let alive = |world: &World| -> Vec<usize> {
            let phone = |index: &usize| &world.phones[*index];
            let answers = |index: &usize| {
                let phone = phone(index);
                phone.kind == Kind::Alive && phone.detour == 0 && phone.loss_percent == 0
            };
            (0..world.phones.len()).filter(answers).take(8).collect()
        };
        let (mut right, mut all) = (0, 0);
        for (asker, index) in alive(&world).into_iter().enumerate() {
            let target = world.phones[index].address;
            let asked = world.now;
            world.probe.trace(target, u32::try_from(asker).unwrap(), asked).unwrap();
            let end = world.now + Duration::from_secs(6);
            assert!(world.run(end, |world| !world.reports.is_empty()));
            assert!(world.now.since(asked) <= Duration::from_secs(5), "{:?}", world.now.since(asked));
            let (_, report) = world.reports.remove(0);
            let Report::Trace(report) = report else { panic!("{report:?}") };
            assert!(report.reached);
            let way = world.way(index);
            assert_eq!(report.hops.len(), way.len() + 1);
            for (hop, router) in report.hops.iter().zip(&way).filter(|(_, router)| !world.routers[**router].silent) {
                all += 1;
                right += usize::from(hop.address == Some(world.routers[*router].address));
                assert!(hop.address.is_none() || hop.rtt_us.is_some());
            }
        }
        assert!(right * 10 >= all * 9, "seed {seed}: {right} of {all} hops");
    }
}
