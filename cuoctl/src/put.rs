//! Makes custom resources, or changes what they say.

use cuo_cluster::paths::{GROUP, VERSION};
use cuo_cluster::{ApiError, ClientSource};
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A kind of custom resources.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    /// Its name.
    pub kind: &'a str,
    /// Where all of its objects are.
    pub path: &'a str,
    /// Fields of `spec` that may be absent: what is not said this time is not said any more.
    pub optional: &'a [&'a str],
}

impl Kind<'_> {
    /// Makes the object `name` with this `spec`, or changes the one that is there, unless somebody else does so at the same moment.
    ///
    /// It is read first: the right to create can't be limited to a name, so whoever may write just this one may not try to make it.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn put(
        self,
        source: &ClientSource,
        name: &str,
        spec: &impl Serialize,
    ) -> Result<(), ApiError> {
        let request = Request::new(self.path).get(name, &GetParams::default())?;
        let read = source.call(|client| async move { client.request::<Value>(request).await });
        match read.await {
            Ok(known) => self.replace(source, &known, json!(spec)).await,
            Err(ApiError::NotFound { .. }) => self.make(source, name, json!(spec)).await,
            Err(error) => Err(error),
        }
    }

    async fn make(self, source: &ClientSource, name: &str, spec: Value) -> Result<(), ApiError> {
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.kind,
            "metadata": { "name": name },
            "spec": spec,
        });
        let params = PostParams {
            field_manager: Some(source.program().name.to_owned()),
            ..PostParams::default()
        };
        let data = body.to_string().into_bytes();
        let request = Request::new(self.path).create(&params, data)?;
        let made = source.call(|client| async move { client.request::<Value>(request).await });
        match made.await {
            // Then there is no resource to make one of.
            Err(ApiError::NotFound { .. }) => Err(ApiError::NotFound {
                message: format!(
                    "the cluster does not know {}s; `kubectl apply -f deploy/operator.yaml` of this release defines them",
                    self.kind
                ),
            }),
            made => made.map(drop),
        }
    }

    /// Has `spec` take the place of what is there.
    async fn replace(
        self,
        source: &ClientSource,
        known: &Value,
        spec: Value,
    ) -> Result<(), ApiError> {
        let gone = self.optional.iter();
        let gone = gone.map(|field| ((*field).to_owned(), Value::Null));
        let mut fields: Map<_, _> = gone.collect();
        if let Value::Object(said) = spec {
            fields.extend(said);
        }
        change(source, self.path, known, Value::Object(fields)).await
    }
}

/// Merges `spec` into the custom resource `known` at `path`, if nobody has written it since it was read.
///
/// # Errors
/// [`ApiError::Conflict`] if somebody has; any other [`ApiError`].
pub async fn change(
    source: &ClientSource,
    path: &str,
    known: &Value,
    spec: Value,
) -> Result<(), ApiError> {
    let text = |field: &str| known.pointer(field).and_then(Value::as_str);
    let params = PatchParams {
        field_manager: Some(source.program().name.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({
        "metadata": { "resourceVersion": text("/metadata/resourceVersion") },
        "spec": spec,
    }));
    let name = text("/metadata/name").unwrap_or_default();
    let request = Request::new(path).patch(name, &params, &patch)?;
    let changed = source.call(|client| async move { client.request::<Value>(request).await });
    changed.await.map(drop)
}
