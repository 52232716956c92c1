//! Names to addresses over UDP (RFC 1035), with a cache.
