//! The journal's catalog, as journalctl takes it.

use std::fs;
use std::process::Command;

use cuo_agent::journal::Event;

use crate::{repository, said};

#[test]
fn journalctl_explains_every_event() {
    let root = tempfile::tempdir().unwrap();
    let catalog = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&catalog).unwrap();
    fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).unwrap();
    fs::copy(
        repository().join("systemd/cuo-agent.catalog"),
        catalog.join("cuo-agent.catalog"),
    )
    .unwrap();
    let journalctl = |command: &str| {
        let mut journalctl = Command::new("journalctl");
        said(journalctl.arg("--root").arg(root.path()).arg(command))
    };
    let updated = journalctl("--update-catalog");
    assert!(updated.success, "{}", updated.stderr);
    // It passes over entries that it does not understand, with a word on the standard error output.
    assert_eq!(updated.stderr, "");

    let listed = journalctl("--list-catalog");
    let mut listed: Vec<_> = listed.stdout.lines().collect();
    listed.sort_unstable();
    let line = |event: &Event| format!("{} cuo-agent: {}", event.id(), event.subject());
    let mut expected: Vec<_> = Event::ALL.iter().map(line).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);

    let reported = journalctl("--dump-catalog").stdout;
    let words = reported.split_whitespace().collect::<Vec<_>>().join(" ");
    for event in Event::ALL {
        let text = format!("{} What to do: {}", event.means(), event.remedy());
        assert!(words.contains(&text), "{text}");
    }
}
