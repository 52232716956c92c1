//! SIPp plays the phones: every way in which a call begins, lives, fails and ends (scenarios: `tests/data/sipp`).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use crate::daemon::{DOMAIN, Exchange, Setup};
use crate::ground::{PATIENCE, Process, installed, until_bound};

/// One phone: a number at an address of its own, port 5060 as in the field.
pub struct Phone<'a> {
    exchange: &'a Exchange,
    number: &'a str,
    host: u8,
}

/// How SIPp is to play.
#[derive(Clone, Copy)]
pub struct Play<'a> {
    /// Calls in all, and begun each second.
    pub calls: u32,
    /// See `calls`.
    pub rate: u32,
    /// Per cent of datagrams that are lost on the way in or out.
    pub loss: u32,
    /// Replaced in the scenario, besides what every scenario has.
    pub replace: &'a [(&'a str, &'a str)],
    /// The host part of Request-URI, From and To.
    pub domain: &'a str,
}

impl Default for Play<'_> {
    fn default() -> Self {
        Self { calls: 1, rate: 10, loss: 0, replace: &[], domain: DOMAIN }
    }
}

/// SIPp at work; [`Run::succeeds`] is the assertion.
pub struct Run {
    process: Process,
}

impl Run {
    /// Waits for the end; every message must have been the one that was expected.
    pub fn succeeds(mut self) {
        let status = self.process.wait(PATIENCE * 3);
        assert!(status.success(), "{status}: not what the scenario expects; its messages are in the tree");
    }
}

impl<'a> Phone<'a> {
    /// The phone `number` at address `host` of the exchange's piece of loopback.
    pub fn new(exchange: &'a Exchange, number: &'a str, host: u8) -> Self {
        Self { exchange, number, host }
    }

    /// The same, registered.
    pub fn registered(exchange: &'a Exchange, number: &'a str, host: u8) -> Self {
        let phone = Self::new(exchange, number, host);
        phone.registers();
        phone
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.exchange.net.host(self.host)
    }

    /// Registers it for ten minutes.
    pub fn registers(&self) {
        self.calls("phone_registers", self.number, Play::default()).succeeds();
    }

    /// Plays the active side towards `number`.
    pub fn calls(&self, scenario: &str, number: &str, play: Play) -> Run {
        self.play(scenario, number, play, true)
    }

    /// Plays the passive side; returns when the phone listens.
    pub fn waits(&self, scenario: &str, play: Play) -> Run {
        let run = self.play(scenario, self.number, play, false);
        until_bound(self.address(), 5_060, PATIENCE);
        run
    }

    fn play(&self, scenario: &str, service: &str, play: Play, active: bool) -> Run {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sipp").join(format!("{scenario}.xml"));
        let exchange = self.exchange.address().to_string();
        let mut text = std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        text = text.replace("@EXCHANGE@", &exchange.replace('.', "[.]"));
        for (from, to) in play.replace {
            text = text.replace(from, to);
        }
        let name = format!("{scenario}-{}", self.host);
        let tree = &self.exchange.tree;
        let file = tree.write(&format!("{name}.xml"), text);
        let own = self.address().to_string();
        let mut command = Command::new("sipp");
        command.arg("-sf").arg(file).args(["-i", &own, "-p", "5060", "-ci", &own, "-mi", &own]);
        command.args(["-s", service, "-key", "caller", self.number, "-key", "domain", play.domain]);
        command.args(["-m", &play.calls.to_string(), "-r", &play.rate.to_string(), "-l", "2000"]);
        command.args(["-nostdin", "-timeout", "60", "-timeout_error", "-max_retrans", "11"]);
        if play.loss > 0 {
            command.args(["-lost", &play.loss.to_string()]);
        }
        if play.calls <= 20 {
            command.arg("-trace_msg").arg("-message_file").arg(tree.path(&format!("{name}.messages")));
        }
        command.arg("-trace_err").arg("-error_file").arg(tree.path(&format!("{name}.errors")));
        if active {
            command.arg(SocketAddrV4::new(self.exchange.address(), 5_060).to_string());
        }
        command.current_dir(tree.path(""));
        Run { process: Process::start(&name, &mut command, &tree.path("")) }
    }
}

