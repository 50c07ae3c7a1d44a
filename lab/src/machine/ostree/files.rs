//! The files of one host that tests, the machine and the doubles share.
//!
//! Every process reads them anew when it needs them and writes them by an atomic rename under one lock, so a test may change the
//! world at any moment, and a double that is killed loses nothing.

use std::fs::{self, File, FileTimes};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The root directory of one host: what `/` is for the host's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRoot(PathBuf);

/// A JSON file below `lab/` of a host.
pub trait LabFile: Serialize + DeserializeOwned + Clone + PartialEq {
    /// File name inside `lab/`.
    const NAME: &'static str;

    /// What else the host sees when this content replaces `before` (`None` when there was no file).
    ///
    /// # Errors
    /// When one of those files can't be written; it is named.
    fn reflect(&self, _before: Option<&Self>, _root: &NodeRoot) -> Result<()> {
        Ok(())
    }
}

impl NodeRoot {
    /// Names the root; nothing is created or checked.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path of the host, given relative to its root.
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.0.join(relative)
    }

    /// Address of the host's system bus.
    pub fn bus_address(&self) -> String {
        format!("unix:path={}/run/dbus/system_bus_socket", self.0.display())
    }

    /// Reads a lab file.
    ///
    /// # Errors
    /// When it is missing or not what it should be; the file is named.
    pub fn load<T: LabFile>(&self) -> Result<T> {
        let path = self.lab(T::NAME);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// Replaces a lab file.
    ///
    /// # Errors
    /// When it, or what it is reflected in, can't be written; the file is named.
    pub fn save<T: LabFile>(&self, value: &T) -> Result<()> {
        let _lock = self.lock()?;
        self.replace(value, None)
    }

    /// Changes a lab file; no other process changes any lab file of this host meanwhile. Returns what `change` returns.
    ///
    /// # Errors
    /// When it can't be read or written; the file is named.
    pub fn edit<T: LabFile, R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        let _lock = self.lock()?;
        let before: T = self.load()?;
        let mut after = before.clone();
        let result = change(&mut after);
        if after != before {
            self.replace(&after, Some(&before))?;
        }
        Ok(result)
    }

    /// Replaces a file of the host by a rename, so that nobody reads half of it. Parent directories are created.
    ///
    /// # Errors
    /// When it can't be written; the file is named.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.join(relative);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = path.with_file_name(format!(".{name}.{}", fastrand::u64(..)));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        fs::write(&fresh, content).with_context(|| format!("write {}", fresh.display()))?;
        fs::rename(&fresh, &path).with_context(|| format!("replace {}", path.display()))
    }

    /// Removes a file of the host if it is there.
    ///
    /// # Errors
    /// When it is there and can't be removed; the file is named.
    pub fn remove(&self, relative: &str) -> Result<()> {
        let path = self.join(relative);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Gives `ostree/deploy` a new mtime, as libostree does on each change of the deployments. Both times change, for a change of the
    /// mtime alone is no `IN_ATTRIB` to those who watch.
    ///
    /// # Errors
    /// When the directory can't be opened or changed.
    pub fn bump_deploy(&self) -> Result<()> {
        let path = self.join("ostree/deploy");
        File::open(&path)
            .and_then(|directory| {
                let now = SystemTime::now();
                directory.set_times(FileTimes::new().set_accessed(now).set_modified(now))
            })
            .with_context(|| format!("bump mtime of {}", path.display()))
    }

    fn lab(&self, name: &str) -> PathBuf {
        self.0.join("lab").join(name)
    }

    /// The lock dies with the handle. Held only while a few small files are read and written, so blocking is fine.
    fn lock(&self) -> Result<File> {
        let path = self.lab("lock");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("lock {}", path.display()))?;
        Ok(file)
    }

    fn replace<T: LabFile>(&self, value: &T, before: Option<&T>) -> Result<()> {
        let text =
            serde_json::to_string_pretty(value).with_context(|| format!("render {}", T::NAME))?;
        self.write(&format!("lab/{}", T::NAME), text)?;
        value.reflect(before, self)
    }
}
