//! The other end: phones that register and answer OPTIONS, routers that answer with a page. A process of its own, so that what
//! it takes is nobody's.
//!
//! `responder LIST EXCHANGE`: each line of the file is `NAMESPACE ADDRESS NUMBER`, a phone; in each namespace all addresses of
//! the phones are local, and one socket answers for all of them from the address that was asked. Prints `ready` when all
//! are registered. `responder pages NAMES`: each line is `ADDRESS NAME`, a router; one that is called `slow` answers never.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, IoSlice, IoSliceMut, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};

pub fn run(words: &[String]) {
    match words {
        [pages, names] if pages == "pages" => answer_pages(names),
        [list, exchange] => answer_options(list, exchange.parse().unwrap()),
        _ => panic!("{words:?}"),
    }
}

fn lines(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

struct Phones {
    socket: UdpSocket,
    numbers: BTreeMap<Ipv4Addr, String>,
}

fn answer_options(list: &str, exchange: SocketAddrV4) {
    let mut namespaces: BTreeMap<String, Phones> = BTreeMap::new();
    for line in lines(list) {
        let [namespace, address, number] = &line[..] else { panic!("{line:?}") };
        let phones = namespaces.entry(namespace.clone()).or_insert_with(|| {
            setns(File::open(format!("/run/netns/{namespace}")).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5_060)).unwrap();
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).unwrap();
            setsockopt(&socket, sockopt::RcvBuf, &(4 << 20)).unwrap();
            Phones { socket, numbers: BTreeMap::new() }
        });
        phones.numbers.insert(address.parse().unwrap(), number.clone());
    }
    let mut missing: BTreeMap<String, (&Phones, Ipv4Addr)> = BTreeMap::new();
    for phones in namespaces.values() {
        missing.extend(phones.numbers.iter().map(|(address, number)| (number.clone(), (phones, *address))));
    }
    while !missing.is_empty() {
        // As many as the exchange has room for in its socket.
        for (number, (phones, address)) in missing.iter().take(100) {
            send(&phones.socket, &register(number, *address), *address, exchange);
        }
        let mut registered = Vec::new();
        serve(&namespaces, Duration::from_millis(200), |number| registered.push(number.to_owned()));
        for number in registered {
            missing.remove(&number);
        }
    }
    println!("ready");
    let _ = std::io::stdout().flush();
    serve(&namespaces, Duration::MAX, |_| {});
}

/// Answers what comes, until nothing comes for so long.
fn serve(namespaces: &BTreeMap<String, Phones>, quiet: Duration, mut registered: impl FnMut(&str)) {
    let all: Vec<&UdpSocket> = namespaces.values().map(|phones| &phones.socket).collect();
    let mut polled: Vec<PollFd<'_>> = all.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    let timeout = i32::try_from(quiet.as_millis()).ok().and_then(|millis| PollTimeout::try_from(millis).ok());
    while poll(&mut polled, timeout.unwrap_or(PollTimeout::NONE)).unwrap() > 0 {
        for (entry, socket) in polled.iter().zip(&all).filter(|(entry, _)| entry.any() == Some(true)) {
            let _ = entry;
            while let Some((text, from, local)) = receive(socket) {
                if text.starts_with("OPTIONS ") {
                    send(socket, &answer(&text), local, from);
                } else if text.starts_with("SIP/2.0 200 ") {
                    let to = text.split("\r\nTo: <sip:").nth(1).unwrap_or_default();
                    registered(to.split('@').next().unwrap_or_default());
                }
            }
        }
    }
}

fn receive(socket: &UdpSocket) -> Option<(String, SocketAddrV4, Ipv4Addr)> {
    let mut buffer = [0; 2_048];
    let mut control = nix::cmsg_space!(libc::in_pktinfo);
    let mut vectors = [IoSliceMut::new(&mut buffer)];
    let message =
        recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut vectors, Some(&mut control), MsgFlags::MSG_DONTWAIT).ok()?;
    let local = message.cmsgs().ok()?.find_map(|item| match item {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))),
        _ => None,
    })?;
    let (address, length) = (message.address?, message.bytes);
    let from = SocketAddrV4::new(address.ip(), address.port());
    Some((String::from_utf8_lossy(&buffer[..length]).into_owned(), from, local))
}

fn send(socket: &UdpSocket, text: &str, from: Ipv4Addr, to: SocketAddrV4) {
    let source = libc::in_addr { s_addr: u32::from(from).to_be() };
    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: source };
    let _ = sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(text.as_bytes())],
        &[ControlMessage::Ipv4PacketInfo(&info)],
        MsgFlags::MSG_DONTWAIT,
        Some(&SockaddrIn::from(to)),
    );
}

fn answer(request: &str) -> String {
    let mut answer = String::from("SIP/2.0 200 OK\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        match line.split(':').next() {
            Some("Via" | "From" | "Call-ID" | "CSeq") => answer += &format!("{line}\r\n"),
            Some("To") => answer += &format!("{line};tag=phone\r\n"),
            _ => {}
        }
    }
    answer + "Content-Length: 0\r\n\r\n"
}

fn register(number: &str, address: Ipv4Addr) -> String {
    format!(
        "REGISTER sip:local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {address}:5060;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:{number}@local.mesh>;tag={number}\r\nTo: <sip:{number}@local.mesh>\r\nCall-ID: {number}\r\n\
         CSeq: 1 REGISTER\r\nContact: <sip:{number}@{address}:5060>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
}

fn answer_pages(names: &str) {
    let names: BTreeMap<Ipv4Addr, String> =
        lines(names).into_iter().map(|line| (line[0].parse().unwrap(), line[1].clone())).collect();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).unwrap();
    println!("ready");
    let _ = std::io::stdout().flush();
    let mut held = Vec::new();
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let IpAddr::V4(local) = stream.local_addr().unwrap().ip() else { continue };
        let Some(name) = names.get(&local) else { continue };
        if name == "slow" {
            held.push(stream);
            continue;
        }
        let page = page(name, local);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", page.len());
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{page}").as_bytes());
        });
    }
}

/// About as long as those of real nodes.
fn page(name: &str, address: Ipv4Addr) -> String {
    let services: Vec<String> = (0..60)
        .map(|n| {
            format!("{{\"name\":\"Service {n} of {name}\",\"protocol\":\"tcp\",\"link\":\"http://{name}:80{n}/\"}}")
        })
        .collect();
    format!(
        "{{\"api_version\":\"2.0\",\"node\":\"{}\",\"ip\":\"{address}\",\"lat\":47.4,\"lon\":8.5,\"interfaces\":[\
         {{\"name\":\"br-lan\",\"ip\":\"{address}\"}}],\"services_local\":[{}],\"lqm\":{{\"info\":{{\"now\":100,\"trackers\":\
         {{}}}}}}}}",
        name.to_uppercase(),
        services.join(",")
    )
}
