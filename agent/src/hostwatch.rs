//! Notices changes of files on the host without starting a service: of ostree's deployments, and of files that the caller names.
//!
//! Whoever deploys, stages, rolls back or cleans up changes `/ostree/deploy`. The lock of a staged deployment can change without that, but
//! then its file in `/run/ostree` is replaced.

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

/// A change is reported once nothing has happened for this long, because a deployment is many changes,
const QUIET: Duration = Duration::from_millis(200);
/// and after this long at the latest.
const LATEST: Duration = Duration::from_secs(2);
/// How often a directory may change between two looks at it before the rest is left to the next event.
const TRIES: usize = 3;

/// The paths that ostree changes, relative to the root.
const OSTREE: &[&str] = &[
    "ostree/deploy",
    "run/ostree/staged-deployment",
    "run/ostree/staged-deployment-locked",
];

/// Marked as changed whenever ostree's deployments under `root` change, or one of `extra`: files, wherever they are, or directories with
/// their direct entries. Paths that do not exist yet are noticed once they do.
///
/// If inotify is not available, this logs a warning and is never marked, so also look from time to time. Needs a tokio runtime.
pub fn changes(root: &Path, extra: &[PathBuf]) -> watch::Receiver<()> {
    let ostree = OSTREE.iter().map(|path| root.join(path));
    watch(ostree.chain(extra.iter().cloned()).collect())
}

/// The same for `targets` alone.
pub fn watch(targets: Vec<PathBuf>) -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    // Armed before this returns, so that everything from now on is noticed.
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

/// The relevant part of a watched directory.
#[derive(Debug, Default)]
struct Interest {
    /// The directory itself and all of its entries.
    all: bool,
    /// The entries of these names.
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

    /// Waits for a change, and until changes have ended.
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
        // Directories may have come or gone. Earlier changes in new ones are seen by the caller's look after this returns.
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
        // The last events of removed watches are unknown.
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

    /// Watches each target where it is or would appear, and nothing else.
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
                // Fails if the directory and its watch are gone.
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
        // Otherwise it appeared before its parent was watched, and now a deeper directory can be watched.
        if path == target || !path.exists() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests;
