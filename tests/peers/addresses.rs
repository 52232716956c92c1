//! An exchange with several addresses behind one socket, as every node has: an answer comes from the address that was
//! asked, and what is written into messages is an address at which it can be reached.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::real::{Exchange, Handset, Setup};

/// A phone that only hears the address of the exchange which it talks to.
fn phone(own: Ipv4Addr, to: SocketAddrV4) -> Handset {
    let phone = Handset::between((own, 0), to);
    phone.socket.connect(to).unwrap();
    phone
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let exchange = Exchange::with("addresses", &Setup { everywhere: true, ..Setup::default() });
    if exchange.is_stand_in() {
        return;
    }
    let at = |host| SocketAddrV4::new(exchange.net.host(host), exchange.port());
    for host in [1, 77, 99] {
        let line = phone(exchange.net.host(2), at(host));
        line.send(&line.request("OPTIONS", &format!("sip:{}", line.to), "OPTIONS", ""));
        line.hears("SIP/2.0 200");
    }
}

#[test]
fn each_phone_knows_the_exchange_by_the_address_that_it_uses() {
    let exchange = Exchange::with("both-sides", &Setup { everywhere: true, ..Setup::default() });
    if exchange.is_stand_in() {
        return;
    }
    let at = |host| SocketAddrV4::new(exchange.net.host(host), exchange.port());
    let (near, far) = (at(1), at(77));
    let caller = phone(exchange.net.host(2), near);
    let callee = phone(exchange.net.host(3), far);
    callee.register("196630", "");
    let contact = format!("Contact: <sip:441530@{}>\r\n", caller.own);
    caller.send(&caller.request("INVITE", &format!("sip:196630@{near}"), "call", &contact));
    caller.hears("SIP/2.0 100");
    let invite = callee.hears("INVITE ");
    let via = invite.lines().find(|line| line.starts_with("Via:")).unwrap();
    assert!(via.contains(&far.to_string()), "{via}");
    let route = invite.lines().find(|line| line.starts_with("Record-Route:")).unwrap();
    assert!(route.contains(&near.to_string()) || route.contains(&far.to_string()), "{route}");
    assert!(route.contains(";lr"), "{route}");
    callee.answer(&invite, "486 Busy Here", "");
    callee.hears("ACK ");
    caller.hears("SIP/2.0 486");
}
