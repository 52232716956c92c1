//! What phones, people and other programs see of a router: calls, tests of phones, the API and the names below `/cgi-bin/`.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::channel;

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::machine::{Machine, run};
use crate::real::handset::answers_options;
use crate::real::http;
use crate::real::sipp::{Phone, Play, sipp};
use crate::real::{PATIENCE, until};
use crate::service::{CONFIG, Service};

/// Only what is asked for reaches a phone.
const QUIET: &str = "\nconfig probe\n\toption ping_count '0'\n\toption options_count '0'\n\toption traceroute '0'\n";
/// Where arednlink keeps what another node says.
const HOSTS: &str = "/var/run/arednlink/hosts/10.82.0.2";

/// What the node's web server answers to a name.
fn cgi(machine: &Machine, name: &str) -> http::Answer {
    http::ask(http::connect(machine.at(80)).unwrap(), "GET", &format!("/cgi-bin/{name}"), "")
}

/// What a verb prints on the router.
fn verb(machine: &Machine, words: &str) -> Value {
    let said = machine.sh(&format!("switchboard {words} --json"));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{words}: {error}: {said}"))
}

#[test]
fn phones_call_each_other() {
    let Some(machine) = Machine::boot("router-calls", 64) else { return };
    if !sipp() {
        return;
    }
    let service = Service::start(&machine, QUIET);
    // What it may do: nothing, and it listens on no port for which that would be too little.
    let status = machine.sh(&format!("cat /proc/{}/status", service.id));
    for line in ["Uid:\t457\t457\t457\t457", "Gid:\t457\t457\t457\t457", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }

    let phone = |number, host| Phone::near(&machine.net, &machine.tree, number, host);
    let (first, second) = (phone("441530", 2), phone("196630", 3));
    first.registers();
    second.registers();
    // Longer than a packet of the cable: it comes and goes in pieces.
    let line = "a=candidate:1 1 UDP 2130706431 10.33.14.154 16384 typ host\n      ".repeat(66);
    let replace = [("@FILLER@", line.trim_end())];
    for (caller, callee) in [
        ("caller", "callee"),
        ("caller_is_hung_up", "callee_hangs_up"),
        ("caller_gives_up", "callee_is_cancelled"),
        ("caller_holds", "callee_holds"),
        ("caller_big", "callee_big"),
    ] {
        let play = Play { replace: &replace, ..Play::default() };
        let waiting = second.waits(callee, play);
        first.calls(caller, "196630", play).succeeds();
        waiting.succeeds();
    }
    // Under its address, which only the kernel's list of interfaces tells it.
    let address = machine.address().to_string();
    let play = Play { domain: &address, ..Play::default() };
    let waiting = second.waits("callee", play);
    first.calls("caller", "196630", play).succeeds();
    waiting.succeeds();
    let replace = [("@STATUS@", "404")];
    first.calls("caller_is_refused", "999999", Play { replace: &replace, ..Play::default() }).succeeds();

    // A node that appears in the files of the firmware has a phone that registers nowhere.
    let third = phone("196631", 4);
    machine.write(HOSTS, &format!("{}\t196631\n{}\tHB9AAA-2\n", third.address(), machine.net.host(2)));
    until("the name to be known", PATIENCE, || {
        let tested = service.post("/api/v1/phones/test?number=196631&count=1").json();
        (tested["result"] == "ONLINE").then_some(())
    });
    let waiting = third.waits("callee_unregistered", Play::default());
    first.calls("caller", "196631", Play::default()).succeeds();
    waiting.succeeds();

    // A restart forgets no phone.
    assert_eq!(verb(&machine, "registrations")["registration_count"], 2);
    service.stop();
    let service = Service::start(&machine, "");
    let shown = verb(&machine, "registrations");
    assert_eq!(shown["registration_count"], 2, "{shown}");
    let waiting = second.waits("callee", Play::default());
    first.calls("caller", "196630", Play::default()).succeeds();
    waiting.succeeds();

    for name in include_str!("../../cgi/names").lines() {
        let answer = cgi(&machine, name);
        match name {
            "arednmon" => assert_eq!(answer.header("Location"), Some("/arednmon/"), "{}", answer.head),
            _ => assert!(answer.status == 200 && answer.json().is_object(), "{name}: {}", answer.body),
        }
    }
    assert_eq!(cgi(&machine, "loadphonebook").json()["status"], "success");
    assert_eq!(service.get("/api/v1/status")["registrations"], 2);
    assert_eq!(verb(&machine, "status")["registrations"], 2);
    machine.sh("switchboard check && switchboard calls && switchboard phonebook && switchboard reload");
    until("the reload", PATIENCE, || service.log().contains("configuration read again").then_some(()));
    service.stop();
}

