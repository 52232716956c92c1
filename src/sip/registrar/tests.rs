use super::*;
use crate::wire::sip::HeaderTable;

/// A REGISTER as a phone sends it.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) to: String,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) lines: Vec<String>,
    pub(super) source: SocketAddrV4,
}

impl Request {
    fn new(call_id: &str, cseq: u32, lines: &[&str]) -> Self {
        Self {
            to: "<sip:441530@localnode.local.mesh>".into(),
            call_id: call_id.into(),
            cseq,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            source: "10.0.0.9:5060".parse().unwrap(),
        }
    }

    fn to(mut self, to: &str) -> Self {
        self.to = to.into();
        self
    }

    fn from(mut self, source: &str) -> Self {
        self.source = source.parse().unwrap();
        self
    }

    pub(super) fn send(&self, registrar: &mut Registrar, now: Instant) -> RegisterAnswer {
        let mut text = format!(
            "REGISTER sip:localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK{cseq}\r\n\
             From: \"Anna\" <sip:441530@localnode.local.mesh>;tag=f\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\nUser-Agent: Yealink SIP-T41P\r\n",
            to = self.to,
            call_id = self.call_id,
            cseq = self.cseq,
        );
        for line in &self.lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        let mut table = HeaderTable::default();
        let message = Message::parse(text.as_bytes(), &mut table).unwrap();
        let essentials = Essentials::of(&message).unwrap();
        let revision = registrar.revision();
        let before: Vec<Binding> = registrar.bindings().cloned().collect();
        let answer = registrar.handle_register(&message, &essentials, self.source, Ipv4Addr::new(10, 0, 0, 1), now);
        let unchanged = registrar.bindings().eq(before.iter());
        assert!(unchanged || registrar.revision() != revision, "a change that the revision does not show");
        assert!(unchanged || answer.status == 200 || before.iter().any(|b| !b.is_live(now)), "all or nothing");
        check(registrar);
        answer
    }
}

/// What must hold at any time.
pub(super) fn check(registrar: &Registrar) {
    assert_eq!(registrar.len(), registrar.bindings().count());
    assert!(registrar.users.values().all(|bindings| !bindings.is_empty()));
    let soonest = registrar.bindings().map(|b| b.expires_at).min();
    assert!(registrar.next_end <= soonest || soonest.is_none(), "an end would be missed");
    assert!(registrar.users.iter().all(|(user, bindings)| bindings.iter().all(|b| b.user == *user)));
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn registrar(config: config::Sip) -> Registrar {
    Registrar::new(&config)
}

fn plain() -> Registrar {
    registrar(config::Sip::default())
}

fn contacts(answer: &RegisterAnswer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.reason);
    let mut contacts: Vec<_> = header(answer, "Contact");
    contacts.sort();
    contacts
}

fn header(answer: &RegisterAnswer, name: &str) -> Vec<String> {
    let values = answer.headers.iter().filter(|(n, _)| *n == name);
    values.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect()
}

const A: &str = "Contact: <sip:441530@10.0.0.9:5060>";
const B: &str = "Contact: <sip:441530@10.0.0.10:5062>";

#[test]
fn a_phone_is_found_until_its_time_is_over() {
    let mut registrar = plain();
    let answer = Request::new("a", 1, &[A, "Expires: 120"]).send(&mut registrar, at(10));
    assert_eq!(contacts(&answer), ["<sip:441530@10.0.0.9:5060>;expires=120"]);
    {
        let found = registrar.lookup(b"441530", at(20));
        let [binding] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(&*binding.contact, b"sip:441530@10.0.0.9:5060");
        assert_eq!(binding.source, "10.0.0.9:5060".parse().unwrap());
        assert_eq!(binding.local, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!((&*binding.display, &*binding.user_agent), ("Anna", "Yealink SIP-T41P"));
        assert_eq!((binding.since, binding.expires_at), (at(10), at(130)));
    }
    assert!(registrar.lookup(b"441531", at(20)).is_empty());
    assert_eq!(registrar.next_deadline(), Some(at(130)));
    let just_before = Instant::from_micros(at(130).as_micros() - 1);
    registrar.handle_timeout(just_before);
    assert!(registrar.is_registered(b"441530", just_before));
    assert!(!registrar.is_registered(b"441530", at(130)), "even before the table is cleaned");
    assert_eq!(registrar.len(), 1);
    let revision = registrar.revision();
    registrar.handle_timeout(at(130));
    assert!(registrar.is_empty());
    assert_ne!(registrar.revision(), revision);
    assert_eq!(registrar.next_deadline(), None);
}

#[test]
fn a_refresh_prolongs_and_keeps_since() {
    let mut registrar = plain();
    Request::new("a", 1, &[A, "Expires: 120"]).send(&mut registrar, at(10));
    let presence = registrar.presence_revision();
    // Another source: the phone has a new address but kept its Call-ID and, oddly, its Contact.
    Request::new("a", 2, &[A, "Expires: 120"]).from("10.0.0.77:5060").send(&mut registrar, at(100));
    assert_eq!(registrar.presence_revision(), presence);
    registrar.handle_timeout(at(130));
    let found = registrar.lookup(b"441530", at(130));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].since, found[0].expires_at), (at(10), at(220)));
    assert_eq!(found[0].source, "10.0.0.77:5060".parse().unwrap());
    assert_eq!(registrar.next_deadline(), Some(at(220)));
}

