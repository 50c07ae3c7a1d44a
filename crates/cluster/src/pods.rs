//! The pods of one node as they change, and the volumes that they have.

use std::collections::BTreeSet;

use cuo_core::drain::{Claim, RawPod};
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;

use crate::error::ApiError;
use crate::paths::PODS;
use crate::source::ClientSource;
use crate::watch::{Change, Objects, feed};
use crate::wire::WirePod;

/// What is new about the pods of a node.
pub type PodsEvent = Change<RawPod>;

/// Watches the pods that are bound to the node `node`, in all namespaces. A node may do this for itself. The stream never ends; each
/// try that fails is one [`Change::Disconnected`], and after it comes a [`Change::Reset`].
pub fn watch_pods(source: ClientSource, node: &str) -> BoxStream<'static, PodsEvent> {
    // Node names need no escapes.
    let selector = format!("spec.nodeName={node}");
    let pods = Objects {
        source,
        path: PODS,
        selector: Some(selector),
        may_be_undefined: false,
        read: Box::new(|pod: WirePod| Ok(pod.into_raw())),
    };
    feed(pods).boxed()
}

/// The volumes that `claims` are bound to, as a Node's `status.volumesInUse` calls them. Only volumes of CSI drivers have such a name that
/// can be told from their object; others are left out. A node may read the claims of its own pods, and their volumes.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn volumes_of(
    source: &ClientSource,
    claims: &BTreeSet<Claim>,
) -> Result<BTreeSet<String>, ApiError> {
    let mut names = BTreeSet::new();
    for claim in claims {
        match volume_of(source, claim).await {
            Ok(name) => names.extend(name),
            Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

async fn volume_of(source: &ClientSource, claim: &Claim) -> Result<Option<String>, ApiError> {
    let read = source.call(|client| async move {
        let claims = Api::<PersistentVolumeClaim>::namespaced(client, &claim.namespace);
        claims.get(&claim.name).await
    });
    let Some(volume) = read.await?.spec.and_then(|spec| spec.volume_name) else {
        return Ok(None);
    };
    let read = source.call(|client| async move {
        let volumes = Api::<PersistentVolume>::all(client);
        volumes.get(&volume).await
    });
    let csi = read.await?.spec.and_then(|spec| spec.csi);
    Ok(csi.map(|csi| format!("kubernetes.io/csi/{}^{}", csi.driver, csi.volume_handle)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::double::{Api, Reply};

    fn pod(name: &str) -> serde_json::Value {
        json!({"metadata": {"name": name, "namespace": "d", "uid": format!("u-{name}"), "resourceVersion": "6"}})
    }

    fn raw(name: &str) -> RawPod {
        RawPod {
            namespace: "d".into(),
            name: name.into(),
            uid: format!("u-{name}"),
            ..RawPod::default()
        }
    }

    #[tokio::test]
    async fn pods_of_this_node_are_told_as_they_come_and_go_and_are_gone_by_their_uid() {
        let api = Api::start(|request| {
            if request.line.contains("watch=true") {
                return Reply::watch([("ADDED", pod("c")), ("DELETED", pod("a"))]);
            }
            let second = request.line.contains("continue=more");
            let name = if second { "b" } else { "a" };
            let next = if second { "" } else { "more" };
            Reply::json(200, json!({"metadata": {"resourceVersion": "5", "continue": next}, "items": [pod(name)]}))
        })
        .await;
        let mut events = watch_pods(api.source().await, "n1");
        for expected in [
            Change::Reset(vec![raw("a"), raw("b")]),
            Change::Changed(raw("c")),
            Change::Gone("u-a".into()),
        ] {
            assert_eq!(events.next().await, Some(expected));
        }
        for request in api.seen() {
            let own = "fieldSelector=spec.nodeName%3Dn1";
            assert!(request.line.contains(own), "{}", request.line);
        }
    }

    #[tokio::test]
    async fn a_claim_leads_to_the_name_that_the_node_calls_its_volume_by() {
        let api = Api::start(|request| {
            let meta = |name: &str| json!({"name": name});
            let last = request.line.trim_end_matches('?').rsplit('/').next().unwrap_or_default();
            match last {
                "bound" | "old" => {
                    let volume = format!("pv-{last}");
                    Reply::json(200, json!({"metadata": meta(last), "spec": {"volumeName": volume}}))
                }
                "open" => Reply::json(200, json!({"metadata": meta(last), "spec": {}})),
                "pv-bound" => Reply::json(200, json!({"metadata": meta(last), "spec": {"csi": {"driver": "csi.example.com", "volumeHandle": "v1"}}})),
                "pv-old" => Reply::json(200, json!({"metadata": meta(last), "spec": {"nfs": {"path": "/", "server": "s"}}})),
                "forbidden" => Reply::failure(403, "Forbidden", "m"),
                _ => Reply::failure(404, "NotFound", "m"),
            }
        })
        .await;
        let source = api.source().await;
        let claims = |names: &[&str]| {
            let claim = |name: &&str| Claim {
                namespace: "d".into(),
                name: (*name).to_owned(),
            };
            names.iter().map(claim).collect()
        };
        let found = volumes_of(&source, &claims(&["bound", "old", "open", "gone"])).await;
        assert_eq!(
            found,
            Ok(["kubernetes.io/csi/csi.example.com^v1".to_owned()].into())
        );
        let found = volumes_of(&source, &claims(&["bound", "forbidden"])).await;
        let message = "m".to_owned();
        assert_eq!(found, Err(ApiError::Forbidden { message }));
    }
}
