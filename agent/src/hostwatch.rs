//! Notices changes of files on the host without asking anybody: what ostree has deployed, and files that the caller names.
//!
//! Everybody who deploys, stages, rolls back or cleans up changes `/ostree/deploy`; the lock of a staged deployment can change without
//! that, but then its file in `/run/ostree` is replaced.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

/// A change is told when nothing more happened for this long, because a deployment is many changes,
const QUIET: Duration = Duration::from_millis(200);
/// and after this long at the latest.
const LATEST: Duration = Duration::from_secs(2);
/// How often a directory may appear between two looks at it before that is left to the next event.
const TRIES: usize = 3;

/// What ostree changes, relative to the root.
const OSTREE: &[&str] = &[
    "ostree/deploy",
    "run/ostree/staged-deployment",
    "run/ostree/staged-deployment-locked",
];

/// Marked as changed each time something happened to what ostree has deployed under `root`, or to any of `extra`: files, wherever they
/// are, or directories with what is directly in them. What does not exist yet is noticed once it does.
///
/// Where inotify can't be had there is a warning and nothing is ever marked, so look now and then all the same. Needs a tokio runtime.
pub fn changes(root: &Path, extra: &[PathBuf]) -> watch::Receiver<()> {
    let ostree = OSTREE.iter().map(|path| root.join(path));
    watch(ostree.chain(extra.iter().cloned()).collect())
}

/// The same for `targets` alone.
pub fn watch(targets: Vec<PathBuf>) -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    // Armed before this returns: what happens from now on is noticed.
    let watcher = Watcher::new(targets);
    tokio::spawn(async move {
        let end = async {
            let mut watcher = watcher?;
            loop {
                watcher.changed().await?;
                sender.send_replace(());
            }
        };
        let end: io::Result<()> = tokio::select! {
            end = end => end,
            () = sender.closed() => Ok(()),
        };
        if let Err(error) = end {
            warn!(%error, "changes of files are noticed late only, inotify does not work");
            sender.closed().await;
        }
    });
    receiver
}

/// What matters in a watched directory.
#[derive(Debug, Default)]
struct Interest {
    /// Everything in it, and itself.
    all: bool,
    /// Entries of these names.
    names: BTreeSet<OsString>,
}

struct Watcher {
    targets: Vec<PathBuf>,
    watches: Watches,
    events: EventStream<[u8; 4096]>,
    armed: HashMap<WatchDescriptor, Interest>,
}

impl Watcher {
    fn new(targets: Vec<PathBuf>) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mut watcher = Self {
            targets,
            watches: inotify.watches(),
            events: inotify.into_event_stream([0; 4096])?,
            armed: HashMap::new(),
        };
        watcher.arm();
        Ok(watcher)
    }

    /// Waits for a change, and for the end of it.
    async fn changed(&mut self) -> io::Result<()> {
        loop {
            let event = self.next().await?;
            if self.matters(&event) {
                break;
            }
        }
        let latest = Instant::now() + LATEST;
        loop {
            let quiet = latest.min(Instant::now() + QUIET);
            match tokio::time::timeout_at(quiet, self.next()).await {
                Ok(event) => event.map(drop)?,
                Err(_) => break,
            }
        }
        // Directories may have come or gone. What happens to new ones before this is seen by whoever looks after this returns.
        self.arm();
        Ok(())
    }

    async fn next(&mut self) -> io::Result<EventOwned> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        self.events.next().await.unwrap_or_else(|| Err(end()))
    }

    fn matters(&self, event: &EventOwned) -> bool {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return true;
        }
        // Unknown are the last events of watches that were removed.
        let Some(interest) = self.armed.get(&event.wd) else {
            return false;
        };
        let gone =
            EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED | EventMask::UNMOUNT;
        interest.all
            || event.mask.intersects(gone)
            || event
                .name
                .as_ref()
                .is_some_and(|name| interest.names.contains(name))
    }

    /// Watches each target where it is or would appear, and nothing else any more.
    fn arm(&mut self) {
        let mut armed: HashMap<_, Interest> = HashMap::new();
        for target in &self.targets {
            if let Ok(descriptor) = add(&mut self.watches, target) {
                armed.entry(descriptor).or_default().all = true;
            }
            if let Some((descriptor, name)) = appearance(&mut self.watches, target) {
                armed.entry(descriptor).or_default().names.insert(name);
            }
        }
        let old = std::mem::replace(&mut self.armed, armed);
        for descriptor in old.into_keys() {
            if !self.armed.contains_key(&descriptor) {
                // Fails when the directory is gone, and its watch with it.
                self.watches.remove(descriptor).ok();
            }
        }
    }
}

