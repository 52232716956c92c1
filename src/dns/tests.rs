use super::*;

const SECOND: u64 = 1_000_000;

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * SECOND)
}

fn server(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), PORT)
}

fn config(servers: &[SocketAddrV4]) -> config::Names {
    config::Names { servers: servers.to_vec(), ..config::Names::default() }
}

fn resolver(servers: &[SocketAddrV4]) -> Resolver {
    Resolver::new(&config(servers), &[7; 32])
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, last)
}

fn found(last: u8) -> Result<Addresses, Unresolved> {
    Ok([address(last)].into_iter().collect())
}

/// The question that is sent now.
fn sent(resolver: &mut Resolver) -> Option<(SocketAddrV4, Vec<u8>)> {
    let mut buffer = [0; 512];
    let (to, length) = resolver.poll_transmit(&mut buffer)?;
    Some((to, buffer[..length].to_vec()))
}

/// An answer to `question`: an address, or a response code.
fn reply(question: &[u8], answer: Result<(u8, u32), u8>) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2] = 0x81;
    bytes[3] = 0x80;
    match answer {
        Err(code) => bytes[3] |= code,
        Ok((last, ttl)) => {
            bytes[7] = 1;
            bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
            bytes.extend_from_slice(&ttl.to_be_bytes());
            bytes.extend_from_slice(&[0, 4, 10, 1, 0, last]);
        }
    }
    bytes
}

fn lower(question: &[u8]) -> Vec<u8> {
    question.to_ascii_lowercase()
}

#[test]
fn a_name_is_asked_for_answered_and_remembered() {
    let mut resolver = resolver(&[server(1)]);
    resolver.ask("441530.local.mesh", Asker::Sip(1), at(0)).unwrap();
    let (to, question) = sent(&mut resolver).unwrap();
    assert_eq!(to, server(1));
    assert_eq!(&lower(&question)[12..], b"\x06441530\x05local\x04mesh\0\0\x01\0\x01");
    assert_ne!(question[12..], lower(&question)[12..], "letters are cased by chance");
    assert_eq!(sent(&mut resolver), None);
    resolver.handle_datagram(&reply(&question, Ok((9, 30))), server(1), at(0));
    assert_eq!(resolver.poll_answer(), Some((Asker::Sip(1), found(9))));
    assert_eq!(resolver.poll_answer(), None);

    resolver.ask("441530", Asker::Sip(2), at(29)).unwrap();
    assert_eq!(resolver.poll_answer(), Some((Asker::Sip(2), found(9))), "the domain is added, the answer known");
    resolver.ask("441530.Local.Mesh.", Asker::Sip(3), at(30)).unwrap();
    assert_eq!(resolver.poll_answer(), None, "what was known is too old");
    assert!(sent(&mut resolver).is_some());
}

#[test]
fn answers_are_remembered_for_a_time_within_bounds() {
    for (answer, seconds) in [(Ok((9, 0)), 5), (Ok((9, 7)), 7), (Ok((9, 86_400)), 60), (Err(3), 10), (Err(2), 5)] {
        let mut resolver = resolver(&[server(1)]);
        resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
        let (_, question) = sent(&mut resolver).unwrap();
        resolver.handle_datagram(&reply(&question, answer), server(1), at(0));
        let (_, first) = resolver.poll_answer().unwrap();
        resolver.ask("x.y", Asker::Fetch, at(seconds)).unwrap();
        assert!(sent(&mut resolver).is_some(), "{answer:?} is too old after {seconds} s");
        let mut resolver = self::resolver(&[server(1)]);
        resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
        let (_, question) = sent(&mut resolver).unwrap();
        resolver.handle_datagram(&reply(&question, answer), server(1), at(0));
        resolver.poll_answer();
        resolver.ask("x.y", Asker::Fetch, at(seconds - 1)).unwrap();
        assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, first)));
        assert_eq!(resolver.next_deadline(), Some(at(60)), "to be thrown away");
        resolver.handle_timeout(at(60));
        assert_eq!(resolver.next_deadline(), None);
        assert!(resolver.tables().iter().all(|table| table.used == 0));
    }
}

