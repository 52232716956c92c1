//! The mesh as it really is, what its files say at one node, and what each router answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use switchboard::files::Watched;
use switchboard::rng::Rng;
use switchboard::wire::http::{FetchError, Fetched};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// API 1.7: links without measurements.
    Olsr,
    /// API 1.11: measurements without times.
    Early,
    /// API 1.14, written by Lua.
    Lua,
    /// API 2.0.
    Babel,
    /// mesh-manager.
    Go,
}

impl Generation {
    pub fn is_new(self) -> bool {
        self == Self::Babel
    }

    /// Whether it says how long a link takes.
    fn measures(self) -> bool {
        matches!(self, Self::Lua | Self::Babel)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// Nothing comes back.
    Silent,
    /// Something would, too late.
    Slow,
    /// No such page at either URL.
    Gone,
    /// 200, and then anything.
    Garbage,
    /// Answers in the name of another.
    Impostor,
    /// Never stops talking.
    Endless,
}

#[derive(Debug)]
pub struct Router {
    /// Lower case, as the map has it.
    pub name: String,
    pub address: Ipv4Addr,
    pub generation: Generation,
    pub manner: Manner,
    pub supernode: bool,
    /// In hundred-thousandths of a degree.
    position: Option<(i64, i64)>,
    /// Whether this node's files name it.
    announced: bool,
}

pub struct Phone {
    pub number: String,
    pub router: usize,
    /// The name of its host, if that is not its number.
    host: Option<String>,
}

/// One direction of a link.
struct Edge {
    to: usize,
    medium: &'static str,
    rtt_us: u32,
}

pub struct Truth {
    pub routers: Vec<Router>,
    pub phones: Vec<Phone>,
    /// Nodes of other meshes, which only supernodes know.
    pub foreigners: Vec<String>,
    edges: Vec<Vec<Edge>>,
    /// Who claims to hear which hostile name.
    hostile: BTreeMap<usize, &'static str>,
    sharded: bool,
    /// Numbers of all routers that can be known.
    known: BTreeSet<usize>,
}

const HOSTILE: [&str; 8] = [
    "hb';reboot;'",
    "'$(reboot)'",
    "<script>alert(1)</script>",
    "hb9\u{202e}evil",
    "hb9\"},{\"x\":\"",
    "hb9\\u0000/../../etc/passwd",
    "hb9a&b\u{2028}c",
    "HB9@evil.example:80#?%0d%0a",
];

const GARBAGE: [&str; 10] = [
    "",
    "<html><body>404</body></html>",
    "null",
    "[]",
    "{}",
    "{\"node\":",
    "{\"node\":\"x\",\"lqm\":{\"info\":{\"trackers\":{\"a\":",
    "{\"node\":{\"node\":[[[]]]}}",
    "\u{0}\u{1}\u{2}",
    "{\"nodes\":\"hb9\",\"lat\":1e999}",
];

impl Truth {
    pub fn new(rng: &mut Rng, routers: usize, phones: usize) -> Self {
        let mut draw = |below: usize| usize::try_from(rng.below(u64::try_from(below).unwrap())).unwrap();
        let mut all = Vec::new();
        for n in 0..routers {
            let call = ["hb9", "hb3", "dl1", "hb9"][draw(4)];
            let generation = match draw(10) {
                0 => Generation::Olsr,
                1 => Generation::Early,
                2 | 3 => Generation::Lua,
                4 => Generation::Go,
                _ => Generation::Babel,
            };
            let manner = match draw(20) {
                0 => Manner::Silent,
                1 => [Manner::Slow, Manner::Gone, Manner::Garbage, Manner::Impostor, Manner::Endless][draw(5)],
                _ => Manner::Good,
            };
            let position = (draw(5) > 0).then(|| (4_600_000 + draw(200_000) as i64, 600_000 + draw(400_000) as i64));
            // Supernodes hear only whom everybody knows, and foreigners.
            let supernode = n % 100 == 50;
            let (generation, manner) = if supernode { (Generation::Babel, Manner::Good) } else { (generation, manner) };
            all.push(Router {
                name: format!("{call}{}-{n}", ["aaa", "bx", "zzz"][draw(3)]),
                address: Ipv4Addr::new(
                    10,
                    u8::try_from(n % 16).unwrap(),
                    u8::try_from(n / 250).unwrap(),
                    u8::try_from(n % 250 + 1).unwrap(),
                ),
                generation: if n == 0 { Generation::Babel } else { generation },
                manner: if n == 0 { Manner::Good } else { manner },
                supernode,
                position,
                announced: n == 0 || supernode || draw(12) > 0,
            });
        }
        let mut edges: Vec<Vec<Edge>> = (0..routers).map(|_| Vec::new()).collect();
        let mut pairs = BTreeSet::new();
        for n in 1..routers {
            for _ in 0..=draw(3) {
                let other = if draw(4) == 0 { draw(n) } else { n - 1 - draw(n.min(12)) };
                if (all[n].supernode || all[other].supernode) && !(all[n].announced && all[other].announced) {
                    continue;
                }
                let medium = ["RF", "RF", "RF", "DTD", "TUN", "XLINK"][draw(6)];
                if pairs.insert((n, other, medium)) {
                    for (from, to) in [(n, other), (other, n)] {
                        let rtt_us = u32::try_from(300 + draw(200_000)).unwrap();
                        edges[from].push(Edge { to, medium, rtt_us });
                    }
                }
            }
        }
        let phones = (0..phones)
            .map(|n| {
                let router = std::iter::repeat_with(|| draw(routers)).find(|router| all[*router].announced).unwrap();
                let host = (draw(3) == 0).then(|| format!("phone-of-{n}"));
                Phone { number: (441_000 + n).to_string(), router, host }
            })
            .collect();
        let good: Vec<usize> = (1..routers)
            .filter(|n| {
                all[*n].manner == Manner::Good
                    && all[*n].generation == Generation::Babel
                    && all[*n].announced
                    && !all[*n].supernode
            })
            .collect();
        let hostile =
            HOSTILE.iter().enumerate().map(|(n, name)| (good[n * good.len() / HOSTILE.len()], *name)).collect();
        let foreigners = (0..40).map(|n| format!("w6xyz-{n}")).collect();
        let sharded = draw(2) == 0;
        let mut truth = Self { routers: all, phones, foreigners, edges, hostile, sharded, known: BTreeSet::new() };
        truth.known = truth.find_known();
        truth
    }

