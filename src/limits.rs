//! Every bound, with its reason. Nothing that the network can fill grows without one.

/// The largest UDP payload over IPv4 (65 535 less 28 bytes of headers): the buffer no datagram can overrun.
pub const DATAGRAM: usize = 65_507;

/// Header lines of one SIP message. Real messages have 10 to 40; the torture tests go to a few hundred.
pub const SIP_HEADER_LINES: usize = 512;
