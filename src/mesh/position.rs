//! Where things are drawn: a router where it says, a phone near its router.
//!
//! A phone knows no position, and all phones of one router would lie on each other. So each is moved by up to a thousandth of a
//! degree (about a hundred metres), by its number alone: the same phone is always drawn at the same place.

use super::graph::{Graph, Kind, Node, NodeId, Position, Via};

/// The farthest a phone is moved: a thousandth of a degree.
const REACH: i64 = 10_000;

/// Where a node is to be drawn. `router`: where the router of a phone is.
pub fn of(node: &Node, router: Option<Position>) -> Option<Position> {
    match node.kind {
        Kind::Router => node.position(),
        Kind::Phone => router.map(|router| near(router, node.name())),
    }
}

/// For each phone the router that carries it, in the order of [`NodeId`]s of phones.
pub fn routers(graph: &Graph) -> Vec<(NodeId, NodeId)> {
    let lan = graph.links().filter(|(key, _)| key.via == Via::Lan);
    let mut pairs: Vec<(NodeId, NodeId)> = lan.map(|(key, _)| (key.to, key.from)).collect();
    // Of several routers, one that says where it is.
    pairs.sort_by_key(|(phone, router)| {
        (*phone, graph.node(*router).is_none_or(|node| node.position().is_none()), *router)
    });
    pairs.dedup_by_key(|(phone, _)| *phone);
    pairs
}

fn near(router: Position, number: &str) -> Position {
    let mut hash = number.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    // Numbers that differ in the last digit must not lie in a row.
    let mut offset = || {
        hash = hash.wrapping_mul(0x9e37_79b1).rotate_left(15).wrapping_add(0x7f4a_7c15);
        i64::from(hash.checked_rem(20_001).unwrap_or(0)) - REACH
    };
    let (north, east) = (offset(), offset());
    let moved = Position::new(i64::from(router.latitude) + north, i64::from(router.longitude) + east);
    moved.unwrap_or(router)
}

/// Degrees with as many digits as there are: `47.47446`.
pub fn degrees(value: i32) -> String {
    let (whole, part) = (
        value.unsigned_abs() / Position::DEGREE.unsigned_abs(),
        value.unsigned_abs() % Position::DEGREE.unsigned_abs(),
    );
    let sign = if value < 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{part:07}");
    let shortest = text.trim_end_matches('0').trim_end_matches('.');
    shortest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_near_its_router_and_always_there() {
        let router = Position::new(474_744_600, 77_672_800).unwrap();
        let mut places: Vec<Position> = (0..500).map(|n| near(router, &(441_000 + n).to_string())).collect();
        for place in &places {
            assert!(
                (place.latitude - router.latitude).abs() <= 10_000
                    && (place.longitude - router.longitude).abs() <= 10_000
            );
        }
        for (of, at) in [
            (places.iter().map(|p| i64::from(p.latitude)).sum::<i64>() / 500, router.latitude),
            (places.iter().map(|p| i64::from(p.longitude)).sum::<i64>() / 500, router.longitude),
        ] {
            assert!((of - i64::from(at)).abs() < 1_500, "they lie all around: {of} {at}");
        }
        places.sort();
        places.dedup();
        assert!(places.len() > 495);
        assert_eq!(near(router, "441530"), near(router, "441530"));
        let edge = Position::new(899_999_999, -1_799_999_999).unwrap();
        assert!((0..99).all(|n| near(edge, &n.to_string()).latitude < 900_000_000));
    }

    #[test]
    fn degrees_are_written_as_short_as_they_are() {
        for (value, text) in [
            (474_744_600, "47.47446"),
            (-71_000_000, "-7.1"),
            (70_000_000, "7"),
            (1, "0.0000001"),
            (-1, "-0.0000001"),
            (0, "0"),
            (100_000_000, "10"),
            (i32::MIN, "-214.7483648"),
        ] {
            assert_eq!(degrees(value), text);
        }
    }
}
