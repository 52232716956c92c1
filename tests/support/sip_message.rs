//! SIP as a phone reads it: a second, simpler reader than the daemon's, so that both cannot be wrong in the same way.

/// A message split into its lines.
#[derive(Clone, Debug)]
pub struct Message {
    pub first: String,
    pub headers: Vec<(String, String)>,
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("the daemon passes text as text");
        let (head, _) = text.split_once("\r\n\r\n").expect("an empty line ends the head");
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}")))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { first, headers }
    }

    pub fn status(&self) -> Option<u16> {
        self.first.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap()
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn one<'a>(&'a self, name: &'a str) -> &'a str {
        let mut values = self.all(name);
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert!(values.next().is_none(), "two {name} in {self:?}");
        value
    }

    pub fn tag(&self, name: &str) -> Option<String> {
        self.one(name).split_once(";tag=").map(|(_, tag)| tag.split(';').next().unwrap().to_owned())
    }

    pub fn branch(&self) -> String {
        let via = self.all("via").next().expect("a Via");
        via.split_once(";branch=").expect("a branch").1.split(';').next().unwrap().to_owned()
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> (u32, &str) {
        let (number, method) = self.one("cseq").split_once(' ').unwrap();
        (number.parse().unwrap(), method)
    }

    /// The route set of a dialog, as it stands in Record-Route, and what stands in Contact.
    pub fn routes(&self) -> Vec<String> {
        self.all("record-route").map(str::to_owned).collect()
    }

    pub fn contact(&self) -> Option<String> {
        let contact = self.all("contact").next()?;
        Some(contact.trim_start_matches('<').split('>').next().unwrap().to_owned())
    }

    /// An answer to this request (RFC 3261 §8.2.6).
    pub fn answer(&self, status: u16, reason: &str, tag: &str, extra: &[(&str, String)], body: &str) -> String {
        let mut text = format!("SIP/2.0 {status} {reason}\r\n");
        for (name, value) in &self.headers {
            if ["via", "from", "call-id", "cseq", "record-route"].contains(&name.as_str()) {
                text += &format!("{name}: {value}\r\n");
            } else if name == "to" {
                let tag = if value.contains(";tag=") || status == 100 { String::new() } else { format!(";tag={tag}") };
                text += &format!("to: {value}{tag}\r\n");
            }
        }
        for (name, value) in extra {
            text += &format!("{name}: {value}\r\n");
        }
        text + &format!("content-length: {}\r\n\r\n{body}", body.len())
    }
}
