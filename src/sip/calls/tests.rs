use super::*;
use crate::sip::text::escape;
use crate::wire::sip::HeaderTable;

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 11780 RTP/AVP 9 8 0\r\n";
const ANSWER: &str =
    "v=0\r\no=- 1 1 IN IP4 10.0.0.8\r\ns=-\r\nc=IN IP4 10.0.0.8\r\nt=0 0\r\nm=audio 11780 RTP/AVP 8\r\n";

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn calls() -> Calls {
    Calls::new(&config::Sip::default())
}

/// One of the messages of a call between A (tag a) and B (tag b), as it passes the proxy.
struct Said<'a> {
    start: &'a str,
    call_id: &'a str,
    from: &'a str,
    to: &'a str,
    cseq: &'a str,
    lines: &'a str,
    body: &'a str,
}

impl Said<'_> {
    fn tell(&self, calls: &mut Calls, now: Instant) {
        let text = format!(
            "{}\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n{}\
             Content-Length: {}\r\n\r\n{}",
            self.start,
            self.from,
            self.to,
            self.call_id,
            self.cseq,
            self.lines,
            self.body.len(),
            self.body
        );
        let mut table = HeaderTable::default();
        let message = Message::parse(text.as_bytes(), &mut table).unwrap();
        let essentials = Essentials::of(&message).unwrap();
        let before = shown(calls);
        let (revision, shown_revision) = (calls.revision(), calls.shown_revision());
        if message.method().is_some() {
            calls.observe_request(&message, &essentials, "10.0.0.9:5060".parse().unwrap(), now);
        } else {
            calls.observe_response(&message, &essentials, now);
        }
        check(calls);
        assert_eq!(before != shown(calls), shown_revision != calls.shown_revision(), "{}", self.start);
        assert!(shown_revision == calls.shown_revision() || revision != calls.revision());
    }
}

/// What people see of the calls.
fn shown(calls: &Calls) -> Vec<String> {
    let line = |c: &Call| {
        let who = format!(
            "{} {} > {} {} at {}",
            c.caller(),
            c.caller_display(),
            c.callee(),
            c.callee_display(),
            c.callee_host()
        );
        format!("{} {who} {} {:?} {:?} {:?}", escape(c.call_id()), c.codec(), c.state, c.since, c.answered)
    };
    calls.calls().map(line).collect()
}

fn check(calls: &Calls) {
    let deadlines: SortedSet<(Instant, Key)> = calls.calls.iter().map(|(key, call)| (call.deadline, *key)).collect();
    assert_eq!(deadlines, calls.deadlines);
    assert_eq!(calls.next_deadline(), calls.calls().map(|call| call.deadline).min());
    for call in calls.calls() {
        assert_eq!(call.is_early(), call.answered.is_none());
        assert!(!call.is_early() || call.state != CallState::Established);
    }
}

fn states(calls: &Calls) -> Vec<CallState> {
    calls.calls().map(|call| call.state).collect()
}

const A: &str = "\"Anna\" <sip:441530@localnode>;tag=a";
const B: &str = "<sip:441531@localnode>";
const B_TAGGED: &str = "<sip:441531@localnode>;tag=b";

fn plain(start: &'static str, from: &'static str, to: &'static str, cseq: &'static str) -> Said<'static> {
    Said { start, call_id: "c1@10.0.0.9", from, to, cseq, lines: "", body: "" }
}

fn invite() -> Said<'static> {
    Said { body: SDP, ..plain("INVITE sip:441531@localnode SIP/2.0", A, B, "1 INVITE") }
}

fn ringing() -> Said<'static> {
    plain("SIP/2.0 180 Anything", A, B_TAGGED, "1 INVITE")
}

fn ok() -> Said<'static> {
    Said { body: ANSWER, ..plain("SIP/2.0 200 Anything", A, B_TAGGED, "1 INVITE") }
}

fn bye_of_a() -> Said<'static> {
    plain("BYE sip:441531@10.0.0.8 SIP/2.0", A, B_TAGGED, "2 BYE")
}

fn established(calls: &mut Calls, now: Instant) {
    invite().tell(calls, now);
    ok().tell(calls, now);
    assert_eq!(states(calls), [CallState::Established]);
}

