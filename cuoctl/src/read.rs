//! Reads objects of the API server.

use std::fmt::Debug;
use std::time::Duration;

use cuo_cluster::{ApiError, ClientSource};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// How often something is read that is put off.
const TRIES: u32 = 8;
/// The longest pause between two tries, and the pause where the API server asks for none.
const PAUSE: Duration = Duration::from_secs(1);

/// What `read` comes to, once the API server no longer puts it off, as kubectl does: for a moment it does so with every read of a kind whose
/// definition has just changed.
///
/// # Errors
/// Those of `read`; [`ApiError::TooManyRequests`] where that does not end.
pub async fn patiently<T>(
    mut read: impl AsyncFnMut() -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    for _ in 1..TRIES {
        match read().await {
            Err(ApiError::TooManyRequests { retry_after, .. }) => {
                tokio::time::sleep(retry_after.unwrap_or(PAUSE).min(PAUSE)).await;
            }
            answered => return answered,
        }
    }
    read().await
}

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
    let read = async || {
        let read = source.call(|client| async move {
            let objects = Api::<K>::namespaced(client, namespace);
            objects.get(name).await
        });
        read.await
    };
    match patiently(read).await {
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
    let read = async || {
        let read = source.call(|client| async move {
            let objects = Api::<K>::all(client);
            objects.list(&ListParams::default()).await
        });
        read.await
    };
    Ok(patiently(read).await?.items)
}

#[cfg(test)]
mod tests;
