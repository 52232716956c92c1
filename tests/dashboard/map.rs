//! The map and the schematic: that they are drawn, how fast, and where their tiles come from.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::real::page::{browser, chromium};
use crate::real::{Process, Tree, until};
use crate::scene::{self, HOSTILE, Scene, nothing, router, scene};
use crate::{Site, look, now, open};

/// Counts the coloured pixels of the one canvas of `id`.
const DRAWN: &str = "
    const drawn = (id) => {
        const canvas = document.querySelector('#' + id + ' canvas'), data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 3; i < data.length; i += 4) count += data[i] > 128;
        return Math.round(count / 1000);
    };";

#[test]
fn the_map_and_the_schematic_are_drawn_and_a_route_is_shown() {
    const HAND: &str = "
        setTimeout(() => {
            document.body.dataset.land = drawn('map');
            $('node-name').value = '440070';
            $('find').requestSubmit();
        }, 3000);
        setTimeout(() => {
            document.body.dataset.chosen = $('chosen').textContent;
            $('tab-map').focus();
            $('tab-map').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
        }, 4000);
        setTimeout(() => { document.body.dataset.result = [drawn('plan'), document.activeElement.id, location.hash].join(' '); }, 5000);";
    let hand = Box::leak(format!("{DRAWN}{HAND}").into_boxed_str());
    let trace = json!({"target_ip": "10.0.130.30", "hops": [
        {"hop": 1, "ip": "10.0.7.1", "hostname": router(7), "rtt_ms": 1.25, "timeout": false},
        {"hop": 2, "ip": "*", "hostname": "", "rtt_ms": null, "timeout": true},
        {"hop": 3, "ip": "10.0.130.30", "hostname": HOSTILE[0], "rtt_ms": 230.5, "timeout": false}]});
    let scene = Scene { hand, traceroute_json: Some(trace), ..scene(now()) };
    let Some((page, site)) = look(scene, "#tab=map", Duration::from_secs(6)) else { return };
    let land: usize = page.html.split_once("data-land=\"").unwrap().1.split('"').next().unwrap().parse().unwrap();
    assert!(land > 200, "the land fills the map: {land} thousand pixels");
    let result = page.result();
    let mut result = result.split(' ');
    let plan: usize = result.next().unwrap().parse().unwrap();
    assert!(plan > 10, "{plan} thousand pixels of the schematic");
    assert_eq!((result.next(), result.next()), (Some("tab-plan"), Some("#tab=plan")));

    let chosen = page.text("chosen");
    let home = router(scene::home(10));
    assert!(chosen.contains("440070 phone") && chosen.contains(&home), "{chosen}");
    assert!(chosen.contains("Shortest known way"), "{chosen}");
    assert!(
        chosen.contains("Live trace") && chosen.contains("no answer") && chosen.contains("231 ms, poor"),
        "{chosen}"
    );
    assert_eq!(page.text("map-note"), "300 nodes in rings by their hops from this one, 5 without a known link below");
    let asked = site.asked.lock().unwrap();
    let own = |path: &str| path.starts_with("/arednmon/") || path.starts_with("/cgi-bin/");
    let allowed = |asked: &String| own(asked.strip_prefix("POST ").unwrap_or(asked));
    assert!(asked.iter().all(allowed), "{asked:?}");
    let posted: Vec<&String> = asked.iter().filter(|asked| asked.starts_with("POST ")).collect();
    assert_eq!(posted, ["POST /cgi-bin/traceroute_json?ip=10.0.130.30 HTTP/1.1"]);
    assert_eq!(asked.iter().filter(|path| path.ends_with("leaflet.js")).count(), 1);
    let legend = page.text("legend");
    for word in
        ["this node", "router", "phone", "inactive", "below 100 ms", "to 200 ms", "above 200 ms", "not measured"]
    {
        assert!(legend.contains(word), "{word}: {legend}");
    }
}

#[test]
fn three_hundred_nodes_are_drawn_within_the_blink_of_an_eye() {
    // The page's clock stands still while it works when time is virtual; a canvas is drawn twenty times and then read.
    const HAND: &str = "
        setTimeout(async () => {
            const map = await import('./map.js');
            const from = Date.now();
            for (let i = 0; i < 20; i++) { map.pick(i % 2 ? '440070' : '440140'); map.turn(i % 4 ? 'map' : 'plan'); await new Promise((done) => setTimeout(done, 20)); }
            document.body.dataset.result = drawn('map') > 0;
        }, 3000);";
    let hand = Box::leak(format!("{DRAWN}{HAND}").into_boxed_str());
    let begin = std::time::Instant::now();
    let Some((page, _)) = look(Scene { hand, ..scene(now()) }, "#tab=map", Duration::from_secs(8)) else { return };
    assert_eq!(page.result(), "true");
    // Starting the browser takes most of it. A machine under load must fit.
    assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
}