#[test]
fn a_call_from_dialling_to_hanging_up() {
    let mut calls = calls();
    invite().tell(&mut calls, at(1));
    let call = |calls: &Calls| calls.calls().next().unwrap().clone();
    assert_eq!(call(&calls).call_id(), b"c1@10.0.0.9");
    assert_eq!((call(&calls).caller(), call(&calls).caller_display()), ("441530", "Anna"));
    assert_eq!((call(&calls).callee(), call(&calls).callee_display()), ("441531", ""));
    assert_eq!(call(&calls).codec(), "G722");
    assert_eq!(call(&calls).state, CallState::InviteSent);
    assert_eq!((call(&calls).since, call(&calls).answered), (at(1), None));
    assert_eq!(call(&calls).caller_address, "10.0.0.9:5060".parse().unwrap());

    calls.observe_target(b"c1@10.0.0.9", "441531.local.mesh");
    assert_eq!(call(&calls).callee_host(), "441531.local.mesh");
    plain("SIP/2.0 100 Trying", A, B, "1 INVITE").tell(&mut calls, at(1));
    assert_eq!(call(&calls).state, CallState::InviteSent);
    // By the number, not by the words: the C program looked for "180 Ringing".
    ringing().tell(&mut calls, at(2));
    assert_eq!(call(&calls).state, CallState::Ringing);
    ok().tell(&mut calls, at(8));
    assert_eq!(call(&calls).state, CallState::Established);
    assert_eq!(call(&calls).answered, Some(at(8)));
    assert_eq!(call(&calls).codec(), "PCMA", "the answer's codec is what they use");
    plain("ACK sip:441531@10.0.0.8 SIP/2.0", A, B_TAGGED, "1 ACK").tell(&mut calls, at(8));
    ok().tell(&mut calls, at(9)); // once more
    assert_eq!(call(&calls).answered, Some(at(8)));

    bye_of_a().tell(&mut calls, at(60));
    assert_eq!(call(&calls).state, CallState::Terminating);
    plain("SIP/2.0 200 OK", A, B_TAGGED, "2 BYE").tell(&mut calls, at(60));
    assert!(calls.is_empty());
    assert_eq!(calls.next_deadline(), None);
}

#[test]
fn the_callee_hangs_up() {
    let mut calls = calls();
    established(&mut calls, at(1));
    plain("BYE sip:441530@10.0.0.9 SIP/2.0", B_TAGGED, A, "77 BYE").tell(&mut calls, at(5));
    assert_eq!(states(&calls), [CallState::Terminating]);
    plain("SIP/2.0 200 OK", B_TAGGED, A, "77 BYE").tell(&mut calls, at(5));
    assert!(calls.is_empty());
}

#[test]
fn a_call_that_is_not_answered_ends_with_its_final_answer() {
    for status in ["302 Moved", "401 Who", "404 No", "408 Late", "486 Busy", "487 Cancelled", "503 Full", "603 Never"] {
        let mut calls = calls();
        invite().tell(&mut calls, at(1));
        ringing().tell(&mut calls, at(2));
        let start = format!("SIP/2.0 {status}");
        Said { start: &start, call_id: "c1@10.0.0.9", from: A, to: B_TAGGED, cseq: "1 INVITE", lines: "", body: "" }
            .tell(&mut calls, at(3));
        assert!(calls.is_empty(), "{status}");
    }
}

#[test]
fn a_cancelled_call_ends_with_487_or_goes_on_if_the_answer_was_quicker() {
    let cancel = || plain("CANCEL sip:441531@localnode SIP/2.0", A, B, "1 CANCEL");
    for (answer, left) in [("SIP/2.0 487 Request Terminated", vec![]), ("SIP/2.0 200 OK", vec![CallState::Established])]
    {
        let mut calls = calls();
        invite().tell(&mut calls, at(1));
        ringing().tell(&mut calls, at(2));
        cancel().tell(&mut calls, at(3));
        assert_eq!(states(&calls), [CallState::Terminating]);
        plain("SIP/2.0 200 OK", A, B_TAGGED, "1 CANCEL").tell(&mut calls, at(3));
        ringing().tell(&mut calls, at(3));
        assert_eq!(states(&calls), [CallState::Terminating], "a late 180 brings nothing back");
        assert_eq!(calls.next_deadline(), Some(at(3 + 32)), "and gives no more time");
        plain(answer, A, B_TAGGED, "1 INVITE").tell(&mut calls, at(3));
        assert_eq!(states(&calls), left);
    }
    // Once it is answered there is nothing to cancel.
    let mut calls = calls();
    established(&mut calls, at(1));
    cancel().tell(&mut calls, at(2));
    assert_eq!(states(&calls), [CallState::Established]);
}

