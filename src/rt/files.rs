//! Files: read whole, written step by step, watched by inotify and never polled.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use log::Level;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::files::{Contents, FileError, Step, Watched};
use crate::limits;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::UnixTime;

/// Reads a regular file of at most `limit` bytes.
pub fn read(path: &Path, limit: usize) -> Result<Contents, FileError> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(reason)?;
    let metadata = file.metadata().map_err(reason)?;
    if !metadata.is_file() {
        return Err(FileError::Os(libc::EISDIR));
    }
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() > limit {
        return Err(FileError::TooLarge);
    }
    Ok(Contents { bytes, modified: UnixTime(modified.map_or(0, |since| since.as_secs())) })
}

/// Does the steps in order; stops at the first that fails and says which, at that level.
pub fn perform(steps: &[Step], level: Level) -> Result<(), FileError> {
    for (index, step) in steps.iter().enumerate() {
        if let Err(error) = perform_one(step) {
            log::log!(level, "{}: {error}", describe(step));
            // What came of it is of no use, and takes room of which there may be none: the overlay is everybody's.
            for done in steps.iter().take(index.saturating_add(1)) {
                if let Step::Write(path, _) = done {
                    let _ = fs::remove_file(path);
                }
            }
            return Err(reason(error));
        }
    }
    Ok(())
}

fn perform_one(step: &Step) -> io::Result<()> {
    match step {
        Step::MakeDir(path) => fs::create_dir_all(path),
        Step::Write(path, bytes) => create(path, 0o644)?.write_all(bytes),
        Step::Sync(path) => File::open(path)?.sync_all(),
        Step::Rename { from, to } => fs::rename(from, to),
        Step::Keep { file, copy } => {
            let temporary = beside(copy);
            remove(&temporary)?;
            fs::hard_link(file, &temporary)?;
            fs::rename(&temporary, copy)
        }
        Step::SyncDir(path) => File::open(path)?.sync_all(),
        Step::Link { at, target } => {
            if fs::read_link(at).is_ok_and(|present| present == *target) {
                return Ok(());
            }
            let temporary = beside(at);
            remove(&temporary)?;
            symlink(target, &temporary)?;
            fs::rename(&temporary, at)
        }
        Step::Remove(path) => remove(path),
    }
}

/// A new file. What stands at its name goes first: a link that leads elsewhere is not followed, and nobody waits for the reader
/// of a pipe, where everybody may write (/tmp).
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    remove(path)?;
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A name in the same directory that nobody reads.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn describe(step: &Step) -> String {
    match step {
        Step::MakeDir(path) => format!("cannot make directory {}", path.display()),
        Step::Write(path, _) => format!("cannot write {}", path.display()),
        Step::Sync(path) | Step::SyncDir(path) => format!("cannot sync {}", path.display()),
        Step::Rename { from, to } => format!("cannot rename {} to {}", from.display(), to.display()),
        Step::Keep { file, copy } => format!("cannot keep {} as {}", file.display(), copy.display()),
        Step::Link { at, target } => format!("cannot link {} to {}", at.display(), target.display()),
        Step::Remove(path) => format!("cannot remove {}", path.display()),
    }
}

fn reason(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Os(error.raw_os_error().unwrap_or_default()),
    }
}

/// What changed: a name and its contents, `None` if it is gone.
pub struct Change {
    /// What is watched.
    pub watched: Watched,
    /// The file's name in its directory.
    pub name: String,
    /// All of it.
    pub contents: Option<Vec<u8>>,
}

/// One thing that is watched.
struct Watch {
    path: PathBuf,
    /// The directory that inotify looks at: the one we want, or the nearest above it that exists.
    directory: PathBuf,
    descriptor: Option<WatchDescriptor>,
    /// The files that were delivered, so that their going is delivered too.
    known: SortedSet<String>,
}

impl Watch {
    /// The directory that holds what is watched.
    fn target(&self, watched: Watched) -> &Path {
        match watched.is_directory() {
            true => &self.path,
            false => self.path.parent().unwrap_or(Path::new("/")),
        }
    }

    fn wants(&self, watched: Watched, name: &str) -> bool {
        match watched.is_directory() {
            true => !name.starts_with('.'),
            false => self.path.file_name().is_some_and(|own| own == name),
        }
    }
}

/// All watches of the daemon.
pub struct Watcher {
    inotify: Inotify,
    watches: SortedMap<Watched, Watch>,
}