/// Frame times in real time, as far as a loaded machine without a graphics card tells them: the map is dragged, zoomed by the wheel
/// and refreshed. The page says what it measured by asking for it.
#[test]
fn dragging_zooming_and_refreshing_three_hundred_nodes_keeps_the_page_alive() {
    const HAND: &str = "
        {
        const frame = () => new Promise((done) => requestAnimationFrame(done)), pause = (ms) => new Promise((done) => setTimeout(done, ms));
        const tasks = [];
        new PerformanceObserver((seen) => tasks.push(...seen.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
        const measured = async (what) => {
            tasks.length = 0;
            const times = [];
            let last = await frame(), going = true;
            const watch = (async () => { while (going) { const at = await frame(); times.push(at - last); last = at; } })();
            await what();
            await pause(300);
            going = false;
            await watch;
            times.sort((a, b) => a - b);
            const at = (part) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))]);
            return [at(.5), at(.95), at(1), Math.round(Math.max(0, ...tasks))].join('-');
        };
        setTimeout(async () => {
            const map = await import('./map.js'), topology = await (await fetch('../cgi-bin/topology_json')).json(), box = $('map').getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
            const mouse = (target, type, dx) => target.dispatchEvent(new MouseEvent(type, { bubbles: true, clientX: x + dx, clientY: y + dx / 3, button: 0, buttons: 1 }));
            const target = document.elementFromPoint(x, y);
            const drag = await measured(async () => {
                for (let turn = 0; turn < 4; turn++) {
                    mouse(target, 'mousedown', 0);
                    for (let dx = 0; dx < 200; dx += 10) { mouse(document, 'mousemove', turn % 2 ? -dx : dx); await frame(); }
                    mouse(document, 'mouseup', turn % 2 ? -200 : 200);
                    await pause(100);
                }
            });
            const zoom = await measured(async () => {
                for (let turn = 0; turn < 8; turn++) {
                    $('map').dispatchEvent(new WheelEvent('wheel', { bubbles: true, clientX: x, clientY: y, deltaY: turn < 4 ? -120 : 120 }));
                    await pause(400);
                }
            });
            const refresh = await measured(async () => {
                for (let turn = 1; turn < 6; turn++) { for (const link of topology.connections) if (link.rtt_avg_ms) link.rtt_avg_ms += turn; map.show(structuredClone(topology)); await pause(200); }
            });
            const same = await measured(async () => { for (let turn = 0; turn < 5; turn++) { map.show(structuredClone(topology)); await pause(200); } });
            fetch('measured?drag=' + drag + '&zoom=' + zoom + '&refresh=' + refresh + '&same=' + same);
        }, 3000);
        }";
    if !chromium() {
        return;
    }
    let site = Site::open(Scene { hand: HAND, ..scene(now()) });
    let tree = Tree::new("smooth");
    let mut command = browser(&tree);
    command.arg("--window-size=1300,900").arg("--remote-debugging-port=0");
    command.arg(format!("http://{}/arednmon/#tab=map", site.address));
    let _browser = Process::start("chromium", &mut command, &tree.path(""));
    let told = until("what the page measured", Duration::from_secs(60), || {
        site.asked.lock().unwrap().iter().find_map(|path| Some(path.split_once("measured?")?.1.to_owned()))
    });
    // In milliseconds: the median frame, the 95th of a hundred, the worst, and the longest task.
    writeln!(std::io::stderr(), "{told}").unwrap();
    for part in told.split('&') {
        let (what, times) = part.split_once('=').unwrap();
        let times: Vec<u32> = times.split('-').map(|time| time.parse().unwrap()).collect();
        assert!(times[0] <= 100 && times[3] <= 1_000, "{what}: {told}");
    }
}

#[test]
fn tiles_come_from_the_configured_server_only() {
    if !chromium() {
        return;
    }
    let tiles = Site::open(nothing());
    let url = format!("http://{}/{{z}}/{{x}}/{{y}}.png", tiles.address);
    // The second image is one that markup from somewhere might bring in.
    let hand = "setTimeout(() => { const i = new Image(); i.onerror = () => { document.body.dataset.result = 'refused'; }; i.src = 'http://127.0.0.1:9/x.png'; }, 3500);";
    let settings = json!({"tiles": url, "attribution": HOSTILE[0]});
    let site = Site::open(Scene { hand, dashboard_settings: settings, ..scene(now()) });
    let page = open(site.address, "#tab=map", Duration::from_secs(5), "img-src 'self' data: http://127.0.0.1");
    assert_eq!(page.result(), "refused");
    let asked = tiles.asked.lock().unwrap();
    assert!(
        asked.len() > 4 && asked.iter().all(|path| path.ends_with(".png") && path.split('/').count() == 4),
        "{asked:?}"
    );
    assert!(page.html.contains("&lt;script&gt;document.title='pwned'&lt;/script&gt; · Leaflet"), "the credit is text");
}
