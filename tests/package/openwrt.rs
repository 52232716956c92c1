//! The package on OpenWrt itself: what `life.rs` tries with stand-ins, with the real opkg and apk, rc.common, procd, ubus,
//! rpcd, uhttpd, logd, uci and sysupgrade. AREDN's scripts are tried where the given root directory has them.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::router::Form;
use crate::userland::Node;
use crate::{directory, next_packages, packages, run};

const INIT: &str = "/etc/init.d/switchboard";
const CONFIG: &str = "/etc/config/switchboard";
const BOOK: &str = "First,Last,Call,Telephone\nHans,Muster,HB9AAA,441530\n";

/// A router on which the package was installed by the first package manager that is there; the daemon's process.
fn installed(name: &str) -> Option<(Node, String)> {
    let node = Node::boot(name)?;
    let packages = packages()?;
    let form = *node.managers().first().expect("neither opkg nor apk");
    node.keep_manager(form);
    // No server: names of the real mesh are not asked for.
    node.write(CONFIG, "config switchboard 'main'\n\toption enabled '1'\n\nconfig sip 'sip'\n");
    node.install(packages, form, 1);
    let daemon = node.runs();
    Some((node, daemon))
}

fn ubus(node: &Node, method: &str) -> Value {
    serde_json::from_str(&node.sh(&format!("ubus call switchboard {method}"))).unwrap()
}

/// How often the daemon read its configuration again.
fn reloads(node: &Node) -> usize {
    node.log().matches("configuration read again").count()
}

fn user(node: &Node) -> String {
    node.sh(&format!("awk '/^Uid/ {{ print $2 }}' /proc/{}/status", node.daemon())).trim().to_owned()
}

#[test]
fn procd_runs_the_service() {
    let Some((mut node, first)) = installed("procd") else { return };
    assert!(node.has("/etc/rc.d/S95switchboard") && node.has("/etc/rc.d/K10switchboard"));
    assert_eq!(node.sh("service switchboard status").trim(), "running");
    node.sh("service switchboard enabled && service switchboard running");
    let told: Value = serde_json::from_str(&node.sh(&format!("{INIT} info"))).unwrap();
    let instance = &told["switchboard"]["instances"]["instance1"];
    assert_eq!(instance["command"], serde_json::json!(["/usr/sbin/switchboard", "run"]));
    assert_eq!(instance["respawn"], serde_json::json!({ "threshold": 3600, "timeout": 10, "retry": 0 }));
    assert_eq!((&instance["reload_signal"], &instance["term_timeout"]), (&Value::from(1), &Value::from(10)));
    let made = node.sh("id -u switchboard");
    assert_eq!(user(&node), made.trim(), "the user that the package made is whom the daemon becomes");

    // What did not change is left alone, what did reaches the same process.
    node.sh(&format!("{INIT} reload && {INIT} start"));
    node.sh("uci set switchboard.main.log_level=debug && uci commit switchboard && service switchboard reload");
    node.until("logread -e switchboard | grep -q 'configuration read again'");
    assert_eq!((reloads(&node), node.runs()), (1, first.clone()));

    // Killed, it comes back, without a word to anybody.
    node.sh(&format!("kill -9 {first}"));
    node.until_not(&first);
    let second = node.runs();

    // Switched off and on again by the configuration.
    node.sh("uci set switchboard.main.enabled=0 && uci commit switchboard && service switchboard reload");
    node.until_not(&second);
    assert_eq!(node.daemon(), "");
    assert_eq!(node.sh("service switchboard status").trim(), "active with no instances");
    node.sh("uci set switchboard.main.enabled=1 && uci commit switchboard && service switchboard reload");
    let third = node.runs();
    assert_ne!(third, second);

    // A restart waits for the end of the old one: the new one has its port, and its state.
    node.sh(&format!("{INIT} restart"));
    node.until_not(&third);
    let fourth = node.runs();
    assert!(fourth != third && !fourth.contains(' '), "{third}, then {fourth}");
    node.sh(&format!("{INIT} stop"));
    assert_eq!(node.daemon(), "", "stopping waits for the end");
    assert_eq!(node.sh("service switchboard status || true").trim(), "inactive");
    node.sh(&format!("{INIT} stop && {INIT} stop && {INIT} start && {INIT} start"));
    node.runs();

    // It comes with the power, unless it is disabled.
    node.power_cycle();
    node.runs();
    node.sh(&format!("{INIT} disable && ! {INIT} enabled"));
    node.power_cycle();
    assert_eq!(node.daemon(), "");

    // Without the package's user it says that it stays root, and works.
    node.sh("sed -i /^switchboard:/d /etc/passwd /etc/group");
    node.sh(&format!("{INIT} start"));
    node.runs();
    assert_eq!(user(&node), "0");
    assert!(node.log().contains("there is no user switchboard: runs as root"), "{}", node.log());
    node.sh("uci set switchboard.main.log_level=info && uci commit switchboard && service switchboard reload");
    node.until("logread -e switchboard | grep -q 'configuration read again'");
}

