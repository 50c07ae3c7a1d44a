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
