//! What the daemon does when it is told something by a signal, with phones that talk at the time.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::baresip::{Softphone, baresip, part, talk};
use crate::real::{Exchange, Handset, PATIENCE, Setup, until};

/// A web server that gives everybody the same book, and tells who asked for what.
struct Bookshelf {
    address: SocketAddr,
    asked: Receiver<String>,
}

impl Bookshelf {
    fn open(book: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = channel();
        // Ends with the process: nobody connects any more when the test is over.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut request = Vec::new();
                let mut bytes = [0; 1_024];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut bytes) {
                        Ok(length) if length > 0 => request.extend_from_slice(&bytes[..length]),
                        _ => break,
                    }
                }
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{book}",
                    book.len()
                );
                let request = String::from_utf8_lossy(&request).into_owned();
                if tell.send(request.lines().next().unwrap_or_default().to_owned()).is_err() {
                    break;
                }
            }
        });
        Self { address, asked }
    }

    fn is_asked(&self) {
        let line = self.asked.recv_timeout(PATIENCE).expect("nobody fetched the book");
        assert_eq!(line, "GET /phonebook.csv HTTP/1.1");
    }
}

const BOOK: &str = "First name,Last name,Callsign,Number\r\nBob,Fricker,HB9BLA,441530\r\n";

#[test]
fn term_and_int_end_it_within_a_second() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut exchange = Exchange::start("term");
        if exchange.is_stand_in() {
            return;
        }
        exchange.process().signal(signal);
        let status = exchange.process().wait(Duration::from_secs(1));
        assert!(status.success(), "{signal} ended the daemon with {status}");
    }
}

#[test]
fn hup_takes_the_new_configuration_and_keeps_the_calls() {
    if baresip() {
        let mut exchange = Exchange::start("hup");
        if exchange.is_stand_in() {
            return;
        }
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        talk(&exchange, &mut first, &mut second);
        exchange.write_config(&Setup { sip: vec!["option country_prefix '041'".into()], ..Setup::default() });
        exchange.reload();
        part(&mut first, &mut second);
        // Only the new configuration knows that this is the same phone.
        second.tell("dial", &format!("sip:041441530@{}", exchange.address()));
        first.hears("CALL_INCOMING");
        first.tell("accept", "");
        second.hears("CALL_ESTABLISHED");
        part(&mut second, &mut first);
    }
}

#[test]
fn a_configuration_with_a_mistake_does_not_stop_the_phones() {
    if baresip() {
        let mut exchange = Exchange::start("mistake");
        if exchange.is_stand_in() {
            return;
        }
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        let sip = vec!["option max_calls 'many'".into()];
        exchange.write_config(&Setup { sip, ..Setup::default() });
        exchange.process().signal(Signal::SIGHUP);
        until("the mistake in the log", PATIENCE, || exchange.log().contains("max_calls").then_some(()));
        talk(&exchange, &mut first, &mut second);
        part(&mut first, &mut second);
    }
}

#[test]
fn usr1_fetches_the_book() {
    let shelf = Bookshelf::open(BOOK);
    let servers = vec![format!("http://{}/phonebook.csv", shelf.address)];
    let mut exchange = Exchange::with("usr1", &Setup { servers, ..Setup::default() });
    if exchange.is_stand_in() {
        return;
    }
    shelf.is_asked();
    until("the book to be stored", PATIENCE, || exchange.read("phonebook.csv").contains("HB9BLA").then_some(()));
    let published = "www/phonebook_generic_direct.xml";
    until("the book to be published", PATIENCE, || exchange.read(published).contains("441530").then_some(()));
    exchange.process().signal(Signal::SIGUSR1);
    shelf.is_asked();
}

#[test]
fn usr2_writes_what_it_knows_to_the_log() {
    let mut exchange = Exchange::start("usr2");
    if exchange.is_stand_in() {
        return;
    }
    let before = exchange.log().len();
    exchange.process().signal(Signal::SIGUSR2);
    until("the dump", PATIENCE, || (exchange.log().len() > before).then_some(()));
    Handset::new(&exchange, 2, 5_060).register("441530", "");
}
