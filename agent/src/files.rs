//! Files that are either the old or the new ones, whenever the power fails.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes `bytes` to `path` with the permissions `mode`, such that the old file or the whole new one is there at any time.
///
/// When it returns, the new one is on the disk. The caller is the only one who writes `path`.
///
/// # Errors
/// When a step fails; the error keeps its kind, and its text names the file. The old file is then still in place, unless the failing
/// step is the last one, which writes the directory.
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
        // A file of that name is what an interrupted run left; its permissions may be any.
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
        // On a full disk the half-written file is in the way; when it can't be removed either, the next run does.
        fs::remove_file(&new).ok();
        named(error)
    })
}

#[cfg(test)]
mod tests;
