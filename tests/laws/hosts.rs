//! Host files, as nodes of every kind write them.

use switchboard::config;
use switchboard::engine::Engine;
use switchboard::files::Watched;
use switchboard::hosts::Hosts;
use switchboard::rng::Seed;
use switchboard::time::Instant;

use crate::Chance;

pub struct Subject {
    hosts: Hosts,
    changed: bool,
}

const LINES: [&str; 10] = [
    "##10.0.0.1##",
    "##x##",
    "10.1.0.1\t441530",
    "10.1.0.2\t441530.local.mesh",
    "10.1.0.3\t*.x.local.mesh",
    "10.1.0.4\tlan.X.local.mesh\t# 10.0.0.2",
    "127.0.0.1\tlocalhost",
    "",
    "# x",
    "10.1.0.5\t\u{fc}",
];

impl crate::Subject for Subject {
    const NAME: &'static str = "hosts";
    const PERIODIC: bool = false;
    const RESTING: &'static [&'static str] = &["host_files", "host_names", "host_name_bytes"];

    fn new(_seed: &Seed, _now: Instant) -> Self {
        Self { hosts: Hosts::new(&config::Names::default()), changed: false }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.hosts
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        self.changed = true;
        let file = *chance.of(&["1", "2", "10.0.0.1", "hosts_olsr", "../x", ""]);
        let watched = *chance.of(&[Watched::HostsDir, Watched::HostsOlsr]);
        match chance.below(20) {
            0 => self.hosts.handle_file(watched, file, None, now),
            1 => self.hosts.handle_file(watched, file, Some(&chance.bytes(300)), now),
            2 => {
                let domain = (*chance.of(&["local.mesh", "x", ""])).to_owned();
                self.hosts.set_config(&config::Names { domain, ..config::Names::default() });
            }
            3 if chance.one_in(200) => {
                let many: String = (0..6_000).map(|n| format!("10.9.0.1\tn{n}\n")).collect();
                for file in ["1", "2"] {
                    self.hosts.handle_file(watched, file, Some(many.as_bytes()), now);
                }
            }
            _ => {
                let text: String = (0..chance.below(30)).map(|_| format!("{}\n", chance.of(&LINES))).collect();
                let bytes = if chance.one_in(3) { chance.damaged(text.into_bytes()) } else { text.into_bytes() };
                self.hosts.handle_file(watched, file, Some(&bytes), now);
            }
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some(watch) = self.hosts.poll_watch() {
            log.push(format!("{watch:?}"));
        }
        if std::mem::take(&mut self.changed) {
            for name in ["441530", "441530.local.mesh", "a.x", "lan.x", "localhost", "", ".", "*", "\u{fc}"] {
                log.push(format!("{name}: {:?}", self.hosts.hosts(name)));
            }
        }
    }

    fn stray(&mut self, _chance: &mut Chance, now: Instant) {
        self.hosts.handle_file(Watched::ResolvConf, "resolv.conf", Some(b"10.0.0.1\t441530\n"), now);
    }
}
