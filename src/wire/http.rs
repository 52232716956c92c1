//! HTTP/1.1 messages: heads parsed with `httparse`, heads written, and the values that cross between the HTTP engines and
//! everybody else.
//!
//! Deliberately not here: TLS (not allowed on amateur radio), HTTP/2, compression, cookies, trailers (skipped).
//! Read RFC 9112 §2 to §7 and RFC 9110 §8, §13, §15 first; RFC 3986 §5 for references.

use std::fmt;
use std::time::Duration;

use crate::limits;

/// What a client of ours wants done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Send it.
    #[default]
    Get,
    /// Send its head only.
    Head,
    /// Do it.
    Post,
    /// Anything else; nothing here answers it.
    Other,
}

/// What a client asked of our server, complete with its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// `Referer`, as it came: the page from which a browser asks, if it says so.
    pub referer: Option<String>,
    /// `User-Agent`, as it came.
    pub user_agent: Option<String>,
    /// `Authorization`, as it came.
    pub authorization: Option<String>,
    /// `X-Remote-Addr`, as it came: for whom the node's web server asks. To be believed from the unix socket only.
    pub remote_addr: Option<String>,
    /// The body; at most [`limits::HTTP_REQUEST_BODY`] bytes.
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

/// What our client is to get by GET, and within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// From where.
    pub url: Url,
    /// What the caller has already (`If-None-Match`).
    pub etag: Option<String>,
    /// Of when the caller's copy is (`If-Modified-Since`), as the server had said it.
    pub last_modified: Option<String>,
    /// To find the address of the server and reach it; anew for each redirect.
    pub connect_timeout: Duration,
    /// For everything.
    pub total_timeout: Duration,
    /// The largest body that is taken, in bytes.
    pub max_body: usize,
}

/// What our client got: the last answer, after redirects, with its whole body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// It has so many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Another request may follow.
    KeepAlive,
    /// It is closed.
    Close,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The request; its body is still to come.
    pub request: Request,
    /// How much body comes.
    pub framing: Framing,
    /// What the client wants to become of the connection.
    pub persistence: Persistence,
    /// The client waits for `100 Continue` before it sends the body.
    pub waits_for_continue: bool,
}

