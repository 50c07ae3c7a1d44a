use super::*;
use crate::testing::put;

#[test]
fn os_release_is_read_as_a_shell_would() {
    let release = |id: &str, version_id: &str, pretty_name: &str| OsRelease {
        id: id.into(),
        version_id: version_id.into(),
        pretty_name: pretty_name.into(),
    };
    let table = [
        (
            "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=43\nPRETTY_NAME=\"Fedora CoreOS 43.20260101.3.0\"\n",
            release("fedora", "43", "Fedora CoreOS 43.20260101.3.0"),
        ),
        (
            "# comment\nID='rhel'\n\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"The \\\"best\\\" \\$1\"",
            release("rhel", "9.4", "The \"best\" $1"),
        ),
        ("ID=\"\"\ngarbage", release("linux", "", "linux")),
        ("", release("linux", "", "linux")),
    ];
    for (text, expected) in table {
        assert_eq!(parse_os_release(text), expected, "{text}");
    }
}

#[test]
fn files_are_looked_up_under_the_root() {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| put(root.path(), path, text);
    let error = os_release(root.path()).unwrap_err().to_string();
    assert!(error.ends_with("usr/lib/os-release"), "{error}");
    put("usr/lib/os-release", "ID=vendor");
    assert_eq!(os_release(root.path()).unwrap().id, "vendor");
    put("etc/os-release", "ID=admin");
    assert_eq!(os_release(root.path()).unwrap().id, "admin");

    assert_eq!(machine_id(root.path()), None);
    put("etc/machine-id", "uninitialized\n");
    assert_eq!(machine_id(root.path()), None);
    let machine = "0f3a9b2c111142228333abcdefabcdef";
    put("etc/machine-id", &format!("{machine}\n"));
    assert_eq!(machine_id(root.path()), machine.parse().ok());

    assert!(matches!(boot_id(root.path()), Err(Error::Read(..))));
    let path = "proc/sys/kernel/random/boot_id";
    put(path, "nonsense\n");
    assert!(matches!(boot_id(root.path()), Err(Error::BootId(..))));
    assert_eq!(uptime(root.path()), None);
    put("proc/uptime", "93.25 150.10\n");
    assert_eq!(
        uptime(root.path()),
        Some(SignedDuration::from_millis(93_250))
    );

    assert_eq!(boot_time(root.path()), None);
    put("proc/stat", "cpu  1 2\nbtime 1795467600\nprocesses 7\n");
    let booted = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_467_600);
    assert_eq!(boot_time(root.path()), Some(booted));

    let id = "0f3a9b2c-1111-4222-8333-abcdefabcdef";
    put(path, &format!("{id}\n"));
    assert_eq!(boot_id(root.path()).unwrap().to_string(), id);
}
