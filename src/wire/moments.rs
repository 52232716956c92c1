//! Names with moments, as members of the state file: who was seen, or rung, when. In microseconds since the machine started.
//!
//! They mean something until the machine starts anew: `boot_id`, which stands in the file, is its name for this run.

use std::io::Write as _;

use serde_json::Value;

/// Appends a member to the JSON object `out`.
pub fn append<'a>(out: &mut Vec<u8>, member: &str, moments: impl Iterator<Item = (&'a str, u64)>) {
    if out.pop() != Some(b'}') {
        return;
    }
    // A vector takes everything, and every string becomes JSON.
    let _ = write!(out, ",\"{member}\":{{");
    for (index, (name, micros)) in moments.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let _ = serde_json::to_writer(&mut *out, name);
        let _ = write!(out, ":{micros}");
    }
    out.extend_from_slice(b"}}");
}

/// The members that [`append`] wrote in this run of the machine; what makes no sense is left out.
pub fn read(file: &[u8], boot_id: &str, member: &str) -> Vec<(String, u64)> {
    let file: Value = serde_json::from_slice(file).unwrap_or_default();
    let ours = file.get("boot_id").and_then(Value::as_str) == Some(boot_id);
    let moments = file.get(member).and_then(Value::as_object).filter(|_| ours).into_iter().flatten();
    moments.filter_map(|(name, micros)| Some((name.clone(), micros.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_in_the_same_run_of_the_machine_only() {
        let mut out = b"{\"boot_id\":\"b\"}".to_vec();
        append(&mut out, "seen", [("1", 5), ("2\"", u64::MAX)].into_iter());
        append(&mut out, "rung", std::iter::empty());
        assert_eq!(
            out,
            format!("{{\"boot_id\":\"b\",\"seen\":{{\"1\":5,\"2\\\"\":{}}},\"rung\":{{}}}}", u64::MAX).as_bytes()
        );
        assert_eq!(read(&out, "b", "seen"), [("1".into(), 5), ("2\"".into(), u64::MAX)]);
        for (boot_id, member) in [("b", "rung"), ("a", "seen"), ("b", "boot_id"), ("b", "sent")] {
            assert_eq!(read(&out, boot_id, member), [], "{boot_id} {member}");
        }
    }

    #[test]
    fn nonsense_is_left_out() {
        let file = b"{\"boot_id\":\"b\",\"seen\":{\"1\":-1,\"2\":\"5\",\"3\":3,\"4\":[]}}";
        assert_eq!(read(file, "b", "seen"), [("3".into(), 3)]);
        assert_eq!(read(b"nothing", "b", "seen"), []);
        let mut no_object = b"[]".to_vec();
        append(&mut no_object, "seen", [("1", 1)].into_iter());
        assert_eq!(no_object, b"[");
    }
}