/// Watches a directory, again if it is watched already. Setting a directory's modification time alone counts as `MODIFY`, setting
/// both its times, as libostree does, as `ATTRIB`.
fn add(watches: &mut Watches, directory: &Path) -> io::Result<WatchDescriptor> {
    let mask = WatchMask::ATTRIB
        | WatchMask::CLOSE_WRITE
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MODIFY
        | WatchMask::MOVE
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    watches.add(directory, mask)
}

/// Watches the nearest directory above `target` that can be watched; returns the name in it that leads to `target`.
fn appearance(watches: &mut Watches, target: &Path) -> Option<(WatchDescriptor, OsString)> {
    let mut found = None;
    for _ in 0..TRIES {
        let nearest = target.ancestors().find_map(|path| {
            let descriptor = add(watches, path.parent()?).ok()?;
            Some((path, descriptor))
        });
        let (path, descriptor) = nearest?;
        found = Some((descriptor, path.file_name()?.to_owned()));
        // Otherwise it appeared before its parent was watched, and a directory further down can be watched now.
        if path == target || !path.exists() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whether a change is reported within the time that a loaded machine may need.
    async fn reported(changes: &mut watch::Receiver<()>) -> bool {
        let reported = tokio::time::timeout(Duration::from_secs(20), changes.changed()).await;
        matches!(reported, Ok(Ok(())))
    }

    /// Nothing is reported for longer than a change could take to be reported.
    async fn silent(changes: &mut watch::Receiver<()>) -> bool {
        let silence = tokio::time::timeout(QUIET * 3, changes.changed()).await;
        silence.is_err()
    }

    #[tokio::test]
    async fn directories_may_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let deploy = root.join("ostree/deploy");
        let mut changes = changes(root, &[]);

        fs::create_dir_all(&deploy).unwrap();
        assert!(reported(&mut changes).await, "created");
        for _ in 0..2 {
            let now = std::time::SystemTime::now();
            let both = fs::FileTimes::new().set_accessed(now).set_modified(now);
            for times in [both, fs::FileTimes::new().set_modified(now)] {
                fs::File::open(&deploy).unwrap().set_times(times).unwrap();
                assert!(reported(&mut changes).await, "touched: {times:?}");
            }
            fs::remove_dir_all(root.join("ostree")).unwrap();
            assert!(reported(&mut changes).await, "removed");
            fs::create_dir_all(&deploy).unwrap();
            assert!(reported(&mut changes).await, "created again");
        }

        let staged = root.join("run/ostree/staged-deployment");
        fs::create_dir_all(staged.parent().unwrap()).unwrap();
        assert!(
            reported(&mut changes).await,
            "directory of the staged deployment"
        );
        fs::write(root.join("run/ostree/new"), "locked").unwrap();
        fs::rename(root.join("run/ostree/new"), &staged).unwrap();
        assert!(reported(&mut changes).await, "staged");
    }

    #[tokio::test]
    async fn named_files_are_followed_through_replacement_and_others_are_not_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let kubelet = directory.path().join("kubelet");
        let current = kubelet.join("current.pem");
        fs::create_dir_all(&kubelet).unwrap();
        let mut changes = changes(&root, std::slice::from_ref(&current));

        fs::write(kubelet.join("other"), "x").unwrap();
        assert!(silent(&mut changes).await, "another file");
        for name in ["one.pem", "two.pem"] {
            // As the kubelet rotates: a new link is renamed over the old one.
            fs::write(kubelet.join(name), name).unwrap();
            std::os::unix::fs::symlink(name, kubelet.join("new")).unwrap();
            fs::rename(kubelet.join("new"), &current).unwrap();
            assert!(reported(&mut changes).await, "{name}");
        }
        fs::write(&current, "in place").unwrap();
        assert!(
            silent(&mut changes).await,
            "the target of a link is another file"
        );
        fs::remove_file(&current).unwrap();
        assert!(reported(&mut changes).await, "removed");
    }

    #[tokio::test]
    async fn a_burst_is_one_change() {
        let directory = tempfile::tempdir().unwrap();
        let deploy = directory.path().join("ostree/deploy");
        fs::create_dir_all(&deploy).unwrap();
        let mut changes = changes(directory.path(), &[]);
        for index in 0..500 {
            fs::create_dir(deploy.join(index.to_string())).unwrap();
        }
        assert!(reported(&mut changes).await);
        assert!(silent(&mut changes).await, "told twice");
    }
}
