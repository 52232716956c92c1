//! The registrar against a naive model of RFC 3261 §10.3: a flat list that is searched from end to end, contacts that are
//! known by name and never compared as URIs, time in whole seconds, and every rule in the order in which the RFC tells it.
//!
//! `MODEL_SEED=17 cargo test registrar::model` replays one seed and prints every step.

use super::tests::{Request, check};
use super::*;
use crate::rng::Rng;

/// Contacts, each with spellings that mean the same URI (§19.1.4). Different rows are different URIs.
const CONTACTS: [&[&str]; 6] = [
    &["sip:441530@10.0.0.9", "sip:%34%341530@10.0.0.9", "sip:441530@10.0.0.9;line=7"],
    &["sip:441530@10.0.0.9:5060"],
    &["sip:441530@phone.local.mesh;transport=udp", "SIP:441530@PHONE.local.mesh;Transport=UDP"],
    &["sip:441530@10.0.0.10:5062;ob", "sip:441530@10.0.0.10:5062"],
    &["sip:anna@10.0.0.9", "sip:%61nna@10.0.0.9"],
    &["sip:Anna@10.0.0.9"],
];
/// Numbers, each with spellings of To.
const USERS: [&[&str]; 3] = [
    &["<sip:441530@localnode>", "\"Anna\" <sip:041441530@10.0.0.1>;x=y", "<tel:+41441530>"],
    &["sip:441531@local.mesh"],
    &["<sip:041@localnode>"],
];
const KEYS: [&str; 3] = ["441530", "441531", "041"];
/// Two of them are one host.
const SOURCES: [&str; 4] = ["10.0.0.9:5060", "10.0.0.9:49152", "10.0.0.10:5060", "10.6.6.6:5060"];

#[derive(Clone, Debug)]
struct Entry {
    user: usize,
    contact: usize,
    spelling: usize,
    q: Option<u16>,
    call_id: u64,
    cseq: u32,
    source: usize,
    end: u64,
}