#[test]
fn everybody_who_asks_for_the_same_is_answered_once_by_one_question() {
    let mut resolver = resolver(&[server(1)]);
    for asker in 0..5 {
        resolver.ask("x.y", Asker::Sip(asker), at(0)).unwrap();
    }
    let (_, question) = sent(&mut resolver).unwrap();
    assert_eq!(sent(&mut resolver), None);
    let answer = reply(&question, Ok((9, 30)));
    resolver.handle_datagram(&answer, server(1), at(0));
    resolver.handle_datagram(&answer, server(1), at(0));
    for asker in 0..5 {
        assert_eq!(resolver.poll_answer(), Some((Asker::Sip(asker), found(9))));
    }
    assert_eq!(resolver.poll_answer(), None);
}

#[test]
fn two_servers_are_asked_twice_a_second_each() {
    let mut resolver = resolver(&[server(1), server(2), server(3)]);
    resolver.ask("abcdefgh.local.mesh", Asker::Fetch, at(0)).unwrap();
    for (second, expected) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        resolver.handle_timeout(at(second));
        let (to, question) = sent(&mut resolver).unwrap();
        assert_eq!(to, server(expected));
        assert_eq!(second >= 2, question[12..] == lower(&question)[12..], "the second round is in plain letters");
        assert_eq!((sent(&mut resolver), resolver.next_deadline()), (None, Some(at(second + 1))));
    }
    resolver.handle_timeout(at(4));
    assert_eq!(sent(&mut resolver), None);
    assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, Err(Unresolved::NoAnswer))));
}

#[test]
fn a_late_answer_of_an_earlier_server_is_taken() {
    let mut resolver = resolver(&[server(1), server(2)]);
    resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
    let (_, first) = sent(&mut resolver).unwrap();
    resolver.handle_timeout(at(1));
    resolver.handle_datagram(&reply(&first, Ok((9, 30))), server(1), at(1));
    assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, found(9))));
    assert_eq!(sent(&mut resolver), None);
}

#[test]
fn who_cannot_say_is_not_asked_again() {
    let mut resolver = resolver(&[server(1), server(2)]);
    resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
    let (_, question) = sent(&mut resolver).unwrap();
    resolver.handle_datagram(&reply(&question, Err(5)), server(1), at(0));
    let (to, question) = sent(&mut resolver).expect("the other one is asked at once");
    assert_eq!(to, server(2));
    resolver.handle_timeout(at(1));
    assert_eq!(sent(&mut resolver).unwrap().0, server(2), "and alone in the second round");
    resolver.handle_datagram(&reply(&question, Err(2)), server(2), at(1));
    assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, Err(Unresolved::Failed))));
}

#[test]
fn a_server_that_restarts_is_asked_again() {
    let mut resolver = resolver(&[server(1)]);
    resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
    sent(&mut resolver).unwrap();
    resolver.handle_unreachable(server(1), at(0));
    assert_eq!((sent(&mut resolver), resolver.poll_answer()), (None, None));
    resolver.handle_timeout(at(1));
    let (_, question) = sent(&mut resolver).unwrap();
    resolver.handle_datagram(&reply(&question, Ok((9, 30))), server(1), at(1));
    assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, found(9))));

    let mut resolver = self::resolver(&[server(1), server(2)]);
    resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
    resolver.handle_unreachable(server(1), at(0));
    assert_eq!(sent(&mut resolver).unwrap().0, server(1), "what was not sent cannot have failed");
    resolver.handle_unreachable(server(1), at(0));
    assert_eq!(sent(&mut resolver).unwrap().0, server(2));
}