    pub fn hostile_names(&self) -> Vec<&'static str> {
        self.hostile.values().copied().collect()
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.routers.iter().position(|router| router.name == name)
    }

    /// What a router says of its neighbours reaches the map.
    fn is_heard(&self, router: usize) -> bool {
        self.routers[router].manner == Manner::Good
    }

    fn find_known(&self) -> BTreeSet<usize> {
        let mut known: BTreeSet<usize> = (0..self.routers.len()).filter(|n| self.routers[*n].announced).collect();
        loop {
            let heard: Vec<usize> = known
                .iter()
                .filter(|n| self.is_heard(**n))
                .flat_map(|n| self.edges[*n].iter().map(|edge| edge.to))
                .collect();
            let before = known.len();
            known.extend(heard);
            if known.len() == before {
                return known;
            }
        }
    }

    /// Names of all routers on a whole map, and of what some of them claim to hear.
    pub fn known_routers(&self) -> BTreeSet<String> {
        let routers = self.known.iter().map(|n| self.routers[*n].name.clone());
        routers.chain(self.hostile.values().map(|name| name.to_lowercase())).collect()
    }

    /// Names of all routers that can be known for nothing.
    pub fn announced_routers(&self) -> BTreeSet<String> {
        let near = self.edges[0].iter().map(|edge| edge.to);
        let announced = (0..self.routers.len()).filter(|n| self.routers[*n].announced);
        announced.chain(near).map(|n| self.routers[n].name.clone()).collect()
    }