#[test]
fn a_call_cancelled_or_hung_up_without_an_answer_is_cleared() {
    let mut calls = calls();
    established(&mut calls, at(1));
    bye_of_a().tell(&mut calls, at(10));
    bye_of_a().tell(&mut calls, at(30)); // a retransmission gives no more time
    calls.handle_timeout(at(41));
    assert_eq!(calls.len(), 1);
    calls.handle_timeout(at(42));
    assert!(calls.is_empty());
    assert_eq!(count(&calls, "calls_expired_ending"), 1);
}

fn count(calls: &Calls, name: &str) -> u64 {
    calls.counters().into_iter().find(|counter| counter.name == name).unwrap().count
}

#[test]
fn a_bye_that_is_challenged_is_not_the_end() {
    let mut calls = calls();
    established(&mut calls, at(1));
    let deadline = calls.next_deadline();
    bye_of_a().tell(&mut calls, at(10));
    plain("SIP/2.0 401 Who", A, B_TAGGED, "2 BYE").tell(&mut calls, at(10));
    assert_eq!(states(&calls), [CallState::Established]);
    assert_eq!(calls.next_deadline(), deadline);
    bye_of_a().tell(&mut calls, at(11));
    plain("SIP/2.0 481 Unknown", A, B_TAGGED, "2 BYE").tell(&mut calls, at(11));
    assert!(calls.is_empty());
}

#[test]
fn who_knows_the_call_id_alone_changes_nothing() {
    let mut calls = calls();
    invite().tell(&mut calls, at(1));
    let stranger = "<sip:666@localnode>;tag=x";
    for (start, from, to, cseq) in [
        ("CANCEL sip:441531@localnode SIP/2.0", stranger, B, "1 CANCEL"),
        ("CANCEL sip:441531@localnode SIP/2.0", A, B, "9 CANCEL"),
        ("SIP/2.0 486 Busy", stranger, B_TAGGED, "1 INVITE"),
        ("SIP/2.0 486 Busy", A, B_TAGGED, "9 INVITE"),
        ("BYE sip:441531@localnode SIP/2.0", stranger, B_TAGGED, "2 BYE"),
    ] {
        plain(start, from, to, cseq).tell(&mut calls, at(2));
        assert_eq!(states(&calls), [CallState::InviteSent], "{start}");
    }
    ok().tell(&mut calls, at(3));
    for (start, from, to, cseq) in [
        ("BYE sip:441531@localnode SIP/2.0", A, B, "2 BYE"),
        ("BYE sip:441531@localnode SIP/2.0", A, stranger, "2 BYE"),
        ("BYE sip:441531@localnode SIP/2.0", stranger, B_TAGGED, "2 BYE"),
        ("SIP/2.0 200 OK", stranger, A, "2 BYE"),
        ("SIP/2.0 481 Gone", A, stranger, "3 INFO"),
    ] {
        plain(start, from, to, cseq).tell(&mut calls, at(4));
        assert_eq!(states(&calls), [CallState::Established], "{start} {from}");
    }
}

#[test]
fn retransmissions_and_the_same_invite_passing_twice_are_one_call() {
    let mut calls = calls();
    invite().tell(&mut calls, at(1));
    invite().tell(&mut calls, at(2));
    Said { start: "INVITE sip:441531@10.0.0.8 SIP/2.0", ..invite() }.tell(&mut calls, at(2));
    assert_eq!(calls.len(), 1);
    ok().tell(&mut calls, at(3));
    invite().tell(&mut calls, at(4));
    assert_eq!(states(&calls), [CallState::Established]);
    assert_eq!(count(&calls, "calls_seen"), 1);
}