/// The head of a response to GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// How much body comes.
    pub framing: Framing,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Location`.
    pub location: Option<String>,
}

/// Reads the head of a request and says how many bytes it took; `None`: more bytes are needed.
pub fn parse_request(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, BadMessage> {
    let mut lines = [httparse::EMPTY_HEADER; limits::HTTP_HEADER_LINES];
    let mut parsed = httparse::Request::new(&mut lines);
    let Some(taken) = complete(parsed.parse(bytes), bytes.len(), limits::HTTP_REQUEST_HEAD)? else { return Ok(None) };
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => Method::Other,
    };
    let version = parsed.version.unwrap_or(0);
    let (path, query) = target(parsed.path.unwrap_or_default())?;
    let headers = Headers(parsed.headers);
    // RFC 9112 §3.2: a request of HTTP/1.1 has exactly one Host.
    let hosts = headers.all("host").count();
    if hosts > 1 || (hosts == 0 && version == 1) {
        return Err(BadMessage::Host);
    }
    let framing = match (headers.is_chunked()?, headers.content_length()?) {
        // RFC 9112 §6.3: both at once is how requests are smuggled; HTTP/1.0 has no chunks.
        (true, Some(_)) => return Err(BadMessage::TransferEncoding),
        (true, None) if version == 0 => return Err(BadMessage::TransferEncoding),
        (true, None) => Framing::Chunked,
        (false, Some(0) | None) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
    };
    let close = version == 0 || headers.tokens("connection").any(|t| t.eq_ignore_ascii_case("close"));
    let request = Request {
        method,
        path,
        query,
        host: headers.first("host"),
        origin: headers.first("origin"),
        if_none_match: headers.first("if-none-match"),
        content_type: headers.first("content-type"),
        requested_with: headers.first("x-requested-with"),
        referer: headers.first("referer"),
        user_agent: headers.first("user-agent"),
        authorization: headers.first("authorization"),
        remote_addr: headers.first("x-remote-addr"),
        body: Vec::new(),
    };
    let persistence = if close { Persistence::Close } else { Persistence::KeepAlive };
    let waits_for_continue = version == 1
        && headers.tokens("expect").any(|t| t.eq_ignore_ascii_case("100-continue"))
        && framing != Framing::Empty;
    Ok(Some((RequestHead { request, framing, persistence, waits_for_continue }, taken)))
}

/// Reads the head of a response to GET and says how many bytes it took; `None`: more bytes are needed.
pub fn parse_response(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, BadMessage> {
    let mut lines = [httparse::EMPTY_HEADER; limits::HTTP_HEADER_LINES];
    let mut parsed = httparse::Response::new(&mut lines);
    let Some(taken) = complete(parsed.parse(bytes), bytes.len(), limits::HTTP_RESPONSE_HEAD)? else { return Ok(None) };
    let status = parsed.code.filter(|code| *code >= 100).ok_or(BadMessage::Syntax)?;
    let headers = Headers(parsed.headers);
    let framing = match (headers.is_chunked()?, headers.content_length()?) {
        _ if matches!(status, 100..=199 | 204 | 304) => Framing::Empty,
        (true, _) if parsed.version == Some(0) => return Err(BadMessage::TransferEncoding),
        // RFC 9112 §6.3: chunks override a length. Nothing follows on this connection, so nothing can be smuggled.
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    if framing != Framing::Empty && headers.tokens("content-encoding").any(|t| !t.eq_ignore_ascii_case("identity")) {
        return Err(BadMessage::ContentEncoding);
    }
    let (etag, last_modified, location) =
        (headers.first("etag"), headers.first("last-modified"), headers.first("location"));
    Ok(Some((ResponseHead { status, framing, etag, last_modified, location }, taken)))
}

/// Makes one result of what `httparse` says and of how long a head may be.
fn complete(status: httparse::Result<usize>, received: usize, limit: usize) -> Result<Option<usize>, BadMessage> {
    match status {
        Ok(httparse::Status::Complete(taken)) if taken <= limit => Ok(Some(taken)),
        Ok(httparse::Status::Partial) if received <= limit => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(BadMessage::HeadTooLong),
        Err(_) => Err(BadMessage::Syntax),
    }
}

/// The header lines of one message.
struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
    }

    fn first(&self, name: &'static str) -> Option<String> {
        self.all(name).next().and_then(|value| std::str::from_utf8(value).ok()).map(|value| value.trim().to_owned())
    }

    /// The members of a comma-separated list, over all lines of that name.
    fn tokens(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        // What is no UTF-8 becomes a token that equals nothing we look for.
        self.all(name).flat_map(|value| std::str::from_utf8(value).unwrap_or("?").split(',')).map(str::trim)
    }

    fn is_chunked(&self) -> Result<bool, BadMessage> {
        let mut codings = self.tokens("transfer-encoding");
        match (codings.next(), codings.next()) {
            (None, _) => Ok(false),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(true),
            _ => Err(BadMessage::TransferEncoding),
        }
    }

    /// RFC 9110 §8.6: several equal lengths are one; anything else is an error.
    fn content_length(&self) -> Result<Option<u64>, BadMessage> {
        let mut length = None;
        for text in self.tokens("content-length") {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(BadMessage::ContentLength);
            }
            let value = text.parse::<u64>().map_err(|_| BadMessage::ContentLength)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(BadMessage::ContentLength);
            }
            length = Some(value);
        }
        Ok(length)
    }
}

/// Path and query of a request target in origin or absolute form (RFC 9112 §3.2), decoded.
#[allow(clippy::type_complexity)]
fn target(text: &str) -> Result<(String, Vec<(String, String)>), BadMessage> {
    let absolute;
    let text = if text.starts_with('/') {
        text
    } else {
        absolute = Url::parse(text).map_err(|_| BadMessage::Target)?.path;
        absolute.as_str()
    };
    let text = text.split('#').next().unwrap_or_default();
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = decode(path, Plus::Literal)?;
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key, Plus::Space)?, decode(value, Plus::Space)?))
        })
        .collect::<Result<_, BadMessage>>()?;
    Ok((path, query))
}

/// What a `+` stands for: in a query, browsers write it for a space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Literal,
    Space,
}

/// Undoes percent-encoding; the result is text without control characters.
fn decode(text: &str, plus: Plus) -> Result<String, BadMessage> {
    let hex = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = hex(bytes.next()).ok_or(BadMessage::Target)?;
                let low = hex(bytes.next()).ok_or(BadMessage::Target)?;
                (high << 4) | low
            }
            b'+' if plus == Plus::Space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.chars().any(char::is_control)).ok_or(BadMessage::Target)
}

/// Writes a GET. Validators that could not stand in a header are left out.
pub fn emit_get(url: &Url, etag: Option<&str>, last_modified: Option<&str>) -> Vec<u8> {
    let mut head = start_of_request("GET", url);
    for (name, value) in [("If-None-Match", etag), ("If-Modified-Since", last_modified)] {
        if let Some(value) = value.filter(|value| is_field_value(value)) {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    head.into_bytes()
}

/// Writes a POST of JSON, which wants the connection closed after the answer.
pub fn emit_post(url: &Url, json: &[u8]) -> Vec<u8> {
    let mut request = start_of_request("POST", url);
    request.push_str("Content-Type: application/json\r\nContent-Length: ");
    request.push_str(&json.len().to_string());
    request.push_str("\r\nConnection: close\r\n\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(json);
    request
}

fn start_of_request(method: &str, url: &Url) -> String {
    format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: switchboard/{}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n",
        url.path,
        url.authority(),
        env!("CARGO_PKG_VERSION")
    )
}

/// Writes the head of a response, with the length of its body.
///
/// There is no `Date`: the machine may not know it (RFC 9110 §6.6.1).
pub fn emit_head(response: &Response, persistence: Persistence) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    let mut line = |name: &str, value: &str| {
        // What we put in is ours, but it may quote what came from the network.
        if is_token(name) && is_field_value(value) {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
    };
    if !response.content_type.is_empty() {
        line("Content-Type", response.content_type);
    }
    for (name, value) in &response.headers {
        let framing = ["content-length", "transfer-encoding", "connection", "content-type"];
        if !framing.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            line(name, value);
        }
    }
    // RFC 9110 §8.6: none with 1xx and 204; with 304 it would be that of the document, which the caller left out.
    if !matches!(response.status, 100..=199 | 204 | 304) {
        line("Content-Length", &response.body.len().to_string());
    }
    line("Connection", if persistence == Persistence::Close { "close" } else { "keep-alive" });
    head.push_str("\r\n");
    head.into_bytes()
}

/// Whether a text can be the value of a header: no control characters (RFC 9110 §5.5).
fn is_field_value(text: &str) -> bool {
    text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

/// Whether a text can be the name of a header (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The phrase of a status (RFC 9110 §15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
