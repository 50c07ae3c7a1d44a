//! The journal's own protocol: one datagram an entry, each field by its name.
//!
//! Fields of an event get the prefix `CUO_`, except for those that the journal knows by another name: `message_id` is `MESSAGE_ID`, by
//! which the catalog explains an entry.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where the journal listens, below the root.
pub const SOCKET: &str = "run/systemd/journal/socket";
/// The field that names an event for the journal's catalog.
pub const MESSAGE_ID: &str = "message_id";
/// Longest value, in bytes. A datagram holds some 200 KiB, and nothing worth reading is longer.
const LIMIT: usize = 16 << 10;

/// The name of the node that this process works for, once it is known.
pub(crate) static NODE: OnceLock<String> = OnceLock::new();

/// Writes events to the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    program: String,
    node: &'static OnceLock<String>,
}

impl Journal {
    /// Writes to the socket at `path` as `program`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) fn at(
        path: &Path,
        program: &str,
        node: &'static OnceLock<String>,
    ) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // The journal discards what is empty.
        socket.send_to(&[], path)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            program: program.to_owned(),
            node,
        })
    }

    fn entry(&self, event: &Event<'_>) -> Vec<u8> {
        let mut entry = Entry(Vec::with_capacity(512));
        let about = event.metadata();
        entry.put("PRIORITY", priority(about.level()));
        entry.put("SYSLOG_IDENTIFIER", &self.program);
        entry.put("TARGET", about.target());
        if let (Some(file), Some(line)) = (about.file(), about.line()) {
            entry.put("CODE_FILE", file);
            entry.put("CODE_LINE", &line.to_string());
        }
        if let Some(node) = self.node.get() {
            entry.put("NODE", node);
        }
        event.record(&mut entry);
        entry.0
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // There is nobody left to be told that the journal can't be written.
        let _ = self.socket.send_to(&self.entry(event), &self.path);
    }
}

/// As syslog numbers them.
fn priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// One entry in the making.
struct Entry(Vec<u8>);

impl Entry {
    fn put(&mut self, name: &str, value: &str) {
        let mut end = value.len().min(LIMIT);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let value = &value.as_bytes()[..end];
        self.0.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            // Several lines: the length tells where they end.
            let length = u64::try_from(value.len()).unwrap_or_default();
            self.0.push(b'\n');
            self.0.extend_from_slice(&length.to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    fn put_field(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put("MESSAGE", value),
            MESSAGE_ID => self.put("MESSAGE_ID", value),
            name => {
                let name = name.replace('.', "_").to_uppercase();
                self.put(&format!("CUO_{name}"), value);
            }
        }
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_field(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is sent for `log`, as text; bytes that are none are lengths.
    fn sent(node: Option<&str>, log: impl FnOnce()) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let known = Box::leak(Box::default());
        let layer = Journal::at(&path, "cuo-test", known).unwrap();
        if let Some(node) = node {
            known.set(node.to_owned()).unwrap();
        }
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let mut buffer = vec![0; 1 << 18];
        let mut all = Vec::new();
        while let Ok(length) = journal.recv(&mut buffer) {
            all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert_eq!(all.remove(0), "", "the try whether somebody listens");
        all
    }

    #[test]
    fn each_field_has_its_name() {
        let (absent, present) = (None::<&str>, Some("17-0f3a9b2c"));
        let mut line = 0;
        let all = sent(Some("n1"), || {
            line = line!() + 1;
            tracing::warn!(
                message_id = "abc",
                phase = %"draining",
                grant = present,
                identity = absent,
                pods = 3,
                "drains\n{}",
                "n1"
            );
            tracing::info!("done");
        });
        let head = |priority: u32, line: u32| {
            format!(
                "PRIORITY={priority}\nSYSLOG_IDENTIFIER=cuo-test\nTARGET=cuo_telemetry::journal::tests\nCODE_FILE={}\nCODE_LINE={line}\nNODE=n1\n",
                file!()
            )
        };
        let first = head(4, line)
            + "MESSAGE\n\x09\0\0\0\0\0\0\0drains\nn1\nMESSAGE_ID=abc\nCUO_PHASE=draining\nCUO_GRANT=17-0f3a9b2c\nCUO_PODS=3\n";
        assert_eq!(all, [first, head(6, line + 9) + "MESSAGE=done\n"]);
    }

    #[test]
    fn what_is_too_long_is_cut_off() {
        let text = "é".repeat(LIMIT);
        let all = sent(None, || tracing::info!(text, "long"));
        let value = "é".repeat(LIMIT / 2);
        assert!(all[0].ends_with(&format!("\nMESSAGE=long\nCUO_TEXT={value}\n")));
        assert!(!all[0].contains("NODE="));
    }

    #[test]
    fn nobody_who_listens_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::at(&folder.path().join("socket"), "cuo-test", &NODE).is_err());
    }
}
