//! What arrives at a double of the journal. The library's socket has one place, so each test runs in a mount namespace of its own.

use std::fs::File;
use std::io::{IoSliceMut, Read, Seek};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tracing_subscriber::layer::SubscriberExt;

use super::*;

const INSIDE: &str = "CUO_TEST_JOURNAL";

/// Whether this process has a `/run` of its own. If not, runs the test `name` in one that has, and asserts that it passes.
fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let namespaces = match rustix::process::geteuid().is_root() {
        true => &["--mount"][..],
        false => &["--user", "--map-current-user", "--keep-caps", "--mount"],
    };
    let allowed = Command::new("unshare")
        .args(namespaces)
        .arg("true")
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this machine allows no mount namespace");
        return false;
    }
    let script = r#"mount -t tmpfs none /run && mkdir -p /run/systemd/journal && exec "$0" "$@""#;
    let status = Command::new("unshare")
        .args(namespaces)
        .args(["--", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    assert!(status.unwrap().success(), "{name}");
    false
}

/// Name and value, in the order of the entry.
type Fields = Vec<(String, String)>;

/// The fields that are sent for `log`, entry by entry, with the lines in the code left out.
fn sent(node: Option<&str>, log: impl FnOnce()) -> Vec<Fields> {
    let journal = UnixDatagram::bind(SOCKET).unwrap();
    journal.set_nonblocking(true).unwrap();
    let known = Box::leak(Box::default());
    let layer = Journal::new("cuo-test", known).unwrap();
    if let Some(node) = node {
        known.set(node.to_owned()).unwrap();
    }
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    std::iter::from_fn(|| received(&journal))
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| fields(&bytes))
        .collect()
}

/// The next datagram, or what is in the file that it brings.
fn received(journal: &UnixDatagram) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 1 << 18];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut files = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::empty();
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let length = recvmsg(journal, &mut slices, &mut files, flags).ok()?.bytes;
    bytes.truncate(length);
    for message in files.drain() {
        if let RecvAncillaryMessage::ScmRights(mut all) = message {
            let mut file = File::from(all.next().unwrap());
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
        }
    }
    Some(bytes)
}

/// Each is its name, a line feed, the value's length in eight bytes, the value and a line feed; or `NAME=value` and a line feed.
fn fields(mut bytes: &[u8]) -> Fields {
    let mut all = Fields::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let name = std::str::from_utf8(&bytes[..end]).unwrap();
        bytes = &bytes[end + 1..];
        if let Some((name, value)) = name.split_once('=') {
            all.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
        all.push((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        bytes = rest.strip_prefix(b"\n").unwrap();
    }
    all.retain(|(name, value)| name != "CODE_LINE" || value.parse::<u32>().is_err());
    all
}

/// The fields of every entry and, after the node's name, those of this one.
fn entry(priority: &str, node: Option<&str>, own: &[(&str, &str)]) -> Fields {
    let fixed = [
        ("PRIORITY", priority),
        ("TARGET", module_path!()),
        ("CODE_FILE", file!()),
        ("SYSLOG_IDENTIFIER", "cuo-test"),
    ];
    let node = node.map(|node| ("NODE", node));
    let all = fixed.into_iter().chain(node).chain(own.iter().copied());
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn each_field_has_its_name() {
    if !inside("journal::tests::each_field_has_its_name") {
        return;
    }
    let (absent, present) = (None::<&str>, Some("17-0f3a9b2c"));
    let all = sent(Some("n1"), || {
        tracing::warn!(
            message_id = "abc",
            cuo_phase = %"draining",
            cuo_grant = present,
            cuo_identity = absent,
            "drains\n{}",
            "n1"
        );
        tracing::info!(pods = 3, error.kind = "x", "done");
        tracing::info!(message_id = absent, cuo_phase = %"idle", "rests");
    });
    let first = [
        ("MESSAGE", "drains\nn1"),
        ("MESSAGE_ID", "abc"),
        ("CUO_PHASE", "draining"),
        ("CUO_GRANT", "17-0f3a9b2c"),
    ];
    let second = [
        ("MESSAGE", "done"),
        ("CUO_PODS", "3"),
        ("CUO_ERROR_KIND", "x"),
    ];
    let third = [("MESSAGE", "rests"), ("CUO_PHASE", "idle")];
    let expected = [
        entry("4", Some("n1"), &first),
        entry("6", Some("n1"), &second),
        entry("6", Some("n1"), &third),
    ];
    assert_eq!(all, expected);
}

#[test]
fn levels_are_priorities_of_syslog() {
    if !inside("journal::tests::levels_are_priorities_of_syslog") {
        return;
    }
    let all = sent(None, || {
        tracing::error!("m");
        tracing::warn!("m");
        tracing::info!("m");
        tracing::debug!("m");
        tracing::trace!("m");
    });
    let expected =
        ["3", "4", "6", "7", "7"].map(|priority| entry(priority, None, &[("MESSAGE", "m")]));
    assert_eq!(all, expected);
}

#[test]
fn the_node_is_named_from_when_it_is_known() {
    if !inside("journal::tests::the_node_is_named_from_when_it_is_known") {
        return;
    }
    let journal = UnixDatagram::bind(SOCKET).unwrap();
    let known: &OnceLock<String> = Box::leak(Box::default());
    let layer = Journal::new("cuo-test", known).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("starts");
        known.set("n1".to_owned()).unwrap();
        // Events within spans go the same way.
        let _span = tracing::info_span!("look", pods = 3).entered();
        tracing::info!("goes on");
    });
    journal.set_nonblocking(true).unwrap();
    let all = std::iter::from_fn(|| received(&journal)).filter(|bytes| !bytes.is_empty());
    let all: Vec<_> = all.map(|bytes| fields(&bytes)).collect();
    assert_eq!(all[0], entry("6", None, &[("MESSAGE", "starts")]));
    let own = entry("6", Some("n1"), &[("MESSAGE", "goes on")]);
    assert!(all[1].ends_with(&own), "{:?}", all[1]);
    let span = [("SPAN_NAME", "look"), ("CUO_PODS", "3")];
    for (name, value) in span.map(|(name, value)| (name.to_owned(), value.to_owned())) {
        assert!(all[1].contains(&(name, value)), "{:?}", all[1]);
    }
}

#[test]
fn what_is_too_long_for_a_datagram_arrives_whole() {
    if !inside("journal::tests::what_is_too_long_for_a_datagram_arrives_whole") {
        return;
    }
    let text = "é".repeat(1 << 19);
    let all = sent(None, || tracing::info!(text, "long"));
    let own = [("MESSAGE", "long"), ("CUO_TEXT", text.as_str())];
    assert!(all == [entry("6", None, &own)], "{} entries", all.len());
}

#[test]
fn nobody_who_listens_is_an_error() {
    if !inside("journal::tests::nobody_who_listens_is_an_error") {
        return;
    }
    assert!(Journal::new("cuo-test", &NODE).is_err());
}