#[test]
fn the_address_of_record_is_to_and_not_from() {
    // What the C program did: it registered the user of From.
    let mut registrar = plain();
    Request::new("a", 1, &[A]).to("\"Bea\" <sip:441599@anything.at.all>").send(&mut registrar, at(1));
    assert!(registrar.is_registered(b"441599", at(1)));
    assert!(!registrar.is_registered(b"441530", at(1)));
    assert_eq!(&*registrar.lookup(b"441599", at(1))[0].display, "Bea");
}

#[test]
fn users_have_escapes_and_country_prefixes_undone() {
    let mut registrar = registrar(config::Sip { country_prefix: "041".into(), ..config::Sip::default() });
    Request::new("a", 1, &[A]).to("<sip:%34%34%31530@localnode>").send(&mut registrar, at(1));
    Request::new("a", 2, &[A]).to("sip:041441530@localnode").send(&mut registrar, at(1));
    Request::new("a", 3, &[A]).to("<tel:+41-441-530>").send(&mut registrar, at(1));
    assert_eq!(registrar.len(), 1);
    for user in ["441530", "041441530", "+41441530"] {
        assert!(registrar.is_registered(user.as_bytes(), at(1)), "{user}");
    }
    Request::new("a", 1, &[A]).to("<sip:a%00b@localnode>").send(&mut registrar, at(1));
    assert!(registrar.is_registered(b"a\0b", at(1)));
    assert!(!registrar.is_registered(b"a", at(1)));
}

#[test]
fn a_new_prefix_moves_bindings_to_their_new_keys() {
    let mut registrar = plain();
    Request::new("a", 1, &[A]).to("<sip:041441530@x>").send(&mut registrar, at(1));
    Request::new("b", 1, &[B]).to("<sip:441530@x>").send(&mut registrar, at(1));
    registrar.set_config(&config::Sip { country_prefix: "041".into(), ..config::Sip::default() });
    assert_eq!(registrar.lookup(b"441530", at(1)).len(), 2);
    check(&registrar);
}

#[test]
fn times_are_param_over_header_over_default_and_only_shortened() {
    let config = config::Sip { default_expires: Duration::from_secs(1_800), ..config::Sip::default() };
    for (contact, expires, granted) in [
        (";expires=300", None, Some(300)),
        (";expires=300", Some("600"), Some(300)),
        (";expires=300", Some("0"), Some(300)),
        ("", Some("600"), Some(600)),
        ("", None, Some(1_800)),
        (";expires=0", Some("600"), None),
        ("", Some("0"), None),
        (";expires=00000", None, None),
        (";EXPIRES=0000300", None, Some(300)),
        (";expires=\"300\"", None, Some(300)),
        (";foo=\"a;expires=9\";expires=300;foo=bar", None, Some(300)),
        (";expires=7200", None, Some(3_600)),
        (";expires=280297596632815", None, Some(3_600)),
        ("", Some("99999999999999999999999"), Some(3_600)),
        (";expires=60", None, Some(60)),
        // Malformed is as good as an hour, which is the default.
        (";expires=never", Some("600"), Some(1_800)),
        (";expires=-1", None, Some(1_800)),
        ("", Some("soon"), Some(1_800)),
        // Cisco SPA: says nothing, and is no removal.
        (";expires=", None, Some(1_800)),
        (";expires", None, Some(1_800)),
        (";expires=", Some("600"), Some(600)),
        (";expires=", Some("0"), None),
    ] {
        let mut registrar = registrar(config.clone());
        Request::new("a", 1, &[A, "Expires: 120"]).send(&mut registrar, at(1));
        let mut lines = vec![format!("{A}{contact}")];
        lines.extend(expires.map(|expires| format!("Expires: {expires}")));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = Request::new("a", 2, &lines).send(&mut registrar, at(2));
        let expected: Vec<String> =
            granted.map(|seconds| format!("<sip:441530@10.0.0.9:5060>;expires={seconds}")).into_iter().collect();
        assert_eq!(contacts(&answer), expected, "{contact} {expires:?}");
    }
}

