//! HTTP/1.1 messages: heads parsed with `httparse`, heads written, and the values that cross between the HTTP engines and
//! everybody else.
//!
//! Deliberately not here: TLS (not allowed on amateur radio), HTTP/2, compression, cookies, trailers (skipped).
//! Read RFC 9112 §2 to §7 and RFC 9110 §8, §13, §15 first; RFC 3986 §5 for references.

use std::fmt;

/// What a client of ours wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Send it.
    Get,
    /// Send its head only.
    Head,
    /// Do it.
    Post,
    /// Anything else; nothing here answers it.
    Other,
}

/// What a client asked of our server, complete with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// The path, percent-decoded, without the query; always starts with `/`.
    pub path: String,
    /// The query, `a=1&b` as `[("a", "1"), ("b", "")]`, decoded (also `+`).
    pub query: Vec<(String, String)>,
    /// `Host`, as it came: name and maybe port.
    pub host: Option<String>,
    /// `Origin`, as it came: the page that made a browser ask.
    pub origin: Option<String>,
    /// `If-None-Match`, as it came.
    pub if_none_match: Option<String>,
    /// `Content-Type`, as it came.
    pub content_type: Option<String>,
    /// `X-Requested-With`, as it came: what a page of another site cannot make a browser send.
    pub requested_with: Option<String>,
    /// The body; at most [`crate::limits::HTTP_REQUEST_BODY`] bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What our server answers. `Content-Length`, `Connection` and the framing are the server's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// `Content-Type`; empty: none.
    pub content_type: &'static str,
    /// Further headers; one whose value has a control character is left out.
    pub headers: Vec<(&'static str, String)>,
    /// The body. Not sent in answer to HEAD, nor with 204 and 304.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without further headers.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// An answer for people: one line of text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// The same answer with one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What our client got: the last answer, after redirects, with its whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The status; only 200 has what was asked for, and 304 says that the caller has it already.
    pub status: u16,
    /// `ETag`, to be sent back next time.
    pub etag: Option<String>,
    /// `Last-Modified`, to be sent back next time.
    pub last_modified: Option<String>,
    /// The body, decoded.
    pub body: Vec<u8>,
}

/// Why our client got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The name of the server has no address.
    UnknownHost,
    /// Nobody listens there, or there is no way to it.
    NotReached,
    /// It took too long to find and reach the server.
    ConnectTimeout,
    /// It took too long in all.
    TotalTimeout,
    /// The connection ended before the answer did.
    Truncated,
    /// The body is larger than what was allowed.
    TooLarge,
    /// The answer is not HTTP, or not such that its end is certain.
    Malformed(BadMessage),
    /// A redirect to what is not plain HTTP, or without a place to go to.
    BadRedirect,
    /// Redirected more than five times.
    TooManyRedirects,
}

impl fmt::Display for FetchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::UnknownHost => "the server's name has no address",
            Self::NotReached => "the server cannot be reached",
            Self::ConnectTimeout => "the server did not accept the connection in time",
            Self::TotalTimeout => "the download took too long",
            Self::Truncated => "the connection ended before the answer did",
            Self::TooLarge => "the answer is larger than allowed",
            Self::Malformed(bad) => return write!(out, "the answer is not valid HTTP: {bad}"),
            Self::BadRedirect => "the server points to a place that cannot be followed",
            Self::TooManyRedirects => "the server redirects in circles",
        })
    }
}

impl std::error::Error for FetchError {}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMessage {
    /// The first line or a header line is no HTTP.
    Syntax,
    /// The head is longer, or has more lines, than allowed.
    HeadTooLong,
    /// The target of the request is not a path.
    Target,
    /// HTTP/1.1 without `Host`, or with several.
    Host,
    /// `Content-Length` is no number, or several that differ.
    ContentLength,
    /// A transfer coding other than `chunked`, or `chunked` with a length.
    TransferEncoding,
    /// The body is compressed, which nobody asked for.
    ContentEncoding,
    /// The chunks of the body are no chunks.
    Chunk,
    /// The body of a request is longer than allowed.
    BodyTooLong,
}

