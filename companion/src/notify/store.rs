//! Where the memory is kept: one ConfigMap, which is only replaced by a writer that has read its latest version.

use std::collections::BTreeMap;

use cuo_cluster::{ApiError, ClientSource};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Name of the ConfigMap in the companion's namespace.
pub const NAME: &str = "cuo-companion-news";
/// The key in its data.
const KEY: &str = "news.json";
/// More than that the API server does not keep with room to spare (1 MiB for a whole object).
pub const LARGEST: usize = 900_000;

/// The ConfigMap as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored(ConfigMap);

impl Stored {
    /// What is in it; `None` if nothing was written yet.
    pub fn text(&self) -> Option<&str> {
        self.0.data.as_ref()?.get(KEY).map(String::as_str)
    }
}

/// Reads it, and makes an empty one where there is none: by server-side apply of its name alone, which neither changes one that somebody made
/// in between, nor needs the right to create any other.
///
/// # Errors
/// Any [`ApiError`].
pub async fn read(source: &ClientSource, namespace: &str) -> Result<Stored, ApiError> {
    let found = source.call(|client| async move {
        Api::<ConfigMap>::namespaced(client, namespace)
            .get(NAME)
            .await
    });
    match found.await {
        Ok(object) => return Ok(Stored(object)),
        Err(ApiError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let skeleton = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}});
    let params = PatchParams::apply(source.program().name);
    let made = source.call(|client| async move {
        let api = Api::<ConfigMap>::namespaced(client, namespace);
        api.patch(NAME, &params, &Patch::Apply(skeleton)).await
    });
    made.await.map(Stored)
}

/// Writes `text` in place of what `seen` says, if nobody else wrote since it was read.
///
/// # Errors
/// [`ApiError::Conflict`] if somebody did; any other [`ApiError`]. After a time-out it may have been written: read again.
pub async fn replace(
    source: &ClientSource,
    namespace: &str,
    seen: &Stored,
    text: String,
) -> Result<Stored, ApiError> {
    let refused = |why: String| ApiError::Other {
        message: format!("ConfigMap {namespace}/{NAME} was not written: {why}"),
    };
    if text.len() > LARGEST {
        return Err(refused(format!("{} bytes are more than fit", text.len())));
    }
    let mut object = seen.0.clone();
    if object
        .metadata
        .resource_version
        .as_deref()
        .unwrap_or_default()
        .is_empty()
    {
        // Without a version the write would be unconditional.
        return Err(refused("it has no version".to_owned()));
    }
    object.data = Some(BTreeMap::from([(KEY.to_owned(), text)]));
    let params = PostParams {
        field_manager: Some(source.program().name.to_owned()),
        ..PostParams::default()
    };
    let written = source.call(|client| async move {
        let api = Api::<ConfigMap>::namespaced(client, namespace);
        api.replace(NAME, &params, &object).await
    });
    written.await.map(Stored)
}