/// One Contact of a request: row, spelling, expires parameter, q.
type Asked = (usize, usize, Option<&'static str>, Option<u16>);

#[derive(Clone, Debug)]
struct Ask {
    user: usize,
    spelling: usize,
    call_id: u64,
    cseq: u32,
    source: usize,
    star: bool,
    contacts: Vec<Asked>,
    expires: Option<&'static str>,
    require: bool,
}

impl Ask {
    fn request(&self) -> Request {
        let mut lines = Vec::new();
        if self.star {
            lines.push("Contact: *".to_owned());
        }
        for (row, spelling, expires, q) in &self.contacts {
            let mut line = format!("m: <{}>", CONTACTS[*row][*spelling]);
            line.extend(q.map(|q| format!(";q=0.{q:03}")));
            line.extend(expires.map(|expires| format!(";expires={expires}")));
            lines.push(line);
        }
        lines.extend(self.expires.map(|expires| format!("Expires: {expires}")));
        lines.extend(self.require.then(|| "Require: outbound".to_owned()));
        Request {
            to: USERS[self.user][self.spelling].into(),
            call_id: format!("call-{}", self.call_id),
            cseq: self.cseq,
            lines,
            source: SOURCES[self.source].parse().unwrap(),
        }
    }
}

#[derive(Debug)]
struct Model {
    entries: Vec<Entry>,
    config: config::Sip,
}

impl Model {
    fn seconds(&self, text: &str) -> u64 {
        text.parse().unwrap_or(self.config.default_expires.as_secs())
    }

    /// The status, and the Contacts that a 200 lists.
    fn register(&mut self, ask: &Ask, now: u64) -> (u16, Vec<String>) {
        self.entries.retain(|entry| entry.end > now);
        let status = self.decide(ask, now);
        let mut listed = Vec::new();
        if status == 200 {
            for entry in self.entries.iter().filter(|entry| entry.user == ask.user) {
                let mut line = format!("<{}>;expires={}", CONTACTS[entry.contact][entry.spelling], entry.end - now);
                line.extend(entry.q.map(|q| format!(";q=0.{q:03}")));
                listed.push(line);
            }
        }
        listed.sort();
        (status, listed)
    }

    fn decide(&mut self, ask: &Ask, now: u64) -> u16 {
        // Step 2.
        if ask.require {
            return 420;
        }
        // Step 6: no Contact at all, or the star.
        if ask.star && (!ask.contacts.is_empty() || ask.expires.is_none_or(|expires| expires.parse() != Ok(0))) {
            return 400;
        }
        // Step 7: the times, before anything is touched.
        let mut wanted: Vec<(Asked, u64)> = Vec::new();
        for asked in &ask.contacts {
            let text = asked.2.filter(|text| !text.is_empty()).or(ask.expires);
            let time = text.map_or(self.config.default_expires.as_secs(), |text| self.seconds(text));
            if time > 0 && time < self.config.min_expires.as_secs() {
                return 423;
            }
            wanted.retain(|(earlier, _)| earlier.0 != asked.0);
            wanted.push((*asked, time.min(self.config.max_expires.as_secs())));
        }
        let mine = |entry: &&Entry| entry.user == ask.user;
        let bound = |entries: &[Entry], row: usize| entries.iter().filter(mine).find(|e| e.contact == row).cloned();
        let late = |entry: &Entry| entry.call_id == ask.call_id && ask.cseq <= entry.cseq;
        let mut after = self.entries.clone();
        if ask.star {
            if self.entries.iter().filter(mine).any(late) {
                return 500;
            }
            after.retain(|entry| entry.user != ask.user);
        }
        let repeated = !wanted.is_empty()
            && wanted.iter().all(|((row, spelling, _, _), time)| match bound(&self.entries, *row) {
                Some(e) => *time > 0 && e.spelling == *spelling && e.call_id == ask.call_id && e.cseq == ask.cseq,
                None => *time == 0,
            });
        if repeated {
            return 200;
        }
        for ((row, spelling, _, q), time) in &wanted {
            if bound(&self.entries, *row).is_some_and(|entry| late(&entry)) {
                return 500;
            }
            after.retain(|entry| (entry.user, entry.contact) != (ask.user, *row));
            if *time > 0 {
                after.push(Entry {
                    user: ask.user,
                    contact: *row,
                    spelling: *spelling,
                    q: *q,
                    call_id: ask.call_id,
                    cseq: ask.cseq,
                    source: ask.source,
                    end: now + time,
                });
            }
        }
        let touches = wanted.iter().any(|((row, ..), time)| *time > 0 || bound(&self.entries, *row).is_some())
            || ask.star && self.entries.iter().any(|entry| mine(&entry));
        let host = |source: usize| SOURCES[source].split(':').next().unwrap();
        let holds = |entry: &Entry| host(entry.source) == host(ask.source) || entry.call_id == ask.call_id;
        let held = self.entries.iter().any(|entry| mine(&entry));
        let stranger = held && !self.entries.iter().filter(mine).any(holds);
        if touches && stranger && self.config.takeover == Takeover::Refuse {
            return 403;
        }
        let count = |entries: &[Entry]| entries.iter().filter(mine).count();
        if count(&after) > count(&self.entries) {
            if count(&after) > self.config.contacts_per_user {
                return 403;
            }
            if after.len() > self.config.max_registrations {
                return 503;
            }
        }
        self.entries = after;
        200
    }
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    let index = usize::try_from(rng.below(u64::try_from(choices.len()).unwrap())).unwrap();
    choices[index]
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap()
}

fn ask(rng: &mut Rng, cseq: &mut u32) -> Ask {
    const TIMES: [&str; 9] = ["0", "0", "59", "60", "100", "600", "9999999", "junk", ""];
    // Mostly counting on, sometimes back or the same.
    *cseq += pick(rng, &[0, 1, 1, 1, 2]);
    let user = pick(rng, &[0, 0, 0, 1, 2]);
    let contacts = (0..pick(rng, &[0, 1, 1, 1, 1, 2, 3]))
        .map(|_| {
            let row = below(rng, CONTACTS.len());
            let expires = (rng.below(2) == 0).then(|| pick(rng, &TIMES));
            let q = (rng.below(3) == 0).then(|| u16::try_from(rng.below(1_000)).unwrap());
            (row, below(rng, CONTACTS[row].len()), expires, q)
        })
        .collect();
    Ask {
        user,
        spelling: below(rng, USERS[user].len()),
        call_id: rng.below(3),
        cseq: if rng.below(8) == 0 { u32::try_from(rng.below(u64::from(*cseq) + 1)).unwrap() } else { *cseq },
        source: below(rng, SOURCES.len()),
        star: rng.below(10) == 0,
        contacts,
        expires: (rng.below(2) == 0).then(|| pick(rng, &["0", "30", "60", "300", "3600", "junk"])),
        require: rng.below(40) == 0,
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

/// Counts how often each status was answered.
#[allow(clippy::print_stderr)]
fn run(seed: u8, statuses: &mut SortedMap<u16, u32>) {
    let mut rng = Rng::new(&[seed; 32], "registrar model");
    let config = config::Sip {
        country_prefix: "041".into(),
        contacts_per_user: 2 + below(&mut rng, 3),
        max_registrations: 3 + below(&mut rng, 5),
        default_expires: Duration::from_secs(pick(&mut rng, &[120, 3_600])),
        max_expires: Duration::from_secs(pick(&mut rng, &[600, 3_600, 7_200])),
        takeover: pick(&mut rng, &[Takeover::Allow, Takeover::Log, Takeover::Refuse]),
        ..config::Sip::default()
    };
    // What the registrar makes of a default above the longest time.
    let understood = config::Sip { default_expires: config.default_expires.min(config.max_expires), ..config.clone() };
    let mut registrar = Registrar::new(&config);
    let mut model = Model { entries: Vec::new(), config: understood };
    let (mut now, mut cseq) = (1_000_u64, 1_u32);
    let mut last: Option<Ask> = None;
    for step in 0..120 {
        now += pick(&mut rng, &[0, 0, 0, 1, 10, 59, 60, 100, 600, 3_600]);
        // The shell is sometimes late, never early.
        if rng.below(3) == 0 {
            registrar.handle_timeout(at(now));
            assert!(registrar.next_deadline().is_none_or(|deadline| deadline > at(now)), "seed {seed}");
            check(&registrar);
        }
        // A daemon that is restarted knows what it knew.
        if rng.below(30) == 0 {
            let saved: Vec<SavedBinding> = registrar.saved().collect();
            registrar = Registrar::new(&config);
            assert!(saved.iter().all(|binding| registrar.restore(binding, at(now))), "seed {seed}, step {step}");
        }
        let ask = match &last {
            Some(last) if rng.below(6) == 0 => last.clone(),
            _ => ask(&mut rng, &mut cseq),
        };
        let answer = ask.request().send(&mut registrar, at(now));
        let mut listed: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| *name == "Contact")
            .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
            .collect();
        listed.sort();
        let expected = model.register(&ask, now);
        if std::env::var("MODEL_SEED").is_ok() {
            eprintln!("{now} {ask:?}\n    {answer:?}");
        }
        assert_eq!((answer.status, listed), expected, "seed {seed}, step {step}, at {now}: {ask:?}\n{model:?}");
        assert!(registrar.len() <= config.max_registrations);
        for (user, key) in KEYS.iter().enumerate() {
            let found = registrar.lookup(key.as_bytes(), at(now));
            let known: Vec<&Entry> = model.entries.iter().filter(|entry| entry.user == user).collect();
            assert_eq!(found.len(), known.len(), "seed {seed}, step {step}");
            assert_eq!(registrar.is_registered(key.as_bytes(), at(now)), !known.is_empty());
            assert!(found.is_sorted_by_key(|binding| std::cmp::Reverse(binding.q)));
            for binding in found {
                let same = |entry: &&&Entry| CONTACTS[entry.contact][entry.spelling].as_bytes() == &*binding.contact;
                let entry = known.iter().find(same).unwrap();
                assert_eq!(binding.source, SOURCES[entry.source].parse().unwrap());
                assert_eq!((binding.q, binding.cseq), (entry.q.unwrap_or(1_000), entry.cseq));
            }
        }
        *statuses.or_default(answer.status) += 1;
        last = Some(ask);
    }
    // After quiet nothing is left.
    while let Some(deadline) = registrar.next_deadline() {
        registrar.handle_timeout(deadline);
    }
    assert!(registrar.is_empty(), "seed {seed}");
    check(&registrar);
}

#[test]
fn the_registrar_does_what_the_rfc_says() {
    let mut statuses = SortedMap::new();
    let only: Option<u8> = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in (0..=u8::MAX).filter(|seed| only.is_none_or(|only| only == *seed)) {
        run(seed, &mut statuses);
    }
    // A model that never meets a rule proves nothing about it.
    if only.is_none() {
        for status in [200, 400, 403, 420, 423, 500, 503] {
            let count = statuses.get(&status).copied().unwrap_or(0);
            assert!(count > 100, "{status} was answered {count} times only: {statuses:?}");
        }
    }
}
