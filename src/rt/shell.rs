//! The event loop.

use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use nix::sys::signalfd::SignalFd;

use super::{
    Options, aftermath, clock, crash, files, icmp, identity, log as logging, meter, mmsg, privileges, signals, stall,
};
use super::{streams, udp, usage};
use crate::config::{self, Config};
use crate::core::Core;
use crate::core::event::{Effect, Event, IcmpError, IcmpIn, IcmpMode, Udp};
use crate::demo::{self, World};
use crate::features::Feature;
use crate::files::{FileError, Watched};
use crate::limits;
use crate::time::{Instant, UnixTime, micros, sooner};

const SIP: Token = Token(0);
const DNS: Token = Token(1);
const SIGNALS: Token = Token(2);
const FILES: Token = Token(3);
const ADDRESSES: Token = Token(4);
const PROBE: Token = Token(5);
const ICMP: Token = Token(6);

/// How long a stopping daemon may take to save and say what it must.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why the daemon cannot start, or cannot go on.
pub struct Fatal {
    what: String,
    why: String,
}

impl Fatal {
    fn because(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |why| Self { what, why: why.to_string() }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// A bound UDP socket.
struct Port {
    fd: OwnedFd,
    name: Udp,
    address: SocketAddrV4,
    /// The last turn ended before it was empty.
    cut_short: bool,
}

/// Everything that touches the world.
pub struct Shell {
    core: Core,
    config_path: PathBuf,
    /// What the sockets were opened for.
    config: Config,
    poll: Poll,
    sip: Option<Port>,
    dns: Port,
    /// The test desk's, while there is one.
    probe: Option<Port>,
    icmp: Option<icmp::Icmp>,
    /// More ICMP messages may wait.
    icmp_waits: bool,
    /// The loop wakes up for answers to tests. While tests go out in quick succession, they are read before the next one instead:
    /// the kernel has noted when they came.
    wakes_for_answers: bool,
    /// Until an answer comes without its time: then it is taken when it is read, and answers cannot wait.
    answers_are_stamped: bool,
    incoming: mmsg::Incoming,
    outgoing: mmsg::Outgoing,
    streams: streams::Streams,
    watcher: files::Watcher,
    signals: SignalFd,
    addresses: Option<OwnedFd>,
    farewell: Option<Instant>,
    /// What is for this mesh goes to no socket.
    demo: Option<World>,
    /// When the date was looked at, and what it was.
    date: (Instant, UnixTime),
    /// Writers whose last write failed, a bit each: it was said.
    failing: u16,
    aftermath: Option<aftermath::Aftermath>,
    meter: meter::Meter,
    stall: stall::Stall,
}

impl Shell {
    /// Opens everything that the configuration names.
    pub fn new(options: &Options) -> Result<Self, Fatal> {
        let config = read_config(options)?;
        logging::set_level(config.main.log_level);
        let now = clock::now();
        let boot_id = clock::boot_id();
        if Feature::Health.is_there() {
            crash::watch(&config.main.crash_file, boot_id.clone().leak(), now);
        }
        let seed = clock::seed().map_err(Fatal::because("cannot draw a seed"))?;
        let poll = Poll::new().map_err(Fatal::because("cannot open the event loop"))?;
        let signals = signals::watch().map_err(Fatal::because("cannot take signals"))?;
        let watcher = files::Watcher::new().map_err(Fatal::because("cannot watch files"))?;
        let addresses = identity::watch().map_err(|error| log::warn!("changes of addresses go unseen: {error}")).ok();
        let dns = open(Udp::Dns, udp::ANY, 0, DNS, poll.registry())?;
        let sip = match config.sip.enabled {
            true => Some(open(Udp::Sip, config.sip.listen, config.sip.dscp, SIP, poll.registry())?),
            false => None,
        };
        let mut shell = Self {
            aftermath: None,
            core: Core::new(config.clone(), &seed, boot_id.clone(), now),
            config_path: options.config.clone(),
            config,
            poll,
            sip,
            dns,
            probe: None,
            icmp: None,
            icmp_waits: false,
            wakes_for_answers: false,
            answers_are_stamped: true,
            incoming: mmsg::Incoming::new(),
            outgoing: mmsg::Outgoing::new(),
            streams: streams::Streams::default(),
            watcher,
            signals,
            addresses,
            farewell: None,
            demo: None,
            date: (now, clock::wall()),
            failing: 0,
            meter: meter::Meter::default(),
            stall: stall::Stall::new(limits::STALL),
        };
        if let Some(port) = &shell.sip {
            shell.core.handle_event(Event::Bound(Udp::Sip, port.address.port()), now);
        }
        if options.demo {
            shell.demo = demo::world(&seed, shell.sip.as_ref().map_or(udp::ANY, |port| port.address), now);
            shell.core.handle_event(Event::Simulated, now);
        }
        let registry = shell.poll.registry();
        let watched = [
            (shell.signals.as_raw_fd(), SIGNALS),
            (shell.watcher.fd().as_raw_fd(), FILES),
            (shell.addresses.as_ref().map_or(-1, AsRawFd::as_raw_fd), ADDRESSES),
        ];
        for (fd, token) in watched.into_iter().filter(|(fd, _)| *fd >= 0) {
            registry
                .register(&mut SourceFd(&fd), token, Interest::READABLE)
                .map_err(Fatal::because("cannot watch a descriptor"))?;
        }
        crash::set_flight(shell.core.flight());
        shell.listen();
        shell.open_probe(now);
        let given_up = privileges::give_up(&shell.config, &shell.config_path);
        given_up.map_err(|why| Fatal { what: "cannot give up being root".into(), why })?;
        let main = &shell.config.main;
        if Feature::Health.is_there() {
            shell.aftermath = aftermath::look(&main.crash_file, &main.crash_report_file, &boot_id, now);
        }
        shell.core.handle_event(Event::WallClock(shell.date.1), now);
        shell.tell_identity(now);
        shell.tell_crash(now);
        Ok(shell)
    }

    /// Runs until the core has nothing left to do after a request to stop.
    pub fn run(&mut self) -> Result<(), Fatal> {
        log::info!("switchboard {} started", env!("CARGO_PKG_VERSION"));
        let mut events = Events::with_capacity(limits::EVENTS);
        self.turn_out(clock::now());
        loop {
            let before = clock::now();
            let can_wait = self.answers_are_stamped && self.core.answers_can_wait(before);
            self.wake_for_answers(self.config.probe.enabled && !can_wait);
            let timeout = self.timeout(before);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Fatal { what: "the event loop failed".into(), why: error.to_string() });
                }
                _ => {}
            }
            let now = clock::now();
            self.meter.begin(now);
            self.look_at_the_date(now);
            self.streams.resume(self.poll.registry(), &mut self.core, now);
            for event in &events {
                self.take_in(event.token(), event.is_error(), now);
                self.meter.mark(work(event.token()));
            }
            self.look_for_answers();
            self.drain_ports(now);
            self.drain_icmp(now);
            if let Some(demo) = &mut self.demo {
                demo.handle_timeout(&mut self.core, now);
            }
            self.core.handle_timeout(now);
            self.meter.mark("timers");
            if self.turn_out(now) == Onward::Exit || self.farewell.is_some_and(|end| now >= end) {
                log::info!("stopped");
                return Ok(());
            }
            self.meter.mark("sending");
            let (end, slow) = self.meter.end();
            if let Some(slow) = slow {
                self.core.handle_event(slow, end);
            }
            self.stall.turned(end);
        }
    }

    /// How long there is nothing to do, if nothing happens.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let ports = [self.sip.as_ref(), Some(&self.dns), self.probe.as_ref()];
        if self.streams.is_unread() || self.icmp_waits || ports.into_iter().flatten().any(|port| port.cut_short) {
            return Some(Duration::ZERO);
        }
        let deadline = sooner(
            sooner(self.core.next_deadline(), self.farewell),
            self.demo.as_ref().and_then(World::next_deadline),
        )?;
        // epoll counts milliseconds: round up, or the loop would spin through the last one.
        Some(Duration::from_millis(micros(deadline.since(now)).div_ceil(1_000)))
    }

    fn take_in(&mut self, token: Token, error: bool, now: Instant) {
        match token {
            SIP | DNS | PROBE => {
                let port = match token {
                    SIP => self.sip.as_mut(),
                    DNS => Some(&mut self.dns),
                    _ => self.probe.as_mut(),
                };
                if let Some(port) = port {
                    port.cut_short = true;
                    if error {
                        report_unreachable(port, &mut self.core, now);
                    }
                }
            }
            ICMP => self.icmp_waits = true,
            SIGNALS => {
                while let Some(request) = signals::next(&self.signals) {
                    match request {
                        signals::Request::Reload => self.reload(now),
                        signals::Request::Fetch => self.core.handle_event(Event::FetchPhonebook, now),
                        signals::Request::Dump => self.core.handle_event(Event::Dump, now),
                        signals::Request::Stop => {
                            self.farewell = Some(now + FAREWELL);
                            self.core.handle_event(Event::Stop, now);
                        }
                    }
                }
            }
            FILES => {
                let changes = self.watcher.changes();
                self.tell_changes(changes, now);
            }
            ADDRESSES => {
                if self.addresses.as_ref().is_some_and(identity::drain) {
                    self.tell_identity(now);
                }
            }
            token => self.streams.ready(token, self.poll.registry(), &mut self.core, now),
        }
    }

    /// Lets the loop wake up for answers to tests, or not.
    fn wake_for_answers(&mut self, wanted: bool) {
        if std::mem::replace(&mut self.wakes_for_answers, wanted) == wanted {
            return;
        }
        let registry = self.poll.registry();
        let port = self.probe.as_ref().map(|port| (port.fd.as_raw_fd(), PROBE));
        let icmp = self.icmp.as_ref().map(|icmp| (icmp.fd().as_raw_fd(), ICMP));
        for (fd, token) in [port, icmp].into_iter().flatten() {
            let mut source = SourceFd(&fd);
            let done = match wanted {
                true => registry.register(&mut source, token, Interest::READABLE),
                false => registry.deregister(&mut source),
            };
            // Then they are read at the next turn, whatever that is about.
            if done.is_err() {
                self.wakes_for_answers = false;
            }
        }
    }

    fn look_for_answers(&mut self) {
        if self.config.probe.enabled && !self.wakes_for_answers {
            self.icmp_waits = true;
            if let Some(port) = &mut self.probe {
                port.cut_short = true;
            }
        }
    }

    /// Reads what waits on the sockets, within the budget of one turn.
    fn drain_ports(&mut self, now: Instant) {
        let ports = [self.sip.as_mut(), Some(&mut self.dns), self.probe.as_mut()];
        for port in ports.into_iter().flatten().filter(|port| port.cut_short) {
            for _ in 0..limits::BATCHES_PER_TURN {
                let received = match self.incoming.receive(port.fd.as_fd()) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(_) => {
                        report_unreachable(port, &mut self.core, now); // takes the pending error off the socket
                        continue;
                    }
                };
                for datagram in self.incoming.iter(now) {
                    let mmsg::Received { source, local: Some(local), ttl, at, bytes } = datagram else { continue };
                    let local = SocketAddrV4::new(local, port.address.port());
                    self.core.take_in(Event::Datagram { socket: port.name, source, local, ttl, at, bytes }, now);
                }
                self.core.settle(now);
                port.cut_short = received == mmsg::Incoming::capacity();
                send(&mut self.core, &mut self.outgoing, port, &mut self.demo, now);
                if !port.cut_short {
                    break;
                }
            }
            if port.name == Udp::Sip {
                self.core.handle_event(Event::Congested(port.cut_short), now);
            }
            self.meter.mark(match port.name {
                Udp::Sip => "SIP messages",
                Udp::Dns => "answers of name servers",
                Udp::Probe => "answers to tests",
            });
        }
    }

    /// Reads what waits on the ICMP socket, within the budget of one turn.
    fn drain_icmp(&mut self, now: Instant) {
        if !std::mem::take(&mut self.icmp_waits) {
            return;
        }
        self.take_icmp(now);
        self.core.settle(now);
        self.meter.mark("ICMP messages");
    }

    fn take_icmp(&mut self, now: Instant) {
        let Some(icmp) = &self.icmp else { return };
        let errors = if icmp.mode() == IcmpMode::Datagram { limits::ICMP_PER_TURN } else { 0 };
        for _ in 0..errors {
            let mut buffer = [0; icmp::MESSAGE];
            let Some(failed) = icmp.failed(&mut buffer, now) else { break };
            let quoted = buffer.get(..failed.length).unwrap_or_default();
            let icmp::Failed { from, destination, kind, at, .. } = failed;
            self.core.take_in(Event::IcmpFailed(IcmpError { from, destination, kind, quoted, at }), now);
        }
        for _ in 0..limits::ICMP_PER_TURN / mmsg::Incoming::capacity() {
            let received = match self.incoming.receive(icmp.fd()) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue, // of an earlier probe; it stands in the queue of errors as well
            };
            for datagram in self.incoming.iter(now) {
                let Some(bytes) = icmp.message(datagram.bytes) else { continue };
                self.answers_are_stamped &= datagram.at.is_some();
                let (from, ttl, at) = (*datagram.source.ip(), datagram.ttl, datagram.at.unwrap_or(now));
                self.core.take_in(Event::Icmp(IcmpIn { from, ttl, bytes, at }), now);
            }
            if received < mmsg::Incoming::capacity() {
                return;
            }
        }
        self.icmp_waits = true;
    }

    fn send_icmp(&mut self) {
        loop {
            while let Some(space) = self.outgoing.space() {
                let Some(out) = self.core.poll_icmp(space, clock::now()) else { break };
                let bytes = space.get(..out.len).unwrap_or_default();
                if self.demo.as_mut().is_some_and(|demo| demo.take_icmp(&out, bytes, clock::now())) {
                    continue;
                }
                self.outgoing.push_short_lived(out.len, out.ttl, SocketAddrV4::new(out.destination, 0));
            }
            if self.outgoing.is_empty() {
                return;
            }
            let lost = |to: SocketAddrV4, error| log::debug!("probe of {} lost: {error}", to.ip());
            match &self.icmp {
                // What is said of earlier echoes is read with the answers.
                Some(icmp) => _ = self.outgoing.send(icmp.fd(), lost),
                None => self.outgoing.clear(),
            }
        }
    }

    /// A router learns the date long after it was switched on; whatever is dated afterwards is dated rightly.
    fn look_at_the_date(&mut self, now: Instant) {
        let (looked, date) = self.date;
        if now.since(looked).as_secs() == 0 {
            return;
        }
        let wall = clock::wall();
        let expected = date.0.saturating_add(now.since(looked).as_secs());
        self.date = (now, wall);
        if wall.0.abs_diff(expected) > 1 {
            self.core.handle_event(Event::WallClock(wall), now);
            self.write_crash(now);
        }
        crash::look_at_cpu(now);
    }

    /// What the process before this one left.
    fn tell_crash(&mut self, now: Instant) {
        if let Some(aftermath) = &self.aftermath {
            self.core.handle_event(Event::Crashed(&aftermath.report), now);
        }
        self.write_crash(now);
    }

    fn write_crash(&self, now: Instant) {
        if let Some(aftermath) = self.aftermath.as_ref().filter(|_| Feature::Health.is_there()) {
            let node = nix::unistd::gethostname().unwrap_or_default();
            aftermath.write(&node.to_string_lossy(), self.date.1, now);
        }
    }

    /// Sends, writes and does whatever the core wants sent, written and done, until it is satisfied.
    fn turn_out(&mut self, now: Instant) -> Onward {
        let mut onward = Onward::Stay;
        loop {
            // A ping waits for nothing that is larger.
            self.send_icmp();
            for port in [self.sip.as_mut(), Some(&mut self.dns), self.probe.as_mut()].into_iter().flatten() {
                send(&mut self.core, &mut self.outgoing, port, &mut self.demo, now);
            }
            self.streams.write(self.poll.registry(), &mut self.core, now);
            if let Some(demo) = &mut self.demo {
                demo.hear(&mut self.core, now);
            }
            let Some(effect) = self.core.poll_effect() else { return onward };
            match effect {
                Effect::Exit => onward = Onward::Exit,
                Effect::Reload => {
                    self.reload(now);
                    self.meter.mark("reading the configuration");
                }
                effect => self.perform(effect, now),
            }
        }
    }

    fn perform(&mut self, effect: Effect, now: Instant) {
        let effect = match &mut self.demo {
            Some(demo) => demo.take_effect(effect, now),
            None => Some(effect),
        };
        let Some(effect) = effect else { return };
        match effect {
            Effect::Dial { stream, address } => {
                self.streams.dial(stream, address, self.poll.registry(), &mut self.core, now);
            }
            Effect::DialUnix { stream, path } => {
                self.streams.dial_unix(stream, &path, self.poll.registry(), &mut self.core, now);
            }
            Effect::Finish(stream) => self.streams.finish(stream),
            Effect::Abort(stream) => self.streams.abort(stream, self.poll.registry()),
            Effect::Read { reader, path, limit } => {
                let contents = files::read(&path, limit);
                self.core.handle_event(Event::Read { reader, contents }, now);
                self.meter.mark("reading a file");
            }
            Effect::Watch { watched, path } => {
                let changes = self.watcher.watch(watched, path);
                self.tell_changes(changes, now);
                self.meter.mark("reading files of the node");
            }
            Effect::Write { writer, steps } => {
                // A disk that is full stays so, and every writer tries again each minute.
                let bit = 1 << writer as u16;
                let level = if self.failing & bit == 0 { log::Level::Warn } else { log::Level::Debug };
                let result = files::perform(&steps, level);
                self.failing = if result.is_ok() { self.failing & !bit } else { self.failing | bit };
                self.core.handle_event(Event::Written { writer, result }, now);
                self.meter.mark(writer.work());
            }
            Effect::Measure => self.core.handle_event(Event::Usage(usage::read()), now),
            Effect::Reload | Effect::Exit => {} // done by the caller
        }
    }

    fn tell_changes(&mut self, changes: Vec<(Watched, String)>, now: Instant) {
        for (watched, name) in changes {
            let Some(change) = self.watcher.deliver(watched, name) else { continue };
            let contents = change.contents.as_deref();
            self.core.handle_event(Event::Changed { watched: change.watched, name: &change.name, contents }, now);
        }
    }

    fn tell_identity(&mut self, now: Instant) {
        let mut identity = identity::read(&self.config.names.node_config, &self.config.names.lan_interface);
        if let Some(demo) = &self.demo {
            identity = demo.identity(identity);
        }
        self.core.handle_event(Event::Identity(identity), now);
    }

    /// Reads the configuration again; what did not change is not touched. A file that cannot be read changes nothing.
    fn reload(&mut self, now: Instant) {
        let options = Options { config: self.config_path.clone(), config_required: false, demo: false };
        let config = match read_config(&options) {
            Ok(config) => config,
            Err(error) => return log::error!("{error}; the configuration stays as it was"),
        };
        if config == self.config {
            return log::info!("configuration read again: nothing changed");
        }
        logging::set_level(config.main.log_level);
        crash::set_path(&config.main.crash_file);
        self.core.handle_config(config.clone(), now);
        let before = std::mem::replace(&mut self.config, config);
        if before.sip != self.config.sip {
            self.reopen_sip(&before, now);
        }
        if before.api != self.config.api {
            self.listen();
        }
        if (before.probe.enabled, before.probe.listen) != (self.config.probe.enabled, self.config.probe.listen) {
            self.open_probe(now);
        }
        self.tell_identity(now);
        log::info!("configuration read again");
    }

    /// Moves to another SIP address; stays at the old one if that cannot be had.
    fn reopen_sip(&mut self, before: &Config, now: Instant) {
        let registry = self.poll.registry();
        if let Some(port) = self.sip.take() {
            let _ = registry.deregister(&mut SourceFd(&port.fd.as_raw_fd()));
        }
        for sip in [&self.config.sip, &before.sip].into_iter().filter(|sip| sip.enabled) {
            match open(Udp::Sip, sip.listen, sip.dscp, SIP, registry) {
                Ok(port) => {
                    self.core.handle_event(Event::Bound(Udp::Sip, port.address.port()), now);
                    self.sip = Some(port);
                    return;
                }
                Err(error) => log::error!("{error}"),
            }
        }
    }

    /// Opens the sockets of the test desk, or closes them. It makes do without those that cannot be had.
    fn open_probe(&mut self, now: Instant) {
        if !Feature::Desk.is_there() {
            return;
        }
        self.wake_for_answers(false);
        self.probe = None;
        // Opened once, for a process that is not root any more gets no second one; listened to while there are tests.
        if self.icmp.is_none() {
            self.icmp = icmp::Icmp::open();
        }
        let mut opened = (IcmpMode::None, 0);
        if self.config.probe.enabled {
            let port = bind(Udp::Probe, self.config.probe.listen, self.config.sip.dscp);
            self.probe = port.map_err(|error| log::warn!("phones are not asked by SIP: {error}")).ok();
            if let Some(port) = &self.probe {
                udp::tell_arrival(port.fd.as_fd());
                self.core.handle_event(Event::Bound(Udp::Probe, port.address.port()), now);
            }
            match &self.icmp {
                // A raw socket hears the answers to everybody's pings: its number must be its own.
                Some(icmp) => opened = (icmp.mode(), icmp.identifier().unwrap_or(clock::identifier())),
                None if self.demo.is_some() => opened = (IcmpMode::Raw, clock::identifier()),
                None => log::warn!("phones are not pinged: no ICMP socket may be opened"),
            }
        }
        if let Some(demo) = &mut self.demo {
            demo.set_icmp_mode(opened.0);
        }
        self.core.handle_event(Event::IcmpOpened(opened.0, opened.1), now);
    }

    /// Opens the listeners of the API.
    fn listen(&mut self) {
        let api = &self.config.api;
        let (tcp, unix) = match api.enabled {
            true => (api.listen.as_slice(), Some(api.socket.as_path())),
            false => (&[] as &[SocketAddrV4], None),
        };
        self.streams.listen(tcp, unix, self.poll.registry());
    }
}