/// By procd's triggers, without the script being called by anybody else.
#[test]
fn a_committed_configuration_reaches_the_daemon() {
    let Some((node, daemon)) = installed("triggers") else { return };
    // The first run after an installation takes note of the file, as OpenWrt's script is made: docs/CONFIG.md says so.
    node.sh("reload_config");
    node.sh("uci set switchboard.sip.country_prefix=041 && uci commit switchboard && reload_config");
    node.until("logread -e switchboard | grep -q 'configuration read again'");
    node.sh("reload_config");

    // As LuCI does it.
    node.sh(
        r#"ubus call uci set '{ "config": "switchboard", "section": "sip", "values": { "country_prefix": "049" } }'"#,
    );
    node.sh(r#"ubus call uci commit '{ "config": "switchboard" }'"#);
    node.until("[ $(logread -e switchboard | grep -c 'configuration read again') = 2 ]");
    assert!(node.read(CONFIG).contains("option country_prefix '049'"));
    assert_eq!(node.runs(), daemon);

    // Both leave a file of root's; who may not be root any more reads it all the same.
    node.sh("chmod 600 /etc/config/switchboard && chown root:root /etc/config/switchboard");
    node.sh("uci set switchboard.sip.country_prefix=043 && uci commit switchboard && reload_config");
    node.until("[ $(logread -e switchboard | grep -c 'configuration read again') = 3 ]");
    assert!(!node.log().contains("ermission"), "{}", node.log());
}

#[test]
fn rpcd_answers_for_the_daemon() {
    let Some((node, _)) = installed("rpcd") else { return };
    for (method, field) in [
        ("status", "uptime_s"),
        ("calls", "total_active_calls"),
        ("registrations", "registration_count"),
        ("findings", "findings"),
    ] {
        assert!(!ubus(&node, method)[field].is_null(), "{method}");
    }
    assert_eq!(ubus(&node, "fetch")["status"], "success");
    ubus(&node, "reload");
    node.until("logread -e switchboard | grep -q 'configuration read again'");
    assert!(!node.try_sh("ubus call switchboard nonsense").status.success());
    node.sh("service switchboard stop");
    assert!(ubus(&node, "status")["error"].as_str().unwrap().contains("not running"));
}

/// The rights that LuCI's page asks for: with them and no others, everything that the page does is allowed, and reading alone
/// does not write.
#[test]
fn the_page_of_luci_has_the_rights_it_needs() {
    let Some((node, _)) = installed("rights") else { return };
    let page = Path::new(crate::PROJECT).join("openwrt-package/luci-app-switchboard/root/usr/share/rpcd/acl.d");
    let acl = std::fs::read_to_string(page.join("luci-app-switchboard.json")).unwrap();
    node.write("/usr/share/rpcd/acl.d/luci-app-switchboard.json", &acl);
    // What every page has from LuCI itself: that there is such a thing as settings. Whose settings, the page says.
    node.write(
        "/usr/share/rpcd/acl.d/base.json",
        r#"{ "base": { "read": { "ubus": { "uci": [ "get", "set", "add", "changes", "apply" ] } } } }"#,
    );
    let password = node.sh("uhttpd -m secret");
    for (who, write) in [("operator", true), ("guest", false)] {
        let section = format!("rpcd.{who}");
        node.sh(&format!(
            "uci set {section}=login && uci set {section}.username={who} && uci set {section}.password='{}' \
             && uci add_list {section}.read=luci-app-switchboard && uci add_list {section}.read=base",
            password.trim()
        ));
        if write {
            node.sh(&format!("uci add_list {section}.write=luci-app-switchboard"));
        }
    }
    node.sh("uci set uhttpd.main.ubus_prefix=/ubus && uci commit && service rpcd reload && service uhttpd restart");
    node.until("ubus list switchboard && ubus list session");
    let ask = |session: &str, object: &str, method: &str, arguments: Value| -> Value {
        let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "call", "params": [session, object, method, arguments] });
        let body = call.to_string();
        let head = format!(
            "POST /ubus HTTP/1.1\r\nHost: localnode\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        serde_json::from_str(&node.http(&format!("{head}\r\n\r\n{body}")).1).unwrap()
    };
    let config = |what: Value| -> Value {
        let mut arguments = serde_json::json!({ "config": "switchboard" });
        arguments.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        arguments
    };
    for (who, writes) in [("operator", true), ("guest", false)] {
        let nobody = "00000000000000000000000000000000";
        let login = ask(nobody, "session", "login", serde_json::json!({ "username": who, "password": "secret" }));
        let session = login["result"][1]["ubus_rpc_session"].as_str().unwrap_or_else(|| panic!("{login}")).to_owned();
        let allowed =
            |object: &str, method: &str, arguments: Value| ask(&session, object, method, arguments)["result"][0] == 0;
        for method in ["status", "calls", "registrations", "findings"] {
            assert!(allowed("switchboard", method, serde_json::json!({})), "{who} {method}");
        }
        assert!(allowed("uci", "get", config(serde_json::json!({}))), "{who} reads the settings");
        assert_eq!(allowed("switchboard", "fetch", serde_json::json!({})), writes, "{who} fetch");
        let values = serde_json::json!({ "section": "sip", "type": "sip", "values": { "country_prefix": "041" } });
        assert_eq!(allowed("uci", "set", config(values)), writes, "{who} set");
        let server = serde_json::json!({ "type": "server", "values": { "url": "http://10.0.0.1/book.csv" } });
        assert_eq!(allowed("uci", "add", config(server)), writes, "{who} add");
        if writes {
            // What its button does: saved, and taken over.
            let apply = serde_json::json!({ "rollback": false });
            assert!(allowed("uci", "apply", apply));
            node.until("logread -e switchboard | grep -q 'configuration read again'");
            assert!(node.read(CONFIG).contains("10.0.0.1/book.csv") && node.read(CONFIG).contains("'041'"));
        }
        assert!(!allowed("uci", "get", serde_json::json!({ "config": "rpcd" })), "{who} reads what is not ours");
        assert!(!allowed("service", "list", serde_json::json!({})), "{who} asks procd");
    }
}