#[test]
fn strangers_are_not_believed() {
    let mut resolver = resolver(&[server(1)]);
    let mut stray = 0;
    // Until the server was seen to repeat our letters, it may fold them.
    resolver.ask("abcdefgh.local.mesh", Asker::Fetch, at(0)).unwrap();
    let (_, question) = sent(&mut resolver).unwrap();
    let good = reply(&question, Ok((9, 30)));
    let mut other_id = good.clone();
    other_id[0] ^= 1;
    for (bytes, source) in [
        (good.clone(), server(2)),
        (good.clone(), SocketAddrV4::new(*server(1).ip(), 54)),
        (other_id, server(1)),
        (Vec::new(), server(1)),
    ] {
        resolver.handle_datagram(&bytes, source, at(0));
        stray += 1;
    }
    let mut other_name = good.clone();
    other_name[13] ^= 1;
    resolver.handle_datagram(&other_name, server(1), at(0));
    assert_eq!(resolver.poll_answer(), None);
    resolver.handle_datagram(&good, server(1), at(0));
    assert!(resolver.poll_answer().is_some());

    resolver.ask("other.local.mesh", Asker::Fetch, at(0)).unwrap();
    let (_, question) = sent(&mut resolver).unwrap();
    let mut folded = reply(&question, Ok((9, 30)));
    folded[12..].make_ascii_lowercase();
    resolver.handle_datagram(&folded, server(1), at(0));
    stray += 1;
    assert_eq!(resolver.poll_answer(), None, "this server repeats letters");
    let counts = resolver.counters();
    let count = |name| counts.iter().find(|counter| counter.name == name).unwrap().count;
    assert_eq!((count("replies_stray"), count("replies_malformed")), (stray, 1));
    // In the second round letters are plain, so a server that was replaced by one that folds them is understood.
    resolver.handle_timeout(at(1));
    let (_, question) = sent(&mut resolver).unwrap();
    resolver.handle_datagram(&reply(&question, Ok((9, 30))), server(1), at(1));
    assert!(resolver.poll_answer().is_some());
}

#[test]
fn a_server_that_folds_letters_is_understood() {
    let mut resolver = resolver(&[server(1)]);
    for name in ["abcdefgh.local.mesh", "other.local.mesh"] {
        resolver.ask(name, Asker::Fetch, at(0)).unwrap();
        let (_, question) = sent(&mut resolver).unwrap();
        let mut folded = reply(&question, Ok((9, 30)));
        folded[12..].make_ascii_lowercase();
        resolver.handle_datagram(&folded, server(1), at(0));
        assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, found(9))));
    }
}

#[test]
fn what_needs_no_server_is_answered_without() {
    let mut resolver = resolver(&[server(1)]);
    let long = "x".repeat(64);
    for name in ["", ".", "a..b", "a b", "ä", "*.x", "../x", &long, &format!("{}{}", "x.".repeat(126), "yz")] {
        resolver.ask(name, Asker::Fetch, at(0)).unwrap();
        assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, Err(Unresolved::NoSuchName))), "{name}");
    }
    for (name, expected) in
        [("10.1.0.9", address(9)), ("localhost", Ipv4Addr::LOCALHOST), ("LocalHost.", Ipv4Addr::LOCALHOST)]
    {
        resolver.ask(name, Asker::Fetch, at(0)).unwrap();
        assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, Ok([expected].into_iter().collect()))));
    }
    assert_eq!((sent(&mut resolver), resolver.next_deadline()), (None, None));
}

