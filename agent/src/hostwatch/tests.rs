use std::fs;

use super::*;

/// Whether a change is reported within the time that a loaded machine may need.
async fn reported(changes: &mut watch::Receiver<()>) -> bool {
    let reported = tokio::time::timeout(Duration::from_secs(20), changes.changed()).await;
    matches!(reported, Ok(Ok(())))
}

/// Nothing is reported for longer than a change could take to be reported.
async fn silent(changes: &mut watch::Receiver<()>) -> bool {
    let silence = tokio::time::timeout(QUIET * 3, changes.changed()).await;
    silence.is_err()
}

#[tokio::test]
async fn directories_may_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let deploy = root.join("ostree/deploy");
    let mut changes = changes(root, &[]);

    fs::create_dir_all(&deploy).unwrap();
    assert!(reported(&mut changes).await, "created");
    for _ in 0..2 {
        let now = std::time::SystemTime::now();
        let both = fs::FileTimes::new().set_accessed(now).set_modified(now);
        for times in [both, fs::FileTimes::new().set_modified(now)] {
            fs::File::open(&deploy).unwrap().set_times(times).unwrap();
            assert!(reported(&mut changes).await, "touched: {times:?}");
        }
        fs::remove_dir_all(root.join("ostree")).unwrap();
        assert!(reported(&mut changes).await, "removed");
        fs::create_dir_all(&deploy).unwrap();
        assert!(reported(&mut changes).await, "created again");
    }

    let staged = root.join("run/ostree/staged-deployment");
    fs::create_dir_all(staged.parent().unwrap()).unwrap();
    assert!(
        reported(&mut changes).await,
        "directory of the staged deployment"
    );
    fs::write(root.join("run/ostree/new"), "locked").unwrap();
    fs::rename(root.join("run/ostree/new"), &staged).unwrap();
    assert!(reported(&mut changes).await, "staged");
}

#[tokio::test]
async fn named_files_are_followed_through_replacement_and_others_are_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let kubelet = directory.path().join("kubelet");
    let current = kubelet.join("current.pem");
    fs::create_dir_all(&kubelet).unwrap();
    let mut changes = changes(&root, std::slice::from_ref(&current));

    fs::write(kubelet.join("other"), "x").unwrap();
    assert!(silent(&mut changes).await, "another file");
    for name in ["one.pem", "two.pem"] {
        // As the kubelet rotates: a new link is renamed over the old one.
        fs::write(kubelet.join(name), name).unwrap();
        std::os::unix::fs::symlink(name, kubelet.join("new")).unwrap();
        fs::rename(kubelet.join("new"), &current).unwrap();
        assert!(reported(&mut changes).await, "{name}");
    }
    fs::write(&current, "in place").unwrap();
    assert!(
        silent(&mut changes).await,
        "the target of a link is another file"
    );
    fs::remove_file(&current).unwrap();
    assert!(reported(&mut changes).await, "removed");
}

#[tokio::test]
async fn a_burst_is_one_change() {
    let directory = tempfile::tempdir().unwrap();
    let deploy = directory.path().join("ostree/deploy");
    fs::create_dir_all(&deploy).unwrap();
    let mut changes = changes(directory.path(), &[]);
    for index in 0..500 {
        fs::create_dir(deploy.join(index.to_string())).unwrap();
    }
    assert!(reported(&mut changes).await);
    assert!(silent(&mut changes).await, "reported twice");
}
