//! Gates that are closed while a condition on resources does not hold.

use std::time::Duration;

use cuo_cluster::{ApiError, ClientSource};
use kube::api::{DynamicObject, GroupVersionKind, ListParams};
use kube::core::TypeMeta;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::write::Verdict;
use crate::config::{Otherwise, Resources};

/// Objects per page: one page is in memory at a time.
const PAGE: u32 = 20;
/// As many objects are named.
const NAMED: usize = 5;

/// How long the expression may take for the objects of a page. Only comprehensions within comprehensions over long lists take longer.
const EVALUATION: Duration = Duration::from_secs(5);
/// As many pages are evaluated at once. An evaluation can't be stopped: one that takes long goes on, and may not take all threads.
static EVALUATING: Semaphore = Semaphore::const_new(4);

/// Reads the resources, and judges them.
pub async fn judge(source: &ClientSource, asks: &Resources) -> Verdict {
    match read(source, asks).await {
        Ok(tally) => tally.verdict(asks),
        Err(why) => Verdict::unseen(
            why.unasked() && asks.unreachable == Otherwise::Open,
            format!("{} can't be read: {why}", called(asks)),
        ),
    }
}

/// The resources, for people.
fn called(asks: &Resources) -> String {
    let kind = &asks.kind;
    let place = asks.namespace.as_ref();
    let place = place.map_or(String::new(), |namespace| format!(" in {namespace}"));
    match (&asks.name, &asks.label_selector) {
        (Some(name), _) => format!("{kind} {name}{place}"),
        (None, Some(selector)) => format!("{kind}s {}{place}", selector.as_str()),
        (None, None) => format!("{kind}s{place}"),
    }
}

/// What was seen of all resources.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// How many there are.
    all: usize,
    /// How many of them do not meet the condition.
    bad: usize,
    /// Of those the first, with why.
    named: Vec<String>,
}

impl Tally {
    /// Counts one.
    fn take(&mut self, asks: &Resources, object: &Value) {
        self.all += 1;
        let why = match asks.expr.holds(object) {
            Ok(true) => return,
            Ok(false) => String::new(),
            // An object that lacks what the expression names does not meet it.
            Err(why) => format!(" ({why})"),
        };
        self.bad += 1;
        if self.named.len() < NAMED {
            let text = |field: &str| object["metadata"][field].as_str();
            let name = text("name").unwrap_or_default();
            let name = match (text("namespace"), &asks.namespace) {
                (Some(namespace), None) => format!("{namespace}/{name}"),
                (Some(_), Some(_)) | (None, _) => name.to_owned(),
            };
            self.named.push(format!("{name}{why}"));
        }
    }

    fn verdict(&self, asks: &Resources) -> Verdict {
        let called = called(asks);
        if self.all == 0 {
            return Verdict::seen(
                asks.none == Otherwise::Open,
                format!("{called}: there is none"),
            );
        }
        let expr = asks.expr.as_str();
        match self.bad {
            0 => Verdict::seen(true, format!("{called}: {expr}")),
            bad => {
                let mut named = self.named.clone();
                if bad > named.len() {
                    named.push(format!("and {} more", bad - named.len()));
                }
                let text = format!("{} of {called}: {expr} does not hold", named.join(", "));
                Verdict::seen(false, text)
            }
        }
    }
}

/// Why resources can't be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// One can't be named without its namespace.
    #[error("{0}s are in namespaces; add `namespace` to the gate")]
    NoNamespace(String),
    /// An object is not as JSON can be.
    #[error("an object is not understood: {0}")]
    Object(#[from] serde_json::Error),
    /// The expression takes too long.
    #[error("`expr` takes more than {EVALUATION:?} for {PAGE} of them; let it look at less")]
    Slow,
    /// The library failed.
    #[error("`expr` can't be evaluated: the library for CEL failed; write it in another way")]
    Evaluation,
}

impl ReadError {
    /// Whether the API server could not be asked at all. One that refuses was asked.
    fn unasked(&self) -> bool {
        match self {
            Self::Api(error) => matches!(
                error,
                ApiError::Unreachable { .. } | ApiError::Timeout { .. } | ApiError::Server { .. }
            ),
            Self::NoNamespace(_) | Self::Object(_) | Self::Slow | Self::Evaluation => false,
        }
    }
}

async fn read(source: &ClientSource, asks: &Resources) -> Result<Tally, ReadError> {
    let found = source
        .call(|client| async move { find(&client, asks).await })
        .await?;
    let types = TypeMeta {
        api_version: found.0.api_version.clone(),
        kind: found.0.kind.clone(),
    };
    let mut tally = Tally::default();
    if let Some(name) = &asks.name {
        if found.1 == Scope::Namespaced && asks.namespace.is_none() {
            return Err(ReadError::NoNamespace(asks.kind.clone()));
        }
        let read =
            source.call(|client| async move { api(client, &found, asks).get_opt(name).await });
        if let Some(object) = read.await? {
            tally = evaluated(tally, asks, vec![whole(object, &types)?], EVALUATION).await?;
        }
        return Ok(tally);
    }
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = asks
        .label_selector
        .as_ref()
        .map(|one| one.as_str().to_owned());
    loop {
        let page = source.call(|client| {
            let api = api(client, &found, asks);
            let params = &params;
            async move { api.list(params).await }
        });
        let page = page.await?;
        let objects = page.items.into_iter().map(|object| whole(object, &types));
        tally = evaluated(tally, asks, objects.collect::<Result<_, _>>()?, EVALUATION).await?;
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params.continue_token = Some(next),
            None => return Ok(tally),
        }
    }
}

/// `tally` with these objects, too. They are looked at apart from everything else: an expression may take long.
async fn evaluated(
    mut tally: Tally,
    asks: &Resources,
    objects: Vec<Value>,
    deadline: Duration,
) -> Result<Tally, ReadError> {
    let asks = asks.clone();
    let evaluation = async {
        // It is never closed.
        let permit = EVALUATING.acquire().await.map_err(|_| ReadError::Slow)?;
        let evaluation = spawn_blocking(move || {
            let _permit = permit;
            for object in &objects {
                tally.take(&asks, object);
            }
            tally
        });
        evaluation.await.map_err(|_| ReadError::Evaluation)
    };
    timeout(deadline, evaluation)
        .await
        .unwrap_or(Err(ReadError::Slow))
}

/// The object as it is in the cluster; lists leave out its type.
fn whole(mut object: DynamicObject, types: &TypeMeta) -> Result<Value, serde_json::Error> {
    object.types.get_or_insert_with(|| types.clone());
    serde_json::to_value(object)
}

/// Where the kind is in the API.
async fn find(client: &Client, asks: &Resources) -> kube::Result<(ApiResource, Scope)> {
    let (group, version) = asks
        .api_version
        .split_once('/')
        .unwrap_or(("", &asks.api_version));
    let kind = GroupVersionKind::gvk(group, version, &asks.kind);
    let (resource, capabilities) = pinned_kind(client, &kind).await?;
    Ok((resource, capabilities.scope))
}

fn api(client: Client, found: &(ApiResource, Scope), asks: &Resources) -> Api<DynamicObject> {
    let (resource, scope) = found;
    match (scope, &asks.namespace) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client, namespace, resource),
        (Scope::Namespaced, None) | (Scope::Cluster, _) => Api::all_with(client, resource),
    }
}

#[cfg(test)]
mod tests;
