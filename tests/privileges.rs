//! The real daemon started as root: what it is after its start, and that everything still works then. Files that an earlier
//! process left as root are taken over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use real::ground::skipped;
use real::{Exchange, Handset, Kind, PATIENCE, Setup, until};
use serde_json::Value;

const NUMBER: &str = "441530";
const BOOK: &str = "Firstname,Name,Callsign,Telephone,Privat\r\nHans,Muster,HB9AAA,441531,\r\n";

/// Somebody without rights whom every system has.
fn nobody() -> Option<User> {
    let nobody = geteuid().is_root().then(|| User::from_name("nobody").unwrap()).flatten();
    if nobody.is_none() {
        skipped("only root can give up being root");
    }
    nobody
}

/// A configuration in which it tests phones, as `user`; later lines win.
fn configure(exchange: &Exchange, setup: &Setup, user: &str, further: &str) {
    exchange.write_config(setup);
    let path = exchange.path("switchboard");
    let mut text = fs::read_to_string(&path).unwrap();
    text += &format!("config switchboard\n\toption user '{user}'\n\nconfig probe\n\toption enabled '1'\n");
    text += &format!("\toption listen '{}:5070'\n\toption timeout '1'\n\n{further}\n", exchange.address());
    fs::write(&path, text).unwrap();
    // As the package has it: the token for those who may ring phones is nobody else's business.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn setup() -> Setup {
    Setup { kind: Some(Kind::Switchboard), book: Some(BOOK.into()), ..Setup::default() }
}

fn register(exchange: &Exchange, port: u16) {
    let to = SocketAddrV4::new(exchange.address(), port);
    Handset::between((exchange.net.host(2), 5_060), to).register(NUMBER, "Expires: 3600\r\n");
}

fn is_pinged(exchange: &Exchange) {
    let answer = exchange.post(&format!("/api/v1/phones/test?number={NUMBER}&count=1")).json();
    assert_eq!(answer["ping_status"], "ONLINE", "{answer}");
}

/// Every file below, with its owner.
fn owners(directory: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, metadata) = (entry.path(), entry.path().symlink_metadata().unwrap());
        // A link that is right is not made again.
        if !metadata.is_symlink() {
            found.push((path.display().to_string(), metadata.uid()));
        }
        if metadata.is_dir() {
            found.extend(owners(&path));
        }
    }
    found
}

#[test]
fn root_is_given_up_and_everything_still_works() {
    let Some(nobody) = nobody() else { return };
    // An earlier process ran as root and left its files.
    let mut exchange = Exchange::with("privileges", &setup());
    let files = ["tmp/state.json", "tmp/phonebook.json", "tmp/active_calls.json", "www/phonebook_generic_direct.xml"];
    until("the files", PATIENCE, || files.iter().all(|file| exchange.path(file).exists()).then_some(()));
    assert_eq!(exchange.status("Uid"), "0 0 0 0");
    assert!(exchange.log().contains("there is no user switchboard"), "{}", exchange.log());
    fs::write(exchange.path("tmp/phonebook.json.new"), "half").unwrap();

    configure(&exchange, &setup(), "nobody", "");
    exchange.restart();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    assert_eq!(exchange.status("Uid"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(exchange.status("Gid"), format!("{gid} {gid} {gid} {gid}"));
    assert_eq!(exchange.status("Groups"), gid.to_string());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&exchange.status(set), 16), Ok(0), "{set}");
    }
    assert_eq!(exchange.status("NoNewPrivs"), "1");
    assert!(exchange.log().contains("runs as nobody\n"), "{}", exchange.log());

    // The book that lay there is read, published and stored, phones register and are pinged, and the verbs find it.
    register(&exchange, 5_060);
    is_pinged(&exchange);
    assert_eq!(exchange.get("/api/v1/phonebook")["entry_count"], 1);
    until("the state with the phone", PATIENCE, || exchange.read("tmp/state.json").contains(NUMBER).then_some(()));

    // A reload reads a file that only root and this group may read, moves SIP and the test desk, and pings go on.
    configure(
        &exchange,
        &setup(),
        "nobody",
        &format!(
            "config sip\n\toption listen '{0}:5062'\n\nconfig probe\n\toption listen '{0}:5072'\n\n\
             config api\n\toption tiles_credit 'somebody'\n",
            exchange.address()
        ),
    );
    // What the init script does before it sends the signal: `uci commit` has made a new file of root's.
    let config = exchange.path("switchboard");
    std::os::unix::fs::lchown(&config, None, Some(gid)).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    exchange.reload();
    register(&exchange, 5_062);
    is_pinged(&exchange);
    let socket = std::os::unix::net::UnixStream::connect(exchange.path("tmp/api.sock"));
    assert!(socket.is_ok(), "the unix socket outlives a reload: {socket:?}");

    // Tests that are switched off and on again have their ICMP socket still, though nobody could open one now.
    for enabled in ["0", "1"] {
        configure(&exchange, &setup(), "nobody", &format!("config probe\n\toption enabled '{enabled}'\n"));
        std::os::unix::fs::lchown(&config, None, Some(gid)).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
        exchange.reload();
    }
    register(&exchange, 5_060);
    is_pinged(&exchange);

    let log = exchange.log();
    assert!(!log.contains("cannot") && !log.contains("warn") && !log.contains("error"), "{log}");
    exchange.process().signal(Signal::SIGTERM);
    assert!(exchange.process().wait(PATIENCE).success());
    let kept_by_root = ["api.sock"];
    for (file, owner) in owners(&exchange.path("tmp")).into_iter().chain(owners(&exchange.path("www"))) {
        assert!(owner == uid || kept_by_root.iter().any(|name| file.ends_with(name)), "{file} belongs to {owner}");
    }
}

