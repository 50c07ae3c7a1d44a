//! Watches the pods of one node, and finds the volumes that they use.

use std::collections::BTreeSet;

use cuo_core::drain::{Claim, RawPod};
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;

use crate::error::ApiError;
use crate::paths::PODS;
use crate::source::ClientSource;
use crate::watch::{Change, Objects, feed, list};
use crate::wire::WirePod;

/// A change of the pods of a node.
pub type PodsEvent = Change<RawPod>;

/// Watches the pods that are bound to the node `node`, in all namespaces, which a node's credential allows. The stream never ends; each
/// failed try yields one [`Change::Disconnected`], and a [`Change::Reset`] follows.
pub fn watch_pods(source: ClientSource, node: &str) -> BoxStream<'static, PodsEvent> {
    // Node names need no escapes.
    let selector = format!("spec.nodeName={node}");
    let pods = Objects {
        source,
        path: PODS.into(),
        selector: Some(selector),
        may_be_undefined: false,
        read: Box::new(|pod: WirePod| Ok(pod.into_raw())),
    };
    feed(pods).boxed()
}

/// Reads the pods that are bound to the node `node`, in all namespaces.
///
/// # Errors
/// Any [`ApiError`].
pub async fn list_pods(source: &ClientSource, node: &str) -> Result<Vec<RawPod>, ApiError> {
    let selector = format!("spec.nodeName={node}");
    let read = |pod: WirePod| Ok(pod.into_raw());
    let (pods, _) = list(source, PODS, Some(selector), read).await?;
    Ok(pods)
}

/// The volumes that `claims` are bound to, with their names as in a Node's `status.volumesInUse`. Only the names of CSI volumes can be
/// derived from their objects; others are left out. A node may read the claims of its own pods, and their volumes.
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
mod tests;
