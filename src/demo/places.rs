//! Who is on the simulated mesh: nodes on real hills with call signs that nobody has, and a phone for each row of the demo book.

use std::net::Ipv4Addr;

/// The demo book; the simulated file server has it.
pub const BOOK: &str = include_str!("../../demo/phonebook.csv");

/// A node.
pub struct Place {
    /// As it calls itself.
    pub name: &'static str,
    /// North and east, in ten-thousandths of a degree; `None`: nobody has said where it is.
    pub position: Option<(i32, i32)>,
    /// The node through which it is reached. The first one is this node itself.
    pub parent: usize,
    /// What joins the two, as the firmware calls it.
    pub medium: &'static str,
    /// There and back over that link on a good day, in microseconds.
    pub rtt_us: u32,
}

const fn place(
    name: &'static str,
    lat: i32,
    lon: i32,
    parent: usize,
    medium: &'static str,
    tenths_of_ms: u32,
) -> Place {
    let position = if lat == 0 { None } else { Some((lat, lon)) };
    Place { name, position, parent, medium, rtt_us: tenths_of_ms * 100 }
}

/// All nodes, this one first; parents stand before their children.
pub const PLACES: [Place; 32] = [
    place("X0DEMO-Rigi", 470_567, 84_853, 0, "", 0),
    place("X0AAB-Pilatus", 469_786, 82_525, 0, "RF", 21),
    place("X0AAC-Uetliberg", 473_496, 84_913, 0, "RF", 34),
    place("X0AAD-Napf", 470_047, 79_403, 1, "RF", 42),
    place("X0AAE-Laegern", 474_814, 83_960, 2, "RF", 25),
    place("X0AAF-Bachtel", 472_945, 88_862, 2, "RF", 38),
    place("X0AAG-Hoernli", 473_711, 89_417, 5, "RF", 17),
    place("X0AAH-Saentis", 472_494, 93_433, 6, "RF", 55),
    place("X0AAI-Bantiger", 469_778, 75_286, 3, "RF", 48),
    place("X0AAJ-Gurten", 469_194, 74_373, 8, "RF", 14),
    place("X0AAK-Niesen", 466_450, 76_514, 8, "RF", 62),
    place("X0AAL-Chasseral", 471_325, 70_594, 8, "RF", 71),
    place("X0AAM-Weissenstein", 472_514, 75_092, 3, "RF", 44),
    place("X0AAN-Passwang", 473_668, 76_723, 12, "RF", 31),
    place("X0AAO-Chrischona", 475_722, 76_869, 13, "RF", 40),
    place("X0AAP-Schilthorn", 465_574, 78_353, 10, "RF", 29),
    place("X0AAQ-Rothorn", 467_870, 80_467, 1, "RF", 36),
    place("X0AAR-Titlis", 467_720, 84_377, 1, "RF", 33),
    place("X0AAS-Gotthard", 465_590, 85_670, 17, "RF", 58),
    place("X0AAT-Generoso", 459_310, 90_190, 18, "Wireguard", 310),
    place("X0AAU-Tamaro", 461_040, 88_660, 19, "RF", 27),
    place("X0AAV-Moleson", 465_492, 70_173, 9, "RF", 66),
    place("X0AAW-Dole", 464_250, 60_994, 21, "RF", 83),
    place("X0AAX-Chaumont", 470_240, 69_560, 11, "RF", 22),
    place("X0AAY-Speer", 471_850, 91_230, 5, "RF", 35),
    place("X0ABA-Chaeserrugg", 471_540, 93_120, 24, "RF", 24),
    place("X0ABB-Calanda", 469_000, 94_670, 25, "RF", 52),
    place("X0ABC-Weissfluh", 468_350, 97_950, 26, "RF", 47),
    place("X0ABD-Corvatsch", 464_180, 98_210, 27, "Wireguard", 1_180),
    place("X0CLUB-Server", 0, 0, 2, "Wireguard", 190),
    place("X0ABE-Uetliberg-2", 473_498, 84_921, 2, "DtD", 6),
    place("X0ABF-Van", 0, 0, 9, "RF", 120),
];

/// Links besides those to the parents: the mesh holds more than one way, the phones' packets take the other one.
pub const MORE_LINKS: [(usize, usize, &str, u32); 17] = [
    (2, 5, "RF", 3_100),
    (4, 13, "RF", 6_400),
    (3, 12, "RF", 5_200),
    (7, 25, "RF", 2_900),
    (10, 16, "RF", 4_100),
    (15, 16, "RF", 3_800),
    (18, 28, "RF", 9_300),
    (6, 4, "RF", 4_700),
    (11, 12, "RF", 3_300),
    (21, 11, "RF", 5_900),
    (0, 17, "RF", 3_600),
    (0, 5, "RF", 4_400),
    (8, 12, "RF", 4_900),
    (22, 23, "RF", 7_700),
    (14, 4, "RF", 5_000),
    (29, 8, "Wireguard", 24_000),
    (29, 26, "Wireguard", 28_000),
];

/// The file server with the book: this node's name is in the demo's configuration.
pub const SERVER: usize = 29;

/// Never says that a packet ended with it.
pub const SILENT: usize = 24;

/// The main address of a node.
pub fn address(node: usize) -> Ipv4Addr {
    host(node, 1)
}

/// Another address of a node or its LAN.
pub fn host(node: usize, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 219, u8::try_from(node).unwrap_or(u8::MAX), last)
}

/// Whether an address is one of the simulated mesh. What goes there leaves this process by no socket.
pub const fn is_simulated(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [10, 219, ..])
}

/// What a phone answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    Alive,
    /// Nothing: it is unplugged.
    Off,
    /// SIP, but no pings.
    NoPing,
    /// Pings, but no SIP.
    NoSip,
    /// Everything, while its owner is at home.
    Sometimes,
}

/// What its owner does when it rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers after a while.
    Answers,
    /// Is talking to somebody already.
    IsBusy,
    /// Is not there.
    LetsItRing,
}

/// A phone as it was set up.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Its number.
    pub number: String,
    /// The node behind which it is.
    pub node: usize,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it answers.
    pub kind: Kind,
    /// What its owner does.
    pub manner: Manner,
    /// Whether it registers with the exchange of this node.
    pub registers: bool,
}

/// A phone for each public row of the book but the first two, which are for whoever looks at the demo; and one that is in no book.
pub fn phones() -> Vec<Phone> {
    let rows = BOOK.lines().skip(3).filter(|row| row.ends_with(','));
    let numbers = rows.filter_map(|row| row.rsplit(',').nth(1)).chain(["990150"]);
    let mut behind = [0_u8; PLACES.len()];
    let phone = |(index, number): (usize, &str)| {
        // A few on this node's own LAN, the others all over the mesh.
        let node = if index % 9 == 0 { 0 } else { (index * 5 + 2) % PLACES.len() };
        let count = behind.get_mut(node)?;
        *count += 1;
        let kind = match index {
            5 | 17 | 28 => Kind::Off,
            11 | 23 => Kind::NoPing,
            8 | 20 => Kind::NoSip,
            14 | 26 | 33 => Kind::Sometimes,
            _ => Kind::Alive,
        };
        let manner = match index % 6 {
            1 => Manner::IsBusy,
            4 => Manner::LetsItRing,
            _ => Manner::Answers,
        };
        let registers = index % 3 == 0 && matches!(kind, Kind::Alive | Kind::Sometimes);
        Some(Phone { number: number.to_owned(), node, address: host(node, *count + 9), kind, manner, registers })
    };
    numbers.enumerate().filter_map(phone).collect()
}
