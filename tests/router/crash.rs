//! The daemon ended by a fault on a router: the record, the next start, and what was kept.

use serde_json::Value;

use crate::machine::Machine;
use crate::real::{Handset, PATIENCE, until};
use crate::service::Service;

const RECORD: &str = "/tmp/meshmon_crash.bin";

#[test]
fn a_fault_is_written_down_with_the_registers_and_told() {
    let Some(machine) = Machine::boot("router-crash", 64) else { return };
    let service = Service::start(&machine, "\nconfig probe\n\toption enabled '0'\n");
    let phone = Handset::between((machine.net.host(3), 5_060), machine.at(5_060));
    phone.register("441530", "Expires: 3600\r\n");
    until("the saved state", PATIENCE, || {
        (machine.try_sh("grep -q 441530 /tmp/switchboard/state.json", PATIENCE)?.0 == 0).then_some(())
    });
    assert!(machine.sh("switchboard crash --show").contains("no crash"), "nothing has happened yet");

    // Where it waits, as the kernel says: the stack and the instruction stand last.
    let (stack, instruction) = until("the daemon to wait", PATIENCE, || {
        let said = machine.sh(&format!("cat /proc/{}/syscall", service.id));
        let words: Vec<&str> = said.split_whitespace().collect();
        let [.., stack, instruction] = words[..] else { return None };
        Some((stack.to_owned(), instruction.to_owned()))
    });
    machine.sh(&format!("kill -SEGV {}", service.id));
    service.is_gone();
    assert_eq!(machine.sh(&format!("stat -c '%a %u' {RECORD}")).trim(), "600 457");

    // Before the next start, by the verb of root.
    let shown = machine.sh("switchboard crash --show");
    assert!(shown.contains("signal    11 (SIGSEGV), Segmentation fault"), "{shown}");
    assert!(shown.contains(" on mips, after "), "{shown}");
    assert!(shown.contains("calls     0; registered phones: 1"), "{shown}");
    assert!(shown.contains("REGISTER sip:"), "what happened before: {shown}");
    let frames: Vec<&str> =
        shown.lines().find_map(|line| line.strip_prefix("stack     ")).unwrap().split_whitespace().collect();
    assert_eq!(frames[0], instruction, "{shown}");
    assert!(frames.len() > 3, "who called is on the stack from {stack} on: {shown}");

    let service = Service::start(&machine, "");
    until("the word of the crash", PATIENCE, || {
        service.log().contains("the process before this one crashed: Segmentation fault").then_some(())
    });
    let told: Value = serde_json::from_str(&machine.sh("cat /tmp/last_crash.json")).unwrap();
    assert_eq!((&told["signal_name"], &told["machine"]), (&"SIGSEGV".into(), &"mips".into()), "{told}");
    assert_eq!((&told["crash_count_24h"], &told["registered_users"]), (&1.into(), &1.into()), "{told}");
    let shown = service.get("/api/v1/registrations");
    assert_eq!(shown["registrations"][0]["number"], "441530", "{shown}");
    service.stop();
}
