//! The feed's Makefiles are read by make in a buildroot and by `pack.py` here: both must understand the same. And what
//! LuCI is told must be there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use switchboard::config::OPTIONS;

use crate::{PROJECT, directory, ground, run, version};

fn luci(path: &str) -> String {
    fs::read_to_string(Path::new(PROJECT).join("openwrt-package/luci-app-switchboard").join(path)).unwrap()
}

/// A buildroot of which nothing is there but the files that are included, which say what they were told.
fn buildroot(package: &str) -> PathBuf {
    let top = directory(&format!("buildroot-{package}"));
    for file in ["rules.mk", "include/package.mk", "feeds/packages/lang/rust/rust-package.mk", "feeds/luci/luci.mk"] {
        fs::create_dir_all(top.join(file).parent().unwrap()).unwrap();
        fs::write(top.join(file), "").unwrap();
    }
    fs::write(
        top.join("include/package.mk"),
        "RUST_ARCH_DEPENDS:=@(aarch64||arm||mips||mipsel||x86_64)\nPKG_BUILD_DIR:=/build\nPKG_INSTALL_DIR:=/installed\n\
         define tell\n$(1)\nendef\n\
         define BuildPackage\n$(eval $(Package/$(1)))\nall:\n\
         \t$$(foreach v,PKG_NAME PKG_VERSION PKG_RELEASE PKG_LICENSE SECTION CONFLICTS PROVIDES USERID,\
         $$(info $$(v)=$$($$(v))))\n\
         \t$$(foreach p,description conffiles postinst prerm postrm,$$(info [$$(p)]$$(Package/$(1)/$$(p))[end]))\n\
         \t$$(info [install]$$(call Package/$(1)/install,/target)[end])\n\t@:\nendef\n",
    )
    .unwrap();
    top
}

#[test]
fn make_reads_what_pack_reads() {
    if !(ground::installed("make", "make") && ground::installed("python3", "python3")) {
        return;
    }
    let top = buildroot("switchboard");
    let folder = Path::new(PROJECT).join("openwrt-package/switchboard");
    let said = run(Command::new("make")
        .current_dir(&folder)
        .arg("-s")
        .arg(format!("TOPDIR={}", top.display()))
        .arg(format!("INCLUDE_DIR={}", top.join("include").display())));
    let read = run(Command::new("python3")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(Path::new(PROJECT).join("openwrt-package"))
        .args([
            "-c",
            "import pack\nr = pack.Recipe(pack.HERE / 'switchboard' / 'Makefile')\nprint('VERSION=' + r.version)\n\
             for v in ['PKG_NAME', 'PKG_RELEASE', 'PKG_LICENSE', 'SECTION', 'CONFLICTS', 'PROVIDES', 'USERID']:\n\
             \x20print(f'{v}={r.value(v)}')\n\
             for p in ['description', 'conffiles', 'postinst', 'prerm', 'postrm']:\n\x20print(f'[{p}]{r.text(p)}[end]')",
        ]));
    let plain = env!("CARGO_PKG_VERSION").replace('-', "_");
    assert!(said.contains(&format!("PKG_VERSION={plain}\n")), "{said}");
    let read = read.strip_prefix(&format!("VERSION={}\n", version(1))).unwrap();
    let said_rest = said.replace(&format!("PKG_VERSION={plain}\n"), "");
    let (said_rest, install) = said_rest.split_once("[install]").unwrap();
    assert_eq!(said_rest.trim_end(), read.trim_end());
    assert_eq!(install.trim(), "/build/openwrt-package/install.sh /target /installed/bin[end]");
}

/// An image with little room leaves out what its maker does not choose.
#[test]
fn the_feed_builds_the_features_that_are_chosen() {
    if !ground::installed("make", "make") {
        return;
    }
    let top = buildroot("features");
    let package = "define Build/Compile/Cargo\n[$(2)]\nendef\ndefine BuildPackage\nall:\n\t$$(info $$(Build/Compile))\n\t@:\nendef\n";
    fs::write(top.join("include/package.mk"), package).unwrap();
    let compile = |chosen: &[&str]| {
        run(Command::new("make")
            .current_dir(Path::new(PROJECT).join("openwrt-package/switchboard"))
            .args(["-s", &format!("TOPDIR={}", top.display()), &format!("INCLUDE_DIR={}/include", top.display())])
            .args(chosen.iter().map(|name| format!("CONFIG_SWITCHBOARD_{}=y", name.to_uppercase()))))
    };
    // The program first, then the CGI program without a choice.
    let expected = |features: &str| format!("\t[--no-default-features --features \"{features}\"]\n\t[]\n");
    assert_eq!(compile(&["desk", "health", "mesh"]), expected("desk health mesh"));
    assert_eq!(compile(&["mesh"]), expected("mesh"));
    assert_eq!(compile(&[]), expected(""));
    let makefile = fs::read_to_string(Path::new(PROJECT).join("openwrt-package/switchboard/Makefile")).unwrap();
    for feature in ["desk", "health", "mesh"] {
        let config = format!("\tconfig SWITCHBOARD_{}\n\t\tbool ", feature.to_uppercase());
        assert!(makefile.contains(&config), "{feature} can be chosen");
    }
}

