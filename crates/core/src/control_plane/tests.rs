use super::*;

fn pod(name: &str, ready: bool) -> RawPod {
    RawPod {
        namespace: "kube-system".into(),
        name: name.into(),
        mirror: true,
        ready,
        ..RawPod::default()
    }
}

#[test]
fn static_pods_of_etcd_and_the_api_server_are_known_by_their_names_or_kubeadms_label() {
    let node: NodeName = "cp-1".parse().unwrap();
    let labelled = RawPod {
        labels: [("component".to_owned(), "etcd".to_owned())].into(),
        ..pod("etcd-main-cp-1", true)
    };
    let plain = RawPod {
        mirror: false,
        ..pod("etcd-cp-1", true)
    };
    let cases = [
        (pod("etcd-cp-1", true), Some("etcd")),
        (pod("kube-apiserver-cp-1", true), Some("kube-apiserver")),
        (labelled, Some("etcd")),
        (plain, None),
        (pod("etcd-cp-2", true), None),
        (pod("etcdcp-1", true), None),
        (pod("kube-scheduler-cp-1", true), None),
        (pod("etcd-backup-cp-1", true), None),
    ];
    for (pod, expected) in cases {
        assert_eq!(part(&pod, &node), expected, "{}", pod.name);
    }
}

#[test]
fn what_is_demanded_has_to_be_there_and_ready() {
    let node: NodeName = "cp-1".parse().unwrap();
    let both = [pod("etcd-cp-1", true), pod("kube-apiserver-cp-1", true)];
    let half = [pod("etcd-cp-1", false), pod("kube-apiserver-cp-1", true)];
    let seen = |text: &str| text.parse::<Names>().unwrap();
    let cases: [(&[RawPod], &str, &[&str]); 6] = [
        (&[], "", &[]),
        (&both, "etcd,kube-apiserver", &[]),
        (&half, "kube-apiserver", &[]),
        (&half, "etcd,kube-apiserver", &["etcd-cp-1"]),
        (
            &[],
            "etcd,kube-apiserver",
            &["etcd-cp-1", "kube-apiserver-cp-1"],
        ),
        (&both, "etcd,something-newer", &[]),
    ];
    for (pods, marked, expected) in cases {
        assert_eq!(not_ready(pods, &node, &seen(marked)), expected, "{marked}");
    }
    assert_eq!(parts(&half, &node).to_string(), "etcd,kube-apiserver");
    assert_eq!(ready(&half, &node).to_string(), "kube-apiserver");
}
