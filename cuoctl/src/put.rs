//! Makes custom resources, or changes what they say.

use cuo_cluster::paths::{GROUP, VERSION};
use cuo_cluster::{ApiError, ClientSource};
use kube::api::{Patch, PatchParams, PostParams};
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
    /// Makes the object `name` with this `spec`, or changes the one that is there.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn put(
        self,
        source: &ClientSource,
        name: &str,
        spec: &impl Serialize,
    ) -> Result<(), ApiError> {
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.kind,
            "metadata": { "name": name },
            "spec": spec,
        });
        let manager = Some(source.program().name.to_owned());
        let params = PostParams {
            field_manager: manager.clone(),
            ..PostParams::default()
        };
        let data = body.to_string().into_bytes();
        let request = Request::new(self.path).create(&params, data)?;
        let made = source.call(|client| async move { client.request::<Value>(request).await });
        match made.await {
            Err(ApiError::Conflict { .. }) => {}
            other => return other.map(drop),
        }
        let gone = self.optional.iter();
        let gone = gone.map(|field| ((*field).to_owned(), Value::Null));
        let mut fields: Map<_, _> = gone.collect();
        if let Some(Value::Object(said)) = body.get("spec") {
            fields.extend(said.clone());
        }
        let params = PatchParams {
            field_manager: manager,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({ "spec": fields }));
        let request = Request::new(self.path).patch(name, &params, &patch)?;
        let changed = source.call(|client| async move { client.request::<Value>(request).await });
        changed.await.map(drop)
    }
}