#[test]
fn uhttpd_serves_pages_and_names() {
    let Some((node, _)) = installed("uhttpd") else { return };
    for name in include_str!("../../cgi/names").lines() {
        let (head, body) = node.get(&format!("/cgi-bin/{name}"));
        if name == "arednmon" {
            assert!(head.contains(" 302 ") && head.contains("Location: /arednmon/"), "{head}");
        } else {
            assert!(head.contains(" 200 "), "{name}: {head}");
            assert!(serde_json::from_str::<Value>(&body).unwrap().is_object(), "{name}: {body}");
        }
    }
    for who in ["user", "admin"] {
        let (head, _) = node.get(&format!("/cgi-bin/apps/switchboard/{who}"));
        assert!(head.contains(" 302 ") && head.contains("Location: /arednmon/"), "{who}: {head}");
    }
    for (path, kind) in [
        ("/arednmon/", "text/html"),
        ("/arednmon/mesh.js", "text/javascript"),
        ("/arednmon/style.css", "text/css"),
        ("/apps/switchboard/icon.svg", "image/svg+xml"),
    ] {
        let (head, body) = node.get(path);
        assert!(head.contains(" 200 ") && head.contains(kind) && !body.is_empty(), "{path}: {head}");
    }
    // A question of the monitor that changes something, as its page sends it.
    let post =
        "POST /cgi-bin/loadphonebook HTTP/1.1\r\nHost: localnode\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (head, body) = node.http(post);
    assert!(head.contains(" 200 ") && body.contains("success"), "{head} {body}");

    // Three programs at a time are all that uhttpd starts: thirty that come at once are answered soon, whether the daemon runs,
    // does not answer, or is not there.
    for (state, patience) in [("", 5), ("kill -STOP $(pidof switchboard)", 10), ("service switchboard stop", 5)] {
        node.sh(if state.is_empty() { "true" } else { state });
        let begin = Instant::now();
        // Asking for a test waits as long as a test takes.
        thread::scope(|scope| {
            let names = ["showphonebook", "active_calls_json", "health_status", "topology_json", "loadphonebook"];
            for turn in 0..30 {
                let (node, name) = (&node, names[turn % names.len()]);
                scope.spawn(move || {
                    let (head, body) = node.get(&format!("/cgi-bin/{name}"));
                    assert!(head.contains(" 200 ") && body.ends_with(['}', '\n']), "{name} {head} {body}");
                });
            }
        });
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(patience), "{state}: {took:?}");
        node.sh("kill -CONT $(pidof switchboard) 2>/dev/null || true");
    }
}