#[test]
fn servers_come_from_the_system_if_none_is_configured() {
    let mut resolver = resolver(&[]);
    assert_eq!(resolver.poll_watch(), Some((Watched::ResolvConf, "/etc/resolv.conf".into())));
    assert_eq!(resolver.poll_watch(), None);
    resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
    assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, Err(Unresolved::NoServer))));
    let text = "# x\nsearch local.mesh\nnameserver ::1\n nameserver 0.0.0.0\nnameserver\t10.0.0.2 # y\nnameserver 0.0.0.0\nnameserver 10.0.0.3";
    resolver.handle_resolv_conf(Some(text.as_bytes()));
    let to: Vec<SocketAddrV4> = (0..2)
        .map(|second| {
            resolver.ask("x.y", Asker::Fetch, at(0)).unwrap();
            resolver.handle_timeout(at(second));
            sent(&mut resolver).unwrap().0
        })
        .collect();
    assert_eq!(to, [SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53), server(2)]);
    resolver.handle_resolv_conf(None);
    resolver.handle_timeout(at(2));
    assert_eq!(resolver.poll_answer(), Some((Asker::Fetch, Err(Unresolved::NoServer))));

    resolver.set_config(&config(&[server(4)]));
    resolver.handle_resolv_conf(Some(b"nameserver 10.0.0.5\n"));
    resolver.ask("x.y", Asker::Fetch, at(9)).unwrap();
    assert_eq!(sent(&mut resolver).unwrap().0, server(4), "the configuration goes first");
    assert_eq!(resolver.poll_watch(), None);
    resolver.set_config(&config(&[]));
    assert!(resolver.poll_watch().is_some(), "and the system's is needed again without it");
}

#[test]
fn tables_are_bounded() {
    let mut resolver = resolver(&[server(1)]);
    for number in 0..limits::DNS_QUESTIONS {
        resolver.ask(&format!("n{number}"), Asker::Fetch, at(0)).unwrap();
    }
    assert_eq!(resolver.ask("more", Asker::Fetch, at(0)), Err(Busy));
    for _ in limits::DNS_QUESTIONS..limits::DNS_ASKERS {
        resolver.ask("n1", Asker::Fetch, at(0)).unwrap();
    }
    assert_eq!(resolver.ask("n1", Asker::Fetch, at(0)), Err(Busy));
    assert_eq!(resolver.ask("10.0.0.1", Asker::Fetch, at(0)), Err(Busy));
    let mut answers = 0;
    for second in 1..3 {
        resolver.handle_timeout(at(second));
    }
    while resolver.poll_answer().is_some() {
        answers += 1;
    }
    assert_eq!(answers, limits::DNS_ASKERS, "everybody is answered");

    for number in 0..limits::DNS_CACHE + 9 {
        resolver.ask(&format!("c{number}"), Asker::Fetch, at(3)).unwrap();
        while let Some((_, question)) = sent(&mut resolver) {
            resolver.handle_datagram(&reply(&question, Ok((9, 30))), server(1), at(3));
        }
        resolver.poll_answer();
    }
    assert!(resolver.tables().iter().all(|table| table.used <= table.limit), "{:?}", resolver.tables());
    assert_eq!(resolver.tables()[2].used, limits::DNS_CACHE);
}

#[test]
fn names_of_strangers_leave_room_for_phones() {
    let mut resolver = resolver(&[server(1)]);
    let ask = |resolver: &mut Resolver, name: &str| resolver.ask(name, Asker::Fetch, at(0));
    let asked =
        (0..limits::DNS_QUESTIONS).filter(|n| ask(&mut resolver, &format!("n{n}.slow.example")).is_ok()).count();
    assert_eq!(asked, limits::DNS_QUESTIONS / 2);
    assert_eq!(ask(&mut resolver, "441530"), Ok(()));
    assert_eq!(ask(&mut resolver, "441530.LOCAL.mesh"), Ok(()));
    assert_eq!(ask(&mut resolver, "notlocal.mesh"), Err(Busy), "a name that only ends alike");

    let mut resolver = self::resolver(&[server(1)]);
    let asked = (0..limits::DNS_ASKERS).filter(|_| ask(&mut resolver, "one.slow.example").is_ok()).count();
    assert_eq!(asked, limits::DNS_ASKERS / 2, "nor do many who ask for the same");
    assert_eq!(ask(&mut resolver, "441530"), Ok(()));
}