#[test]
fn what_is_too_brief_is_refused_with_the_least_that_would_do() {
    let mut registrar = plain();
    for seconds in [1, 30, 59] {
        let expires = format!("Expires: {seconds}");
        let answer = Request::new("a", 1, &[A, &expires]).send(&mut registrar, at(1));
        assert_eq!(answer.status, 423);
        assert_eq!(header(&answer, "Min-Expires"), ["60"]);
    }
    // One brief Contact spoils all.
    let two = format!("{A};expires=600, <sip:441530@10.0.0.10>;expires=5");
    assert_eq!(Request::new("a", 1, &[&two]).send(&mut registrar, at(1)).status, 423);
    assert!(registrar.is_empty());
    assert_eq!(registrar.revision(), 0);
}

#[test]
fn a_minimum_above_an_hour_is_not_enforced() {
    // RFC 3261 §10.3 step 7.
    let day = Duration::from_secs(86_400);
    let mut registrar =
        registrar(config::Sip { min_expires: day, max_expires: day, default_expires: day, ..config::Sip::default() });
    assert_eq!(Request::new("a", 1, &[A, "Expires: 3600"]).send(&mut registrar, at(1)).status, 200);
    assert_eq!(Request::new("a", 2, &[A, "Expires: 3599"]).send(&mut registrar, at(1)).status, 423);
}

#[test]
fn several_contacts_on_several_lines() {
    let mut registrar = plain();
    let lines = [
        "Contact: \"one, two\" <sip:1@10.0.0.9>;q=0.2, <sip:2@10.0.0.9;transport=udp>;expires=700;q=0.75",
        "m: sip:3@10.0.0.9;q=1.0",
        "Expires: 600",
    ];
    let answer = Request::new("a", 1, &lines).send(&mut registrar, at(1));
    assert_eq!(
        contacts(&answer),
        [
            "<sip:1@10.0.0.9>;expires=600;q=0.200",
            "<sip:2@10.0.0.9;transport=udp>;expires=700;q=0.750",
            "<sip:3@10.0.0.9>;expires=600",
        ]
    );
    let order: Vec<u16> = registrar.lookup(b"441530", at(1)).iter().map(|b| b.q).collect();
    assert_eq!(order, [1_000, 750, 200]);
}

#[test]
fn contacts_are_the_same_by_the_rules_of_uris() {
    for (first, second, same) in [
        ("sip:a@10.0.0.9", "sip:%61@10.0.0.9", true),
        ("sip:a@PHONE.local.mesh", "sip:a@phone.LOCAL.mesh", true),
        ("sip:a@10.0.0.9", "SIP:a@10.0.0.9", true),
        ("sip:a@10.0.0.9;line=1", "sip:a@10.0.0.9", true),
        ("sip:a@10.0.0.9", "sip:A@10.0.0.9", false),
        ("sip:a@10.0.0.9", "sip:a@10.0.0.9:5060", false),
        ("sip:a@10.0.0.9", "sip:a@10.0.0.9;transport=udp", false),
        ("sip:a@10.0.0.9;line=1", "sip:a@10.0.0.9;line=2", false),
        ("sip:%00@h", "sip:%00%00@h", false), // RFC 4475 §3.1.1.7
    ] {
        let mut registrar = plain();
        Request::new("a", 1, &[&format!("Contact: <{first}>")]).send(&mut registrar, at(1));
        let answer = Request::new("a", 2, &[&format!("Contact: <{second}>")]).send(&mut registrar, at(1));
        let listed = contacts(&answer);
        assert_eq!(listed.len(), if same { 1 } else { 2 }, "{first} {second}");
        assert!(listed.iter().any(|line| line.contains(second)), "the newest spelling is called: {listed:?}");
    }
}

