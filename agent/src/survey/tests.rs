use super::*;
use crate::testing::put;

#[test]
fn the_policy_is_that_of_the_daemon_and_the_last_one() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(policy(root.path()), "");
    for (text, expected) in [
        ("[Daemon]\nAutomaticUpdatePolicy=stage\n", "stage"),
        ("[Daemon]\nAutomaticUpdatePolicy = apply \n", "apply"),
        ("[Daemon]\n#AutomaticUpdatePolicy=stage\n", ""),
        ("[Other]\nAutomaticUpdatePolicy=stage\n", ""),
        (
            "[Daemon]\nAutomaticUpdatePolicy=stage\nIdleExitTimeout=60\nAutomaticUpdatePolicy=none\n",
            "none",
        ),
    ] {
        put(root.path(), POLICY, text);
        assert_eq!(policy(root.path()), expected, "{text}");
    }
}

#[test]
fn zincati_is_off_where_its_last_word_is_so() {
    let root = tempfile::tempdir().unwrap();
    assert!(!zincati_off(root.path()));
    put(
        root.path(),
        "etc/zincati/config.d/90-off.toml",
        "[updates]\nenabled = false",
    );
    put(
        root.path(),
        "usr/lib/zincati/config.d/50-on.toml",
        "[updates]\nenabled = true",
    );
    assert!(zincati_off(root.path()));
    put(
        root.path(),
        "etc/zincati/config.d/95-more.toml",
        "[identity]\ngroup = \"x\"",
    );
    assert!(zincati_off(root.path()));
    put(
        root.path(),
        "run/zincati/config.d/99-on.toml",
        "[updates]\nenabled = true",
    );
    assert!(!zincati_off(root.path()));
}

#[test]
fn a_note_of_what_is_staged_that_can_not_be_read_is_not_none() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(staged(root.path()), Ok(None));
    put(root.path(), STAGED, "garbage");
    let strange = "/run/ostree/staged-deployment: not as ostree writes it";
    assert_eq!(staged(root.path()), Err(strange.to_owned()));
    std::fs::remove_file(root.path().join(STAGED)).unwrap();
    std::fs::create_dir(root.path().join(STAGED)).unwrap();
    assert!(staged(root.path()).is_err());
}

#[test]
fn a_driver_that_can_not_be_read_is_none() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(driver(root.path()), None);
    put(root.path(), DRIVER, "garbage");
    assert_eq!(driver(root.path()), None);
    assert!(!exists(&root.path().join(MACHINE_CONFIG)));
    put(root.path(), MACHINE_CONFIG, "{}");
    assert!(exists(&root.path().join(MACHINE_CONFIG)));
}

#[test]
fn a_file_asks_for_a_reboot_if_it_was_made_since_the_boot() {
    let root = tempfile::tempdir().unwrap();
    let path = HostPath("/run/reboot-required".to_owned());
    let asked = || asks(root.path(), &path);
    put(root.path(), "run/reboot-required", "");
    assert!(!asked(), "when the host was booted is not known");
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let booted = |second: u64| put(root.path(), "proc/stat", &format!("btime {second}\n"));
    booted(now - 60);
    assert!(asked());
    booted(now + 60);
    assert!(!asked());
    std::fs::remove_file(root.path().join("run/reboot-required")).unwrap();
    booted(now - 60);
    assert!(!asked());
}