#[test]
fn another_attempt_takes_the_place_of_the_first() {
    let mut calls = calls();
    invite().tell(&mut calls, at(1));
    Said { cseq: "2 INVITE", ..invite() }.tell(&mut calls, at(2));
    assert_eq!(calls.calls().next().unwrap().since, at(2));
    plain("SIP/2.0 407 Who", A, B_TAGGED, "1 INVITE").tell(&mut calls, at(3)); // belated
    assert_eq!(states(&calls), [CallState::InviteSent]);
    Said { cseq: "2 INVITE", ..ok() }.tell(&mut calls, at(3));
    assert_eq!(states(&calls), [CallState::Established]);
}

#[test]
fn re_invites_keep_the_call_and_tell_the_codec() {
    let mut calls = calls();
    established(&mut calls, at(1));
    for (from, to, cseq) in [(A, B_TAGGED, "2 INVITE"), (B_TAGGED, A, "1 INVITE")] {
        Said { body: SDP, ..plain("INVITE sip:x@10.0.0.8 SIP/2.0", from, to, cseq) }.tell(&mut calls, at(2));
        plain("SIP/2.0 180 Ringing", from, to, cseq).tell(&mut calls, at(2));
        plain("SIP/2.0 488 No", from, to, cseq).tell(&mut calls, at(2));
        assert_eq!(states(&calls), [CallState::Established]);
    }
    assert_eq!(calls.calls().next().unwrap().codec(), "PCMA");
    Said { body: SDP, ..plain("SIP/2.0 200 OK", B_TAGGED, A, "1 INVITE") }.tell(&mut calls, at(3));
    assert_eq!(calls.calls().next().unwrap().codec(), "G722");
    assert_eq!(calls.len(), 1);
}

#[test]
fn an_offer_in_the_answer_is_answered_in_the_ack() {
    let mut calls = calls();
    Said { body: "", ..invite() }.tell(&mut calls, at(1));
    assert_eq!(calls.calls().next().unwrap().codec(), "");
    Said { body: SDP, ..ok() }.tell(&mut calls, at(2));
    assert_eq!(calls.calls().next().unwrap().codec(), "G722");
    Said { body: ANSWER, ..plain("ACK sip:441531@10.0.0.8 SIP/2.0", A, B_TAGGED, "1 ACK") }.tell(&mut calls, at(2));
    assert_eq!(calls.calls().next().unwrap().codec(), "PCMA");
}

#[test]
fn two_phones_that_answer_one_invite_are_two_calls() {
    let mut calls = calls();
    established(&mut calls, at(1));
    let other = "<sip:441531@localnode>;tag=b2";
    plain("SIP/2.0 200 OK", A, other, "1 INVITE").tell(&mut calls, at(1));
    plain("SIP/2.0 200 OK", A, other, "1 INVITE").tell(&mut calls, at(2)); // once more
    assert_eq!(calls.len(), 2);
    plain("SIP/2.0 180 Ringing", A, "<sip:441531@localnode>;tag=b3", "1 INVITE").tell(&mut calls, at(2));
    plain("SIP/2.0 486 Busy", A, "<sip:441531@localnode>;tag=b3", "1 INVITE").tell(&mut calls, at(2));
    assert_eq!(calls.len(), 2);
    // The caller keeps one.
    plain("BYE sip:441531@10.0.0.7 SIP/2.0", A, other, "2 BYE").tell(&mut calls, at(2));
    plain("SIP/2.0 200 OK", A, other, "2 BYE").tell(&mut calls, at(2));
    assert_eq!(states(&calls), [CallState::Established]);
    bye_of_a().tell(&mut calls, at(9));
    plain("SIP/2.0 200 OK", A, B_TAGGED, "2 BYE").tell(&mut calls, at(9));
    assert!(calls.is_empty());
}

#[test]
fn a_second_answer_comes_soon_or_is_none() {
    for (now, left) in [(33, 2), (34, 1)] {
        let mut calls = calls();
        established(&mut calls, at(1));
        plain("SIP/2.0 200 OK", A, "<sip:441531@localnode>;tag=b2", "1 INVITE").tell(&mut calls, at(now));
        assert_eq!(calls.len(), left);
    }
}

#[test]
fn a_caller_may_hang_up_by_bye_what_only_rings() {
    let mut calls = calls();
    invite().tell(&mut calls, at(1));
    ringing().tell(&mut calls, at(1));
    bye_of_a().tell(&mut calls, at(2));
    assert_eq!(states(&calls), [CallState::Terminating]);
    plain("SIP/2.0 487 Gone", A, B_TAGGED, "1 INVITE").tell(&mut calls, at(2));
    assert!(calls.is_empty());
}

