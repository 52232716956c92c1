//! Any bytes as what a node measures of its neighbours.

use switchboard::limits;
use switchboard::wire::lqm::{Lqm, Position};

pub fn check(data: &[u8]) {
    let Ok(lqm) = Lqm::parse(data) else { return };
    assert!(lqm.trackers.len() <= limits::MESH_NEIGHBOURS);
    for tracker in &lqm.trackers {
        assert!(tracker.hostname.len() <= 128 && tracker.model.len() <= 128);
        assert!(tracker.quality.is_none_or(|quality| quality <= 100));
        assert!(tracker.rtt_us != Some(0));
        if let Some(Position { latitude, longitude }) = tracker.position {
            assert!(latitude.abs() < 900_000_000 && longitude.abs() < 1_800_000_000);
        }
        let _ = lqm.is_up(tracker);
    }
}
