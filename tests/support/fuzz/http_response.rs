//! Any bytes as the answer of an HTTP server: cut in whatever way, they mean the same.

use std::time::Duration;

use switchboard::engine::Asker;
use switchboard::http::Command;
use switchboard::http::client::Client;
use switchboard::time::Instant;
use switchboard::wire::http::{Download, FetchError, Fetched, Url};

const LIMIT: usize = 1_000;
const NOW: Instant = Instant::from_micros(0);

pub fn check(data: &[u8]) {
    let whole = fetch(data, data.len().max(1));
    if let Some(Ok(fetched)) = &whole {
        assert!(fetched.body.len() <= LIMIT);
    }
    // What is malformed may be noticed sooner or later, depending on where it is cut.
    let clean = |outcome: Option<Result<Fetched, FetchError>>| outcome.map(Result::ok);
    let whole = clean(whole);
    for step in [1, 2, 7, 64] {
        assert_eq!(clean(fetch(data, step)), whole, "in steps of {step}");
    }
}

/// What comes of it; `None`: the client went to another place.
fn fetch(data: &[u8], step: usize) -> Option<Result<Fetched, FetchError>> {
    let mut client = Client::new();
    let request = Download {
        url: Url::parse("http://10.0.0.1/").unwrap(),
        etag: None,
        last_modified: None,
        connect_timeout: Duration::from_secs(1),
        total_timeout: Duration::from_secs(1),
        max_body: LIMIT,
    };
    client.fetch(request, Asker::Fetch, NOW).unwrap();
    let Some(Command::Dial { stream, .. }) = client.poll_command() else { panic!("it dials") };
    client.handle_connected(stream, NOW);
    for piece in data.chunks(step) {
        client.handle_received(stream, piece, NOW);
    }
    client.handle_closed(stream, false, NOW);
    client.poll_outcome().map(|(_, outcome)| outcome)
}
