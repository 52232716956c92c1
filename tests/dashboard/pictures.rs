//! `SWITCHBOARD_PICTURES=DIRECTORY cargo test --test dashboard pictures`: pictures of the page, for people to look at.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::live::{PRESS, tested};
use crate::real::page::browser;
use crate::real::{Process, Tree};
use crate::scene::{Scene, router, scene};
use crate::{Site, now};

#[test]
fn pictures() {
    let Some(directory) = std::env::var_os("SWITCHBOARD_PICTURES").map(PathBuf::from) else { return };
    let trace = json!({"target_ip": "10.0.130.30", "hops": [
        {"hop": 1, "ip": "10.0.100.1", "hostname": router(100), "rtt_ms": 1.25, "timeout": false},
        {"hop": 2, "ip": "*", "hostname": "", "rtt_ms": null, "timeout": true},
        {"hop": 3, "ip": "10.0.130.30", "hostname": "440070", "rtt_ms": 230.5, "timeout": false}]});
    const HAND: &str = "
        setTimeout(() => { document.querySelectorAll('#phones button')[0].click(); press('Test now'); }, 1500);
        setTimeout(() => { if (performance.getEntriesByType('navigation')[0].name.includes('pick')) { $('node-name').value = '440070'; $('find').requestSubmit(); } }, 2500);";
    let hand = Box::leak(format!("{PRESS}{HAND}").into_boxed_str());
    let site = Site::open(Scene { hand, traceroute_json: Some(trace), uac_ping: Some(tested()), ..scene(now()) });
    for (width, height) in [(390, 844), (820, 1_100), (1_440, 1_000)] {
        for dark in [false, true] {
            for (name, target) in
                [("phones", ""), ("map", "#tab=map"), ("plan", "#tab=plan"), ("pick", "?pick#tab=map")]
            {
                let tree = Tree::new("pictures");
                let shade = if dark { "dark" } else { "light" };
                let mut command = browser(&tree);
                command
                    .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
                    .arg(format!("--window-size={width},{height}"))
                    .arg("--virtual-time-budget=4500")
                    .arg(format!("--screenshot={}", directory.join(format!("{name}-{width}-{shade}.png")).display()))
                    .arg(format!("http://{}/arednmon/{target}", site.address));
                Process::start("chromium", &mut command, &tree.path("")).wait(Duration::from_secs(90));
            }
        }
    }
}
