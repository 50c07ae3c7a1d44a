//! ostree's errors in the host's journal: no D-Bus interface reports why an update could not be written to the disk at a shutdown.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cuo_core::survey::{FINALIZE, FINALIZED};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

/// Limit for one query. A big journal on a slow disk takes a while, and only a better message depends on it.
const LIMIT: Duration = Duration::from_secs(20);
/// The limit of what is read of an answer, in bytes, and of what is kept of an error, in characters.
const LONGEST: u64 = 64 << 10;
const KEPT: usize = 1000;

/// The unit that reports the error, and the boot relative to the current one as journalctl counts: the boot after the failure repeats what
/// was kept in a file in /boot; the failed one has it only if its journal survives boots and still ran at that time.
const PLACES: [(&str, &str); 2] = [(FINALIZED, "0"), (FINALIZE, "-1")];
const ERROR: &str = "\nerror: ";
const HANDED_ON: &str = "ostree-finalize-staged.service failed on previous boot: ";

/// Why the staged update could not be written to the disk at the last shutdown. If the journal has no answer, logs why.
pub async fn finalize_error(root: &Path) -> Option<String> {
    let mut silent = Vec::new();
    for (unit, boot) in PLACES {
        match ask(journalctl(root, unit, boot), LIMIT).await {
            Ok(text) => match last_error(&text) {
                Some(error) => return Some(error),
                None => silent.push(format!("no error from {unit}")),
            },
            Err(why) => silent.push(format!("{unit}: {why}")),
        }
    }
    let why = silent.join("; ");
    warn!("an update could not be written to the disk, and the journal does not say why: {why}");
    None
}

/// The query for messages of the unit itself: nobody else can set the field that it matches.
fn journalctl(root: &Path, unit: &str, boot: &str) -> Command {
    let mut command = Command::new("journalctl");
    command
        .args(["--no-pager", "--output=cat", "--lines=100"])
        .arg(format!("--boot={boot}"))
        .arg(format!("_SYSTEMD_UNIT={unit}"));
    if root != Path::new("/") {
        command.arg("--root").arg(root);
    }
    command
}

/// The output of `command`, or one sentence on why there is none.
async fn ask(mut command: Command, limit: Duration) -> Result<String, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let name = command.as_std().get_program().display().to_string();
    let answer = async {
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = tokio::try_join!(beginning(stdout), beginning(stderr))?;
        std::io::Result::Ok((child.wait().await?, stdout, stderr))
    };
    match timeout(limit, answer).await {
        Ok(Ok((status, stdout, _))) if status.success() => Ok(stdout),
        Ok(Ok((status, _, stderr))) => Err(format!("{name}: {status}: {}", stderr.trim())),
        Ok(Err(error)) => Err(format!("{name}: {error}")),
        Err(_) => Err(format!("{name} did not answer within {limit:?}")),
    }
}

/// Reads the beginning of the output; a program that writes more gets a closed pipe.
async fn beginning(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LONGEST).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last error in `text` with its continuation lines, as one line.
fn last_error(text: &str) -> Option<String> {
    let text = format!("\n{text}");
    let (_, error) = text.rsplit_once(ERROR)?;
    let error = error.strip_prefix(HANDED_ON).unwrap_or(error).trim();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let error: String = error.chars().take(KEPT).map(plain).collect();
    (!error.is_empty()).then_some(error)
}

#[cfg(test)]
mod tests;