#[test]
fn equality_that_is_not_transitive_does_not_confuse_bindings() {
    let mut registrar = plain();
    let two = "Contact: <sip:a@h;x=1>, <sip:a@h;x=2>";
    assert_eq!(contacts(&Request::new("a", 1, &[two]).send(&mut registrar, at(1))).len(), 2);
    // The order in which they are refreshed does not matter.
    let swapped = "Contact: <sip:a@h;x=2>;expires=0, <sip:a@h;x=1>;expires=90";
    assert_eq!(contacts(&Request::new("a", 2, &[swapped]).send(&mut registrar, at(1))), ["<sip:a@h;x=1>;expires=90"]);
    // Both mean the one that is left; one refreshes it, the other one comes beside it.
    let both = "Contact: <sip:a@h;y=1>, <sip:a@h;y=2>";
    assert_eq!(contacts(&Request::new("a", 3, &[both]).send(&mut registrar, at(1))).len(), 2);
}

#[test]
fn the_same_contact_twice_in_one_request_counts_once() {
    let mut registrar = plain();
    let twice = "Contact: <sip:a@h>;expires=100, <sip:%61@H>;expires=200";
    assert_eq!(contacts(&Request::new("a", 1, &[twice]).send(&mut registrar, at(1))), ["<sip:%61@H>;expires=200"]);
}

#[test]
fn a_query_lists_and_changes_nothing() {
    let mut registrar = plain();
    assert!(contacts(&Request::new("q", 1, &[]).send(&mut registrar, at(1))).is_empty());
    Request::new("a", 5, &[A, "Expires: 100"]).send(&mut registrar, at(1));
    let revision = registrar.revision();
    // Whatever Call-ID and CSeq it has.
    let answer = Request::new("a", 1, &["Expires: 0"]).from("10.9.9.9:9").send(&mut registrar, at(11));
    assert_eq!(contacts(&answer), ["<sip:441530@10.0.0.9:5060>;expires=90"]);
    assert_eq!(registrar.revision(), revision);
    // What is left is never 0 while it lives.
    let late = Instant::from_micros(at(101).as_micros() - 1);
    assert_eq!(
        contacts(&Request::new("a", 1, &[]).send(&mut registrar, late)),
        ["<sip:441530@10.0.0.9:5060>;expires=1"]
    );
    assert!(contacts(&Request::new("a", 1, &[]).send(&mut registrar, at(101))).is_empty());
}

#[test]
fn a_star_removes_all_and_stands_alone_with_zero() {
    for (lines, status) in [
        (vec!["Contact: *", "Expires: 0"], 200),
        (vec!["m:*", "Expires: 000"], 200),
        (vec!["Contact: *"], 400),
        (vec!["Contact: *", "Expires: 600"], 400),
        (vec!["Contact: *", "Expires: none"], 400),
        (vec!["Contact: *, <sip:a@h>", "Expires: 0"], 400),
        (vec!["Contact: <sip:a@h>", "Contact: *", "Expires: 0"], 400),
        (vec!["Contact: *, *", "Expires: 0"], 400),
        (vec!["Contact: *;expires=0"], 400),
    ] {
        let mut registrar = plain();
        Request::new("a", 1, &[A]).send(&mut registrar, at(1));
        Request::new("b", 1, &[B]).send(&mut registrar, at(1));
        let answer = Request::new("c", 1, &lines).send(&mut registrar, at(2));
        assert_eq!(answer.status, status, "{lines:?}");
        assert_eq!(registrar.len(), if status == 200 { 0 } else { 2 }, "{lines:?}");
        assert_eq!(registrar.is_registered(b"441530", at(2)), status != 200);
    }
}

#[test]
fn a_star_that_is_out_of_order_removes_nothing() {
    let mut registrar = plain();
    Request::new("a", 5, &[A]).send(&mut registrar, at(1));
    Request::new("b", 1, &[B]).send(&mut registrar, at(1));
    for cseq in [4, 5] {
        assert_eq!(Request::new("a", cseq, &["Contact: *", "Expires: 0"]).send(&mut registrar, at(2)).status, 500);
        assert_eq!(registrar.len(), 2);
    }
    assert_eq!(Request::new("a", 6, &["Contact: *", "Expires: 0"]).send(&mut registrar, at(2)).status, 200);
    assert!(registrar.is_empty());
    // Once more, by retransmission: nothing is left to be out of order with.
    assert_eq!(Request::new("a", 6, &["Contact: *", "Expires: 0"]).send(&mut registrar, at(2)).status, 200);
}

