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
            Ok(known) => self.change(source, name, &known, json!(spec)).await,
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
        made.await.map(drop)
    }

    async fn change(
        self,
        source: &ClientSource,
        name: &str,
        known: &Value,
        spec: Value,
    ) -> Result<(), ApiError> {
        let gone = self.optional.iter();
        let gone = gone.map(|field| ((*field).to_owned(), Value::Null));
        let mut fields: Map<_, _> = gone.collect();
        if let Value::Object(said) = spec {
            fields.extend(said);
        }
        let params = PatchParams {
            field_manager: Some(source.program().name.to_owned()),
            ..PatchParams::default()
        };
        let version = known.pointer("/metadata/resourceVersion");
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": version },
            "spec": fields,
        }));
        let request = Request::new(self.path).patch(name, &params, &patch)?;
        let changed = source.call(|client| async move { client.request::<Value>(request).await });
        changed.await.map(drop)
    }
}