    pub fn known_links(&self) -> BTreeSet<String> {
        let mut links = BTreeSet::new();
        for n in self.known.iter().copied().filter(|n| self.is_heard(*n)) {
            for edge in &self.edges[n] {
                links.insert(format!("{} {} {}", self.routers[n].name, self.routers[edge.to].name, edge.medium));
            }
        }
        links.extend(
            self.hostile.iter().map(|(n, name)| format!("{} {} RF", self.routers[*n].name, name.to_lowercase())),
        );
        links
    }

    pub fn rtt_us(&self, source: &str, target: &str, medium: &str) -> Option<u32> {
        let from = self.number(source).unwrap();
        let to = self.number(target)?;
        let measured = from == 0 || self.routers[from].generation.measures();
        let edge = self.edges[from].iter().find(|edge| edge.to == to && edge.medium == medium).unwrap();
        measured.then_some(edge.rtt_us)
    }

    /// Degrees, where the map must have the node or, nearly, the phone.
    pub fn position(&self, name: &str) -> Option<(f64, f64)> {
        let router = match self.phones.iter().find(|phone| phone.number == name) {
            Some(phone) => phone.router,
            None => self.number(name)?,
        };
        let said_by_itself = router == 0 || self.is_heard(router);
        // Neighbours know where it is, if they are of a generation that says so.
        let mut neighbours = self.known.iter().copied().filter(|n| self.edges[*n].iter().any(|edge| edge.to == router));
        let told = neighbours.any(|n| n == 0 || (self.is_heard(n) && self.routers[n].generation.measures()));
        let (latitude, longitude) = self.routers[router].position.filter(|_| said_by_itself || told)?;
        Some((latitude as f64 / 1e5, longitude as f64 / 1e5))
    }

    /// What the files of the first router say: name and content of each.
    pub fn files(&self) -> Vec<(Watched, String, String)> {
        let (mut hosts, mut services) = (BTreeMap::<String, String>::new(), BTreeMap::<String, String>::new());
        for (n, router) in self.routers.iter().enumerate().filter(|(_, router)| router.announced) {
            let [_, b, c, d] = router.address.octets();
            let file = if self.sharded { (b & 15).to_string() } else { router.address.to_string() };
            let header = if self.sharded { format!("##{}##\n", router.address) } else { String::new() };
            let upper = router.name.to_uppercase();
            let (mut lines, mut links) = (header.clone(), header);
            for phone in self.phones.iter().filter(|phone| phone.router == n) {
                if phone.host.is_none() {
                    lines += &format!("10.2{b:02}.{}.{}\t{}\n", c * 10 + b, phone.number.len() + n % 200, phone.number)
                        .replace("10.2", "10.1");
                }
                let host = phone.host.as_ref().unwrap_or(&phone.number);
                links += &format!("http://{host}:0/|tcp|x{} [phone]\n", phone.number);
            }
            links += &format!("http://{upper}:80/|tcp|<b>Page</b> [web]\n");
            lines += &format!("10.{}.{c}.{d}\tdtdlink.{upper}.local.mesh\n", b + 100);
            lines += &format!("10.{}.{c}.{d}\tlan.{upper}.local.mesh\n", b + 200);
            if router.supernode {
                lines += &format!("{}\tsupernode.{upper}.local.mesh\n", router.address);
            }
            lines += &format!("{}\t{upper}\n\n", router.address);
            *hosts.entry(file.clone()).or_default() += &lines;
            *services.entry(file).or_default() += &(links + "\n");
        }
        let position = self.routers[0].position.map_or_else(String::new, |(latitude, longitude)| {
            format!("config location\n\toption lat '{}'\n\toption lon '{}'\n", degrees(latitude), degrees(longitude))
        });
        let files = hosts.into_iter().map(|(name, text)| (Watched::HostsDir, name, text));
        files
            .chain(services.into_iter().map(|(name, text)| (Watched::ServicesDir, name, text)))
            .chain([(Watched::ArednConfig, "aredn".to_owned(), position)])
            .collect()
    }

