//! A double of the journal: it listens where programs write to it, and keeps what they say. There is one place for that on a machine, so a
//! program that is to reach a host's double runs in a mount namespace of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The fields of one entry; none of the lab's programs gives a field twice.
pub type Entry = BTreeMap<String, String>;

/// A socket that programs take for the journal's.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// Listens below `root`, the directory of one host.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub fn listen(root: &Path) -> Result<Self> {
        let path = root.join("run/systemd/journal/socket");
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let socket =
            UnixDatagram::bind(&path).with_context(|| format!("bind {}", path.display()))?;
        socket.set_nonblocking(true).context("the socket")?;
        Ok(Self { socket })
    }

    /// The next entry, if one came; empty ones are passed over, as the journal does.
    ///
    /// # Errors
    /// When it is none of the journal's protocol.
    pub fn next(&self) -> Result<Option<Entry>> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(0) => {}
                Ok(length) => {
                    return parse(buffer.get(..length).unwrap_or_default()).map(Some);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).context("read the journal's socket"),
            }
        }
    }
}

/// Writes a script to the host's directory `root` that runs `program` with the host's `/run` in the place of the machine's.
///
/// # Errors
/// When it can't be written. Where namespaces are not allowed, the script fails.
pub fn with_own_run(root: &Path, program: &Path) -> Result<PathBuf> {
    let namespaces = match rustix::process::geteuid().is_root() {
        true => "--mount",
        false => "--user --map-current-user --keep-caps --mount",
    };
    let (run, script) = (root.join("run"), root.join("lab/with-own-run"));
    fs::create_dir_all(&run).with_context(|| format!("create {}", run.display()))?;
    let text = format!(
        "#!/bin/sh\nexec unshare {namespaces} -- sh -c 'mount --bind \"$0\" /run && exec \"$@\"' '{}' '{}' \"$@\"\n",
        run.display(),
        program.display()
    );
    fs::write(&script, text).with_context(|| format!("write {}", script.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).context("its mode")?;
    Ok(script)
}

/// `NAME=value` and a line feed; or the name, a line feed, the length in eight bytes, the value and a line feed.
fn parse(mut bytes: &[u8]) -> Result<Entry> {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.context("no line feed at the end")?);
        let rest = rest.get(1..).unwrap_or_default();
        let line = std::str::from_utf8(line)?;
        let (name, value, after) = match line.split_once('=') {
            Some((name, value)) => (name, value, rest),
            None => {
                let (length, rest) = rest.split_first_chunk().context("no length")?;
                let length = usize::try_from(u64::from_le_bytes(*length))?;
                let value = rest.get(..length).context("the value is cut off")?;
                let after = rest.get(length..).and_then(|rest| rest.strip_prefix(b"\n"));
                (line, std::str::from_utf8(value)?, after.context("no end")?)
            }
        };
        if entry.insert(name.to_owned(), value.to_owned()).is_some() {
            bail!("{name} comes twice");
        }
        bytes = after;
    }
    Ok(entry)
}
