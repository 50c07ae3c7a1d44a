//! Specs that the API server refuses by itself.

use anyhow::{Result, ensure};
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::world::{SOON, World};

/// What is refused, and what is said.
fn cases() -> Vec<(Value, &'static str)> {
    let window = |field: &str, value: Value| {
        let mut window = json!({"start": "22:00", "duration": "4h"});
        window[field] = value;
        json!({"windows": [window]})
    };
    let length = "expected a length of time from 1s to 168h, such as 90s, 10m or 1h30m";
    let length_or_nothing = "expected a length of time from 0s to 168h, such as 90s, 10m or 1h30m";
    let share = "expected a number of nodes, 0 or more, or a share from \"0%\" to \"100%\"";
    let start = "expected a time of the day as HH:MM, such as 22:00";
    let demand = |operator: &str, values: Value| json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}});
    let values = "In and NotIn take at least one of `values`, Exists and DoesNotExist none";
    vec![
        (json!({"maxUnavailable": -1}), share),
        (json!({"maxUnavailable": "101%"}), share),
        (json!({"maxUnavailable": "010%"}), share),
        (json!({"maxUnavailable": "some"}), share),
        (window("start", json!("24:00")), start),
        (window("start", json!("7:30")), start),
        (window("duration", json!("4 hours")), length),
        (window("duration", json!("0s")), length),
        (window("duration", json!("169h")), length),
        (window("duration", json!("")), length),
        (
            window("days", json!(["Monday"])),
            "supported values: \"Mon\", \"Tue\"",
        ),
        (
            window("timeZone", json!("Europe/Berlin now")),
            "expected the IANA name of a time zone",
        ),
        (
            json!({"windows": [{"start": "22:00"}]}),
            "spec.windows[0].duration: Required value",
        ),
        (
            json!({"blackouts": [{"from": "24.12.2026"}]}),
            "must be of type date",
        ),
        (
            json!({"blackouts": [{"from": "2026-02-30"}]}),
            "must be of type date",
        ),
        (
            json!({"blackouts": [{"from": "2026-12-24", "to": "2026-12-23"}]}),
            "`to` is before `from`",
        ),
        (demand("In", json!([])), values),
        (demand("Exists", json!(["a"])), values),
        (demand("Gt", json!(["1"])), "supported values: \"In\""),
        (
            json!({"nodeSelector": {"matchLabels": {"role worker": "x"}}}),
            "expected the name of a label",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"pool=workers": ""}}}),
            "expected the name of a label",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"pool": "workers "}}}),
            "expected the value of a label",
        ),
        (
            demand("In", json!(["a", "b c"])),
            "expected the value of a label",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"cuo.coreos.com/group": "stable"}}}),
            "no pool selects by them",
        ),
        (
            json!({"canary": {"nodeSelector": {"matchExpressions": [{"key": "cuo.coreos.com/id", "operator": "Exists"}]}}}),
            "no pool selects by them",
        ),
        (
            json!({"order": {"by": "Zone"}}),
            "`by: Zone` needs a `topologyKey`, and nothing else takes one",
        ),
        (
            json!({"order": {"topologyKey": "zone"}}),
            "`by: Zone` needs a `topologyKey`, and nothing else takes one",
        ),
        (
            json!({"order": {"by": "Zone", "topologyKey": "a b"}}),
            "expected the name of a label",
        ),
        (
            json!({"canary": {}}),
            "expected either `count` or `nodeSelector`",
        ),
        (
            json!({"canary": {"count": 1, "nodeSelector": {}}}),
            "expected either `count` or `nodeSelector`",
        ),
        (
            json!({"canary": {"count": 0}}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"maxFailures": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"target": {}}),
            "expected either `identity` or `version`",
        ),
        (
            json!({"target": {"identity": "abc"}}),
            "expected 64 lower-case hexadecimal digits",
        ),
        (
            json!({"approved": [{"version": "1"}]}),
            "`approved` says something only with `approval: Manual`",
        ),
        (
            json!({"release": {}}),
            "expected either `image`, `version` or `commit`",
        ),
        (
            json!({"release": {"version": "1", "commit": "1".repeat(64)}}),
            "expected either `image`, `version` or `commit`",
        ),
        (
            json!({"release": {"image": "quay.io/example/os"}}),
            "expected an image with its registry and a tag or digest",
        ),
        (
            json!({"release": {"version": "1"}, "target": {"version": "1"}}),
            "`target` limits what nodes find by themselves",
        ),
        (
            json!({"approval": "Maybe"}),
            "supported values: \"Automatic\", \"Manual\"",
        ),
        (
            json!({"checks": {"before": ["cuo.coreos.com/reboot-ok"]}}),
            "names that begin with cuo.coreos.com/ are CUO's own",
        ),
        (
            json!({"checks": {"after": ["a b"]}}),
            "expected the name of an annotation",
        ),
        (json!({"drain": {"timeout": "0s"}}), length),
        (json!({"drain": {"gracePeriod": "-1s"}}), length_or_nothing),
        (
            json!({"drain": {"onTimeout": "abort"}}),
            "supported values: \"Abort\", \"Delete\", \"Force\"",
        ),
        (
            json!({"drain": {"skipNamespaces": ["A"]}}),
            "expected the name of a namespace",
        ),
        (json!({"settle": "ten minutes"}), length_or_nothing),
        (json!({"setle": "10m"}), "unknown field \"spec.setle\""),
    ]
}

pub async fn each(world: &World) -> Result<()> {
    for (spec, expected) in cases() {
        let said = world.apply("refused", &spec).await?;
        ensure!(
            said.as_ref().is_err_and(|said| said.contains(expected)),
            "{spec} should be refused with {expected:?}: {said:?}"
        );
    }
    ensure!(
        world.apply("refused", &Value::Null).await?.is_err(),
        "a pool without a spec"
    );
    // What can't be seen by the API server is reported on the pool.
    world.node("a", &[], 1).await?;
    world.want(&["a"], 2).await?;
    let zone = json!({"windows": [{"start": "22:00", "duration": "1h", "timeZone": "Mars/Base"}]});
    let generation = world.pool("mars", zone).await?;
    let status = world
        .held("mars", generation, cuo_core::reason::Code::PoolInvalid)
        .await?;
    let accepted = &status["conditions"][0];
    ensure!(
        accepted["type"] == "Accepted" && accepted["status"] == "False",
        "{accepted}"
    );
    let message = accepted["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("windows[0]") && message.contains("Mars/Base"),
        "{message}"
    );
    reported(world, "PoolInvalid").await?;
    world.pool("mars", json!({})).await?;
    reported(world, "PoolValid").await?;
    world.granted(&["a"]).await?;
    world.clear().await
}

/// Waits for an Event about the pool.
async fn reported(world: &World, reason: &str) -> Result<()> {
    let (columns, fields) = (
        "--output=custom-columns=:regarding.kind,:regarding.name",
        format!("--field-selector=reason={reason}"),
    );
    until(format!("an Event {reason}"), SOON, async || {
        let get = [
            "get",
            "events.events.k8s.io",
            "--no-headers",
            columns,
            &fields,
        ];
        let events = world.plane.kubectl(&get).await?;
        // The nodes of the pool are reported of, too.
        let words: Vec<_> = events.split_whitespace().collect();
        let found = words
            .windows(2)
            .any(|words| words == ["UpdatePool", "mars"]);
        ensure!(found, "{events}");
        Ok(Some(()))
    })
    .await
}