    /// Other addresses of announced routers.
    pub fn aliases(&self) -> impl Iterator<Item = (Ipv4Addr, &str)> {
        self.routers.iter().filter(|router| router.announced).flat_map(|router| {
            let [_, b, c, d] = router.address.octets();
            [100, 200].map(|more| (Ipv4Addr::new(10, b + more, c, d), router.name.as_str()))
        })
    }

    /// `/tmp/lqm.info` of a router.
    pub fn lqm(&self, router: usize) -> String {
        let generation = self.routers[router].generation;
        let mut trackers: Vec<String> = Vec::new();
        for edge in &self.edges[router] {
            let other = &self.routers[edge.to];
            let kind = match (edge.medium, generation) {
                ("DTD", _) => "DtD",
                ("TUN", Generation::Early | Generation::Lua) => "Tunnel",
                ("TUN", _) => "Wireguard",
                ("XLINK", _) => "Xlink",
                (other, _) => other,
            };
            // Stripped by most, not by all.
            let hostname =
                if trackers.len() % 3 == 2 { format!("dtdlink.{}.local.mesh", other.name) } else { other.name.clone() };
            let mut fields = format!(
                "\"hostname\":\"{hostname}\",\"type\":\"{kind}\",\"lastseen\":5000,\"quality\":97,\"blocks\":{{\"a\":[{{}}]}}"
            );
            if generation.measures() {
                fields += &format!(",\"ping_success_time\":{}.{:06}", edge.rtt_us / 1_000_000, edge.rtt_us % 1_000_000);
                fields += &format!(",\"canonical_ip\":\"{}\"", other.address);
                if let Some((latitude, longitude)) = other.position {
                    fields += &format!(",\"lat\":{},\"lon\":{}", degrees(latitude), degrees(longitude));
                }
            } else if generation == Generation::Go {
                fields += ",\"ping_success_time\":0,\"lastseen\":\"2025-10-01T10:00:00Z\"";
            }
            trackers.push(fields);
        }
        if let Some(name) = self.hostile.get(&router) {
            let name = serde_json::to_string(name).unwrap();
            trackers.push(format!(
                "\"hostname\":{name},\"type\":\"RF\",\"lastseen\":5000,\"quality\":50,\"ping_success_time\":null"
            ));
        }
        if self.routers[router].supernode {
            trackers.extend(
                self.foreigners
                    .iter()
                    .map(|name| format!("\"hostname\":\"{name}\",\"type\":\"Wireguard\",\"quality\":100")),
            );
        }
        // A station that was just heard, one that is gone, and a phone that claims to be a neighbour.
        trackers.push("\"type\":\"RF\",\"lastseen\":5000,\"signal\":-80".into());
        trackers.push("\"hostname\":\"gone-node\",\"lastseen\":100,\"quality\":0".into());
        trackers.push("\"hostname\":\"gone-too\",\"lastseen\":100,\"quality\":44".into());
        trackers.push("\"hostname\":\"441000\",\"lastseen\":5000,\"quality\":44".into());
        let trackers: Vec<String> =
            trackers.iter().enumerate().map(|(n, fields)| format!("\"00:00:00:00:00:{n:02x}\":{{{fields}}}")).collect();
        format!("{{\"start\":1,\"now\":5000,\"trackers\":{{{}}},\"hidden_nodes\":[]}}", trackers.join(","))
    }