#[test]
fn the_same_call_id_must_count_on() {
    let mut registrar = plain();
    Request::new("a", 5, &[A, "Expires: 600"]).send(&mut registrar, at(1));
    for (cseq, lines, status) in [
        (4, vec![A, "Expires: 600"], 500),
        (4, vec![A, "Expires: 0"], 500),
        (5, vec![A, "Expires: 0"], 500),
        // Another Contact is not hurt by the order of this one, but the request is one.
        (4, vec![B, A, "Expires: 600"], 500),
        (4, vec![B, "Expires: 600"], 200),
        (6, vec![A, "Expires: 600"], 200),
        (7, vec![A, "Expires: 0"], 200),
    ] {
        let answer = Request::new("a", cseq, &lines).send(&mut registrar, at(2));
        assert_eq!(answer.status, status, "{cseq} {lines:?}");
    }
    assert_eq!(registrar.len(), 1);
    // Another Call-ID is the phone after a reboot: it counts anew.
    assert_eq!(Request::new("x", 1, &[B, "Expires: 0"]).send(&mut registrar, at(2)).status, 200);
    assert!(registrar.is_empty());
}

#[test]
fn a_retransmission_is_answered_alike_and_prolongs_nothing() {
    let mut registrar = plain();
    let two = "Contact: <sip:a@h>;expires=100, <sip:b@h>;expires=0";
    let first = Request::new("a", 1, &[two]).send(&mut registrar, at(1));
    let revision = registrar.revision();
    assert_eq!(Request::new("a", 1, &[two]).send(&mut registrar, at(1)), first);
    assert_eq!(contacts(&Request::new("a", 1, &[two]).send(&mut registrar, at(31))), ["<sip:a@h>;expires=70"]);
    assert_eq!(registrar.revision(), revision);
    // The same numbers with something else in it are no retransmission.
    assert_eq!(Request::new("a", 1, &["Contact: <sip:%61@h>"]).send(&mut registrar, at(31)).status, 500);
}

#[test]
fn a_time_that_is_over_is_no_memory() {
    let mut registrar = plain();
    Request::new("a", 9, &[A, "Expires: 60"]).send(&mut registrar, at(1));
    // Not cleaned up yet, but over: neither order nor since nor takeover remembers it.
    let answer = Request::new("a", 1, &[A, "Expires: 60"]).send(&mut registrar, at(61));
    assert_eq!(contacts(&answer).len(), 1);
    assert_eq!(registrar.lookup(b"441530", at(61))[0].since, at(61));
    assert_eq!(registrar.len(), 1);
}

#[test]
fn required_extensions_are_refused_by_name() {
    let mut registrar = plain();
    let answer = Request::new("a", 1, &[A, "Require: path, gruu", "Require: outbound"]).send(&mut registrar, at(1));
    assert_eq!(answer.status, 420);
    assert_eq!(header(&answer, "Unsupported"), ["path, gruu, outbound"]);
    assert!(registrar.is_empty());
    // What is only offered is passed over quietly.
    assert_eq!(Request::new("a", 1, &[A, "Supported: path, gruu"]).send(&mut registrar, at(1)).status, 200);
}

#[test]
fn nonsense_is_refused_whole() {
    let long_contact = format!("Contact: <sip:{}@h>", "a".repeat(limits::SIP_CONTACT));
    let many: Vec<String> = (0..=limits::SIP_CONTACTS).map(|i| format!("<sip:{i}@h>;expires=0")).collect();
    let many = format!("Contact: {}", many.join(","));
    for (contact, status) in [
        ("Contact: <sip:a@h>, junk junk", 400),
        ("Contact: <sip:a@h>, <>", 400),
        ("Contact: <sip:a@h>, <sip:>", 400),
        ("Contact: <sip:a@h>, <mailto:a@h>", 400),
        ("Contact: <sip:a@h>, <sips:a@h>", 400),
        ("Contact: <sip:a@h>, <tel:123>", 400),
        ("Contact: <sip:a@h>, <sip:b@h", 400),
        ("Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E", 400), // RFC 4475 §3.3.10
        (long_contact.as_str(), 400),
        (many.as_str(), 403),
    ] {
        let mut registrar = plain();
        let answer = Request::new("a", 1, &[contact]).send(&mut registrar, at(1));
        assert_eq!(answer.status, status, "{contact}");
        assert!(registrar.is_empty(), "{contact}");
    }
    let mut registrar = plain();
    for (to, status) in [("<sip:localnode>", 404), ("<mailto:a@h>", 404), ("<sip:%zz@h>", 400)] {
        assert_eq!(Request::new("a", 1, &[A]).to(to).send(&mut registrar, at(1)).status, status, "{to}");
    }
    let call_id = "c".repeat(limits::SIP_CALL_ID + 1);
    assert_eq!(Request::new(&call_id, 1, &[A]).send(&mut registrar, at(1)).status, 400);
    assert!(registrar.is_empty());
}

