//! The only sockets, files, clock, signals and randomness.
