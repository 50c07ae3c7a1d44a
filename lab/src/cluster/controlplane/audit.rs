//! What was asked of the API, by whom, and with what outcome: the API server's own audit log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Every write, once, when it has been answered, and the reads of those whose calls are counted: of nodes, agents and the operator. All
/// other reads would drown them. The only writes left out are the leases of kubelets: they are a heartbeat every few seconds for each node.
pub(super) const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [get, list, watch]
  userGroups: ["system:nodes", "cuo:agents", "system:serviceaccounts:cuo-system"]
- level: None
  verbs: [get, list, watch]
- level: None
  userGroups: ["system:nodes"]
  namespaces: [kube-node-lease]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
"#;

impl AuditEntry {
    /// It is no read.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// One call, when it had been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When the request came in, RFC 3339 with microseconds.
    pub received: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`; `get`, `list` or `watch` for reads.
    pub verb: String,
    /// The user's name, for example `system:node:n1`.
    pub user: String,
    /// The resource's plural name, for example `pods`; empty for a path that is no resource.
    pub resource: String,
    /// For example `status` or `eviction`; empty for the object itself.
    pub subresource: String,
    /// The namespace, empty for objects of the cluster.
    pub namespace: String,
    /// The object's name; empty when the server chose it.
    pub name: String,
    /// The HTTP status of the answer; 0 when the connection ended before one.
    pub code: u16,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// The path and query of the request, for example to tell a dry run.
    pub uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    #[serde(default)]
    user_agent: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

/// The entries from byte `offset` of the log on, and the offset behind the last of them.
///
/// The server may be writing a line right now; without its end it is not read yet.
pub(super) fn read(path: &Path, offset: u64) -> Result<(Vec<AuditEntry>, u64)> {
    let described = || format!("read the audit log {}", path.display());
    let mut file = File::open(path).with_context(described)?;
    file.seek(SeekFrom::Start(offset)).with_context(described)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).with_context(described)?;
    let whole = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |last| last + 1);
    let entries = text[..whole]
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            parse(line)
                .with_context(|| format!("{}: {}", path.display(), String::from_utf8_lossy(line)))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((entries, offset + whole as u64))
}

fn parse(line: &[u8]) -> Result<AuditEntry> {
    let line: Line = serde_json::from_slice(line)?;
    Ok(AuditEntry {
        received: line.request_received_timestamp,
        verb: line.verb,
        user: line.user.username,
        resource: line.object_ref.resource,
        subresource: line.object_ref.subresource,
        namespace: line.object_ref.namespace,
        name: line.object_ref.name,
        code: line.response_status.code,
        user_agent: line.user_agent,
        uri: line.request_uri,
    })
}
