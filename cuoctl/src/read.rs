//! Reads objects of the API server.

use std::fmt::Debug;

use cuo_cluster::{ApiError, ClientSource};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// The object `name` in `namespace`; `None` if it does not exist.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn get<K>(
    source: &ClientSource,
    namespace: &str,
    name: &str,
) -> Result<Option<K>, ApiError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let read = source.call(|client| async move {
        let objects = Api::<K>::namespaced(client, namespace);
        objects.get(name).await
    });
    match read.await {
        Ok(found) => Ok(Some(found)),
        Err(ApiError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All objects of a kind, in all namespaces where it has any.
///
/// # Errors
/// Any [`ApiError`].
pub async fn list<K>(source: &ClientSource) -> Result<Vec<K>, ApiError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let read = source.call(|client| async move {
        let objects = Api::<K>::all(client);
        objects.list(&ListParams::default()).await
    });
    Ok(read.await?.items)
}