impl Watcher {
    /// No watch yet.
    pub fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { inotify, watches: SortedMap::new() })
    }

    /// Readable when something changed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches `path`, instead of what was watched under that name before; answers with the names that are there now.
    /// [`Watcher::deliver`] reads them, one at a time: all files of a mesh together may be large.
    pub fn watch(&mut self, watched: Watched, path: PathBuf) -> Vec<(Watched, String)> {
        let previous = self.watches.remove(&watched);
        let known = previous.map(|watch| watch.known).unwrap_or_default();
        let watch = Watch { path, directory: PathBuf::new(), descriptor: None, known };
        self.watches.insert(watched, watch);
        self.establish(watched)
    }

    /// The names that changed since the last call, to be read by [`Watcher::deliver`].
    pub fn changes(&mut self) -> Vec<(Watched, String)> {
        let mut changes = Vec::new();
        while let Ok(events) = self.inotify.read_events() {
            let overflow = events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
            for watched in self.watches.keys().copied().collect::<Vec<_>>() {
                let Some(watch) = self.watches.get(&watched) else { continue };
                let ours = events.iter().filter(|event| overflow || Some(event.wd) == watch.descriptor);
                let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
                let moved = overflow || ours.clone().any(|event| event.mask.intersects(gone));
                let elsewhere = watch.directory != watch.target(watched) && ours.clone().next().is_some();
                if moved || elsewhere {
                    changes.extend(self.establish(watched));
                    continue;
                }
                let names: SortedSet<String> = ours
                    .filter(|event| !event.mask.contains(AddWatchFlags::IN_CREATE)) // its contents are still to come
                    .filter_map(|event| event.name.clone()?.into_string().ok())
                    .filter(|name| watch.wants(watched, name))
                    .collect();
                changes.extend(names.into_iter().map(|name| (watched, name)));
            }
        }
        changes
    }

    /// Looks at the directory, or at the nearest above it that exists, and delivers all that it holds.
    fn establish(&mut self, watched: Watched) -> Vec<(Watched, String)> {
        let Some(watch) = self.watches.get_mut(&watched) else { return Vec::new() };
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let target = watch.target(watched).to_owned();
        watch.descriptor = None;
        for directory in target.ancestors().filter(|directory| !directory.as_os_str().is_empty()) {
            if let Ok(descriptor) = self.inotify.add_watch(directory, flags) {
                watch.descriptor = Some(descriptor);
                watch.directory = directory.to_owned();
                break;
            }
        }
        if watch.descriptor.is_none() {
            log::warn!("cannot watch {}", target.display());
        }
        let mut names = watch.known.clone();
        for entry in fs::read_dir(&target).into_iter().flatten().flatten().take(limits::WATCHED_FILES) {
            if let Ok(name) = entry.file_name().into_string() {
                names.insert(name);
            }
        }
        let wanted = names.into_iter().filter(|name| watch.known.contains(name) || watch.wants(watched, name));
        wanted.map(|name| (watched, name)).collect()
    }

    /// Reads one file; a file that was never there and still is not is no news.
    pub fn deliver(&mut self, watched: Watched, name: String) -> Option<Change> {
        let watch = self.watches.get_mut(&watched)?;
        let path = watch.target(watched).join(&name);
        let wanted = watch.wants(watched, &name);
        match read(&path, limits::FILE) {
            Ok(contents) if wanted && (watch.known.len() < limits::WATCHED_FILES || watch.known.contains(&name)) => {
                watch.known.insert(name.clone());
                Some(Change { watched, name, contents: Some(contents.bytes) })
            }
            Ok(_) | Err(FileError::NotFound) => {
                watch.known.remove(&name).then_some(Change { watched, name, contents: None })
            }
            Err(error) => {
                log::warn!("cannot read {}: {error:?}", path.display());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::tree::Tree;

    fn seen(watcher: &mut Watcher, names: Vec<(Watched, String)>) -> Vec<(String, Option<String>)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let changes = names.into_iter().filter_map(|(watched, name)| watcher.deliver(watched, name));
        changes.map(|change| (change.name, change.contents.map(text))).collect()
    }

    fn changed(watcher: &mut Watcher) -> Vec<(String, Option<String>)> {
        let names = watcher.changes();
        seen(watcher, names)
    }

    fn pair(name: &str, text: Option<&str>) -> (String, Option<String>) {
        (name.into(), text.map(Into::into))
    }

    #[test]
    fn a_directory_that_comes_changes_and_goes_is_followed() {
        let tree = Tree::new("watch");
        let hosts = tree.0.join("run/arednlink/hosts");
        let mut watcher = Watcher::new().unwrap();
        assert_eq!(watcher.watch(Watched::HostsDir, hosts.clone()), []);
        fs::create_dir(tree.0.join("run")).unwrap();
        assert_eq!(changed(&mut watcher), []);
        fs::create_dir_all(&hosts).unwrap();
        fs::write(hosts.join("3"), "one").unwrap();
        let mut all = changed(&mut watcher);
        all.extend(changed(&mut watcher));
        assert!(all.contains(&pair("3", Some("one"))), "{all:?}");
        fs::write(hosts.join("3"), "two").unwrap();
        assert_eq!(changed(&mut watcher).pop(), Some(pair("3", Some("two"))));
        fs::remove_file(hosts.join("3")).unwrap();
        assert_eq!(changed(&mut watcher), [pair("3", None)]);
        fs::write(hosts.join("4"), "x").unwrap();
        assert_eq!(changed(&mut watcher), [pair("4", Some("x"))]);
        fs::remove_dir_all(&hosts).unwrap();
        assert_eq!(changed(&mut watcher).pop(), Some(pair("4", None)));
    }

    #[test]
    fn a_single_file_is_followed_through_renames_and_neighbours_are_not() {
        let tree = Tree::new("single");
        let path = tree.0.join("resolv.conf");
        fs::write(&path, "a").unwrap();
        let mut watcher = Watcher::new().unwrap();
        let names = watcher.watch(Watched::ResolvConf, path.clone());
        assert_eq!(seen(&mut watcher, names), [pair("resolv.conf", Some("a"))]);
        fs::write(tree.0.join("other"), "z").unwrap();
        fs::write(tree.0.join("new"), "b").unwrap();
        fs::rename(tree.0.join("new"), &path).unwrap();
        assert_eq!(changed(&mut watcher), [pair("resolv.conf", Some("b"))]);
    }

    /// In /tmp everybody may make names that we are about to use.
    #[test]
    fn a_trap_at_the_name_of_a_new_file_catches_nothing() {
        let tree = Tree::new("trap");
        let (file, precious) = (tree.0.join("list.json.new"), tree.0.join("precious"));
        fs::write(&precious, "untouched").unwrap();
        let write = [Step::Write(file.clone(), b"ours".to_vec())];
        symlink(&precious, &file).unwrap();
        perform(&write, Level::Warn).unwrap();
        fs::remove_file(&file).unwrap();
        // Opening a pipe that nobody reads would wait for ever.
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        perform(&write, Level::Warn).unwrap();
        fs::remove_file(&file).unwrap();
        fs::hard_link(&precious, &file).unwrap();
        perform(&write, Level::Warn).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ours");
        assert_eq!(fs::read(&precious).unwrap(), b"untouched");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(perform(&write, Level::Warn).is_err());
    }

    #[test]
    fn what_cannot_be_done_to_its_end_leaves_nothing_behind() {
        let tree = Tree::new("halves");
        let (file, hash, full) = (tree.0.join("a.new"), tree.0.join("b.new"), PathBuf::from("/dev/full"));
        let write = |path: &Path| Step::Write(path.to_owned(), b"x".to_vec());
        let keep = Step::Keep { file: full, copy: tree.0.join("copy") }; // on another file system: it fails
        assert!(
            perform(
                &[write(&file), Step::Rename { from: file, to: tree.0.join("a") }, write(&hash), keep],
                Level::Warn
            )
            .is_err()
        );
        assert!(tree.0.join("a").exists() && !hash.exists(), "what has its name stays");
    }

    #[test]
    fn steps_are_done_in_order_and_a_link_is_not_written_twice() {
        let tree = Tree::new("steps");
        let (a, b, link) = (tree.0.join("d/a"), tree.0.join("d/b"), tree.0.join("link"));
        let steps = [
            Step::MakeDir(tree.0.join("d")),
            Step::Write(a.clone(), b"new".to_vec()),
            Step::Sync(a.clone()),
            Step::Rename { from: a, to: b.clone() },
            Step::Keep { file: b.clone(), copy: tree.0.join("d/b.bak") },
            Step::SyncDir(tree.0.join("d")),
            Step::Link { at: link.clone(), target: b.clone() },
        ];
        perform(&steps, Level::Warn).unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"new");
        assert_eq!(fs::read(tree.0.join("d/b.bak")).unwrap(), b"new");
        let before = fs::symlink_metadata(&link).unwrap().modified().unwrap();
        perform(&[Step::Link { at: link.clone(), target: b }], Level::Warn).unwrap();
        assert_eq!(fs::symlink_metadata(&link).unwrap().modified().unwrap(), before);
        let missing = tree.0.join("nowhere/x");
        assert_eq!(perform(&[Step::Write(missing, Vec::new())], Level::Warn), Err(FileError::NotFound));
        assert_eq!(read(&tree.0.join("d/b"), 2), Err(FileError::TooLarge));
    }
}
