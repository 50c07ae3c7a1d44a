//! Which nodes are of the control plane, of which never two are out of service because of a grant: the quorum of etcd is at stake.
//!
//! Labels alone do not tell. Installers have labels and taints of their own, kubelets may not set the usual ones, and somebody may take
//! them away. What tells for itself are the static pods of etcd and kube-apiserver, which the agent sees on its own node.

use crate::drain::RawPod;
use crate::ids::NodeName;
use crate::node::NodeView;
use crate::selector::Selector;
use crate::values::Names;

/// The static pods that make a node one of the control plane, as kubeadm and most others call them.
pub const PARTS: [&str; 2] = ["etcd", "kube-apiserver"];

/// kubeadm's label on static pods of the control plane.
const LABEL: &str = "component";

/// What an administrator says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Nodes with these labels are of the control plane, too.
    pub also: Vec<Selector>,
    /// Nodes with these labels are not, whatever else they have: any node can say of itself that it is, and would hold up the others.
    pub never: Vec<Selector>,
}

impl Rule {
    /// The node is of the control plane.
    pub fn counts(&self, node: &NodeView) -> bool {
        let any = |selectors: &[Selector]| selectors.iter().any(|one| one.matches(&node.labels));
        !any(&self.never) && (node.control_plane || any(&self.also))
    }
}

/// Which of [`PARTS`] `pod` is on the node `node`. The kubelet calls the picture of a static pod after the pod and its node.
pub fn part(pod: &RawPod, node: &NodeName) -> Option<&'static str> {
    let own = pod.name.strip_suffix(node.as_str())?.strip_suffix('-')?;
    let label = pod.labels.get(LABEL).map(String::as_str);
    let is = |part: &&&str| own == **part || label == Some(**part);
    let found = PARTS.iter().find(is).filter(|_| pod.mirror);
    found.copied()
}

/// All that are on the node.
pub fn parts(pods: &[RawPod], node: &NodeName) -> Names {
    pods.iter().filter_map(|pod| part(pod, node)).collect()
}

/// Those that are on the node and Ready.
pub fn ready(pods: &[RawPod], node: &NodeName) -> Names {
    let whole = |part: &&str| {
        let mut own = pods
            .iter()
            .filter(|pod| self::part(pod, node) == Some(*part));
        own.clone().any(|pod| pod.ready) && own.all(|pod| pod.ready)
    };
    PARTS.into_iter().filter(whole).collect()
}

/// Which of those that are `demanded` are not Ready.
pub fn not_ready(pods: &[RawPod], node: &NodeName, demanded: &Names) -> Vec<String> {
    let ready = ready(pods, node);
    let missing = PARTS.into_iter();
    let missing = missing.filter(|part| demanded.contains(part) && !ready.contains(part));
    missing.map(|part| format!("{part}-{node}")).collect()
}

#[cfg(test)]
mod tests {
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
}
