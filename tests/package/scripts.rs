//! The scripts, each by itself, run by dash and by busybox's ash: what they do in every case, once and again.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::router::{Form, Router};
use crate::{PROJECT, directory, ground, packages, run};

/// Each shell, as the words that run a script.
const SHELLS: [(&str, &[&str]); 2] = [("dash", &["dash"]), ("busybox", &["busybox", "ash"])];

/// A root directory for scripts that need no more than stand-ins for programs.
struct Place {
    root: PathBuf,
    shell: &'static [&'static str],
}

/// One for each shell that there is.
fn places(name: &str) -> Vec<Place> {
    let shells = SHELLS.into_iter().filter(|(program, _)| ground::installed(program, program));
    let make = |(program, shell): (&str, &'static [&'static str])| {
        let root = directory(&format!("script-{name}-{program}"));
        for part in ["bin", "etc/config", "tmp/nft", "usr/sbin"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        for stand_in in ["uci", "nft", "logger"] {
            let at = root.join("bin").join(stand_in);
            fs::copy(Path::new(PROJECT).join("tests/package/root").join(stand_in), &at).unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_switchboard"), root.join("usr/sbin/switchboard")).unwrap();
        Place { root, shell }
    };
    shells.map(make).collect()
}

impl Place {
    /// Runs a file of the package; it must end well and print nothing.
    fn run(&self, script: &str) {
        let output = self.try_run(script);
        assert!(
            output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
            "{script}: {output:?}"
        );
    }

    fn try_run(&self, script: &str) -> Output {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.root.join("bin").display());
        Command::new(self.shell[0])
            .args(&self.shell[1..])
            .arg(Path::new(PROJECT).join("files").join(script))
            .env_clear()
            .env("PATH", path)
            .env("ROOT", &self.root)
            .env("IPKG_INSTROOT", &self.root)
            .output()
            .unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// Every script of the package and of its stand-ins is understood by both shells.
#[test]
fn both_shells_read_every_script() {
    let Some(packages) = packages() else { return };
    let control = directory("control");
    for name in ["switchboard", "luci-app-switchboard"] {
        let arch = if name == "switchboard" { "x86_64" } else { "all" };
        let ipk = packages.join(format!("{name}_{}_{arch}.ipk", crate::version(1)));
        run(Command::new("sh").args(["-c", "tar -xzOf $0 ./control.tar.gz | tar -xz -C $1"]).arg(ipk).arg(&control));
        for script in ["postinst", "prerm", "postinst-pkg", "prerm-pkg", "postrm"] {
            let _ = fs::rename(control.join(script), control.join(format!("{name}.{script}.script")));
        }
    }
    let files = Path::new(PROJECT).join("files");
    let mut scripts: Vec<PathBuf> = [
        "etc/init.d/switchboard",
        "etc/uci-defaults/50-switchboard",
        "etc/local/mesh-firewall/57-switchboard",
        "www/cgi-bin/apps/switchboard/user",
    ]
    .map(|script| files.join(script))
    .into();
    let found = fs::read_dir(&control).unwrap().map(|entry| entry.unwrap().path());
    scripts.extend(found.filter(|path| path.extension().is_some_and(|extension| extension == "script")));
    scripts.extend(
        ["install.sh", "switchboard/test.sh"].map(|name| Path::new(PROJECT).join("openwrt-package").join(name)),
    );
    assert_eq!(scripts.len(), 4 + 5 + 3 + 2, "{scripts:?}");
    for (program, shell) in SHELLS {
        if ground::installed(program, program) {
            for script in &scripts {
                run(Command::new(shell[0]).args(&shell[1..]).arg("-n").arg(script));
            }
        }
    }
}

#[test]
fn the_firewall_is_opened_for_the_port_that_is_used_and_no_other() {
    let open = |port: &str| format!("udp dport {port} accept comment \"switchboard\"\n");
    let standard = fs::read_to_string(Path::new(PROJECT).join("files/etc/config/switchboard")).unwrap();
    for place in places("firewall") {
        for (config, expected) in [
            (standard.as_str(), open("5060")),
            ("", open("5060")),
            ("config sip\n\toption listen '0.0.0.0:5080'\n", open("5080")),
            ("config sip\n\toption listen '10.1.2.3'\n", open("5060")),
            ("config sip\n\toption listen '127.0.0.1:5060'\n", String::new()),
            ("config sip\n\toption listen '0.0.0.0:0'\n", String::new()),
            ("config sip\n\toption listen '0.0.0.0:5060;reboot'\n", String::new()),
            ("config sip\n\toption enabled '0'\n", String::new()),
            ("config switchboard 'main'\n\toption enabled 'no'\n", String::new()),
            ("config switchboard 'main'\n\toption enabled '1'\n", open("5060")),
        ] {
            for chain in ["input_wifi", "input_dtdlink", "input_vpn", "input_lan", "input_wan"] {
                place.write(&format!("tmp/nft/{chain}"), "");
            }
            place.write("etc/config/switchboard", config);
            place.run("etc/local/mesh-firewall/57-switchboard");
            place.run("etc/local/mesh-firewall/57-switchboard");
            for chain in ["input_wifi", "input_dtdlink", "input_vpn"] {
                assert_eq!(place.read(&format!("tmp/nft/{chain}")).unwrap(), expected, "{config} {chain}");
            }
            for chain in ["input_lan", "input_wan"] {
                assert_eq!(place.read(&format!("tmp/nft/{chain}")).unwrap(), "", "{config} {chain}");
            }
        }
        // A firewall without these zones, as plain OpenWrt has, is left alone without a word.
        fs::remove_dir_all(place.root.join("tmp/nft")).unwrap();
        place.run("etc/local/mesh-firewall/57-switchboard");
    }
}

#[test]
fn settings_of_the_phonebook_before_are_taken_over_once() {
    const IMPORT: &str = "etc/uci-defaults/50-switchboard";
    const CONFIG: &str = "etc/config/switchboard";
    for place in places("import") {
        // Nothing there: nothing happens.
        place.write(CONFIG, "config sip 'sip'\n");
        place.run(IMPORT);
        assert_eq!((place.read(CONFIG).unwrap().as_str(), place.read("tmp/logged")), ("config sip 'sip'\n", None));

        // What cannot be read is left where it is, and said.
        place.write("etc/phonebook.conf", "hello\n");
        place.run(IMPORT);
        assert_eq!(place.read(CONFIG).unwrap(), "config sip 'sip'\n");
        assert_eq!(place.read("etc/phonebook.conf").unwrap(), "hello\n");
        let log = place.read("tmp/logged").unwrap();
        assert!(log.contains("not taken over") && log.contains("KEY=VALUE"), "{log}");

        // The form of the Go phonebook, and that of the C phonebook; the file that was there first wins.
        place.write(
            "etc/phonebook.conf",
            "{\"sources\": [\"http://go.local.mesh/book.csv\"], \"ldap_pwd\": \"secret\"}",
        );
        place.write("etc/sipserver.conf", "PB_INTERVAL_SECONDS=1800\n");
        place.run(IMPORT);
        let config = place.read(CONFIG).unwrap();
        assert!(
            config.contains("\toption url 'http://go.local.mesh/book.csv'\n") && !config.contains("30m"),
            "{config}"
        );
        assert_eq!(place.read("etc/switchboard.before-import").unwrap(), "config sip 'sip'\n");
        assert!(place.read("etc/phonebook.conf").is_none() && place.read("etc/phonebook.conf.imported").is_some());
        assert!(!place.read("tmp/logged").unwrap().contains("secret"));
        let mode = fs::metadata(place.root.join(CONFIG)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644);

        // Once: what the operator changes afterwards stays. The older file's turn comes if it is still there.
        fs::remove_file(place.root.join("etc/sipserver.conf")).unwrap();
        place.write(CONFIG, &format!("{config}\n# changed\n"));
        place.run(IMPORT);
        assert!(place.read(CONFIG).unwrap().ends_with("# changed\n"));
        let listed: Vec<_> =
            fs::read_dir(place.root.join("etc")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(listed.len(), 3, "nothing else is left: {listed:?}");
        assert_eq!(fs::read_dir(place.root.join("etc/config")).unwrap().count(), 1);
    }
}

#[test]
fn procd_is_told_how_the_service_runs() {
    let Some(packages) = packages() else { return };
    let Some(router) = Router::new("service") else { return };
    assert!(router.install(packages, Form::Ipk, 1).status.success());
    let told = router.told();
    let start = told.iter().position(|line| line == "start").unwrap();
    assert_eq!(
        told[start..],
        [
            "start",
            "open",
            "command /usr/sbin/switchboard run",
            "file /etc/config/switchboard",
            "reload_signal HUP",
            "respawn 3600 10 0",
            "term_timeout 10",
            "stderr 1",
            "started",
            "reload when switchboard changes",
        ]
    );
    // Switched off, whatever the section is called and however it is said: procd is told of no instance, but of the trigger
    // that will switch it on.
    let more = "config switchboard 'more'\n\toption log_level 'info'\n";
    for (section, word) in [("'main'", "0"), ("'all'", "off"), ("'main'", "disabled")] {
        let config = format!("config switchboard {section}\n\toption enabled '{word}'\n\n{more}");
        router.write("/etc/config/switchboard", &config);
        router.told();
        router.sh("/etc/init.d/switchboard reload");
        let told = router.told();
        assert!(!told.contains(&"open".to_owned()) && told.last().unwrap().starts_with("reload when"), "{told:?}");
    }
    router.until("! pidof switchboard");
    // Stopping waits for the daemon, not for itself, which has the same name: ten seconds.
    router.write("/etc/config/switchboard", "");
    router.sh("/etc/init.d/switchboard start");
    router.until("pidof switchboard");
    router.sh("timeout 8 /etc/init.d/switchboard stop");
    router.sh("! pidof switchboard");
}

/// AREDN's upgrade keeps the list of users and not that of groups, so that the group may have got another number.
#[test]
fn what_is_shared_is_shared_with_the_daemons_own_group() {
    let Some(packages) = packages() else { return };
    let Some(router) = Router::new("group") else { return };
    assert!(router.install(packages, Form::Ipk, 1).status.success());
    router.until("pidof switchboard");
    let own = router.sh("id -g switchboard");
    router.sh("sed -i 's/^switchboard:x:[0-9]*:/switchboard:x:40000:/' /etc/group");
    let shared = |user: &str| {
        router.write("/etc/config/switchboard", &format!("config switchboard 'main'\n\toption user '{user}'\n"));
        router.sh("chown 0:0 /etc/config/switchboard && chmod 600 /etc/config/switchboard");
        router.sh("/etc/init.d/switchboard reload");
        router.sh("stat -c '%g %a' /etc/config/switchboard").trim().to_owned()
    };
    assert_eq!(shared("switchboard"), format!("{} 640", own.trim()));
    router.sh("echo 'other:x:41000:41001::/:/bin/false' >>/etc/passwd");
    assert_eq!(shared("other"), "41001 640", "whom the configuration names");
    assert_eq!(shared("none"), "0 600", "root needs no share");
}

/// What AREDN keeps over an upgrade of its firmware: each line an existing file, the list found where it looks.
#[test]
fn an_upgrade_of_the_firmware_keeps_settings_and_book() {
    let files = Path::new(PROJECT).join("files");
    let list = fs::read_to_string(files.join("etc/arednsysupgrade.d/switchboard.conf")).unwrap();
    let config = switchboard::config::Config::default();
    let book = config.phonebook.book_file.to_str().unwrap();
    let expected =
        [switchboard::cli::CONFIG.to_owned(), book.to_owned(), format!("{book}.hash"), format!("{book}.bak")];
    assert_eq!(list.lines().collect::<Vec<_>>(), expected);
    assert_eq!(fs::read_to_string(files.join("lib/upgrade/keep.d/switchboard")).unwrap(), list);
}

/// Paths that shell and program must agree on.
#[test]
fn the_scripts_know_where_the_program_writes() {
    let config = switchboard::config::Config::default();
    let makefile = include_str!("../../openwrt-package/switchboard/Makefile");
    for path in [
        &config.main.active_calls_file,
        &config.phonebook.phonebook_json_file,
        &config.probe.results_file,
        &config.mesh.topology_link,
        &config.api.socket,
        &config.health.file,
        &config.main.crash_file,
        &config.main.crash_report_file,
    ] {
        assert!(makefile.contains(path.to_str().unwrap()), "removal forgets {}", path.display());
    }
    for path in [
        &config.main.state_file,
        &config.phonebook.publish_dir,
        &config.phonebook.badge_file,
        &config.mesh.topology_file,
        &config.mesh.findings_file,
        &config.api.settings_file,
        &config.health.starts_file,
    ] {
        let directory = path.components().take(3).collect::<PathBuf>();
        let gone = ["/tmp/switchboard", "/tmp/arednmon", "/tmp/apps"].map(PathBuf::from);
        assert!(gone.contains(&directory), "removal forgets {}", path.display());
    }
    let user = &config.main.user;
    assert!(makefile.contains(&format!("USERID:={user}:{user}\n")), "the package makes another user than {user}");
    let rule = config.mesh.firewall_file.strip_prefix("/").unwrap();
    assert!(Path::new(PROJECT).join("files").join(rule).exists());
    for file in ["phonebook_generic_direct.xml", "phonebook_generic_pbx.xml"] {
        let link = config.phonebook.link_dir.strip_prefix("/").unwrap().join(file);
        let target = fs::read_link(Path::new(PROJECT).join("files").join(link)).unwrap();
        assert_eq!(target, config.phonebook.publish_dir.join(file), "the daemon would make this link anew");
    }
}