#[test]
fn sysupgrade_keeps_settings_and_book() {
    let Some((node, _)) = installed("sysupgrade") else { return };
    if node.lacks(&["/sbin/sysupgrade"], "what sysupgrade keeps") {
        return;
    }
    node.write("/etc/book.csv", BOOK);
    node.sh("uci add switchboard server && uci set switchboard.@server[-1].url=file:///etc/book.csv");
    node.sh("uci set switchboard.main.log_level=debug && uci commit switchboard && service switchboard reload");
    node.until("logread -e switchboard | grep -q 'configuration read again'");
    node.sh("switchboard reload phonebook");
    node.until("grep -q HB9AAA /www/arednstack/phonebook.csv");
    let kept = node.sh("sysupgrade -l");
    for file in [CONFIG, "/www/arednstack/phonebook.csv"] {
        assert!(kept.lines().any(|line| line == file), "{file}: {kept}");
    }
    // What the new firmware is given, and what the daemon makes of it once the package is installed there.
    node.sh("sysupgrade -b /root/backup.tar.gz 2>/dev/null");
    let listed = node.sh("tar -tzf /root/backup.tar.gz");
    assert!(listed.lines().any(|line| line.ends_with("www/arednstack/phonebook.csv")), "{listed}");
}

/// The new firmware has what was kept, and the package comes again: by hand, or at the first boot of AREDN. That keeps the list of
/// users and not that of groups, and another package may have been first to take a number.
#[test]
fn what_an_upgrade_of_the_firmware_kept_is_used_again() {
    let Some(first) = Node::boot("kept") else { return };
    let Some(packages) = packages() else { return };
    let managers = first.managers();
    drop(first);
    for form in managers {
        let Some(node) = Node::boot(&format!("kept-{form:?}")) else { return };
        node.keep_manager(form);
        let settings =
            "config switchboard 'main'\n\toption enabled '1'\n\nconfig sip 'sip'\n\toption country_prefix '041'\n";
        node.write(CONFIG, settings);
        node.write("/www/arednstack/phonebook.csv", BOOK);
        node.sh("echo 'switchboard:x:32768:32768:switchboard:/var/run/switchboard:/bin/false' >>/etc/passwd");
        node.sh("echo 'other:x:32768:' >>/etc/group");
        node.sh("chown 32768:32768 /www/arednstack/phonebook.csv && chmod 600 /etc/config/switchboard");
        node.install(packages, form, 1);
        node.runs();
        assert_eq!(node.read(CONFIG), settings, "{form:?}");
        assert_eq!(user(&node), "32768");
        assert_eq!(ubus(&node, "status")["phonebook"]["entries"], 1, "{form:?}");
        node.sh("uci set switchboard.sip.country_prefix=049 && uci commit switchboard && service switchboard reload");
        node.until("logread -e switchboard | grep -q 'configuration read again'");
        assert!(!node.log().contains("ermission"), "{}", node.log());
    }
}

