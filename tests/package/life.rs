//! A router's life with the package: installed, looked at, reloaded, upgraded, removed; by the steps of opkg and of apk, and
//! by the programs themselves where they are there.

use std::path::PathBuf;

use crate::router::{Form, Router};
use crate::{next_packages, packages, rare};

const OLD_SETTINGS: &str =
    "PB_INTERVAL_SECONDS=1800\nPHONEBOOK_SERVER=hb9xyz.local.mesh,8080,/book.csv\nPB_COLOUR=red\n";
const OLD_BOOK: &str = "First,Last,Call,Telephone\nHans,Muster,HB9AAA,441530\n";

fn status(router: &Router) -> serde_json::Value {
    serde_json::from_str(&router.sh("/usr/libexec/rpcd/switchboard call status")).unwrap()
}

/// It answers, and it is this one.
fn runs(router: &Router) -> String {
    router.until("/usr/libexec/rpcd/switchboard call status | grep -q uptime_s");
    router.daemon().unwrap()
}

fn rules(router: &Router) -> Vec<String> {
    ["input_wifi", "input_dtdlink", "input_vpn", "input_lan", "input_wan"]
        .iter()
        .flat_map(|chain| {
            let rules = router.read(&format!("/tmp/nft/{chain}"));
            rules.lines().map(|rule| format!("{chain} {rule}")).collect::<Vec<_>>()
        })
        .collect()
}

const OPEN: [&str; 3] = [
    "input_wifi udp dport 5060 accept comment \"switchboard\"",
    "input_dtdlink udp dport 5060 accept comment \"switchboard\"",
    "input_vpn udp dport 5060 accept comment \"switchboard\"",
];

