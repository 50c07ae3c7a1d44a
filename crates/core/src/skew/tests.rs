use super::*;

#[test]
fn versions_are_read_as_servers_and_packages_write_them() {
    let minor = |major, minor| Some(Minor { major, minor });
    let cases = [
        ("v1.34.2", minor(1, 34)),
        ("v1.33.5+k3s1", minor(1, 33)),
        ("1.34.2-1.fc43", minor(1, 34)),
        ("0:1.9.0-150500.1.1", minor(1, 9)),
        ("v1.30+", minor(1, 30)),
        ("1.35-rc1", minor(1, 35)),
        ("1", None),
        ("", None),
        ("latest", None),
        ("1.x", None),
    ];
    for (text, expected) in cases {
        assert_eq!(Minor::parse(text), expected, "{text}");
    }
    assert!(Minor::parse("1.10") > Minor::parse("1.9"));
}

#[test]
fn the_kubelet_is_found_under_each_of_its_packages_names() {
    let one = |name, version| kubelet([("bash", "5.2"), (name, version)]);
    let found = Minor::parse("1.34");
    assert_eq!(one("kubelet", "1.34.2-1"), found);
    assert_eq!(one("kubernetes-node", "1.34.0-2.fc40"), found);
    assert_eq!(one("kubernetes1.34", "1.34.1-1.fc43"), found);
    for name in [
        "kubernetes1.34-client",
        "kubernetes-client",
        "kubelet-devel",
        "kubeadm",
    ] {
        assert_eq!(one(name, "1.34.1"), None, "{name}");
    }
}
