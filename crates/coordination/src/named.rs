//! Custom resources of which only `spec` is read, and that are known by their names.

use std::collections::BTreeMap;

use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::Value;

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::watch::Change;
use cuo_cluster::wire::Wire;

use crate::custom::{list_all, watch_all};

/// An object as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T> {
    /// Its name.
    pub name: String,
    /// Its `resourceVersion`, for who writes it only as it was found.
    pub version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its `spec` as parsed.
    pub found: T,
}

/// Parses the `spec` of the object of this name. It has to make something of any: an invalid object must not hide the others.
type Parse<T> = fn(&str, &Value) -> T;

/// An object on the wire.
#[derive(Debug, Clone, Deserialize)]
struct WireNamed {
    metadata: Meta,
    #[serde(default)]
    spec: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    resource_version: String,
    labels: Option<BTreeMap<String, String>>,
}

impl Wire for WireNamed {
    fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    fn key(&self) -> &str {
        &self.metadata.name
    }
}

impl WireNamed {
    fn parsed<T>(self, parse: Parse<T>) -> Named<T> {
        let Self { metadata, spec } = self;
        Named {
            found: parse(&metadata.name, &spec),
            name: metadata.name,
            version: metadata.resource_version,
            labels: metadata.labels.unwrap_or_default(),
        }
    }
}

/// Watches all objects at `path`.
pub(crate) fn watch_named<T: Send + 'static>(
    source: ClientSource,
    path: &'static str,
    parse: Parse<T>,
) -> BoxStream<'static, Change<Named<T>>> {
    watch_all(source, path, move |object: WireNamed| {
        Ok(object.parsed(parse))
    })
}

/// Reads all objects at `path`.
pub(crate) async fn list_named<T>(
    source: &ClientSource,
    path: &str,
    parse: Parse<T>,
) -> Result<Vec<Named<T>>, ApiError> {
    let read = |object: WireNamed| Ok(object.parsed(parse));
    list_all(source, path, read).await
}

#[cfg(test)]
mod tests;
