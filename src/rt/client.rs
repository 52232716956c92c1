//! One request to the daemon over its unix socket, for the client verbs: blocking, bounded in time and size.
//!
//! It deliberately does not follow redirects or keep connections, and reads no chunks: our server says the length, or
//! closes.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::limits;

/// Sends `method` and `path` without a body, gives status and body. `deadline` is for all of it together. The error is a
/// sentence without the socket's name.
pub fn request(socket: &Path, method: &str, path: &str, deadline: Duration) -> Result<(u16, Vec<u8>), String> {
    #[allow(clippy::disallowed_methods)]
    let start = std::time::Instant::now();
    let left = || deadline.checked_sub(start.elapsed()).filter(|left| !left.is_zero()).ok_or_else(too_late);
    let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    stream.set_write_timeout(Some(left()?)).map_err(|error| error.to_string())?;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| describe(&error))?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8 << 10];
    loop {
        stream.set_read_timeout(Some(left()?)).map_err(|error| error.to_string())?;
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(describe(&error)),
        };
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if answer.len() > limits::API_ANSWER {
            return Err("the answer is too large".into());
        }
        if let Some(whole) = parse(&answer, End::Open)? {
            return Ok(whole);
        }
    }
    parse(&answer, End::Closed)?.ok_or_else(|| "the connection ended before the answer did".into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
}

/// The whole answer; `None` while some of it is missing.
fn parse(bytes: &[u8], end: End) -> Result<Option<(u16, Vec<u8>)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("the answer is no HTTP: {error}")),
    };
    let status = response.code.unwrap_or(0);
    let body = bytes.get(head..).unwrap_or_default();
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    Ok(match (length, end) {
        (Some(length), _) => body.get(..length).map(|body| (status, body.to_vec())),
        (None, End::Closed) => Some((status, body.to_vec())),
        (None, End::Open) => None,
    })
}

fn too_late() -> String {
    "no answer in time".into()
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => too_late(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_or_its_end_says_so() {
        let counted = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(counted, End::Open), Ok(Some((200, b"{}".to_vec()))));
        for cut in 0..counted.len() {
            assert_eq!(parse(&counted[..cut], End::Open), Ok(None), "{cut}");
            assert_eq!(parse(&counted[..cut], End::Closed), Ok(None), "{cut}");
        }
        let open = b"HTTP/1.1 404 Not Found\r\n\r\nno";
        assert_eq!(parse(open, End::Open), Ok(None));
        assert_eq!(parse(open, End::Closed), Ok(Some((404, b"no".to_vec()))));
        assert!(parse(b"SIP/2.0 200 OK\r\n\r\n", End::Open).is_err());
    }

    #[test]
    fn nobody_at_the_socket_is_an_error_at_once() {
        let error = request(Path::new("/nowhere/at/all.sock"), "GET", "/", Duration::from_secs(1));
        assert!(error.unwrap_err().contains("No such file"));
    }
}
