//! What the daemon touches on the file system, sorted by what it does there: for whoever decides about rights.

use std::path::{Path, PathBuf};

use super::Config;

/// Every path of a configuration, but the sockets.
pub struct Places<'a> {
    /// Files that are written, each by a new file beside it that takes its name.
    pub files: Vec<&'a Path>,
    /// Directories in which files or links are made.
    pub directories: Vec<&'a Path>,
    /// Files and directories that are read.
    pub read: Vec<&'a Path>,
}

impl Config {
    /// All of them; those that are empty are left out.
    pub fn places(&self) -> Places<'_> {
        let Self { main, names, phonebook, mesh, api, probe, health, .. } = self;
        Places {
            files: some([
                &main.state_file,
                &main.active_calls_file,
                &main.crash_file,
                &main.crash_report_file,
                &phonebook.book_file,
                &phonebook.phonebook_json_file,
                &phonebook.badge_file,
                &mesh.topology_file,
                &mesh.topology_link,
                &mesh.findings_file,
                &api.settings_file,
                &probe.results_file,
                &health.file,
                &health.starts_file,
            ]),
            directories: some([&phonebook.publish_dir, &phonebook.link_dir]),
            read: some([
                &names.hosts_dir,
                &names.hosts_olsr,
                &names.resolv_conf,
                &names.node_config,
                &mesh.services_dir,
                &mesh.services_olsr,
                &mesh.lqm_file,
                &mesh.aredn_config,
                &mesh.dhcp_config,
                &mesh.lan_hosts,
                &mesh.dhcp_leases,
                &mesh.firewall_file,
            ]),
        }
    }
}

fn some<const N: usize>(paths: [&PathBuf; N]) -> Vec<&Path> {
    paths.into_iter().map(|path| path.as_path()).filter(|path| !path.as_os_str().is_empty()).collect()
}