#[test]
fn a_session_that_is_not_refreshed_is_over() {
    let mut calls = calls();
    invite().tell(&mut calls, at(0));
    Said { lines: "x: 1800;refresher=uac\r\n", ..ok() }.tell(&mut calls, at(0));
    let shown_revision = calls.shown_revision();
    // Refreshed by re-INVITE of one, by UPDATE of the other.
    Said { lines: "Session-Expires: 1800\r\n", ..plain("SIP/2.0 200 OK", A, B_TAGGED, "2 INVITE") }
        .tell(&mut calls, at(900));
    let revision = calls.revision();
    Said { lines: "Session-Expires: 600 ; refresher=uas\r\n", ..plain("SIP/2.0 200 OK", B_TAGGED, A, "3 UPDATE") }
        .tell(&mut calls, at(1_800));
    assert_ne!(calls.revision(), revision, "what must survive has changed");
    assert_eq!(calls.shown_revision(), shown_revision, "and people see nothing of it");
    assert_eq!(calls.next_deadline(), Some(at(1_800 + 600 + 32)));
    calls.handle_timeout(at(1_800 + 600 + 32));
    assert!(calls.is_empty());
    assert_eq!(count(&calls, "calls_expired_session_timer"), 1);
}

#[test]
fn a_session_timer_that_is_given_up_or_absurd() {
    let half_a_day = at(12 * 3_600);
    let mut calls = calls();
    invite().tell(&mut calls, at(0));
    Said { lines: "Session-Expires: 1\r\n", ..ok() }.tell(&mut calls, at(0));
    assert_eq!(calls.next_deadline(), Some(at(90 + 32)));
    plain("SIP/2.0 200 OK", A, B_TAGGED, "2 INVITE").tell(&mut calls, at(10));
    assert_eq!(calls.next_deadline(), Some(half_a_day));
    for line in ["Session-Expires: 99999999999999\r\n", "Session-Expires: soon\r\n", "Session-Expires: \r\n"] {
        Said { lines: line, ..plain("SIP/2.0 200 OK", A, B_TAGGED, "3 INVITE") }.tell(&mut calls, at(20));
        assert_eq!(calls.next_deadline(), Some(half_a_day), "{line}");
    }
}

#[test]
fn nothing_lasts_for_ever() {
    let mut calls = calls();
    established(&mut calls, at(100));
    assert_eq!(calls.next_deadline(), Some(at(100 + 12 * 3_600)));
    calls.handle_timeout(at(100 + 12 * 3_600));
    assert_eq!(count(&calls, "calls_expired_duration"), 1);
    // Silence after the INVITE, and ringing that the proxy forgot: after Timer C and time for its CANCEL.
    for rings in [false, true] {
        invite().tell(&mut calls, at(0));
        if rings {
            ringing().tell(&mut calls, at(100));
        }
        let end = at(u64::from(rings) * 100 + 185 + 64);
        assert_eq!(calls.next_deadline(), Some(end));
        calls.handle_timeout(end);
        assert!(calls.is_empty());
    }
    assert_eq!(count(&calls, "calls_expired_unanswered"), 2);
}

#[test]
fn phones_that_have_both_gone_are_noticed() {
    let gone = |calls: &mut Calls, from: &str, to: &str| {
        let text = format!(
            "OPTIONS sip:x@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK2\r\nFrom: {from}\r\nTo: {to}\r\n\
             Call-ID: c1@10.0.0.9\r\nCSeq: 4 OPTIONS\r\n\r\n"
        );
        let mut table = HeaderTable::default();
        let message = Message::parse(text.as_bytes(), &mut table).unwrap();
        calls.observe_no_answer(&Essentials::of(&message).unwrap(), at(50));
        check(calls);
    };
    for (from, to, left) in [(A, B_TAGGED, 0), (B_TAGGED, A, 0), (A, B, 1), (A, "<sip:x@h>;tag=x", 1)] {
        let mut calls = calls();
        established(&mut calls, at(1));
        gone(&mut calls, from, to);
        assert_eq!(calls.len(), left, "{from} {to}");
    }
    // A phone that says 481 or lets a proxy say 408 has no such call; but 481 to NOTIFY ends a subscription alone.
    for (start, cseq, left) in [
        ("SIP/2.0 481 Gone", "5 INVITE", 0),
        ("SIP/2.0 408 Silence", "5 INFO", 0),
        ("SIP/2.0 481 Gone", "5 NOTIFY", 1),
        ("SIP/2.0 488 No", "5 INVITE", 1),
        ("SIP/2.0 501 What", "5 INFO", 1),
    ] {
        let mut calls = calls();
        established(&mut calls, at(1));
        plain(start, A, B_TAGGED, cseq).tell(&mut calls, at(2));
        assert_eq!(calls.len(), left, "{start} {cseq}");
    }
}