    /// What comes of a question, and when.
    pub fn answer(
        &self,
        name: &str,
        old: bool,
        timeout: Duration,
        rng: &mut Rng,
    ) -> (Result<Fetched, FetchError>, Duration) {
        let takes = Duration::from_millis(20 + rng.below(400));
        let Some(number) = self.number(name) else {
            panic!("{name} is no router, and was asked");
        };
        let router = &self.routers[number];
        let fetched = |status, body: Vec<u8>| Ok(Fetched { status, etag: None, last_modified: None, body });
        match router.manner {
            Manner::Silent | Manner::Slow => return (Err(FetchError::TotalTimeout), timeout),
            Manner::Gone => return (fetched(404, b"gone".to_vec()), takes),
            _ => {}
        }
        // Old firmware has no such page; new firmware redirects from the old URL, which the client follows.
        if !old && !router.generation.is_new() && router.manner != Manner::Garbage {
            return (fetched(404, b"<h1>Not Found</h1>".to_vec()), takes);
        }
        let body = match router.manner {
            Manner::Garbage => match rng.below(12) {
                0 => "{\"a\":".repeat(30_000),
                1 => "[".repeat(200_000),
                n => GARBAGE[usize::try_from(n - 2).unwrap()].to_owned(),
            },
            Manner::Impostor => self.sysinfo(number, &self.routers[(number + 1) % self.routers.len()].name),
            Manner::Endless => format!("{{\"node\":\"{name}\",\"x\":\"{}", "y".repeat(300_000)),
            _ => self.sysinfo(number, &router.name),
        };
        (fetched(200, body.into_bytes()), takes)
    }

    fn sysinfo(&self, number: usize, name: &str) -> String {
        let router = &self.routers[number];
        let node = name.to_uppercase();
        let nonsense =
            "\"description\":\"<a href='x'>\\u0000\",\"sysinfo\":{\"loads\":[0.1,[]],\"uptime\":null},\"meshrf\":[]";
        let place = match (router.position, router.generation) {
            (None, Generation::Babel) => String::new(),
            (None, _) => "\"lat\":\"\",\"lon\":\"\",".to_owned(),
            (Some((lat, lon)), Generation::Babel) => format!("\"lat\":{},\"lon\":{},", degrees(lat), degrees(lon)),
            (Some((lat, lon)), _) => format!("\"lat\":\"{}\",\"lon\":\"{}\",", degrees(lat), degrees(lon)),
        };
        let interfaces = format!(
            "\"interfaces\":[{{\"name\":\"wlan0\",\"ip\":\"{}\"}},{{\"name\":\"eth0\",\"ip\":\"none\"}}]",
            router.address
        );
        match router.generation {
            Generation::Olsr => {
                let link = |edge: &Edge| {
                    let other = &self.routers[edge.to];
                    format!(
                        "\"{}\":{{\"hostname\":\"{}.local.mesh\",\"linkType\":\"{}\",\"linkQuality\":1}}",
                        // One address for each medium, as the routing protocol has them.
                        Ipv4Addr::from(u32::from(other.address) + (edge.medium.len() as u32) * 0x0010_0000),
                        other.name.to_uppercase(),
                        edge.medium
                    )
                };
                let mut seen = BTreeSet::new();
                let links: Vec<String> =
                    self.edges[number].iter().map(link).filter(|link| seen.insert(link.clone())).collect();
                format!(
                    "{{\"api_version\":\"1.7\",\"node\":\"{node}\",{place}{nonsense},{interfaces},\"link_info\":{{{}}}}}",
                    links.join(",")
                )
            }
            Generation::Early | Generation::Lua | Generation::Go => {
                let api = if router.generation == Generation::Lua { "1.14" } else { "1.11" };
                let line = if router.generation == Generation::Go { "" } else { "\n  " };
                format!(
                    "{line}{{{line}\"api_version\":\"{api}\",\"node\":\"{node}\",{line}{place}{nonsense},{interfaces},\"link_info\":[],\"lqm\":{{\"enabled\":true,\"info\":{}}}}}",
                    self.lqm(number)
                )
            }
            Generation::Babel => format!(
                "{{\"api_version\":\"2.0\",\"node\":\"{node}\",\"ip\":\"{}\",\"node_details\":{{\"model\":\"MikroTik hAP\",\"firmware_version\":\"4.26.7.0\",\"mesh_supernode\":{}}},{place}{nonsense},{interfaces},\"lqm\":{{\"info\":{}}}}}",
                router.address,
                router.supernode,
                self.lqm(number)
            ),
        }
    }
}

fn degrees(value: i64) -> String {
    format!("{}.{:05}", value / 100_000, value % 100_000)
}
