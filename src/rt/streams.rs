//! Byte streams: listeners, accepted clients and dialled servers, over TCP and the unix socket.
//!
//! Every stream holds at most one chunk that could not be written yet; the core is asked for more only when that chunk
//! is gone. That is all the back-pressure there is.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use crate::core::Core;
use crate::core::event::Event;
use crate::engine::{Peer, StreamId};
use crate::limits;
use crate::time::Instant;

/// Tokens from here on belong to this file.
pub const FIRST_TOKEN: usize = 64;
const FIRST_STREAM: usize = FIRST_TOKEN + 64;

/// Everything that is listened on and everything that is open.
#[derive(Default)]
pub struct Streams {
    listeners: Vec<Listener>,
    slots: Vec<Option<Stream>>,
    accepted: u32,
    /// Listeners with more clients than one turn may take.
    crowded: Vec<usize>,
    /// Of those, none could be taken: there was no descriptor left. The next turn looks whether there is one.
    starved: bool,
    /// The API is switched off: whoever comes is sent away.
    refusing: bool,
    /// The socket of somebody else on this machine may not be opened; that was said.
    shut_out: bool,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// The core has nothing more to say: close when all is written.
    Finishing,
}

struct Stream {
    id: StreamId,
    socket: Socket,
    state: State,
    unwritten: Vec<u8>,
    /// There was more to read than one turn may take.
    unread: bool,
}

