//! HTTP/1.1 on bounded streams: a client that fetches, a server that answers.
