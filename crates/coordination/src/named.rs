//! Custom resources of which only `spec` is read, and that are known by their names.

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::{Value, json};

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::paths::{GROUP, VERSION};
use cuo_cluster::watch::{Change, Objects, feed, list};
use cuo_cluster::wire::Wire;

/// An object as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T> {
    /// Its name.
    pub name: String,
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
        let found = parse(&self.metadata.name, &self.spec);
        let name = self.metadata.name;
        Named { name, found }
    }
}

/// Watches all objects at `path`, as [`watch_pools`](crate::pool::watch_pools) does pools.
pub(crate) fn watch_all<T: Send + 'static>(
    source: ClientSource,
    path: &'static str,
    parse: Parse<T>,
) -> BoxStream<'static, Change<Named<T>>> {
    let objects = Objects {
        source,
        path,
        selector: None,
        may_be_undefined: true,
        read: Box::new(move |object: WireNamed| Ok(object.parsed(parse))),
    };
    feed(objects).boxed()
}

/// Reads all objects at `path`; none where the resource is not defined.
pub(crate) async fn list_all<T>(
    source: &ClientSource,
    path: &str,
    parse: Parse<T>,
) -> Result<Vec<Named<T>>, ApiError> {
    let read = |object: WireNamed| Ok(object.parsed(parse));
    match list(source, path, None, read).await {
        Ok((objects, _)) => Ok(objects),
        Err(ApiError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What a definition says of a resource.
pub(crate) struct Kind<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its name in paths.
    pub plural: &'a str,
    /// What it is for, as one sentence.
    pub means: &'a str,
}

impl Kind<'_> {
    /// The whole definition, with these columns for `kubectl get` and the schema of `spec`.
    pub fn definition(&self, columns: &[Value], spec: Value) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{}.{GROUP}", self.plural),
                "labels": { "app.kubernetes.io/name": "cuo-operator" },
            },
            "spec": {
                "group": GROUP,
                "names": {
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                    "plural": self.plural,
                    "singular": self.kind.to_lowercase(),
                },
                "scope": "Cluster",
                "versions": [{
                    "name": VERSION,
                    "served": true,
                    "storage": true,
                    "additionalPrinterColumns": columns,
                    "schema": { "openAPIV3Schema": {
                        "description": self.means,
                        "type": "object",
                        "required": ["spec"],
                        "properties": { "spec": spec },
                    }},
                }],
            },
        })
    }
}
