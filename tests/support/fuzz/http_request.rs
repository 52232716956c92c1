//! Any bytes from a client of our HTTP server: cut in whatever way, they mean the same, and every answer is HTTP.

use std::net::Ipv4Addr;

use switchboard::engine::{Engine, Peer, StreamId};
use switchboard::http::Command;
use switchboard::http::server::Server;
use switchboard::limits;
use switchboard::time::Instant;
use switchboard::wire::http::{self, Request, Response};

const NOW: Instant = Instant::from_micros(0);
const STREAM: StreamId = StreamId::Incoming(1);

pub fn check(data: &[u8]) {
    let whole = serve(data, data.len().max(1));
    for step in [1, 3, 64] {
        let cut = serve(data, step);
        // Bytes that run ahead of the answers are cut off somewhere, and where depends on how they come.
        if whole.1 && cut.1 {
            assert_eq!(cut.0, whole.0, "in steps of {step}");
        }
    }
}

/// The requests that were understood, and whether the client was not cut off.
fn serve(data: &[u8], step: usize) -> (Vec<Request>, bool) {
    let mut server = Server::new();
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    let (mut buffer, mut open) = ([0; 300], true);
    server.handle_accepted(STREAM, Peer::Address(Ipv4Addr::LOCALHOST), NOW);
    for piece in data.chunks(step) {
        if !open {
            break;
        }
        server.handle_received(STREAM, piece, NOW);
        loop {
            let mut idle = true;
            while let Some((_, _, request)) = server.poll_request() {
                assert!(request.path.starts_with('/') && !request.path.chars().any(char::is_control));
                assert!(request.body.len() <= limits::HTTP_REQUEST_BODY);
                server.respond(STREAM, Response::text(200, &request.path).with("X", request.path.clone()), NOW);
                requests.push(request);
                idle = false;
            }
            let length = server.poll_send(STREAM, &mut buffer);
            answers.extend_from_slice(&buffer[..length]);
            while let Some(command) = server.poll_command() {
                open = false;
                if command == Command::Abort(STREAM) {
                    return (requests, false);
                }
            }
            if server.next_deadline() == Some(NOW) {
                server.handle_timeout(NOW);
            } else if idle && length == 0 {
                break;
            }
        }
    }
    if !answers.is_empty() {
        assert!(matches!(http::parse_response(&answers), Ok(Some(_))));
    }
    (requests, true)
}
