//! Any text as JSON: what serde_json takes is taken, what it refuses is refused, and what is written means the same.

use switchboard::wire::json::{Reader, Value, Writer};

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let ours = Value::parse(&text);
    let mut reader = Reader::new(&text);
    assert_eq!(reader.skip().and_then(|()| reader.end()).err(), ours.as_ref().err().copied());
    let theirs = match serde_json::from_str::<serde_json::Value>(&text) {
        // A number is text to us, however large it is.
        Err(error) if error.to_string().starts_with("number out of range") => return,
        theirs => theirs,
    };
    assert_eq!(ours.is_ok(), theirs.is_ok());
    if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
        let written = String::from_utf8(Writer::text_of(&ours)).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), theirs);
        assert_eq!(Value::parse(&written), Ok(ours));
    }
}
