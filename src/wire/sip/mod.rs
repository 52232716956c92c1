//! SIP on the wire (RFC 3261 §7, §18.3, §19.1, §20, §25): a datagram read in one pass into a table of ranges, the values
//! a proxy has to understand, and new datagrams made by splicing the old one.
//!
//! Deliberately absent: transactions, routing, policy (which scheme, which transport, which method is welcome), and any
//! judgement of header fields that a proxy does not have to understand: they pass byte for byte.
//!
//! * [`message`]: datagram → [`Message`], header fields found by name (long, compact, any case), never by substring.
//! * [`essentials`]: what must be right before anything is done with a message, and what to answer if it is not.
//! * [`value`]: name-addr, Via, CSeq, parameters, numbers.
//! * [`uri`]: sip, sips and tel URIs and when two of them are the same.
//! * [`compose`]: forwarding by splicing, local answers, the proxy's own ACK and CANCEL.
//! * [`sdp`]: the name of the codec, for the list of calls.

pub mod compose;
pub mod essentials;
pub mod message;
mod scan;
pub mod sdp;
pub mod uri;
pub mod value;

pub use compose::{Answer, Forward, ack, cancel, forward_request, forward_response, respond};
pub use essentials::{Essentials, Fault};
pub use message::{HeaderTable, Message, Method, Name, NotSip, StartLine};
pub use sdp::codec;
pub use uri::{Scheme, Uri};
pub use value::{Bad, CSeq, NameAddr, Params, Via, expires, number, q};
