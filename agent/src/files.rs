//! Atomic writes: after a power failure a file is either the old or the new one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes `bytes` to `path` with the permissions `mode`, such that at any time either the old or the whole new file exists.
///
/// On return, the new file is on the disk. Nobody else may write `path`.
///
/// # Errors
/// When a step fails; the error keeps its kind, and its text names the file. The old file then still exists, unless the last step failed,
/// which syncs the directory.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("can't write {}: {error}", path.display()),
        )
    };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(named(io::ErrorKind::InvalidFilename.into()));
    };
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(".new");
    let new = directory.join(new);
    let write = || {
        // A file of this name was left by an interrupted run, with unknown permissions.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        // On a full disk the partial file takes up space. If it can't be removed either, the next run does that.
        fs::remove_file(&new).ok();
        named(error)
    })
}

#[cfg(test)]
mod tests;
