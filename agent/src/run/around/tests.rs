use super::*;
use crate::testing::put;

#[test]
fn remotes_are_named_by_their_files_and_by_the_repository() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(remotes(root.path()), BTreeSet::new());
    for (path, text) in [
        (
            "etc/ostree/remotes.d/f.conf",
            "[remote \"fedora\"]\nurl=x\n",
        ),
        (
            "ostree/repo/config",
            "[core]\nrepo_version=1\n[remote \"own\"]\n[remote \"../x\"]\n",
        ),
    ] {
        put(root.path(), path, text);
    }
    let names = ["fedora", "own"].map(str::to_owned);
    assert_eq!(remotes(root.path()), BTreeSet::from(names));
    let causes = causes(root.path());
    for file in ["own.trustedkeys.gpg", "config"] {
        let file = root.path().join("ostree/repo").join(file);
        assert!(causes.contains(&file), "{causes:?}");
    }
    assert!(!causes.contains(&root.path().join("ostree/repo")));
}
