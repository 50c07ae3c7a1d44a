//! The ledger's storage: one ConfigMap that is only replaced by a writer that has read its latest version.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;

/// Name of the ConfigMap in the operator's namespace.
pub const NAME: &str = "cuo-ledger";
/// The key in its data.
pub const KEY: &str = "ledger.json";

/// The ledger as read: its text, and the version that a replacement needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    object: ConfigMap,
}

impl Stored {
    /// The ledger's text; `None` if nothing was written yet.
    pub fn text(&self) -> Option<&str> {
        let data = self.object.data.as_ref()?;
        data.get(KEY).map(String::as_str)
    }

    /// `metadata.resourceVersion`, opaque.
    pub fn resource_version(&self) -> &str {
        self.object
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
    }
}

/// Reads the ledger, and makes an empty one where there is none.
///
/// It is made by server-side apply of its name alone: that neither changes one that somebody made in between, nor needs the right to
/// create any other ConfigMap.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`] for the ConfigMap itself; a missing namespace is not found.
pub async fn read(source: &ClientSource, namespace: &str) -> Result<Stored, ApiError> {
    let found = source
        .call(|client| async move {
            Api::<ConfigMap>::namespaced(client, namespace)
                .get(NAME)
                .await
        })
        .await;
    match found {
        Ok(object) => Ok(Stored { object }),
        Err(ApiError::NotFound { .. }) => create(source, namespace).await,
        Err(error) => Err(error),
    }
}

async fn create(source: &ClientSource, namespace: &str) -> Result<Stored, ApiError> {
    let skeleton = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}});
    let params = PatchParams::apply(source.program().name);
    let made = source.call(|client| async move {
        let api = Api::<ConfigMap>::namespaced(client, namespace);
        api.patch(NAME, &params, &Patch::Apply(skeleton)).await
    });
    Ok(Stored {
        object: made.await?,
    })
}

/// Writes `text` in place of what `seen` says, if nobody else wrote since it was read, and returns it as it is afterwards.
///
/// # Errors
/// [`ApiError::Conflict`] if somebody did; any other [`ApiError`]. After a time-out or a broken connection it may have been written: read
/// again.
pub async fn replace(
    source: &ClientSource,
    namespace: &str,
    seen: &Stored,
    text: &str,
) -> Result<Stored, ApiError> {
    if seen.resource_version().is_empty() {
        // An empty version would make the write unconditional.
        let message = format!("ConfigMap {namespace}/{NAME} has no version, so it was not written");
        return Err(ApiError::Other { message });
    }
    let mut object = seen.object.clone();
    object.data = Some(BTreeMap::from([(KEY.to_owned(), text.to_owned())]));
    let params = PostParams {
        field_manager: Some(source.program().name.to_owned()),
        ..PostParams::default()
    };
    let written = source.call(|client| async move {
        let api = Api::<ConfigMap>::namespaced(client, namespace);
        api.replace(NAME, &params, &object).await
    });
    Ok(Stored {
        object: written.await?,
    })
}

#[cfg(test)]
mod tests;
