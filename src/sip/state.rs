//! Registrations and calls, kept over a restart of the daemon as one JSON file in RAM.
//!
//! Instants in it are microseconds since the machine started, so they mean something until the machine starts anew: the boot
//! id says whether it has. What cannot be read is left out and counted; a phone system without its past still works.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::calls::{Calls, SavedCall};
use super::registrar::{Registrar, SavedBinding};
use crate::limits;
use crate::time::Instant;

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Bindings that live on.
    pub registrations: usize,
    /// Calls that go on.
    pub calls: usize,
    /// Entries, or whole files, that made no sense.
    pub ignored: usize,
}

/// The file: written with iterators, so that the table is not in memory twice.
#[derive(Serialize)]
struct Saving<'a> {
    boot_id: &'a str,
    #[serde(serialize_with = "bindings")]
    registrations: &'a Registrar,
    #[serde(serialize_with = "calls")]
    calls: &'a Calls,
}

fn bindings<S: Serializer>(registrar: &Registrar, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(registrar.saved())
}

fn calls<S: Serializer>(calls: &Calls, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(calls.saved())
}

/// The file as it is read: one bad entry, a `None`, does not spoil the others.
#[derive(Default)]
struct Saved {
    boot_id: Option<String>,
    registrations: Vec<Option<SavedBinding>>,
    calls: Vec<Option<SavedCall>>,
}