#[test]
fn luci_is_told_of_what_there_is() {
    let menu: Value = serde_json::from_str(&luci("root/usr/share/luci/menu.d/luci-app-switchboard.json")).unwrap();
    let acl: Value = serde_json::from_str(&luci("root/usr/share/rpcd/acl.d/luci-app-switchboard.json")).unwrap();
    let mut views = 0;
    for (path, entry) in menu.as_object().unwrap() {
        assert!(path.starts_with("admin/services/switchboard"), "{path}");
        assert!(entry["title"].is_string());
        if entry["action"]["type"] == "view" {
            let view = entry["action"]["path"].as_str().unwrap();
            assert!(luci(&format!("htdocs/luci-static/resources/view/{view}.js")).contains("return view.extend("));
            views += 1;
        }
        for name in entry["depends"]["acl"].as_array().into_iter().flatten() {
            assert!(acl[name.as_str().unwrap()].is_object(), "no rights called {name}");
        }
    }
    assert_eq!(views, 2);

    // The rights are those that the status page needs, and the program has these methods.
    let rights = &acl["luci-app-switchboard"];
    let granted: BTreeSet<&str> = ["read", "write"]
        .iter()
        .flat_map(|kind| rights[*kind]["ubus"]["switchboard"].as_array().unwrap())
        .map(|method| method.as_str().unwrap())
        .collect();
    let source = include_str!("../../cgi/src/rpcd.rs");
    assert!(granted.iter().all(|method| source.contains(&format!("(\"{method}\", "))), "{granted:?}");
    let status = luci("htdocs/luci-static/resources/view/switchboard/status.js");
    let asked: BTreeSet<&str> = status.split("ask('").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
    assert!(!asked.is_empty() && asked.is_subset(&granted), "{asked:?} of {granted:?}");
}

#[test]
fn the_settings_page_knows_only_options_that_there_are() {
    let page = luci("htdocs/luci-static/resources/view/switchboard/settings.js");
    let (mut section, mut options) = ("", 0);
    for line in page.lines() {
        if let Some(rest) = line.split("map.section(form.").nth(1) {
            let words: Vec<&str> = rest.split('\'').collect();
            section = if rest.starts_with("TypedSection") { words[1] } else { words[3] };
        }
        let name = line.split("(s, '").nth(1).or_else(|| line.split("s.option(form.").nth(1)?.split(", '").nth(1));
        if let Some(name) = name {
            let name = name.split('\'').next().unwrap();
            let row = OPTIONS.iter().find(|row| row.section == section && row.name == name);
            let row = row.unwrap_or_else(|| panic!("{section}.{name} is no option"));
            options += 1;
            // The default that the page shows, if it shows one, is the default.
            let shown =
                line.rsplit("'").nth(1).filter(|_| line.trim_end().ends_with("');") && !line.contains("s.option("));
            if let Some(shown) = shown {
                let default = row.field.text(&switchboard::config::Config::default());
                assert_eq!(default, [shown], "{section}.{name}");
            }
        }
    }
    assert!(options >= 18, "{options}");
}

#[test]
fn a_method_of_the_page_is_shown_where_it_is_documented() {
    let document = include_str!("../../docs/API.md");
    for method in ["status", "calls", "registrations", "findings", "fetch", "reload"] {
        assert!(document.split("### ubus").nth(1).unwrap().contains(&format!("`{method}`")), "{method}");
    }
}

/// Of the daemon's answers, the status page shows fields that there are.
#[test]
fn the_status_page_reads_fields_that_are_documented() {
    let page = luci("htdocs/luci-static/resources/view/switchboard/status.js");
    let document = include_str!("../../docs/API.md");
    let mut fields = BTreeSet::new();
    for answer in ["now.", "book.", "call.", "phone.", "finding.", "live.", "phones.", "wrong."] {
        for (at, _) in page.match_indices(answer) {
            if page[..at].ends_with(|before: char| !before.is_alphanumeric()) {
                let rest = &page[at + answer.len()..];
                fields.insert(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
            }
        }
    }
    assert!(fields.len() > 15, "{fields:?}");
    for field in fields.into_iter().filter(|field| !["error", "js"].contains(field)) {
        assert!(document.contains(&format!("`{field}`")) || document.contains(&format!("\"{field}\"")), "{field}");
    }
}
