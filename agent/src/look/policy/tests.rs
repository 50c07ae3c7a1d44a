use super::*;
use crate::testing::root;

const FCOS: &str = "quay.io/fedora/fedora-coreos";

/// As Fedora CoreOS has had it since its images are signed: the policy of container tools lets everything in, and that of rpm-ostreed not.
#[test]
fn the_policy_is_the_one_that_rpm_ostreed_finds() {
    let open = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
    let signed = format!(
        r#"{{"default": [{{"type": "reject"}}], "transports": {{"docker": {{"{FCOS}": [{{"type": "signedBy"}}]}}}}}}"#
    );
    let policy = ("etc/containers/policy.json", open);
    let own = (
        "usr/lib/coreos/coreos-containers-policy.json",
        signed.as_str(),
    );
    let drop_in = "usr/lib/systemd/system/rpm-ostreed.service.d/coreos-containers-policy.conf";
    let binds = "[Service]\nBindReadOnlyPaths=/usr/lib/coreos/coreos-containers-policy.json:/etc/containers/policy.json\n";
    let other = "[Service]\nBindReadOnlyPaths=-/a:/b /c\nNice=5\n";
    let back = (
        "etc/systemd/system/rpm-ostreed.service.d/zz.conf",
        "[Service]\nBindPaths = /etc/containers/policy.json:/etc/containers/policy.json:rbind\n",
    );
    let cases: [(&[(&str, &str)], bool); 6] = [
        (&[], false),
        (&[policy], false),
        (&[policy, own, (drop_in, binds)], true),
        (&[policy, own, (drop_in, other)], false),
        (&[policy, own, (drop_in, binds), back], false),
        (&[policy, (drop_in, binds)], false),
    ];
    for (files, expected) in cases {
        let root = root(files);
        assert_eq!(read(root.path()).verifies(FCOS), expected, "{files:?}");
    }
    let broken = root(&[("etc/containers/policy.json", "{")]);
    assert!(!read(broken.path()).verifies(FCOS));
}