/// A phone behind a router: the phones' namespace, which passes on what is for another one.
fn phone_behind(machine: &Machine, address: Ipv4Addr, gateway: Ipv4Addr) {
    let (tell, told) = channel();
    let (go, gone) = channel();
    // It lives as long as this process, and its namespace with it.
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(nix::unistd::gettid()).unwrap();
        gone.recv().unwrap();
        let (address_words, route) =
            (format!("address add {address}/24 dev far"), format!("route add default via {gateway}"));
        for words in ["link set lo up", &address_words, "link set far up", &route] {
            run(Command::new("ip").args(words.split(' ')));
        }
        let socket = UdpSocket::bind((address, 5_060)).unwrap();
        tell.send(nix::unistd::gettid()).unwrap();
        answers_options(&socket);
    });
    let there = told.recv_timeout(PATIENCE).unwrap();
    for words in [
        format!("link add near type veth peer name far netns {there}"),
        format!("address add {gateway}/24 dev near"),
        "link set near up".into(),
    ] {
        run(Command::new("ip").args(words.split(' ')));
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    machine.sh(&format!("ip route add default via {}", machine.net.host(2)));
    go.send(()).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
}

/// Tests of phones by pings, OPTIONS and the ways to them, with the socket that `kind` names; `command` starts the daemon.
fn phones_are_tested(kind: &str, command: &str) {
    let Some(machine) = Machine::boot(&format!("router-{kind}"), 64) else { return };
    let (router, near, far) = (machine.net.host(2), machine.net.host(5), Ipv4Addr::new(10, 83, 0, 2));
    let socket = UdpSocket::bind((near, 5_060)).unwrap();
    std::thread::spawn(move || answers_options(&socket));
    phone_behind(&machine, far, Ipv4Addr::new(10, 83, 0, 1));
    machine.write(HOSTS, &format!("{near}\t441505\n{far}\t441583\n10.83.0.9\t441599\n{router}\tHB9AAA-2\n"));
    machine.write(
        "/etc/book.csv",
        "First,Last,Call,Telephone\nA,Near,HB9A,441505\nB,Far,HB9B,441583\nC,Gone,HB9C,441599\n",
    );
    let old = machine.sh(&format!("cat {CONFIG}"));
    machine.write(CONFIG, &format!("{old}\nconfig server\n\toption url 'file:///etc/book.csv'\n"));
    machine.sh("echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range");
    let service = Service::start_by(&machine, "", command);

    // A whole round, by itself.
    let results = until("the results of a round", PATIENCE * 4, || {
        let results = service.get("/api/v1/phones/tests");
        (results["last_update"] != 0 && results["progress"]["running"] == false).then_some(results)
    });
    assert_eq!(results["icmp"], kind, "{results:#}");
    let of = |number: &str| {
        let all = results["results"].as_array().unwrap();
        all.iter().find(|result| result["phone_number"] == number).unwrap_or_else(|| panic!("no {number}: {results:#}"))
    };
    for (number, way) in [("441505", vec![near]), ("441583", vec![router, far])] {
        let result = of(number);
        let told = |field: &str| result[field].clone();
        assert_eq!((told("ping_status"), told("options_status")), (json!("ONLINE"), json!("ONLINE")), "{result:#}");
        assert_eq!((told("ping_loss"), told("options_loss")), (json!(0.0), json!(0.0)), "{result:#}");
        let rtt = told("ping_rtt").as_f64().unwrap();
        assert!(rtt > 0.0 && rtt < 1_000.0, "{result:#}");
        let hops: Vec<String> =
            result["path"].as_array().unwrap().iter().map(|hop| hop["ip"].as_str().unwrap().to_owned()).collect();
        assert_eq!(hops, way.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>(), "{result:#}");
    }
    assert_eq!(of("441599")["status"], "OFFLINE");

    // And when somebody asks, over TCP, by the verb, and by the web server.
    let tested = service.post("/api/v1/phones/test?number=441583&count=2").json();
    let answered = (&tested["result"], &tested["ping_received"], &tested["options_received"]);
    assert_eq!(answered, (&json!("ONLINE"), &json!(2), &json!(2)), "{tested}");
    let tested = verb(&machine, "test 441505");
    assert_eq!((&tested["result"], &tested["ping_status"]), (&json!("ONLINE"), &json!("ONLINE")), "{tested}");
    let traced = cgi(&machine, &format!("traceroute_json?ip={far}")).json();
    let hops: Vec<&Value> = traced["hops"].as_array().unwrap().iter().map(|hop| &hop["ip"]).collect();
    assert_eq!(
        (&traced["reached"], hops),
        (&json!(true), vec![&json!("127.0.0.1"), &json!(router), &json!(far)]),
        "{traced}"
    );
    // Whoever is in the network of br-lan may have a phone rung.
    let rung = service.post("/api/v1/phones/ring?number=441505");
    assert_eq!((rung.status, &rung.json()["result"]), (200, &json!("REFUSED")), "{}", rung.body);
    service.stop();
}

#[test]
fn phones_are_tested_with_a_raw_socket() {
    phones_are_tested("raw", "switchboard run");
}

#[test]
fn phones_are_tested_with_the_unprivileged_socket() {
    phones_are_tested("datagram", "chmod 1777 /tmp/run /www/arednstack; setuidgid switchboard switchboard run");
}
