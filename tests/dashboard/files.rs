//! The files of both pages as they are: their size, and what their scripts must not do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::FILES;

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(FILES).unwrap().map(|entry| entry.unwrap().path()).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    files.extend(["page.html", "page.css", "page.js"].map(|name| page.join(name)));
    files
}

#[test]
fn all_web_files_together_are_below_120_kb_compressed() {
    let mut sum = 0;
    for file in files() {
        let output = Command::new("gzip").arg("-9c").arg(&file).output().unwrap();
        assert!(output.status.success());
        sum += output.stdout.len();
    }
    assert!((60_000..120_000).contains(&sum), "{sum} bytes");
}

#[test]
fn our_scripts_set_text_and_name_no_other_site() {
    for file in files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.starts_with("leaflet.js") || name == "LICENSES.txt" {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "@import",
            "url(",
        ] {
            assert!(!text.contains(way), "{name}: {way}");
        }
        // The name of the SVG language is no address that is asked.
        let sites = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!sites.contains("://") || !name.ends_with("html") && !name.ends_with("css"), "{name}");
        for (at, _) in sites.match_indices("//") {
            let before = &sites[..at];
            assert!(!before.ends_with("http:") && !before.ends_with("https:"), "{name}: {}", &sites[at..][..40]);
        }
    }
    let html = std::fs::read_to_string(Path::new(FILES).join("index.html")).unwrap();
    assert!(!html.contains("style=") && !html.contains("onclick") && !html.contains("<script>"), "nothing inline");
    assert!(html.contains("default-src 'none'") && html.contains("script-src 'self'"));
}