impl Streams {
    /// Listens on these and on nothing else; streams that are open stay. Says what could not be listened on.
    pub fn listen(&mut self, tcp: &[SocketAddrV4], unix: Option<&Path>, registry: &Registry) {
        let mut kept = None;
        self.refusing = unix.is_none();
        for listener in self.listeners.drain(..) {
            match listener {
                // Who made it may not be allowed to make it again: it was root then. It stays while the API is off.
                Listener::Unix(socket, path) if unix.is_none_or(|wanted| wanted == path) => kept = Some((socket, path)),
                Listener::Unix(_, path) => drop(fs::remove_file(path)),
                Listener::Tcp(_) => {}
            }
        }
        for address in tcp {
            match TcpListener::bind(SocketAddr::V4(*address)) {
                Ok(listener) => self.listeners.push(Listener::Tcp(listener)),
                Err(error) => log::error!("the API cannot listen on {address}: {error}"),
            }
        }
        if let Some((socket, path)) = kept {
            self.listeners.push(Listener::Unix(socket, path));
        } else if let Some(path) = unix {
            match listen_unix(path) {
                Ok(listener) => self.listeners.push(Listener::Unix(listener, path.to_owned())),
                Err(error) => log::error!("the API cannot listen on {}: {error}", path.display()),
            }
        }
        self.crowded = Vec::new();
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_TOKEN.saturating_add(index));
            let source: &mut dyn Source = match listener {
                Listener::Tcp(listener) => listener,
                Listener::Unix(listener, _) => listener,
            };
            // What was kept is known already, but may have another place now.
            let known = registry.register(source, token, Interest::READABLE);
            if let Err(error) = known.or_else(|_| registry.reregister(source, token, Interest::READABLE)) {
                log::error!("the API cannot listen: {error}");
            }
        }
    }

    /// Something is ready on one of this file's tokens.
    pub fn ready(&mut self, token: Token, registry: &Registry, core: &mut Core, now: Instant) {
        match token.0.checked_sub(FIRST_STREAM) {
            None => self.accept(token.0.saturating_sub(FIRST_TOKEN), registry, core, now),
            Some(slot) => self.receive(slot, registry, core, now),
        }
    }

    /// Opens a stream to a server.
    pub fn dial(&mut self, id: StreamId, address: SocketAddrV4, registry: &Registry, core: &mut Core, now: Instant) {
        let socket = TcpStream::connect(SocketAddr::V4(address)).map(Socket::Tcp);
        if let Err(error) = self.connect(id, socket, registry) {
            log::debug!("cannot connect to {address}: {error}");
            core.handle_event(Event::Closed { stream: id, failed: true }, now);
        }
    }

    /// Opens a stream to a socket on this machine.
    pub fn dial_unix(&mut self, id: StreamId, path: &Path, registry: &Registry, core: &mut Core, now: Instant) {
        let socket = UnixStream::connect(path).map(Socket::Unix);
        if let Err(error) = self.connect(id, socket, registry) {
            // A program that is started anew makes a new socket, of which we, not root any more, get no share.
            let known = std::mem::replace(&mut self.shut_out, error.kind() == io::ErrorKind::PermissionDenied);
            match self.shut_out && !known {
                true => log::warn!("{} may not be opened (service switchboard reload): {error}", path.display()),
                false => log::debug!("cannot connect to {}: {error}", path.display()),
            }
            core.handle_event(Event::Closed { stream: id, failed: true }, now);
        }
    }

    fn connect(&mut self, id: StreamId, socket: io::Result<Socket>, registry: &Registry) -> io::Result<()> {
        let mut stream = Stream::new(id, socket?);
        stream.state = State::Connecting;
        self.insert(stream, registry)
    }

    /// Closes a stream when all is written.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(stream) = self.slots.iter_mut().flatten().find(|stream| stream.id == id) {
            stream.state = State::Finishing;
        }
    }

    /// Closes a stream now.
    pub fn abort(&mut self, id: StreamId, registry: &Registry) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|stream| stream.id == id) {
                close(slot, registry);
            }
        }
    }

    /// Writes what the core has to say and the streams can take.
    pub fn write(&mut self, registry: &Registry, core: &mut Core, now: Instant) {
        for slot in &mut self.slots {
            let Some(stream) = slot else { continue };
            let id = stream.id;
            match stream.write(core) {
                Ok(Written::Everything) if stream.state == State::Finishing => close(slot, registry),
                Ok(_) => {}
                Err(_) => {
                    close(slot, registry);
                    core.handle_event(Event::Closed { stream: id, failed: true }, now);
                }
            }
        }
    }

    /// Takes a few clients: those that they push out are closed at the end of the turn.
    fn accept(&mut self, index: usize, registry: &Registry, core: &mut Core, now: Instant) {
        for _ in 0..limits::ACCEPTED_PER_TURN {
            let accepted = match self.listeners.get(index) {
                Some(Listener::Tcp(listener)) => {
                    listener.accept().map(|(socket, peer)| (Socket::Tcp(socket), address(peer)))
                }
                Some(Listener::Unix(listener, _)) => {
                    listener.accept().map(|(socket, _)| (Socket::Unix(socket), Peer::Owner))
                }
                None => return,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.starved = true;
                    break;
                }
            };
            if self.refusing {
                continue;
            }
            self.accepted = self.accepted.wrapping_add(1);
            let id = StreamId::Incoming(self.accepted);
            let incoming = |stream: &&Stream| matches!(stream.id, StreamId::Incoming(_));
            let open = self.slots.iter().flatten().filter(incoming).count();
            if peer != Peer::Owner && open >= limits::STREAMS_ACCEPTED {
                continue;
            }
            if self.insert(Stream::new(id, socket), registry).is_ok() {
                core.handle_event(Event::Accepted { stream: id, peer }, now);
            } // a stream too many is closed by dropping it
        }
        if !self.crowded.contains(&index) {
            self.crowded.push(index);
        }
    }

    /// Whether there is more to read or to accept, of which mio will not tell again.
    pub fn is_unread(&self) -> bool {
        !self.crowded.is_empty() && !self.starved || self.slots.iter().flatten().any(|stream| stream.unread)
    }

    /// Goes on where the last turn ended before everything was read or accepted.
    pub fn resume(&mut self, registry: &Registry, core: &mut Core, now: Instant) {
        self.starved = false;
        for index in std::mem::take(&mut self.crowded) {
            self.accept(index, registry, core, now);
        }
        for index in 0..self.slots.len() {
            if self.slots.get(index).is_some_and(|slot| slot.as_ref().is_some_and(|stream| stream.unread)) {
                self.receive(index, registry, core, now);
            }
        }
    }

    /// Reads a few chunks. Somebody who sends as fast as we read must not keep us from everything else.
    fn receive(&mut self, index: usize, registry: &Registry, core: &mut Core, now: Instant) {
        let mut chunk = [0_u8; limits::STREAM_CHUNK];
        if let Some(stream) = self.slots.get_mut(index).and_then(Option::as_mut) {
            stream.unread = false;
        }
        for _ in 0..limits::CHUNKS_PER_TURN {
            let Some(slot) = self.slots.get_mut(index) else { return };
            let Some(stream) = slot else { return };
            let id = stream.id;
            if stream.state == State::Connecting {
                match stream.connected() {
                    Ok(false) => return,
                    Ok(true) => {
                        stream.state = State::Open;
                        core.handle_event(Event::Connected(id), now);
                        continue;
                    }
                    Err(_) => {
                        close(slot, registry);
                        core.handle_event(Event::Closed { stream: id, failed: true }, now);
                        return;
                    }
                }
            }
            match stream.socket.read(&mut chunk) {
                Ok(0) => {
                    if stream.state != State::Finishing {
                        core.handle_event(Event::Closed { stream: id, failed: false }, now);
                    }
                    return;
                }
                Ok(length) => {
                    // What a client says after our last word is read and forgotten: closing with unread bytes would
                    // reset the connection under the answer.
                    if let Some(bytes) = chunk.get(..length).filter(|_| stream.state == State::Open) {
                        core.handle_event(Event::Received { stream: id, bytes }, now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    close(slot, registry);
                    core.handle_event(Event::Closed { stream: id, failed: true }, now);
                    return;
                }
            }
        }
        if let Some(stream) = self.slots.get_mut(index).and_then(Option::as_mut) {
            stream.unread = true;
        }
    }

    fn insert(&mut self, mut stream: Stream, registry: &Registry) -> io::Result<()> {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(index) => index,
            None if self.slots.len() < limits::STREAMS => {
                self.slots.push(None);
                self.slots.len().saturating_sub(1)
            }
            None => return Err(io::Error::from_raw_os_error(libc::EMFILE)),
        };
        let token = Token(FIRST_STREAM.saturating_add(index));
        registry.register(stream.socket.source(), token, Interest::READABLE | Interest::WRITABLE)?;
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(stream);
        }
        Ok(())
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for listener in &self.listeners {
            if let Listener::Unix(_, path) = listener {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Listens on a socket file that only this user and group may open. A file left behind by a process that was killed is
/// replaced; one behind which somebody listens is not.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Only IPv4 is listened on.
fn address(peer: SocketAddr) -> Peer {
    Peer::Address(match peer {
        SocketAddr::V4(peer) => *peer.ip(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    })
}

fn close(slot: &mut Option<Stream>, registry: &Registry) {
    if let Some(mut stream) = slot.take() {
        let _ = registry.deregister(stream.socket.source());
        stream.socket.shut();
    }
}

enum Written {
    /// The core has nothing more for this stream now.
    Everything,
    /// The stream takes no more now; mio says when it does.
    Stalled,
}

impl Stream {
    fn new(id: StreamId, socket: Socket) -> Self {
        Self { id, socket, state: State::Open, unwritten: Vec::new(), unread: false }
    }

    /// Whether the connection stands (`false`: not yet).
    fn connected(&mut self) -> io::Result<bool> {
        let Socket::Tcp(stream) = &self.socket else { return Ok(true) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, core: &mut Core) -> io::Result<Written> {
        if self.state == State::Connecting {
            return Ok(Written::Stalled);
        }
        loop {
            if self.unwritten.is_empty() {
                let mut chunk = [0_u8; limits::STREAM_CHUNK];
                let length = core.poll_stream(self.id, &mut chunk);
                self.unwritten.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
            if self.unwritten.is_empty() {
                return Ok(Written::Everything);
            }
            match self.socket.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written.min(self.unwritten.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Written::Stalled),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Socket {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn shut(&mut self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}