#[test]
fn without_record_route_a_call_is_out_of_sight_once_answered() {
    let mut calls = Calls::new(&config::Sip { record_route: false, ..config::Sip::default() });
    invite().tell(&mut calls, at(1));
    ringing().tell(&mut calls, at(1));
    assert_eq!(calls.len(), 1);
    ok().tell(&mut calls, at(2));
    assert!(calls.is_empty());
    assert_eq!(count(&calls, "calls_out_of_sight"), 1);
}

#[test]
fn numbers_are_shown_without_country_prefix_and_bounded() {
    let mut calls = Calls::new(&config::Sip { country_prefix: "041".into(), ..config::Sip::default() });
    let from = format!("\"{}\" <sip:+41441530@localnode>;tag=a", "é".repeat(200));
    Said { start: "INVITE tel:+41-441-531 SIP/2.0", from: &from, ..invite() }.tell(&mut calls, at(1));
    let call = calls.calls().next().unwrap();
    assert_eq!((call.caller(), call.callee()), ("441530", "441531"));
    assert_eq!(call.caller_display(), "é".repeat(32));
    // The number that is called, and not the one that To once meant.
    let mut calls = self::calls();
    Said { to: "<sip:999@localnode>", ..invite() }.tell(&mut calls, at(1));
    assert_eq!(calls.calls().next().unwrap().callee(), "441531");
    Said { start: "INVITE sip:localnode SIP/2.0", call_id: "c2", ..invite() }.tell(&mut calls, at(1));
    assert!(calls.calls().any(|call| call.call_id() == b"c2" && call.callee() == "441531"));
}

#[test]
fn the_list_is_bounded_and_what_ends_makes_room() {
    let mut calls = Calls::new(&config::Sip { max_calls: 3, ..config::Sip::default() });
    let dial = |calls: &mut Calls, call_id: &str, now| Said { call_id, ..invite() }.tell(calls, now);
    for call_id in ["1", "2", "3", "4"] {
        dial(&mut calls, call_id, at(1));
    }
    assert_eq!((calls.len(), count(&calls, "calls_not_shown")), (3, 1));
    for (call_id, now) in [("2", 3), ("1", 2)] {
        Said { call_id, ..plain("CANCEL sip:441531@localnode SIP/2.0", A, B, "1 CANCEL") }.tell(&mut calls, at(now));
    }
    dial(&mut calls, "5", at(3));
    let mut ids: Vec<&[u8]> = calls.calls().map(Call::call_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [b"2", b"3", b"5"], "the one that has been ending longest went");
    assert_eq!(calls.tables(), [Table { name: "calls", used: 3, limit: 3 }]);
}

#[test]
fn one_call_id_cannot_fill_the_list() {
    let mut calls = calls();
    for i in 0..100 {
        let from = format!("<sip:441530@localnode>;tag=a{i}");
        Said { from: &from, ..invite() }.tell(&mut calls, at(1));
    }
    assert_eq!(calls.len(), limits::SIP_CALLS_PER_CALL_ID);
    let long = "c".repeat(limits::SIP_CALL_ID + 1);
    Said { call_id: &long, ..invite() }.tell(&mut calls, at(1));
    assert_eq!(calls.len(), limits::SIP_CALLS_PER_CALL_ID);
    assert_eq!(count(&calls, "calls_not_shown"), 100 - 16 + 1);
}

#[test]
fn a_call_is_small() {
    let mut calls = calls();
    Said { call_id: "0_2895723480@10.98.96.74", ..invite() }.tell(&mut calls, at(1));
    calls.observe_target(b"0_2895723480@10.98.96.74", "441531.local.mesh");
    let (key, call) = calls.calls.iter().next().unwrap();
    // Tree nodes are at least half full.
    let trees = 2 * (size_of_val(key) + size_of_val(call)) + 2 * size_of::<(Instant, Key)>();
    assert!(trees + call.texts.bytes.len() + 16 < 500, "{trees} + {}", call.texts.bytes.len());
}

