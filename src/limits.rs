//! Every bound, with its reason. Nothing that the network can fill grows without one.

/// The largest UDP payload over IPv4 (65 535 less 28 bytes of headers): the buffer no datagram can overrun.
pub const DATAGRAM: usize = 65_507;

/// Header lines of one SIP message. Real messages have 10 to 40; a check of robustness sends a thousand and wants an
/// answer. The table grows to what was needed once: 10 bytes a line.
pub const SIP_HEADER_LINES: usize = 1_200;

/// Bytes of the user part of a SIP URI once its escapes are undone. Numbers have up to 15 digits, names rarely 30.
pub const SIP_USER: usize = 128;
