//! HTTP/1.1 on bounded streams: a client that fetches, a server that answers.

mod body;
pub mod client;
pub mod server;

use std::net::SocketAddrV4;

use crate::engine::StreamId;

/// What an HTTP engine wants done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open one.
    Dial {
        /// By this name.
        stream: StreamId,
        /// To there.
        address: SocketAddrV4,
    },
    /// Close it once what was taken by `poll_send` is sent. Nothing more is to be sent when this is said.
    Finish(StreamId),
    /// Close it now.
    Abort(StreamId),
}

/// Copies what fits and says how much that is.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    match (from.get(..count), to.get_mut(..count)) {
        (Some(from), Some(to)) => to.copy_from_slice(from),
        _ => return 0,
    }
    count
}
