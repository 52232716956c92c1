//! Every way in which a call begins, lives, fails and ends, with SIPp as the phones.

use std::time::Instant;

use crate::real::daemon::{Exchange, Setup};
use crate::real::line::{Line, Quality};
use crate::real::sipp::{Phone, Play, sipp};

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
        let begun = Instant::now();
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
fn a_phone_that_asks_for_voice_mail_is_told_once() {
    if sipp() {
        let exchange = Exchange::start("messages");
        if !exchange.is_stand_in() {
            let phone = Phone::registered(&exchange, "441530", 2);
            phone.calls("asks_for_messages", "441530", Play::default()).succeeds();
        }
    }
}

#[test]
fn what_the_exchange_cannot_do_is_answered_by_the_book() {
    if sipp() {
        let exchange = Exchange::start("impossible");
        if !exchange.is_stand_in() {
            Phone::new(&exchange, "441530", 2).calls("asks_the_impossible", "441530", Play::default()).succeeds();
        }
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
        let exchange = Exchange::start("bad-line");
        let address = |host| exchange.net.host(host);
        let quality = Quality { lost: 10, doubled: 5 };
        let near = Line::lay(address(12), address(2), address(1), quality);
        let far = Line::lay(address(13), address(3), address(1), quality);
        let first = Phone::new(&exchange, "441530", 2).behind(&near);
        let second = Phone::new(&exchange, "196630", 3).behind(&far);
        first.registers();
        second.registers();
        let play = Play { calls: 12, rate: 20, ..Play::default() };
        let waiting = second.waits("callee_on_a_bad_line", play);
        first.calls("caller_on_a_bad_line", "196630", play).succeeds();
        waiting.succeeds();
        assert!(near.lost() > 0 && far.lost() > 0, "the line was too good");
    }
}

#[test]
fn no_call_of_a_busy_hour_is_lost() {
    if sipp() {
        conversation("many", "caller", "callee", Play { calls: 1_000, rate: 100, ..Play::default() });
    }
}