#[test]
fn parameters_of_the_uri_and_of_the_field_are_kept_apart() {
    // RFC 4475 §3.3.16 and §3.3.17, and an escaped header field as in §3.3.18.
    for (contact, stored) in [
        ("sip:+19725552222@gw1.example.net;unknownparam", "sip:+19725552222@gw1.example.net"),
        ("<sip:+19725552222@gw1.example.net;unknownparam>", "sip:+19725552222@gw1.example.net;unknownparam"),
        (
            "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        ),
    ] {
        let mut registrar = plain();
        Request::new("a", 1, &[&format!("Contact: {contact}")]).send(&mut registrar, at(1));
        assert_eq!(&*registrar.lookup(b"441530", at(1))[0].contact, stored.as_bytes());
    }
}

#[test]
fn a_number_has_only_so_many_contacts() {
    let mut registrar = registrar(config::Sip { contacts_per_user: 2, ..config::Sip::default() });
    let contact = |i: u32| format!("Contact: <sip:{i}@h>");
    for i in 1..=2 {
        assert_eq!(Request::new("a", i, &[&contact(i)]).send(&mut registrar, at(1)).status, 200);
    }
    assert_eq!(Request::new("a", 3, &[&contact(3)]).send(&mut registrar, at(1)).status, 403);
    // Refreshing and replacing is always possible.
    assert_eq!(Request::new("a", 4, &[&contact(2)]).send(&mut registrar, at(1)).status, 200);
    let swap = format!("{};expires=0, <sip:3@h>", contact(1));
    assert_eq!(Request::new("a", 5, &[&swap]).send(&mut registrar, at(1)).status, 200);
    // Other numbers are not concerned, and time makes room.
    assert_eq!(Request::new("a", 6, &[&contact(1)]).to("<sip:7@h>").send(&mut registrar, at(1)).status, 200);
    assert_eq!(Request::new("a", 7, &[&contact(9)]).send(&mut registrar, at(3_601)).status, 200);
}

#[test]
fn a_lowered_bound_never_locks_out_who_is_in() {
    let mut registrar = plain();
    for i in 1..=3 {
        Request::new("a", i, &[&format!("Contact: <sip:{i}@h>")]).send(&mut registrar, at(1));
    }
    registrar.set_config(&config::Sip { contacts_per_user: 1, max_registrations: 1, ..config::Sip::default() });
    assert_eq!(Request::new("a", 4, &["Contact: <sip:1@h>"]).send(&mut registrar, at(2)).status, 200);
    assert_eq!(
        Request::new("a", 5, &["Contact: <sip:1@h>;expires=0, <sip:9@h>"]).send(&mut registrar, at(2)).status,
        200
    );
    assert_eq!(Request::new("a", 6, &["Contact: <sip:10@h>"]).send(&mut registrar, at(2)).status, 403);
    assert_eq!(registrar.len(), 3);
}

#[test]
fn a_full_table_says_when_to_come_back() {
    let mut registrar = registrar(config::Sip { max_registrations: 2, ..config::Sip::default() });
    Request::new("a", 1, &[A, "Expires: 100"]).to("<sip:1@h>").send(&mut registrar, at(0));
    Request::new("a", 1, &[A, "Expires: 200"]).to("<sip:2@h>").send(&mut registrar, at(0));
    let answer = Request::new("a", 1, &[A]).to("<sip:3@h>").send(&mut registrar, at(40));
    assert_eq!(answer.status, 503);
    assert_eq!(header(&answer, "Retry-After"), ["60"]);
    assert_eq!(registrar.tables()[0], Table { name: "registrations", used: 2, limit: 2 });
    // Who is in can refresh, query and leave.
    assert_eq!(Request::new("a", 2, &[A, "Expires: 100"]).to("<sip:1@h>").send(&mut registrar, at(40)).status, 200);
    assert_eq!(Request::new("a", 1, &[]).to("<sip:3@h>").send(&mut registrar, at(40)).status, 200);
    assert_eq!(
        Request::new("a", 2, &["Contact: *", "Expires: 0"]).to("<sip:2@h>").send(&mut registrar, at(40)).status,
        200
    );
    assert_eq!(Request::new("a", 2, &[A, "Expires: 300"]).to("<sip:3@h>").send(&mut registrar, at(40)).status, 200);
    // What has expired makes room at once, without waiting for the clean-up.
    assert_eq!(Request::new("a", 1, &[A]).to("<sip:4@h>").send(&mut registrar, at(140)).status, 200);
    assert!(!registrar.is_registered(b"1", at(140)));
}

#[test]
fn one_address_cannot_shut_out_the_others() {
    let mut registrar = registrar(config::Sip { max_registrations: 40, ..config::Sip::default() });
    for i in 0..50 {
        let now = Instant::from_micros(i);
        let answer =
            Request::new("load", 1, &[A]).to(&format!("<sip:{i}@h>")).from("10.6.6.6:5060").send(&mut registrar, now);
        assert_eq!(answer.status, if i < 40 { 200 } else { 503 }, "{i}");
    }
    // Everybody else comes in, at the cost of the oldest of it, until it holds no more than its share.
    let mut welcome = 0;
    for i in 0..40 {
        let source = format!("10.0.0.{i}:5060");
        let answer =
            Request::new("a", 1, &[A, B]).to(&format!("<sip:phone{i}@h>")).from(&source).send(&mut registrar, at(2));
        welcome += usize::from(answer.status == 200);
        assert!(registrar.len() <= 40);
    }
    assert!(!registrar.is_registered(b"0", at(2)) && registrar.is_registered(b"39", at(2)));
    let left = registrar.bindings().filter(|b| b.source.ip().octets() == [10, 6, 6, 6]).count();
    assert_eq!((welcome, left), (13, 14));
    assert_eq!(registrar.counts.displaced, 26);
}

#[test]
fn who_holds_nearly_as_much_takes_nothing_from_the_greediest() {
    let mut registrar = registrar(config::Sip { max_registrations: 40, ..config::Sip::default() });
    for (source, numbers) in [("10.6.6.6:5060", 0..26), ("10.7.7.7:5060", 26..40)] {
        for i in numbers {
            let request = Request::new("a", 1, &[A]).to(&format!("<sip:{i}@h>")).from(source);
            assert_eq!(request.send(&mut registrar, at(0)).status, 200);
        }
    }
    // 26 are less than twice 15.
    let answer = Request::new("a", 1, &[A]).to("<sip:40@h>").from("10.7.7.7:5060").send(&mut registrar, at(2));
    assert_eq!((answer.status, registrar.counts.displaced), (503, 0));
    let answer = Request::new("a", 1, &[A]).to("<sip:41@h>").from("10.0.0.1:5060").send(&mut registrar, at(4));
    assert_eq!((answer.status, registrar.counts.displaced), (200, 1), "but one who holds nothing");
}

#[test]
fn somebody_else_takes_a_number() {
    let stranger = |line: &str| Request::new("thief", 1, &[line, "Expires: 600"]).from("10.66.6.6:5060");
    for (takeover, status) in [(Takeover::Allow, 200), (Takeover::Log, 200), (Takeover::Refuse, 403)] {
        let setup = || {
            let mut registrar = registrar(config::Sip { takeover, ..config::Sip::default() });
            Request::new("a", 1, &[A, "Expires: 600"]).send(&mut registrar, at(0));
            registrar
        };
        for lines in
            [vec![B], vec![A], vec!["Contact: <sip:441530@10.0.0.9:5060>;expires=0"], vec!["Contact: *", "Expires: 0"]]
        {
            let mut registrar = setup();
            let answer = Request::new("thief", 1, &lines).from("10.66.6.6:5060").send(&mut registrar, at(1));
            assert_eq!(answer.status, status, "{takeover:?} {lines:?}");
            assert_eq!(registrar.counts.takeovers, 1);
        }
        // What changes nothing harms nobody.
        for lines in [vec![], vec!["Contact: <sip:unknown@h>;expires=0"]] {
            let mut registrar = setup();
            assert_eq!(Request::new("thief", 1, &lines).from("10.66.6.6:5060").send(&mut registrar, at(1)).status, 200);
            assert_eq!(registrar.counts.takeovers, 0);
        }
        // The holder: after a reboot (new port, new Call-ID), and after a change of address (same Call-ID).
        let mut registrar = setup();
        assert_eq!(Request::new("reboot", 1, &[B]).from("10.0.0.9:33333").send(&mut registrar, at(1)).status, 200);
        assert_eq!(Request::new("a", 2, &[A]).from("10.0.0.99:5060").send(&mut registrar, at(1)).status, 200);
        assert_eq!(registrar.counts.takeovers, 0);
        // Once the binding is over, the number is anybody's.
        let mut registrar = setup();
        assert_eq!(stranger(A).send(&mut registrar, at(600)).status, 200);
        assert_eq!(registrar.counts.takeovers, 0);
    }
}

#[test]
fn phones_that_share_a_number_are_strangers_once() {
    let mut registrar = plain();
    let second = |cseq| Request::new("b", cseq, &[B]).from("10.0.0.10:5062");
    Request::new("a", 1, &[A]).send(&mut registrar, at(0));
    second(1).send(&mut registrar, at(1));
    for round in 2..20 {
        Request::new("a", round, &[A]).send(&mut registrar, at(u64::from(round) * 1_000));
        second(round).send(&mut registrar, at(u64::from(round) * 1_000 + 1));
    }
    assert_eq!(registrar.counts.takeovers, 1);
    assert_eq!(registrar.lookup(b"441530", at(19_002)).len(), 2);
}

#[test]
fn the_date_is_told_once_it_is_known() {
    let mut registrar = plain();
    let dates = |registrar: &mut Registrar| header(&Request::new("a", 1, &[]).send(registrar, at(60)), "Date");
    assert!(dates(&mut registrar).is_empty());
    registrar.set_clock(Clock::new(UnixTime(100), at(10)));
    assert!(dates(&mut registrar).is_empty(), "1970 is no date");
    registrar.set_clock(Clock::new(UnixTime(1_784_800_800), at(60)));
    assert_eq!(dates(&mut registrar), ["Thu, 23 Jul 2026 10:00:00 GMT"]);
}

#[test]
fn the_table_is_gone_through_once_a_second_at_most() {
    let mut registrar = plain();
    for i in 0..100_u64 {
        let now = Instant::from_micros(i * 10_000);
        Request::new("a", 1, &[A, "Expires: 60"]).to(&format!("<sip:{i}@h>")).send(&mut registrar, now);
    }
    let mut now = at(1);
    let mut wakes = 0;
    while let Some(deadline) = registrar.next_deadline() {
        assert!(deadline > now);
        now = deadline;
        registrar.handle_timeout(now);
        check(&registrar);
        wakes += 1;
    }
    assert!(registrar.is_empty());
    assert!(wakes <= 2, "{wakes}");
    assert_eq!(registrar.counts.expired, 100);
}

#[test]
fn the_log_is_spared() {
    let mut lines = Lines::default();
    let allowed = |lines: &mut Lines, seconds| (0..1_000).filter(|_| lines.allow(at(seconds))).count();
    assert_eq!(allowed(&mut lines, 0), 50);
    assert_eq!(allowed(&mut lines, 59), 0);
    assert_eq!(allowed(&mut lines, 60), 1);
    assert_eq!(allowed(&mut lines, 61), 0);
    assert_eq!(allowed(&mut lines, 61 + 50 * 60), 50);
}

#[test]
fn an_answer_does_not_list_what_others_have_made_large() {
    let mut registrar = plain();
    let contacts_of = |n: usize| format!("Contact: <sip:441530@10.0.0.{n}:5060;x={}>", "x".repeat(400));
    for n in 1..=10_usize {
        let answer = Request::new(&format!("call-{n}"), 1, &[&contacts_of(n)]).send(&mut registrar, at(0));
        let own = format!("<sip:441530@10.0.0.{n}:5060");
        assert!(contacts(&answer).iter().any(|line| line.starts_with(&own)), "a phone finds its own Contact");
        let bytes: usize = contacts(&answer).iter().map(String::len).sum();
        assert!(bytes <= limits::SIP_LISTED_CONTACTS + 500, "{n}: {bytes} bytes");
    }
    assert_eq!(registrar.len(), 10);
    let query = Request::new("call-10", 2, &[]).from("10.6.6.6:5060").send(&mut registrar, at(0));
    assert_eq!(contacts(&query).len(), 2, "a forged source gets no more than that");
}

#[test]
fn a_takeover_is_told_whatever_else_was_logged() {
    let mut registrar = plain();
    while registrar.lines.allow(at(0)) {}
    assert!(registrar.takeover_lines.allow(at(0)));
}