fn whole_life(form: Form, program: Option<PathBuf>) {
    let Some(packages) = packages() else { return };
    let Some(mut router) = Router::new(&format!("life-{form:?}")) else { return };
    if let Some(program) = program {
        router.equip(form, &program);
    }
    let before = router.inventory();

    // What the phonebook before us left.
    router.write("/etc/phonebook.conf", OLD_SETTINGS);
    router.write("/www/arednstack/phonebook.csv", OLD_BOOK);
    router.write("/www/arednstack/phonebook_generic_direct.xml", "<old/>");

    let installed = router.install(packages, form, 1);
    assert!(installed.status.success(), "{installed:?}");
    let first = runs(&router);
    // At once, and whenever the firewall is built anew.
    assert_eq!(rules(&router), OPEN);
    router.sh("/usr/local/bin/restart-firewall >/dev/null 2>&1");
    router.rebuild_firewall();
    assert_eq!(rules(&router), OPEN);
    assert!(router.exists("/etc/rc.d/S95switchboard") && router.exists("/etc/rc.d/K10switchboard"));
    assert!(
        router.read("/etc/passwd").contains("\nswitchboard:x:")
            && router.read("/etc/group").contains("\nswitchboard:x:")
    );
    assert!(router.told().contains(&"rpcd reload".to_owned()));
    let user = router.sh(&format!("awk '/^Uid/ {{ print $2 }}' /proc/{first}/status"));
    assert_eq!(user.trim(), "32768", "the user that the package made is whom the daemon becomes");

    // Settings and book were taken over.
    let config = router.read("/etc/config/switchboard");
    assert!(config.contains("option url 'http://hb9xyz.local.mesh:8080/book.csv'"), "{config}");
    assert!(!router.exists("/etc/phonebook.conf") && router.exists("/etc/phonebook.conf.imported"));
    assert!(router.exists("/etc/switchboard.before-import") && !router.exists("/etc/uci-defaults/50-switchboard"));
    assert!(router.read("/tmp/logged").contains("taken over") && router.read("/tmp/logged").contains("PB_COLOUR=red"));
    assert_eq!(status(&router)["phonebook"]["entries"], 1);
    router.until("grep -q 441530 /www/arednstack/phonebook_generic_direct.xml");
    assert!(router.read("/tmp/switchboard/www/phonebook_generic_direct.xml").contains("HB9AAA"));

    // A configuration that changed reaches the daemon without a new process, whose user may keep the book that it names;
    // switched off, it ends, and comes again.
    router.told();
    router.write("/etc/new-book.csv", &format!("{OLD_BOOK}Ruth,Beispiel,HB9BBB,441531\n"));
    router.sh("printf \"\\nconfig server\\n\\toption url 'file:///etc/new-book.csv'\\n\" >>/etc/config/switchboard");
    // As `uci commit` may leave it: the daemon is not root any more.
    router.sh("chown 0:0 /etc/config/switchboard && chmod 600 /etc/config/switchboard");
    router.sh("/etc/init.d/switchboard reload");
    assert!(router.told().contains(&"signalled".to_owned()));
    router.sh("/etc/init.d/switchboard reload");
    assert!(!router.told().contains(&"signalled".to_owned()), "nothing changed");
    router.sh("/usr/sbin/switchboard reload phonebook && rm /tmp/procd.told");
    router.until("grep -q 441531 /www/arednstack/phonebook_generic_direct.xml");
    router.until("[ -s /tmp/switchboard/state.json ] || [ -s /tmp/arednmon/settings.json ]");
    assert_eq!(runs(&router), first);
    router.sh("sed -i \"1i config switchboard 'main'\\n\\toption enabled '0'\" /etc/config/switchboard");
    router.sh("/etc/init.d/switchboard reload");
    assert!(router.told().contains(&"stopped".to_owned()));
    router.until("! pidof switchboard");
    router.sh("sed -i 1,2d /etc/config/switchboard && /etc/init.d/switchboard start");
    let second = runs(&router);
    assert_ne!(second, first);
    // Flash is left alone for a while after a write, but not by a daemon that has written nothing.
    router.until("grep -q HB9BBB /www/arednstack/phonebook.csv");

    // The next release: its own defaults do not replace the changed configuration, and its program runs, not the old one.
    let edited = router.read("/etc/config/switchboard");
    let state = router.read("/www/arednstack/phonebook.csv");
    router.told();
    let upgraded = router.install(next_packages().unwrap(), form, 2);
    assert!(upgraded.status.success(), "{upgraded:?}");
    router.until(&format!("[ \"$(pidof switchboard)\" != '{second}' ]"));
    let third = runs(&router);
    assert!(!third.contains(&second) && !third.contains(' '), "{second}, then {third}");
    assert_eq!(router.read("/etc/config/switchboard"), edited);
    let new = if form == Form::Ipk { "-opkg" } else { ".apk-new" };
    assert!(router.read(&format!("/etc/config/switchboard{new}")).contains("# New in this release."));
    assert_eq!(router.read("/www/arednstack/phonebook.csv"), state, "the book outlives the upgrade");
    assert_eq!(status(&router)["phonebook"]["entries"], 2);
    assert_eq!(rules(&router), OPEN, "open once");
    router.sh("rm /etc/new-book.csv");

    // Removed: no process, no link, no hole; only what the operator wrote. A script that left a child on the standard output
    // would keep this waiting: nobody has let the firewall go on yet.
    router.remove(form);
    assert_eq!(router.daemon(), None);
    assert_eq!(rules(&router), [] as [&str; 0], "shut at once");
    router.rebuild_firewall();
    assert_eq!(rules(&router), [] as [&str; 0]);
    let kept = ["/etc/config/switchboard", "/etc/phonebook.conf.imported", "/etc/switchboard.before-import"];
    let left: Vec<String> = router.inventory().into_iter().filter(|path| !before.contains(path)).collect();
    let left: Vec<&str> = left.iter().map(String::as_str).filter(|path| !path.ends_with(new)).collect();
    assert_eq!(left, kept);
    let temporary =
        router.sh("find /tmp ! -name 'procd*' ! -name 'firewall*' ! -path '/tmp/nft*' ! -path '/tmp/log*' ! -path '/tmp/cache*' ! -name printed ! -name opkg.lock | sort");
    assert_eq!(temporary.lines().collect::<Vec<_>>(), ["/tmp", "/tmp/lock", "/tmp/run"]);
    // There is no system log there: what would stand in it was printed.
    let printed = router.read("/tmp/printed");
    assert!(!printed.contains("panicked") && printed.lines().count() < 60, "{printed}");
}

#[test]
fn a_life_with_opkg() {
    whole_life(Form::Ipk, None);
}

#[test]
fn a_life_with_apk() {
    whole_life(Form::Apk, None);
}

#[test]
fn a_life_with_the_real_opkg() {
    if let Some(program) = rare("SWITCHBOARD_OPKG", "opkg") {
        whole_life(Form::Ipk, Some(program));
    }
}

#[test]
fn a_life_with_the_real_apk() {
    if let Some(program) = rare("SWITCHBOARD_APK", "apk") {
        whole_life(Form::Apk, Some(program));
    }
}