/// In an image, where nothing may run yet: the first boot does what the installation could not.
#[test]
fn an_image_with_the_package_starts_it_at_its_first_boot() {
    let Some(mut node) = Node::boot("image") else { return };
    let Some(packages) = packages() else { return };
    if node.lacks(&[Form::Ipk.program()], "an image made with opkg") {
        return;
    }
    node.keep_manager(Form::Ipk);
    let name = format!("switchboard_{}_x86_64.ipk", crate::version(1));
    std::fs::copy(packages.join(&name), node.root.join("root").join(&name)).unwrap();
    // The image is the router's own root, seen from another place, as whoever makes images sees it.
    node.sh("mkdir /image && mount --bind / /image && mkdir -p /image/tmp/lock");
    node.sh(&format!(
        "IPKG_INSTROOT=/image opkg --offline-root /image --force-postinstall install /root/{name} && umount /image && rmdir /image"
    ));
    assert_eq!(node.daemon(), "");
    assert!(node.has("/etc/rc.d/S95switchboard") && node.has("/etc/uci-defaults/50-switchboard"));
    assert!(node.read("/etc/passwd").contains("\nswitchboard:x:"));
    // The settings that were kept over the upgrade to this image.
    node.write("/etc/phonebook.conf", "PHONEBOOK_SERVER=hb9old.local.mesh,80,/book.csv\n");
    node.power_cycle();
    node.runs();
    assert_ne!(user(&node), "0");
    assert!(node.read(CONFIG).contains("http://hb9old.local.mesh"), "{}", node.read(CONFIG));
    assert!(!node.has("/etc/uci-defaults/50-switchboard") && node.has("/etc/phonebook.conf.imported"));
}

/// What the exchange lets in, chain by chain.
fn rules(node: &Node) -> Vec<String> {
    let chains = ["input_wifi", "input_dtdlink", "input_vpn", "input_lan", "input_wan"];
    let of = |chain: &&str| {
        let listed = node.sh(&format!("nft list chain inet fw4 {chain} 2>/dev/null | grep switchboard || true"));
        listed.lines().map(|rule| format!("{chain} {}", rule.trim())).collect::<Vec<_>>()
    };
    chains.iter().flat_map(of).collect()
}

const OPEN: [&str; 3] = [
    "input_wifi udp dport 5060 accept comment \"switchboard\"",
    "input_dtdlink udp dport 5060 accept comment \"switchboard\"",
    "input_vpn udp dport 5060 accept comment \"switchboard\"",
];

/// AREDN's zones, and its script where OpenWrt's firewall calls it. `false`: this root directory has no AREDN.
fn mesh_firewall(node: &Node) -> bool {
    let parts = ["/sbin/fw4", "/usr/sbin/nft", "/usr/local/bin/mesh-firewall", "/usr/local/bin/restart-firewall"];
    if node.lacks(&parts, "AREDN's firewall") {
        return false;
    }
    let zones = ["lan", "wan", "wifi", "dtdlink", "vpn"].map(|zone| {
        let refuses = if zone == "lan" { "ACCEPT" } else { "REJECT" };
        format!("config zone\n\toption name '{zone}'\n\tlist device '{zone}0'\n\toption input '{refuses}'\n")
    });
    let include = "config include\n\toption path '/usr/local/bin/mesh-firewall'\n\toption fw4_compatible '1'\n";
    node.write("/etc/config/firewall", &(zones.concat() + include));
    node.sh("fw4 -q start || fw4 -q restart");
    true
}