#[test]
fn two_thousand_calls_come_and_go() {
    let mut calls = calls();
    for i in 0..2_000_u64 {
        let call_id = format!("call-{i}@10.0.0.9");
        let mut said = invite();
        said.call_id = &call_id;
        // Without the checks of `tell`, which would go through all calls each time.
        let text = format!(
            "{}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: {A}\r\nTo: {B}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n",
            said.start
        );
        let mut table = HeaderTable::default();
        let message = Message::parse(text.as_bytes(), &mut table).unwrap();
        let essentials = Essentials::of(&message).unwrap();
        calls.observe_request(&message, &essentials, "10.0.0.9:5060".parse().unwrap(), Instant::from_micros(i * 1_000));
    }
    assert_eq!(calls.len(), 2_000);
    check(&calls);
    let mut ended = 0;
    while let Some(deadline) = calls.next_deadline() {
        calls.handle_timeout(deadline);
        assert!(calls.next_deadline() > Some(deadline) || calls.is_empty());
        ended += 1;
    }
    assert_eq!(ended, 2_000);
}

/// Whatever passes in whatever order: the tables agree with each other, stay within bounds, and are empty after quiet.
#[test]
fn no_order_of_messages_confuses_the_list() {
    const STARTS: [(&str, &str); 16] = [
        ("INVITE sip:441531@x SIP/2.0", "INVITE"),
        ("INVITE sip:441531@x SIP/2.0", "INVITE"),
        ("ACK sip:441531@x SIP/2.0", "ACK"),
        ("BYE sip:441531@x SIP/2.0", "BYE"),
        ("CANCEL sip:441531@x SIP/2.0", "CANCEL"),
        ("INFO sip:441531@x SIP/2.0", "INFO"),
        ("SIP/2.0 100 T", "INVITE"),
        ("SIP/2.0 180 R", "INVITE"),
        ("SIP/2.0 200 O", "INVITE"),
        ("SIP/2.0 200 O", "INVITE"),
        ("SIP/2.0 200 O", "UPDATE"),
        ("SIP/2.0 486 B", "INVITE"),
        ("SIP/2.0 200 O", "BYE"),
        ("SIP/2.0 407 W", "BYE"),
        ("SIP/2.0 481 G", "INFO"),
        ("SIP/2.0 200 O", "CANCEL"),
    ];
    let mut states_seen = [0_u32; 4];
    for seed in 0..=u8::MAX {
        let mut rng = crate::rng::Rng::new(&[seed; 32], "calls");
        let mut pick = |bound: usize| usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap();
        let mut calls = Calls::new(&config::Sip { max_calls: 1 + pick(6), ..config::Sip::default() });
        let mut now = 0;
        for _ in 0..200 {
            now += u64::try_from(pick(2) * pick(40)).unwrap();
            if pick(4) == 0 {
                calls.handle_timeout(at(now));
                assert!(calls.next_deadline().is_none_or(|deadline| deadline > at(now)));
            }
            let (start, method) = STARTS[pick(STARTS.len())];
            let tag = |n: usize| format!("<sip:44153{n}@x>{}", ["", ";tag=1", ";tag=2"][n]);
            let said = Said {
                start,
                call_id: ["c1", "c2", "c3"][pick(3)],
                from: &tag(1 + pick(2)),
                to: &tag(pick(3)),
                cseq: &format!("{} {method}", 1 + pick(3)),
                lines: ["", "Session-Expires: 100\r\n"][pick(2)],
                body: ["", SDP, ANSWER][pick(3)],
            };
            said.tell(&mut calls, at(now));
            assert!(calls.len() <= calls.max_calls);
            for call in calls.calls() {
                states_seen[call.state as usize] += 1;
            }
        }
        while let Some(deadline) = calls.next_deadline() {
            assert!(deadline <= at(now + 12 * 3_600));
            calls.handle_timeout(deadline);
        }
        assert!(calls.is_empty());
    }
    assert!(states_seen.iter().all(|count| *count > 1_000), "{states_seen:?}");
}
