//! The mesh monitor's files, as they stand in files/www/arednmon. On a router the node's web server has them as plain files;
//! programs for routers are built without the feature `dashboard` and do not carry them a second time.

/// Where the page is.
pub const PAGE: &str = "/arednmon/";

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Behind [`PAGE`]; empty for the page itself.
    pub name: &'static str,
    /// All of it.
    pub body: &'static [u8],
}

impl File {
    /// By the end of its name.
    pub fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map_or("", |(_, end)| end) {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "txt" => "text/plain; charset=utf-8",
            _ => "text/html; charset=utf-8",
        }
    }
}

/// The file of a path.
pub fn find(path: &str) -> Option<&'static File> {
    let name = path.strip_prefix(PAGE)?;
    let name = if name == "index.html" { "" } else { name };
    FILES.iter().find(|file| file.name == name)
}

#[cfg(feature = "dashboard")]
macro_rules! files {
    ($($name:literal: $path:literal),* $(,)?) => {
        &[$(File { name: $name, body: include_bytes!(concat!("../../files/www/arednmon/", $path)) }),*]
    };
}

/// All of them.
#[cfg(feature = "dashboard")]
pub static FILES: &[File] = files![
    "": "index.html",
    "LICENSES.txt": "LICENSES.txt",
    "desk.js": "desk.js",
    "land.txt": "land.txt",
    "leaflet.css": "leaflet.css",
    "leaflet.js": "leaflet.js",
    "live.js": "live.js",
    "map.js": "map.js",
    "mesh.js": "mesh.js",
    "parts.js": "parts.js",
    "style.css": "style.css",
];

/// Says where to look instead.
#[cfg(not(feature = "dashboard"))]
pub static FILES: &[File] = &[File {
    name: "",
    body:
        b"<!doctype html>\n<title>Mesh monitor</title>\nThe mesh monitor is a page of this node's web server: port 80, \
            /arednmon/\n",
}];

#[cfg(all(test, feature = "dashboard"))]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_there_and_nothing_else_is() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/files/www/arednmon");
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("the directory")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        let ours: Vec<&str> =
            FILES.iter().map(|file| if file.name.is_empty() { "index.html" } else { file.name }).collect();
        let mut sorted = ours.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, names);
        for name in names {
            assert!(find(&format!("{PAGE}{name}")).is_some_and(|file| !file.body.is_empty()), "{name}");
        }
        assert_eq!(find("/arednmon/../page.css"), None);
        assert_eq!(find("/arednmon"), None);
    }
}