/// Everything that one sees of a package: installed over old settings, upgraded, removed.
fn whole_life(form: Form) {
    let Some(node) = Node::boot(&format!("life-{form:?}")) else { return };
    let Some(packages) = packages() else { return };
    if node.lacks(&[form.program()], &format!("a life with {form:?} packages")) {
        return;
    }
    node.keep_manager(form);
    let mesh = mesh_firewall(&node);
    let before = node.inventory();
    node.write("/etc/phonebook.conf", "PB_INTERVAL_SECONDS=1800\nPHONEBOOK_SERVER=hb9xyz.local.mesh,8080,/book.csv\n");
    node.write("/www/arednstack/phonebook.csv", BOOK);
    node.write("/www/arednstack/phonebook_generic_direct.xml", "<old/>");

    if form == Form::Apk {
        // How AREDN learns what an uploaded file is called, without which it does not install it again after an upgrade.
        let file = format!("switchboard-{}_x86_64.apk", crate::version(1));
        std::fs::copy(packages.join(&file), node.root.join("root").join(&file)).unwrap();
        node.sh(&format!("mkdir /tmp/apk && apk extract --allow-untrusted --destination /tmp/apk /root/{file}"));
        assert_eq!(node.sh("basename /tmp/apk/lib/apk/packages/*.list .list").trim(), "switchboard");
        node.sh(&format!("rm -rf /tmp/apk /root/{file}"));
    }
    node.install(packages, form, 1);
    let first = node.runs();
    assert!(node.read(CONFIG).contains("option url 'http://hb9xyz.local.mesh:8080/book.csv'"));
    assert!(!node.has("/etc/phonebook.conf") && node.has("/etc/phonebook.conf.imported"));
    assert!(!node.has("/etc/uci-defaults/50-switchboard"), "done once");
    assert!(node.log().contains("settings of /etc/phonebook.conf taken over"), "{}", node.log());
    assert_eq!(ubus(&node, "status")["phonebook"]["entries"], 1);
    node.until("grep -q 441530 /www/arednstack/phonebook_generic_direct.xml");
    if mesh {
        assert_eq!(rules(&node), OPEN, "at once");
        node.sh("fw4 -q reload && /etc/local/mesh-firewall/57-switchboard");
        assert_eq!(rules(&node), OPEN, "open again, and once");
    }

    // The next release: the changed settings stay, the book stays, the new program runs.
    let edited = node.read(CONFIG);
    node.install(next_packages().unwrap(), form, 2);
    node.until_not(&first);
    node.runs();
    assert_eq!(node.read(CONFIG), edited);
    let new = if form == Form::Ipk { "-opkg" } else { ".apk-new" };
    assert!(node.read(&format!("{CONFIG}{new}")).contains("# New in this release."));
    assert_eq!(ubus(&node, "status")["phonebook"]["entries"], 1);
    node.sh("service switchboard enabled");

    // Removed: no process, no link, no object, no hole; only what the operator wrote.
    node.remove("switchboard", form);
    assert_eq!(node.daemon(), "");
    node.until("! ubus list switchboard");
    assert!(!node.sh("ubus call service list").contains("/usr/sbin/switchboard"));
    if mesh {
        assert_eq!(rules(&node), [] as [&str; 0], "shut at once");
        node.sh("fw4 -q reload");
        assert_eq!(rules(&node), [] as [&str; 0], "and not opened again");
    }
    let kept = [CONFIG, "/etc/phonebook.conf.imported", "/etc/switchboard.before-import"];
    let left: Vec<String> = node.inventory().into_iter().filter(|path| !before.contains(path)).collect();
    let left: Vec<&str> = left.iter().map(String::as_str).filter(|path| !path.ends_with(new)).collect();
    assert_eq!(left, kept);
    let temporary = node.sh("find /tmp -name '*switchboard*' ! -name '*.lock' ! -path '/tmp/state/*'; ls -d /tmp/apps /tmp/arednmon /tmp/*.json 2>/dev/null || true");
    assert_eq!(temporary, "", "{temporary}");
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn a_life_with_opkg_and_procd() {
    whole_life(Form::Ipk);
}

#[test]
fn a_life_with_apk_and_procd() {
    whole_life(Form::Apk);
}

#[test]
fn the_collector_of_aredn_asks_us() {
    let Some((node, _)) = installed("collector") else { return };
    if node.lacks(&["/usr/bin/ucode"], "AREDN's collector of metrics") {
        return;
    }
    let metrics = if node.has("/www/cgi-bin/metrics") {
        node.get("/cgi-bin/metrics").1
    } else {
        node.sh("ucode -R /usr/local/bin/metrics/switchboard.uc")
    };
    assert!(metrics.contains("\n# TYPE switchboard_") && metrics.contains("switchboard_uptime"), "{metrics}");
    // A name that somebody else has as well would spoil the metrics of the whole node.
    let ours = node.sh("/usr/libexec/switchboard-cgi metrics");
    let ours_alone =
        |line: &str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with("switchboard_");
    assert!(ours.lines().count() > 20 && ours.lines().all(ours_alone), "{ours}");
    node.sh("service switchboard stop");
    assert!(!node.get("/cgi-bin/metrics").1.contains("switchboard"), "without a daemon there is nothing of ours");
}

/// A list that AREDN's own function reads, where it is there: `configuration.backup`.
#[test]
fn an_upgrade_of_aredn_keeps_settings_and_book() {
    let Some((node, _)) = installed("aredn-upgrade") else { return };
    if node.lacks(&["/usr/share/ucode/aredn/configuration.uc"], "what AREDN's upgrade keeps") {
        return;
    }
    node.write("/www/arednstack/phonebook.csv", BOOK);
    node.sh(
        "ucode -e \"import * as configuration from 'aredn.configuration'; configuration.backup('/root/kept.tgz');\"",
    );
    let listed = node.sh("tar -tzf /root/kept.tgz");
    for file in ["etc/config/switchboard", "www/arednstack/phonebook.csv"] {
        assert!(listed.lines().any(|line| line.ends_with(file)), "{file}: {listed}");
    }
}

/// Where the user's group was made anew under another number, as after an upgrade of AREDN, which keeps the list of users and
/// not that of groups: what is shared with the daemon is shared with the group that it is in.
#[test]
fn what_is_shared_is_shared_with_the_daemons_own_group() {
    let Some((node, _)) = installed("group") else { return };
    node.sh("sed -i '/^switchboard:/s/.*/switchboard:x:40000:switchboard/' /etc/group");
    node.sh(
        "chmod 600 /etc/config/switchboard && uci set switchboard.sip.country_prefix=041 && uci commit switchboard",
    );
    node.sh("service switchboard reload");
    node.until("logread -e switchboard | grep -q 'configuration read again'");
    assert!(!node.log().contains("ermission"), "{}", node.log());
}

/// Its predecessor must go first; the package manager says so, and the steps that README.md names keep its settings.
#[test]
fn the_phonebook_before_us_gives_way() {
    let Some(node) = Node::boot("before") else { return };
    let Some(packages) = packages() else { return };
    if node.lacks(&[Form::Ipk.program()], "how the phonebook before us gives way to opkg") {
        return;
    }
    node.keep_manager(Form::Ipk);
    let old = predecessor();
    assert!(node.install_file(&old, Form::Ipk).status.success());
    let name = format!("switchboard_{}_x86_64.ipk", crate::version(1));
    let refused = node.install_file(&packages.join(name), Form::Ipk);
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("AREDN-Phonebook"),
        "{refused:?}"
    );
    assert!(!node.has("/usr/sbin/switchboard") && node.has("/etc/phonebook.conf"));
    let readme = include_str!("../../README.md");
    let steps = ["cp /etc/phonebook.conf /etc/sipserver.conf", "opkg remove AREDN-Phonebook"];
    for step in steps {
        assert!(readme.contains(step), "{step}");
        node.sh(step);
    }
    assert!(!node.has("/etc/phonebook.conf"), "opkg takes it along");
    node.install(packages, Form::Ipk, 1);
    node.runs();
    assert!(node.read(CONFIG).contains("http://hb9old.local.mesh"), "{}", node.read(CONFIG));
}

/// A package with the name of the phonebook before us, as it was made: its settings are a plain file of it.
fn predecessor() -> std::path::PathBuf {
    let place = directory("predecessor");
    let write = |path: &str, text: &str| {
        let path = place.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("data/etc/phonebook.conf", "PHONEBOOK_SERVER=hb9old.local.mesh,80,/book.csv\n");
    write("control/control", "Package: AREDN-Phonebook\nVersion: 2.5.0-1\nArchitecture: all\nDescription: before us\n");
    write("debian-binary", "2.0\n");
    run(Command::new("sh").current_dir(&place).args([
        "-c",
        "
        for part in data control; do tar --owner=0 --group=0 -czf $part.tar.gz -C $part .; done
        tar -czf AREDN-Phonebook_2.5.0-1_all.ipk ./debian-binary ./data.tar.gz ./control.tar.gz",
    ]));
    place.join("AREDN-Phonebook_2.5.0-1_all.ipk")
}
