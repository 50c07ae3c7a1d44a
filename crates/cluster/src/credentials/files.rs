//! Reads files with credentials.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::error::{CredentialsError, NOT_THERE};

/// Far more than a kubeconfig or a bundle of certificates has: a link to a log must not fill the memory.
const LARGEST: u64 = 4 << 20;

/// Reads a whole file. A pipe or a device, which may never end, is not read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let unreadable = |message: String| CredentialsError::Unreadable {
        path: path.to_owned(),
        message,
    };
    let failed = |error: std::io::Error| unreadable(error_text(&error));
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    // For a directory, the operating system itself returns an error.
    if !kind.is_file() && !kind.is_dir() {
        return Err(unreadable("it is no ordinary file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let mut limited = file.take(LARGEST + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable("it is larger than 4 MiB".to_owned()));
    }
    Ok(bytes)
}

fn error_text(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => NOT_THERE.to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