fn sipp() -> bool {
    installed("sipp", "sip-tester")
}

/// Two registered phones; `caller` plays towards the second, `callee` waits.
fn conversation(name: &str, caller: &str, callee: &str, play: Play) {
    let exchange = Exchange::start(name);
    let first = Phone::registered(&exchange, "441530", 2);
    let second = Phone::registered(&exchange, "196630", 3);
    let waiting = second.waits(callee, play);
    first.calls(caller, "196630", play).succeeds();
    waiting.succeeds();
}

#[test]
fn a_phone_registers_asks_refreshes_and_leaves() {
    if sipp() {
        let exchange = Exchange::start("register");
        Phone::new(&exchange, "441530", 2).calls("register_cycle", "441530", Play::default()).succeeds();
    }
}

#[test]
fn the_caller_hangs_up() {
    if sipp() {
        conversation("caller-hangs-up", "caller", "callee", Play::default());
    }
}

#[test]
fn the_callee_hangs_up() {
    if sipp() {
        conversation("callee-hangs-up", "caller_is_hung_up", "callee_hangs_up", Play::default());
    }
}

#[test]
fn numbers_are_called_at_every_name_of_the_exchange() {
    if sipp() {
        let exchange = Exchange::start("names");
        let first = Phone::registered(&exchange, "441530", 2);
        let second = Phone::registered(&exchange, "196630", 3);
        let address = exchange.address().to_string();
        for domain in ["localnode", "localnode.local.mesh", "local.mesh", &address, &format!("{address}:5060")] {
            let play = Play { domain, ..Play::default() };
            let waiting = second.waits("callee", play);
            first.calls("caller", "196630", play).succeeds();
            waiting.succeeds();
        }
    }
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    if sipp() {
        conversation("cancel", "caller_gives_up", "callee_is_cancelled", Play::default());
    }
}

#[test]
fn busy_is_heard() {
    if sipp() {
        let replace = [("@STATUS@", "486"), ("@REASON@", "Busy Here")];
        conversation("busy", "caller_is_refused", "callee_refuses", Play { replace: &replace, ..Play::default() });
    }
}

#[test]
fn no_answer_is_heard() {
    if sipp() {
        let replace = [("@STATUS@", "480"), ("@REASON@", "Temporarily Unavailable")];
        conversation("no-answer", "caller_is_refused", "callee_refuses", Play { replace: &replace, ..Play::default() });
    }
}

#[test]
fn declined_is_heard() {
    if sipp() {
        let replace = [("@STATUS@", "603"), ("@REASON@", "Decline")];
        conversation("decline", "caller_is_refused", "callee_refuses", Play { replace: &replace, ..Play::default() });
    }
}

#[test]
fn an_unknown_number_is_not_found() {
    if sipp() {
        let exchange = Exchange::start("unknown");
        let replace = [("@STATUS@", "404")];
        let play = Play { replace: &replace, ..Play::default() };
        Phone::new(&exchange, "441530", 2).calls("caller_is_refused", "999999", play).succeeds();
    }
}

#[test]
fn a_phone_in_the_book_that_is_nowhere_is_unavailable() {
    if sipp() {
        let book = "Name,Callsign,Number\nBob Fricker,HB9BLA,196630\n".to_owned();
        let exchange = Exchange::with("nowhere", &Setup { book: Some(book), ..Setup::default() });
        if exchange.is_stand_in() {
            return;
        }
        let replace = [("@STATUS@", "480")];
        let play = Play { replace: &replace, ..Play::default() };
        Phone::new(&exchange, "441530", 2).calls("caller_is_refused", "196630", play).succeeds();
    }
}

#[test]
fn a_phone_that_was_unplugged_is_noticed_at_once() {
    if sipp() {
        let exchange = Exchange::start("unplugged");
        if exchange.is_stand_in() {
            return; // It has no ear for ICMP: half a minute.
        }
        let first = Phone::registered(&exchange, "441530", 2);
        let _gone = Phone::registered(&exchange, "196630", 3);
        let begun = std::time::Instant::now();
        first.calls("caller_is_refused_somehow", "196630", Play::default()).succeeds();
        assert!(begun.elapsed().as_secs() < 5, "port unreachable was not heard");
    }
}

