//! Any bytes as the record of a crash.

use switchboard::core::flight::replay;
use switchboard::wire::crash::{CRASHES, FRAMES, Record, TEXT};

pub fn check(data: &[u8]) {
    let Ok(mut record) = Record::parse(data) else { return };
    assert!(record.frames.len() <= FRAMES && record.earlier.len() <= CRASHES && record.message.len() <= TEXT);
    for flown in record.flight() {
        let _ = replay(&flown);
    }
    let report = record.report(true, record.at_us);
    assert!(report.crash_count_24h as usize <= CRASHES + 1);
    let json = report.json("node", "", "");
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    assert!(!json.contains(['<', '>', '&']));
    // What is written again says the same.
    let mut again = Vec::new();
    record.emit(&mut |piece| again.extend_from_slice(piece));
    let read = Record::parse(&again).unwrap();
    assert_eq!(read, record);
}