/// What is done when this is ready.
fn work(token: Token) -> &'static str {
    match token {
        SIP | DNS | PROBE => "errors of sockets",
        SIGNALS => "a signal",
        FILES => "reading files of the node",
        ADDRESSES => "looking up the node's addresses",
        _ => "HTTP",
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        crash::set_flight(None);
    }
}

#[derive(PartialEq, Eq)]
enum Onward {
    Stay,
    Exit,
}

fn open(name: Udp, address: SocketAddrV4, dscp: u8, token: Token, registry: &Registry) -> Result<Port, Fatal> {
    let port = bind(name, address, dscp)?;
    let registered = registry.register(&mut SourceFd(&port.fd.as_raw_fd()), token, Interest::READABLE);
    registered.map_err(Fatal::because(format!("cannot listen on UDP {address}")))?;
    Ok(port)
}

/// A port that the loop does not wake up for.
fn bind(name: Udp, address: SocketAddrV4, dscp: u8) -> Result<Port, Fatal> {
    let option = match name {
        Udp::Sip => " (sip.listen)",
        Udp::Probe => " (probe.listen)",
        Udp::Dns => "",
    };
    let what = || format!("cannot listen on UDP {address}{option}");
    let fd = udp::bind(address, dscp).map_err(Fatal::because(what()))?;
    let port = udp::port(fd.as_fd()).map_err(Fatal::because(what()))?;
    Ok(Port { fd, name, address: SocketAddrV4::new(*address.ip(), port), cut_short: true })
}

