//! Examples of the protocol's JSON values, each read by the code before it is printed.

use anyhow::{Result, ensure};
use cuo_core::keys;
use cuo_core::ledger::Ledger;
use cuo_core::values::{
    Booted, Failures, Field, Grant, PlainReboots, Progress, RebootRequest, RebootResult,
    Reservation, RetryRequest, to_json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub const BOOTED: &str = r#"{
  "v": 1,
  "identity": "9f6e3a52c1d84b07f5a2e8c6b3d1907a4e5f6c8b2d3a1e0f9c8b7a6d5e4f3c2b",
  "version": "43.20261020.3.0",
  "boot": "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70",
  "since": "2026-10-27T02:14:51Z"
}"#;

const RESERVED: &str = r#"{
  "v": 1,
  "id": "17-0f3a9b2c",
  "identity": "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80",
  "boot": "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70"
}"#;

const GRANT: &str = r#"{
  "v": 1,
  "id": "17-0f3a9b2c",
  "identity": "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80",
  "boot": "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70",
  "issued": "2026-11-23T21:00:00Z",
  "deadline": "2026-11-23T21:05:00Z",
  "drain": {"timeoutSeconds": 600, "onTimeout": "abort"}
}"#;

const PROGRESS: &str = r#"{
  "v": 1,
  "id": "17-0f3a9b2c",
  "identity": "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80",
  "boot": "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70",
  "accepted": "2026-11-23T21:00:02Z"
}"#;

const RESULT: &str = r#"{
  "v": 1,
  "id": "17-0f3a9b2c",
  "outcome": "aborted",
  "code": "DrainBlocked",
  "at": "2026-11-23T21:10:03Z"
}"#;

const FAILED: &str = r#"{
  "v": 1,
  "identities": [
    {
      "identity": "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80",
      "code": "RolledBack",
      "at": "2026-11-23T21:12:40Z"
    }
  ]
}"#;

const REBOOTS: &str = r#"{
  "v": 1,
  "wanted": "requested by alice at 2026-11-23T20:15:00Z: memory errors",
  "done": "16-7c2e91d4"
}"#;

const REQUEST: &str = r#"{
  "v": 1,
  "boot": "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70",
  "at": "2026-11-23T20:15:00Z",
  "by": "alice",
  "reason": "memory errors"
}"#;

const RETRY: &str = r#"{
  "v": 1,
  "at": "2026-11-24T08:30:00Z",
  "by": "alice",
  "identity": "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80"
}"#;

const LEDGER: &str = r#"{
  "v": 1,
  "seq": 17,
  "entries": {
    "worker-1": {
      "id": "17-0f3a9b2c",
      "identity": "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80",
      "boot": "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70",
      "stage": "granted",
      "since": "2026-11-23T21:00:00Z"
    }
  }
}"#;

/// `text` as the code reads it and writes it again, as a block.
fn block<T: DeserializeOwned + Serialize>(what: &str, text: &str) -> Result<String> {
    let read = Field::<T>::json(Some(&text.to_owned()));
    let written = read.value().map(to_json).unwrap_or_default();
    ensure!(
        serde_json::from_str::<Value>(&written).ok() == serde_json::from_str(text).ok(),
        "the example of {what} is none: it is written as {written:?}"
    );
    Ok(format!("```json\n{text}\n```\n"))
}

fn example<T: DeserializeOwned + Serialize>(key: &str, text: &str, notes: &str) -> Result<String> {
    let name = key.strip_prefix(keys::PREFIX).unwrap_or(key);
    Ok(format!("`{name}`{notes}\n\n{}", block::<T>(name, text)?))
}

/// Examples of everything on Nodes.
pub fn of_nodes() -> Result<String> {
    let drain = "; `onTimeout` is `abort`, `delete` or `force`, and `deadline` is when it lapses unless accepted before";
    let result = "; `outcome` is `done`, `refused`, `aborted` or `failed`, and `code` is left out with `done`";
    let blocks = [
        example::<Booted>(keys::BOOTED, BOOTED, "")?,
        example::<Reservation>(keys::REBOOT_RESERVED, RESERVED, "")?,
        example::<Grant>(keys::REBOOT_OK, GRANT, drain)?,
        example::<Progress>(keys::REBOOT_IN_PROGRESS, PROGRESS, "")?,
        example::<RebootResult>(keys::REBOOT_RESULT, RESULT, result)?,
        example::<Failures>(keys::FAILED, FAILED, "; newest last, at most eight")?,
        example::<PlainReboots>(
            keys::AGENT_REBOOT,
            REBOOTS,
            "; each field where there is one",
        )?,
        example::<RebootRequest>(
            keys::REBOOT_REQUESTED,
            REQUEST,
            "; without `by` and `reason`, too",
        )?,
        example::<RetryRequest>(keys::RETRY, RETRY, "; without `by` and `identity`, too")?,
    ];
    Ok(blocks.join("\n"))
}

/// An example of the ledger.
pub fn of_the_ledger() -> Result<String> {
    block::<Ledger>("the ledger", LEDGER)
}

#[cfg(test)]
mod tests;
