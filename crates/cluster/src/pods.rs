//! The pods of one node.

use cuo_core::drain::RawPod;
use kube::api::ListParams;
use kube::core::Request;

use crate::error::ApiError;
use crate::source::ClientSource;
use crate::wire::{Page, WirePod};

/// Lists the pods that are bound to the node `node`, in all namespaces. A node may do this for itself.
///
/// # Errors
/// Any [`ApiError`].
pub async fn pods_of(source: &ClientSource, node: &str) -> Result<Vec<RawPod>, ApiError> {
    let mut params = ListParams::default()
        .fields(&format!("spec.nodeName={node}"))
        .limit(250);
    let mut pods = Vec::new();
    loop {
        let request = Request::new("/api/v1/pods").list(&params)?;
        let page: Page<WirePod> = source
            .call(|client| async move { client.request(request).await })
            .await?;
        pods.extend(page.items.into_iter().map(WirePod::into_raw));
        if page.metadata.next.is_empty() {
            return Ok(pods);
        }
        params.continue_token = Some(page.metadata.next);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::double::{Api, Reply};

    #[tokio::test]
    async fn all_pages_are_read_and_only_of_this_node() {
        let api = Api::start(|request| {
            let second = request.line.contains("continue=more");
            let name = if second { "b" } else { "a" };
            let pod = json!({"metadata": {"name": name, "namespace": "d", "uid": name, "resourceVersion": "1"}});
            let next = if second { "" } else { "more" };
            Reply::json(200, json!({"metadata": {"resourceVersion": "5", "continue": next}, "items": [pod]}))
        })
        .await;
        let pods = pods_of(&api.source().await, "n1").await.unwrap();
        let pod = |name: &str| RawPod {
            namespace: "d".into(),
            name: name.into(),
            uid: name.into(),
            ..RawPod::default()
        };
        assert_eq!(pods, [pod("a"), pod("b")]);
        let lines: Vec<_> = api.seen().into_iter().map(|request| request.line).collect();
        assert_eq!(
            lines,
            [
                "GET /api/v1/pods?&fieldSelector=spec.nodeName%3Dn1&limit=250",
                "GET /api/v1/pods?&fieldSelector=spec.nodeName%3Dn1&limit=250&continue=more",
            ]
        );
    }
}