#[test]
fn both_sides_hold() {
    if sipp() {
        conversation("hold", "caller_holds", "callee_holds", Play::default());
    }
}

#[test]
fn requests_of_every_kind_pass_inside_a_call() {
    if sipp() {
        conversation("in-dialog", "caller_in_dialog", "callee_in_dialog", Play::default());
    }
}

#[test]
fn messages_and_pings_pass_without_a_call() {
    if sipp() {
        conversation("message", "sender", "receiver", Play::default());
    }
}

#[test]
fn the_exchange_answers_pings() {
    if sipp() {
        let exchange = Exchange::start("ping");
        Phone::new(&exchange, "441530", 2).calls("pings_exchange", "", Play::default()).succeeds();
    }
}

#[test]
fn compact_headers_are_understood() {
    if sipp() {
        conversation("compact", "caller_compact", "callee_compact", Play::default());
    }
}

#[test]
fn a_long_description_passes_whole() {
    if sipp() {
        let line = "a=candidate:1 1 UDP 2130706431 10.33.14.154 16384 typ host\n      ".repeat(66);
        let replace = [("@FILLER@", line.trim_end())];
        conversation("big", "caller_big", "callee_big", Play { replace: &replace, ..Play::default() });
    }
}

#[test]
fn two_phones_ring_one_answers_the_other_stops() {
    if sipp() {
        let exchange = Exchange::start("fork");
        let first = Phone::registered(&exchange, "441530", 2);
        let kitchen = Phone::registered(&exchange, "196630", 3);
        let shack = Phone::registered(&exchange, "196630", 4);
        let answers = kitchen.waits("callee_picks_up_first", Play::default());
        let stops = shack.waits("callee_is_cancelled", Play::default());
        first.calls("caller_forked", "196630", Play::default()).succeeds();
        answers.succeeds();
        stops.succeeds();
    }
}

#[test]
fn a_phone_is_found_by_the_host_files_of_the_mesh() {
    if sipp() {
        let hosts = vec![(3, "196630".to_owned()), (9, "HB9BLA-NAS".to_owned())];
        let exchange = Exchange::with("hosts", &Setup { hosts, ..Setup::default() });
        if exchange.is_stand_in() {
            return;
        }
        let first = Phone::new(&exchange, "441530", 2);
        let second = Phone::new(&exchange, "196630", 3);
        let waiting = second.waits("callee_unregistered", Play::default());
        first.calls("caller", "196630", Play::default()).succeeds();
        waiting.succeeds();
    }
}

#[test]
fn registered_and_in_a_host_file_is_one_phone() {
    if sipp() {
        let hosts = vec![(3, "196630".to_owned())];
        let exchange = Exchange::with("once", &Setup { hosts, ..Setup::default() });
        let first = Phone::new(&exchange, "441530", 2);
        let second = Phone::registered(&exchange, "196630", 3);
        let waiting = second.waits("callee", Play::default());
        first.calls("caller", "196630", Play::default()).succeeds();
        waiting.succeeds();
    }
}

#[test]
fn the_country_prefix_makes_no_other_number() {
    if sipp() {
        let sip = vec!["option country_prefix '041'".to_owned()];
        let exchange = Exchange::with("prefix", &Setup { sip, ..Setup::default() });
        if exchange.is_stand_in() {
            return;
        }
        let first = Phone::registered(&exchange, "441530", 2);
        let second = Phone::registered(&exchange, "041196630", 3);
        for number in ["196630", "041196630"] {
            let waiting = second.waits("callee", Play::default());
            first.calls("caller", number, Play::default()).succeeds();
            waiting.succeeds();
        }
    }
}

#[test]
fn calls_survive_a_bad_line() {
    if sipp() {
        let play = Play { calls: 20, rate: 20, loss: 10, ..Play::default() };
        conversation("loss", "caller_on_a_bad_line", "callee_on_a_bad_line", play);
    }
}

#[test]
fn no_call_of_a_busy_hour_is_lost() {
    if sipp() {
        conversation("many", "caller", "callee", Play { calls: 1_000, rate: 100, ..Play::default() });
    }
}