impl fmt::Display for BadMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Syntax => "malformed start line or header",
            Self::HeadTooLong => "header too long",
            Self::Target => "malformed request target",
            Self::Host => "exactly one Host header is needed",
            Self::ContentLength => "malformed or contradicting Content-Length",
            Self::TransferEncoding => "unsupported or contradicting Transfer-Encoding",
            Self::ContentEncoding => "unsupported Content-Encoding",
            Self::Chunk => "malformed chunk",
            Self::BodyTooLong => "body too long",
        })
    }
}

impl std::error::Error for BadMessage {}

/// `http://host[:port]/path?query`, ready to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// A name or a dotted quad, lower case.
    pub host: String,
    /// 80 if nothing is said.
    pub port: u16,
    /// Path and query as they are sent; starts with `/`, holds visible ASCII only.
    pub path: String,
}

/// Why a text is no URL that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUrl {
    /// It does not start with `http://`.
    Scheme,
    /// It has a user name, an IPv6 address or a malformed host.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// The path has control characters.
    Path,
    /// It has more than 1024 characters.
    Length,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Scheme => "not an http:// URL",
            Self::Host => "not a host name or an IPv4 address",
            Self::Port => "not a port from 1 to 65535",
            Self::Path => "control characters in the path",
            Self::Length => "longer than 1024 characters",
        })
    }
}

impl std::error::Error for BadUrl {}

/// The longest URL that is taken.
const URL_LENGTH: usize = 1_024;

impl Url {
    /// Reads an absolute URL; a fragment is cut off.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        if text.len() > URL_LENGTH {
            return Err(BadUrl::Length);
        }
        let rest = match text.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => rest,
            _ => return Err(BadUrl::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(BadUrl::Host)?;
        let (host, port) = match authority.split_once(':') {
            None | Some((_, "")) => (authority.trim_end_matches(':'), 80),
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                (host, port.parse().ok().filter(|p| *p != 0).ok_or(BadUrl::Port)?)
            }
            Some(_) => return Err(BadUrl::Port),
        };
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(named) {
            return Err(BadUrl::Host);
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, path: printable_path(path)? })
    }

    /// Where a `Location` points to, seen from here (RFC 3986 §5.2).
    pub fn join(&self, location: &str) -> Result<Self, BadUrl> {
        if location.len() > URL_LENGTH {
            return Err(BadUrl::Length);
        }
        let scheme = location.split_once(':').map(|(scheme, _)| scheme);
        if scheme.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
        {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("http:{location}"));
        }
        let base = self.path.split('?').next().unwrap_or("/");
        let path = if location.starts_with('/') {
            without_dots(location)
        } else if location.starts_with('?') {
            format!("{base}{location}")
        } else if location.is_empty() || location.starts_with('#') {
            self.path.clone()
        } else {
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            without_dots(&format!("{folder}/{location}"))
        };
        Ok(Self { host: self.host.clone(), port: self.port, path: printable_path(&path)? })
    }

    /// What `Host` says: the port only where it is not 80.
    pub fn authority(&self) -> String {
        if self.port == 80 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}{}", self.authority(), self.path)
    }
}

/// Path and query without the fragment, starting with `/`, with everything that may not stand in a request line escaped.
fn printable_path(text: &str) -> Result<String, BadUrl> {
    let text = text.split('#').next().unwrap_or_default();
    let mut path = String::with_capacity(text.len().saturating_add(1));
    if !text.starts_with('/') {
        path.push('/');
    }
    for byte in text.bytes() {
        match byte {
            0..0x20 | 0x7f => return Err(BadUrl::Path),
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                path.push_str(&format!("%{byte:02X}"));
            }
            _ => path.push(char::from(byte)),
        }
    }
    Ok(path)
}

/// Takes `.` and `..` out of a path that starts with `/`; the query stays (RFC 3986 §5.2.4).
fn without_dots(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (path, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}{rest}", kept.join("/"))
}
