//! The routers on the way to a phone, within a cycle.

use super::*;

#[test]
fn the_way_is_asked_for_from_the_far_end() {
    let config = config::Probe { ping_count: 2, options_count: 0, ..config::Probe::default() };
    let mut desk = Desk::new(config, &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.reply(&ping, 62);
    desk.pass(ms(200));
    // Three hops by the reply; the last ping proves it.
    let ping = desk.take_pings().remove(0);
    assert_eq!(ping.ttl, Some(3));
    // It was one more: the same ping goes again.
    desk.expire(&ping, Ipv4Addr::new(10, 5, 0, 3));
    desk.pass(ms(10));
    let ping = desk.take_pings().remove(0);
    assert_eq!(ping.ttl, Some(4));
    desk.reply(&ping, 62);
    for hop in [3, 2, 1] {
        desk.pass(ms(10));
        let ask = desk.take_pings();
        assert_eq!((ask.len(), ask[0].ttl), (1, Some(hop)), "one at a time, from the far end");
        desk.expire(&ask[0], Ipv4Addr::new(10, 5, 0, hop));
    }
    let stats = desk.probe.find("441530").unwrap().ping().1;
    assert_eq!((stats.sent, stats.received), (2, 2), "a ping that went again counts once");
    let path = desk.probe.paths().next().unwrap();
    let hops: Vec<_> = path.hops.iter().map(|hop| (hop.distance, hop.address.unwrap())).collect();
    assert_eq!(hops, [1, 2, 3].map(|hop| (hop, Ipv4Addr::new(10, 5, 0, hop))));
    // The next cycle remembers how far it was.
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.reply(&ping, 62);
    desk.pass(ms(200));
    assert_eq!(desk.take_pings()[0].ttl, Some(4));
    // Replies that look otherwise came another way.
    desk.pass(Duration::from_secs(60));
    desk.take_pings();
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.reply(&ping, 60);
    desk.pass(ms(200));
    assert_eq!(desk.take_pings()[0].ttl, Some(5));
}

#[test]
fn no_phone_is_looked_for_farther_away_than_is_allowed() {
    let config = config::Probe { ping_count: 2, options_count: 0, max_hops: 2, ..config::Probe::default() };
    let mut desk = Desk::new(config, &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.reply(&ping, 50);
    desk.pass(ms(200));
    assert_eq!(desk.take_pings()[0].ttl, Some(2));
}

#[test]
fn without_ways_pings_go_as_far_as_any_packet_and_nothing_else_is_asked() {
    let mut desk = Desk::new(pings_only(2), &["441530"]);
    desk.begin();
    for _ in 0..2 {
        let ping = desk.take_pings().remove(0);
        assert_eq!(ping.ttl, None);
        desk.reply(&ping, 62);
        desk.pass(ms(200));
    }
    desk.pass(ms(3_000));
    assert_eq!((desk.pings.len(), desk.count("cycles"), desk.probe.paths().count()), (0, 1, 0));
}

#[test]
fn a_phone_of_which_nobody_knows_how_far_it_is_has_no_way() {
    let config = config::Probe { ping_count: 2, options_count: 0, ..config::Probe::default() };
    let mut desk = Desk::new(config, &["441530"]);
    desk.begin();
    for _ in 0..2 {
        let ping = desk.take_pings().remove(0);
        assert_eq!(ping.ttl, None);
        // The kernel did not say its TTL.
        desk.reply(&ping, 0);
        desk.pass(ms(200));
    }
    assert_eq!((desk.status("441530").0, desk.probe.paths().count()), (Status::Online, 0));
}

#[test]
fn a_phone_that_answers_sip_alone_has_a_way_while_it_answers() {
    let config = config::Probe { ping_count: 1, options_count: 1, ..config::Probe::default() };
    let mut desk = Desk::new(config, &["441530"]);
    let lives = |desk: &mut Desk| {
        desk.begin();
        assert_eq!(desk.take_pings().len(), 1);
        desk.pass(Duration::from_secs(3));
        let options = desk.take_messages().remove(0);
        assert_eq!(desk.take_pings().len(), 0, "nobody knows yet how far to ask");
        options
    };
    let options = lives(&mut desk);
    // Three hops by the TTL of its answer: a router there would be one more on the way.
    desk.answer(&options, 200);
    desk.pass(ms(10));
    assert_eq!(desk.take_pings()[0].ttl, Some(3));
    desk.pass(ms(1_010));
    for hop in [2, 1] {
        let ask = desk.take_pings();
        assert_eq!((ask.len(), ask[0].ttl), (1, Some(hop)));
        desk.expire(&ask[0], Ipv4Addr::new(10, 5, 0, hop));
        desk.pass(ms(10));
    }
    let path = desk.probe.paths().next().unwrap();
    let hops: Vec<_> = path.hops.iter().map(|hop| (hop.distance, hop.address.unwrap())).collect();
    assert_eq!((path.rtt_us, hops), (None, [1, 2].map(|hop| (hop, Ipv4Addr::new(10, 5, 0, hop))).to_vec()));
    // When it answers nothing any more, that way is old.
    lives(&mut desk);
    desk.pass(Duration::from_secs(3));
    assert_eq!((desk.status("441530").1, desk.probe.paths().count()), (Status::Offline, 0));
}