#[test]
fn the_socket_that_root_made_outlives_an_api_that_is_switched_off() {
    let Some(_) = nobody() else { return };
    let mut exchange = Exchange::with("socket", &setup());
    fs::create_dir(exchange.path("run")).unwrap();
    let socket = exchange.path("run/api.sock");
    let api = |enabled| format!("config api\n\toption socket '{}'\n\toption enabled '{enabled}'\n", socket.display());
    configure(&exchange, &setup(), "nobody", &api(1));
    exchange.restart();
    for (enabled, expected) in [(0, ""), (1, "HTTP/1.1 200")] {
        configure(&exchange, &setup(), "nobody", &api(enabled));
        fs::set_permissions(exchange.path("switchboard"), fs::Permissions::from_mode(0o644)).unwrap();
        exchange.reload();
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /api/v1/status HTTP/1.0\r\n\r\n").unwrap_or_default();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text); // with what it did not read, a stream that is closed ends in an error
        assert!(text.starts_with(expected) && text.is_empty() == expected.is_empty(), "{enabled}: {text}");
    }
}

/// Where everybody writes, the way to our directory may be somebody's link to what is root's.
#[test]
fn what_lies_behind_a_link_of_somebody_else_is_given_to_nobody() {
    let Some(nobody) = nobody() else { return };
    let mut exchange = Exchange::with("astray", &setup());
    let (precious, link) = (exchange.path("precious"), exchange.path("tmp/link"));
    fs::create_dir_all(precious.join("www")).unwrap();
    fs::write(precious.join("map.json"), "root's").unwrap();
    std::os::unix::fs::symlink(&precious, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
    let place = link.display();
    let further = format!(
        "config phonebook\n\toption publish_dir '{place}/www'\n\nconfig mesh\n\toption topology_file '{place}/map.json'\n"
    );
    configure(&exchange, &setup(), "nobody", &further);
    exchange.restart();
    assert_eq!(exchange.status("Uid").split(' ').next().unwrap(), nobody.uid.to_string());
    for name in ["", "www", "map.json"] {
        assert_eq!(fs::metadata(precious.join(name)).unwrap().uid(), 0, "{name}");
    }
    assert!(exchange.log().contains("somebody's link is on the way to it"), "{}", exchange.log());
    // The same behind a link of root's, as /var is one, is fine.
    std::os::unix::fs::lchown(&link, Some(0), None).unwrap();
    exchange.restart();
    assert_eq!(fs::metadata(precious.join("www")).unwrap().uid(), nobody.uid.as_raw());
}

#[test]
fn root_is_shown_the_crash_of_a_daemon_that_was_not_root() {
    let Some(_) = nobody() else { return };
    let mut exchange = Exchange::with("crash-shown", &setup());
    configure(&exchange, &setup(), "nobody", "");
    exchange.restart();
    exchange.process().signal(Signal::SIGSEGV);
    assert!(!exchange.process().wait(PATIENCE).success());
    let record = exchange.path("tmp/crash.bin");
    assert_ne!(fs::metadata(&record).expect("a record").uid(), 0);
    let shown = exchange.verb(&["crash", "--show"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success() && text.contains("SIGSEGV"), "{text} {}", String::from_utf8_lossy(&shown.stderr));
}

#[test]
fn a_low_port_keeps_the_one_right_to_bind_it() {
    let Some(nobody) = nobody() else { return };
    let mut exchange = Exchange::with("low", &setup());
    let address = exchange.address();
    let api = |port| format!("config api\n\tlist listen '{address}:{port}'\n");
    configure(&exchange, &setup(), "nobody", &api(888));
    exchange.restart();
    assert_eq!(exchange.status("Uid").split(' ').next().unwrap(), nobody.uid.to_string());
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(u64::from_str_radix(&exchange.status(set), 16), Ok(1 << 10), "{set}: CAP_NET_BIND_SERVICE");
    }
    configure(&exchange, &setup(), "nobody", &api(889));
    fs::set_permissions(exchange.path("switchboard"), fs::Permissions::from_mode(0o644)).unwrap();
    exchange.process().signal(Signal::SIGHUP);
    until("the new port", PATIENCE, || TcpStream::connect((address, 889)).ok());
}

#[test]
fn what_the_user_cannot_reach_is_said_once() {
    if nobody().is_none() {
        return;
    }
    let mut exchange = Exchange::with("reach", &setup());
    let hidden = exchange.tree.write("hidden", "config globals 'globals'\n");
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600)).unwrap();
    let further = format!("config names\n\toption node_config '{}'\n", hidden.display());
    configure(&exchange, &setup(), "nobody", &further);
    exchange.restart();
    let said = format!("runs as nobody, who is not allowed to use: {} (read)", hidden.display());
    assert_eq!(exchange.log().matches(&said).count(), 1, "{}", exchange.log());
    // A crash of a process without rights leaves its record all the same.
    exchange.process().signal(Signal::SIGSEGV);
    exchange.process().wait(PATIENCE);
    assert!(exchange.path("tmp/crash.bin").exists());
    exchange.launch();
    let told: Value = serde_json::from_str(&exchange.read("tmp/last_crash.json")).unwrap();
    assert_eq!(told["crash_count_24h"], 1);
    assert!(told["memory_at_crash_mb"].as_f64().unwrap() > 0.5);
}
