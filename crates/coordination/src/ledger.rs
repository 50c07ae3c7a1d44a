//! The ledger's place: one ConfigMap that is only ever replaced by whoever read its latest version.

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

/// The ledger as it was read: its text, and what it takes to replace exactly this version of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    object: ConfigMap,
}

impl Stored {
    /// What it says; `None` if nothing was written yet.
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
mod tests {
    use super::*;
    use crate::double::{Api as Double, Reply, Request};

    /// A ConfigMap store with the API server's rules for versions.
    fn server() -> impl FnMut(&Request) -> Reply {
        let mut held: Option<serde_json::Value> = None;
        move |request| {
            let sent: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
            let version = held
                .as_ref()
                .map(|held| held["metadata"]["resourceVersion"].clone());
            match (request.method(), version) {
                ("GET", None) => return Reply::failure(404, "NotFound", "not found"),
                ("PUT", found) if found.as_ref() != Some(&sent["metadata"]["resourceVersion"]) => {
                    return Reply::failure(409, "Conflict", "the object has been modified");
                }
                ("PUT", _) => {
                    let mut next = sent;
                    next["metadata"]["resourceVersion"] = json!("2");
                    held = Some(next);
                }
                ("PATCH", None) => {
                    let mut next = sent;
                    next["metadata"]["resourceVersion"] = json!("1");
                    held = Some(next);
                }
                _ => {}
            }
            Reply::json(200, held.clone().unwrap_or_default())
        }
    }

    #[tokio::test]
    async fn an_absent_ledger_is_made_and_then_written_by_one_of_two() {
        let api = Double::start(server()).await;
        let source = api.source().await;
        let empty = read(&source, "cuo-system").await.unwrap();
        assert_eq!((empty.text(), empty.resource_version()), (None, "1"));

        let written = replace(&source, "cuo-system", &empty, "{}").await.unwrap();
        assert_eq!(
            (written.text(), written.resource_version()),
            (Some("{}"), "2")
        );
        let message = "the object has been modified".to_owned();
        let late = replace(&source, "cuo-system", &empty, "{\"late\":1}").await;
        assert_eq!(late, Err(ApiError::Conflict { message }));
        assert_eq!(read(&source, "cuo-system").await.unwrap(), written);

        let path = "/api/v1/namespaces/cuo-system/configmaps/cuo-ledger";
        let lines: Vec<_> = api.seen().into_iter().map(|request| request.line).collect();
        assert_eq!(
            lines,
            [
                format!("GET {path}"),
                format!("PATCH {path}?&fieldManager=cuo-agent"),
                format!("PUT {path}?&fieldManager=cuo-agent"),
                format!("PUT {path}?&fieldManager=cuo-agent"),
                format!("GET {path}"),
            ]
        );
        assert_eq!(
            api.seen()[1].header("content-type"),
            "application/apply-patch+yaml"
        );
        assert_eq!(
            api.seen()[1].body,
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cuo-ledger"}}"#
        );
    }

    #[tokio::test]
    async fn a_ledger_without_a_version_is_never_written() {
        let api = Double::start(server()).await;
        let seen = Stored {
            object: ConfigMap::default(),
        };
        let refused = replace(&api.source().await, "ns", &seen, "{}").await;
        let message = "ConfigMap ns/cuo-ledger has no version, so it was not written".to_owned();
        assert_eq!(refused, Err(ApiError::Other { message }));
        assert!(api.seen().is_empty());
    }
}