/// Reads the list behind a key, entry by entry, so that the whole table is not in memory as a tree as well.
struct Entries<'a>(&'a mut dyn FnMut(&Value));

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Value>()? {
            (self.0)(&entry);
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Saved {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "registrations" => map.next_value_seed(Entries(&mut |entry| {
                    self.registrations.push(SavedBinding::read(entry));
                }))?,
                "calls" => map.next_value_seed(Entries(&mut |entry| self.calls.push(SavedCall::read(entry))))?,
                "boot_id" => self.boot_id = map.next_value::<Value>()?.as_str().map(str::to_owned),
                _ => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

fn read(file: &[u8]) -> Option<Saved> {
    let mut saved = Saved::default();
    let mut reader = serde_json::Deserializer::from_str(std::str::from_utf8(file).ok()?);
    reader.deserialize_map(&mut saved).ok()?;
    reader.end().ok()?;
    Some(saved)
}

/// The whole file. `boot_id` names this start of the machine (the kernel has a name for it).
pub fn save(boot_id: &str, registrar: &Registrar, calls: &Calls) -> Vec<u8> {
    // Nothing in it can fail to become JSON: no maps, no foreign types.
    serde_json::to_vec(&Saving { boot_id, registrations: registrar, calls }).unwrap_or_default()
}

/// Takes back what [`save`] wrote since the machine started; what has expired since then is dropped.
pub fn restore(file: &[u8], boot_id: &str, registrar: &mut Registrar, calls: &mut Calls, now: Instant) -> Restored {
    let unreadable = Restored { ignored: 1, ..Restored::default() };
    if file.len() > limits::STATE_FILE {
        return unreadable;
    }
    let Some(saved) = read(file) else { return unreadable };
    match saved.boot_id {
        Some(saved) if saved == boot_id => {}
        Some(_) => return Restored::default(),
        None => return unreadable,
    }
    let (bindings_before, calls_before) = (registrar.len(), calls.len());
    let mut ignored = 0;
    for binding in &saved.registrations {
        ignored += usize::from(!binding.as_ref().is_some_and(|binding| registrar.restore(binding, now)));
    }
    for call in &saved.calls {
        ignored += usize::from(!call.as_ref().is_some_and(|call| calls.restore(call, now)));
    }
    Restored { registrations: registrar.len() - bindings_before, calls: calls.len() - calls_before, ignored }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::engine::Engine;
    use crate::sip::calls::CallState;
    use crate::wire::sip::{Essentials, HeaderTable, Message};
    use std::net::Ipv4Addr;

    const BOOT: &str = "6b2d9c1e";

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn empty() -> (Registrar, Calls) {
        let config = config::Sip::default();
        (Registrar::new(&config), Calls::new(&config))
    }

    fn tell(registrar: &mut Registrar, calls: &mut Calls, text: &str, now: Instant) {
        let text = format!(
            "{text}\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        let mut table = HeaderTable::default();
        let message = Message::parse(text.as_bytes(), &mut table).unwrap();
        let essentials = Essentials::of(&message).unwrap();
        let source = "10.0.0.9:5060".parse().unwrap();
        if text.starts_with("REGISTER") {
            assert_eq!(
                registrar.handle_register(&message, &essentials, source, Ipv4Addr::new(10, 0, 0, 1), now).status,
                200
            );
        } else if message.method().is_some() {
            calls.observe_request(&message, &essentials, source, now);
        } else {
            calls.observe_response(&message, &essentials, now);
        }
    }

    /// Two phones, one of them with odd bytes everywhere, a call that is going on and one that rings.
    fn busy() -> (Registrar, Calls) {
        let (mut registrar, mut calls) = empty();
        for text in [
            "REGISTER sip:x SIP/2.0\r\nFrom: <sip:441530@x>;tag=1\r\nTo: \"J\u{fc}rg \\\"J\\\"\" <sip:%00%ff%25@x>\r\nCall-ID: \u{e9}%1\"\r\n\
             CSeq: 7 REGISTER\r\nContact: <sip:j%00rg@h;x=\u{e9}>;q=0.3, <sip:b@h>;expires=100\r\nUser-Agent: A\\B",
            "REGISTER sip:x SIP/2.0\r\nFrom: <sip:441530@x>;tag=1\r\nTo: <sip:441530@x>\r\nCall-ID: r2\r\n\
             CSeq: 1 REGISTER\r\nContact: <sip:441530@10.0.0.9>",
            "INVITE sip:441531@x SIP/2.0\r\nFrom: Anna <sip:441530@x>;tag=1\r\nTo: <sip:441531@x>\r\nCall-ID: c1\r\nCSeq: 1 INVITE",
            "SIP/2.0 200 OK\r\nSession-Expires: 1800\r\nFrom: <sip:441530@x>;tag=1\r\nTo: <sip:441531@x>;tag=2\r\nCall-ID: c1\r\nCSeq: 1 INVITE",
            "INVITE sip:441532@x SIP/2.0\r\nFrom: Bea <sip:441531@x>;tag=1\r\nTo: <sip:441532@x>\r\nCall-ID: c2\r\nCSeq: 1 INVITE",
        ] {
            tell(&mut registrar, &mut calls, text, at(1_000));
        }
        calls.observe_target(b"c1", "441531.local.mesh");
        assert_eq!((registrar.len(), calls.len()), (3, 2));
        (registrar, calls)
    }

    fn restored(file: &[u8], now: Instant) -> (Registrar, Calls, Restored) {
        let (mut registrar, mut calls) = empty();
        let restored = restore(file, BOOT, &mut registrar, &mut calls, now);
        assert_eq!((registrar.len(), calls.len()), (restored.registrations, restored.calls));
        (registrar, calls, restored)
    }

    #[test]
    fn everything_survives_a_restart() {
        let (registrar, calls) = busy();
        let file = save(BOOT, &registrar, &calls);
        let (again, calls_again, count) = restored(&file, at(1_010));
        assert_eq!(count, Restored { registrations: 3, calls: 2, ignored: 0 });
        assert!(registrar.bindings().eq(again.bindings()));
        assert_eq!(save(BOOT, &again, &calls_again), file);
        assert_eq!(again.next_deadline(), registrar.next_deadline());
        assert_eq!(calls_again.next_deadline(), calls.next_deadline());
        assert_eq!(again.lookup(b"\0\xff%", at(1_010)).len(), 2);
        let call = calls_again.calls().find(|call| call.call_id() == b"c1").unwrap();
        assert_eq!((call.caller(), call.caller_display(), call.callee_host()), ("441530", "Anna", "441531.local.mesh"));
        assert_eq!((call.state, call.answered), (CallState::Established, Some(at(1_000))));
    }

    #[test]
    fn a_call_that_survived_is_hung_up_and_a_phone_that_survived_counts_on() {
        let (registrar, calls) = busy();
        let (mut registrar, mut calls, _) = restored(&save(BOOT, &registrar, &calls), at(1_010));
        let bye = "BYE sip:441530@x SIP/2.0\r\nFrom: <sip:441531@x>;tag=2\r\nTo: <sip:441530@x>;tag=1\r\nCall-ID: c1\r\nCSeq: 9 BYE";
        tell(&mut registrar, &mut calls, bye, at(1_020));
        assert!(calls.calls().any(|call| call.state == CallState::Terminating));
        let register = "REGISTER sip:x SIP/2.0\r\nFrom: <sip:441530@x>;tag=1\r\nTo: <sip:441530@x>\r\nCall-ID: r2\r\n\
                        CSeq: 2 REGISTER\r\nContact: <sip:441530@10.0.0.9>";
        tell(&mut registrar, &mut calls, register, at(1_020));
        assert_eq!(registrar.lookup(b"441530", at(1_020))[0].since, at(1_000));
    }

    #[test]
    fn what_is_over_stays_over() {
        let (registrar, calls) = busy();
        let file = save(BOOT, &registrar, &calls);
        let (_, _, count) = restored(&file, at(1_100));
        assert_eq!(count, Restored { registrations: 2, calls: 2, ignored: 0 });
        let (_, calls, count) = restored(&file, at(1_300));
        assert_eq!((count.calls, count.ignored), (1, 0));
        assert!(calls.calls().all(|call| call.call_id() == b"c1"));
        assert_eq!(restored(&file, at(100_000)).2, Restored::default());
    }

    #[test]
    fn another_run_of_the_machine_has_another_clock() {
        let (registrar, calls) = busy();
        let file = save("another", &registrar, &calls);
        assert_eq!(restored(&file, at(1_010)).2, Restored::default());
        // And a clock that was set back is noticed without any name.
        let file = save(BOOT, &registrar, &calls);
        assert_eq!(restored(&file, at(999)).2, Restored { registrations: 0, calls: 0, ignored: 5 });
    }

    #[test]
    fn a_bad_entry_is_left_out_and_counted() {
        let (registrar, calls) = busy();
        let file = String::from_utf8(save(BOOT, &registrar, &calls)).unwrap();
        for (from, to, ignored) in [
            ("\"q\":300", "\"q\":1001", 1),
            ("\"q\":300", "\"q\":-1", 1),
            ("\"q\":300", "\"q\":null", 1),
            ("\"user\":\"441530\"", "\"user\":\"%zz\"", 1),
            ("\"user\":\"441530\"", "\"user\":\"\"", 1),
            ("sip:441530@10.0.0.9\"", "sip:441530@10.0.0.9%0D%0AEvil:\"", 1),
            ("sip:441530@10.0.0.9\"", "mailto:441530@10.0.0.9\"", 1),
            ("sip:b@h", "sip:j%2500rg@h;x=%C3%A9", 1), // twice the same Contact
            ("10.0.0.9:5060", "10.0.0.9", 5),
            ("\"state\":\"ESTABLISHED\"", "\"state\":\"HAPPY\"", 1),
            ("\"state\":\"INVITE_SENT\"", "\"state\":\"ESTABLISHED\"", 1),
            ("\"registrations\":[", "\"registrations\":[1,{},[[]],null,", 4),
            ("\"calls\":[", "\"calls\":[{\"call_id\":1},", 1),
            ("{\"boot_id\"", "{\"new\":[1],\"boot_id\"", 0),
        ] {
            assert!(file.contains(from), "{from} is not in {file}");
            let (_, _, count) = restored(file.replace(from, to).as_bytes(), at(1_010));
            assert_eq!(count.ignored, ignored, "{from} → {to}: {count:?}");
            assert!(count.registrations + count.calls + count.ignored >= 5, "{count:?}");
        }
        for whole in ["", "[]", "{", "null", "{\"boot_id\":1}", "{\"boot_id\":\"6b2d9c1e\",\"calls\":{}}"] {
            assert_eq!(restored(whole.as_bytes(), at(1_010)).2, Restored { registrations: 0, calls: 0, ignored: 1 });
        }
        let deep = format!("{{\"boot_id\":\"{BOOT}\",\"calls\":{}", "[".repeat(1 << 20));
        assert_eq!(restored(deep.as_bytes(), at(1_010)).2.ignored, 1);
    }

    #[test]
    fn bounds_of_today_hold_for_what_was_saved_yesterday() {
        let (registrar, calls) = busy();
        let file = save(BOOT, &registrar, &calls);
        let config = config::Sip {
            max_registrations: 2,
            contacts_per_user: 1,
            max_calls: 1,
            max_expires: std::time::Duration::from_secs(60),
            max_call_duration: std::time::Duration::from_secs(100),
            ..config::Sip::default()
        };
        let (mut registrar, mut calls) = (Registrar::new(&config), Calls::new(&config));
        let count = restore(&file, BOOT, &mut registrar, &mut calls, at(1_010));
        assert_eq!(count, Restored { registrations: 2, calls: 1, ignored: 2 });
        assert!(registrar.bindings().all(|binding| binding.expires_at <= at(1_070)));
        assert!(calls.next_deadline() <= Some(at(1_100 + 200)));
        assert_eq!(
            restore(&vec![b' '; limits::STATE_FILE + 1], BOOT, &mut registrar, &mut calls, at(1_010)).ignored,
            1
        );
    }

    #[test]
    fn no_damage_does_harm() {
        let (registrar, calls) = busy();
        let file = save(BOOT, &registrar, &calls);
        for cut in 0..file.len() {
            assert_eq!(restored(&file[..cut], at(1_010)).2, Restored { registrations: 0, calls: 0, ignored: 1 });
        }
        for index in 0..file.len() {
            for byte in [0, b'"', b'9', b'-', b'}', 0xff] {
                let mut damaged = file.clone();
                damaged[index] = byte;
                let (mut registrar, mut calls, _) = restored(&damaged, at(1_010));
                for _ in 0..10 {
                    let deadline = [registrar.next_deadline(), calls.next_deadline()].into_iter().flatten().min();
                    let Some(deadline) = deadline else { break };
                    registrar.handle_timeout(deadline);
                    calls.handle_timeout(deadline);
                }
                assert!(registrar.is_empty() && calls.is_empty(), "something would stay for ever");
            }
        }
    }
}