/// Sends what the core has for this socket.
fn send(core: &mut Core, outgoing: &mut mmsg::Outgoing, port: &mut Port, demo: &mut Option<World>, now: Instant) {
    loop {
        while let Some(space) = outgoing.space() {
            let Some(transmit) = core.poll_datagram(port.name, space) else { break };
            let bytes = space.get(..transmit.len).unwrap_or_default();
            if demo.as_mut().is_some_and(|demo| demo.take_datagram(&transmit, bytes, now)) {
                continue;
            }
            outgoing.push(transmit.len, transmit.source, transmit.destination);
        }
        if outgoing.is_empty() {
            return;
        }
        let said = outgoing.send(port.fd.as_fd(), |destination, error| match error.raw_os_error() {
            // No way to go there is an answer; everything else is a lost packet, which the protocols repeat.
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ECONNREFUSED) => {
                core.handle_event(Event::Unreachable { socket: port.name, destination, quoted: None }, now);
            }
            _ => log::debug!("datagram to {destination} lost: {error}"),
        });
        if said {
            report_unreachable(port, core, now);
        }
    }
}

fn report_unreachable(port: &Port, core: &mut Core, now: Instant) {
    udp::unreachable(port.fd.as_fd(), |destination, quoted| {
        core.handle_event(Event::Unreachable { socket: port.name, destination, quoted: Some(quoted) }, now);
    });
}

/// The configuration, with every problem in the log.
fn read_config(options: &Options) -> Result<Config, Fatal> {
    let path = &options.config;
    match files::read(path, limits::FILE) {
        Ok(contents) => {
            let (config, problems) = config::parse(&contents.bytes, &path.display().to_string());
            for problem in problems.iter().chain(&config::missing(&contents.bytes, &path.display().to_string())) {
                log::warn!("{problem}");
            }
            Ok(config)
        }
        Err(FileError::NotFound) if !options.config_required => Ok(Config::default()),
        Err(error) => Err(Fatal { what: format!("cannot read {}", path.display()), why: error.to_string() }),
    }
}
