//! What each field of a pool does.

use anyhow::{Context, Result, ensure};
use cuo_core::keys::{AFTER_REBOOT, BEFORE_REBOOT};
use cuo_core::reason::Code;
use cuo_core::values::{DrainPolicy, OnTimeout, Outcome, PodChecks, PodMatch, Treatment};
use cuo_lab::wait::until;
use jiff::{SignedDuration, Timestamp, Unit, Zoned};
use serde_json::{Value, json};

use crate::world::{AFTER, BEFORE, SOON, World, release};

/// The label of all nodes of these tests, and its value.
const LABEL: (&str, &str) = ("pool", "p");

/// A spec that selects the nodes of these tests.
fn spec(mut fields: Value) -> Value {
    fields["nodeSelector"] = json!({"matchLabels": {LABEL.0: LABEL.1}});
    fields
}

pub async fn each(world: &World) -> Result<()> {
    type Step = (
        &'static str,
        fn(&World) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + '_>>,
    );
    let steps: &[Step] = &[
        ("paused", |world| Box::pin(paused(world))),
        ("windows and blackouts", |world| Box::pin(windows(world))),
        ("a window that closes during the before checks", |world| {
            Box::pin(closing(world))
        }),
        ("order", |world| Box::pin(order(world))),
        ("canary", |world| Box::pin(canary(world))),
        ("maxFailures", |world| Box::pin(failures(world))),
        ("target and approval", |world| Box::pin(releases(world))),
        ("checks and drain", |world| Box::pin(checks(world))),
        ("maxUnavailable and settle", |world| Box::pin(budget(world))),
    ];
    for (name, step) in steps {
        eprintln!("  {name}");
        step(world).await.context(*name)?;
        world.clear().await.context(*name)?;
    }
    Ok(())
}

/// Nodes of the pool that run release 1 and want release 2.
async fn waiting(world: &World, names: &[&str]) -> Result<()> {
    for name in names {
        world.node(name, &[LABEL], 1).await?;
    }
    world.want(names, 2).await
}

async fn paused(world: &World) -> Result<()> {
    let generation = world.pool("p", spec(json!({"paused": true}))).await?;
    waiting(world, &["a"]).await?;
    world.held("p", generation, Code::PoolPaused).await?;
    world.pool("p", spec(json!({"paused": false}))).await?;
    world.in_order(&["a"]).await?;
    up_to_date(world).await
}

/// The numbers and conditions of a pool that has nothing to do.
async fn up_to_date(world: &World) -> Result<()> {
    let status = until("a status without anything to do", SOON, async || {
        let status = world.get("p").await?["status"].clone();
        Ok((status["nodes"]["upToDate"] == status["nodes"]["total"]).then_some(status))
    })
    .await?;
    let numbers = json!({
        "total": 1, "upToDate": 1, "needReboot": 0, "rebooting": 0, "unavailable": 0, "failed": 0,
    });
    ensure!(
        status["nodes"] == numbers && status["maxUnavailable"] == 1,
        "{status:#}"
    );
    let conditions = status["conditions"].as_array().context("no conditions")?;
    let shown: Vec<_> = conditions
        .iter()
        .map(|found| (&found["type"], &found["status"]))
        .collect();
    ensure!(
        json!(shown)
            == json!([
                ["Accepted", "True"],
                ["Progressing", "False"],
                ["Held", "False"],
                ["Degraded", "False"],
                ["SelectorTrusted", "False"],
                // There is no other node.
                ["Drainable", "False"],
                ["Ready", "True"],
                ["Reconciling", "False"],
                ["Stalled", "False"]
            ]),
        "{status:#}"
    );
    let columns = world
        .plane
        .kubectl(&["get", "up", "p", "--no-headers"])
        .await?;
    let columns: Vec<_> = columns.split_whitespace().collect();
    ensure!(
        columns[..6] == ["p", "1", "1", "1", "0", "0"],
        "{columns:?}"
    );
    ensure!(columns.contains(&"UpToDate"), "{columns:?}");
    Ok(())
}

/// A window that opens in half a day.
fn later() -> Result<Value> {
    let start = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let start = start.checked_add(SignedDuration::from_hours(12))?;
    Ok(json!([{"start": start.strftime("%H:%M").to_string(), "duration": "1h"}]))
}

async fn windows(world: &World) -> Result<()> {
    let generation = world.pool("p", spec(json!({"windows": later()?}))).await?;
    waiting(world, &["a"]).await?;
    let status = world.held("p", generation, Code::WindowClosed).await?;
    let opens: Timestamp = status["nextWindow"]
        .as_str()
        .context("no next window")?
        .parse()?;
    let wait = opens.duration_since(Timestamp::now()).round(Unit::Hour)?;
    ensure!(wait == SignedDuration::from_hours(12), "{status:#}");

    let day = |days: i64| {
        let now = Timestamp::now().checked_add(SignedDuration::from_hours(24 * days));
        Ok::<_, jiff::Error>(now?.strftime("%Y-%m-%d").to_string())
    };
    let blackout = json!([{"from": day(-1)?, "to": day(1)?}]);
    let generation = world
        .pool("p", spec(json!({"blackouts": blackout})))
        .await?;
    let status = world.held("p", generation, Code::WindowClosed).await?;
    let opens = status["nextWindow"]
        .as_str()
        .context("no end of the blackout")?;
    ensure!(opens == format!("{}T00:00:00Z", day(2)?), "{status:#}");

    let always = json!([{"start": "00:00", "duration": "24h"}]);
    world.pool("p", spec(json!({"windows": always}))).await?;
    world.in_order(&["a"]).await
}

async fn closing(world: &World) -> Result<()> {
    let checks = json!({"before": [BEFORE]});
    world.pool("p", spec(json!({"checks": checks}))).await?;
    waiting(world, &["a"]).await?;
    let asked = async || {
        let labels = world
            .plane
            .kubectl(&["get", "node", "a", "-o", "jsonpath={.metadata.labels}"])
            .await?;
        Ok::<_, anyhow::Error>(labels.contains(BEFORE_REBOOT))
    };
    until("the before checks", SOON, async || {
        Ok(asked().await?.then_some(()))
    })
    .await?;
    let closed = world
        .pool("p", spec(json!({"checks": checks, "windows": later()?})))
        .await?;
    world.held("p", closed, Code::WindowClosed).await?;
    until("the reservation to be withdrawn", SOON, async || {
        let node = world.view("a").await?;
        ensure!(!node.operator.has_slot() && !asked().await?, "{node:#?}");
        Ok(Some(()))
    })
    .await
}

/// Nodes with these labels that run a release and want release 9, all at once; then they go in this order.
async fn go(
    world: &World,
    by: Value,
    nodes: &[(&str, (&str, &str), u8)],
    order: &[&str],
) -> Result<()> {
    world
        .pool("p", spec(json!({"order": by, "paused": true})))
        .await?;
    for (name, label, runs) in nodes {
        world.node(name, &[LABEL, *label], *runs).await?;
    }
    let names: Vec<_> = nodes.iter().map(|(name, ..)| *name).collect();
    world.want(&names, 9).await?;
    let generation = world
        .pool(
            "p",
            spec(json!({"order": by, "paused": true, "settle": "0s"})),
        )
        .await?;
    world.held("p", generation, Code::PoolPaused).await?;
    world.pool("p", spec(json!({"order": by}))).await?;
    world.in_order(order).await?;
    world.clear().await
}

async fn order(world: &World) -> Result<()> {
    let zone = |value| ("example.com/zone", value);
    let nodes = [
        ("a", zone("2"), 1),
        ("b", zone("1"), 1),
        ("c", zone("2"), 1),
        ("d", zone("1"), 1),
    ];
    let by = json!({"by": "Zone", "topologyKey": "example.com/zone"});
    go(world, by, &nodes, &["b", "d", "a", "c"]).await?;
    let none = ("a", "b");
    let nodes = [("a", none, 3), ("b", none, 1), ("c", none, 2)];
    go(
        world,
        json!({"by": "OldestVersion"}),
        &nodes,
        &["b", "c", "a"],
    )
    .await?;
    let control = ("node-role.kubernetes.io/control-plane", "");
    let nodes = [("a", none, 1), ("b", control, 1)];
    go(world, json!({"controlPlane": "First"}), &nodes, &["b", "a"]).await
}

async fn canary(world: &World) -> Result<()> {
    let spec_of = |canary: Value| spec(json!({"canary": canary, "maxUnavailable": 3}));
    world
        .pool("p", spec_of(json!({"count": 1, "soak": "168h"})))
        .await?;
    waiting(world, &["a", "b"]).await?;
    world.in_order(&["a"]).await?;
    let generation = world
        .pool("p", spec_of(json!({"count": 1, "soak": "167h"})))
        .await?;
    world.held("p", generation, Code::CanaryFirst).await?;
    world
        .pool("p", spec_of(json!({"count": 1, "soak": "1s"})))
        .await?;
    world.in_order(&["b"]).await?;
    world.clear().await?;

    let chosen = json!({"nodeSelector": {"matchLabels": {"canary": "yes"}}, "soak": "168h"});
    world.pool("p", spec_of(chosen.clone())).await?;
    world.node("a", &[LABEL], 1).await?;
    world.node("b", &[LABEL, ("canary", "yes")], 1).await?;
    world.want(&["a", "b"], 2).await?;
    world.in_order(&["b"]).await?;
    let mut sooner = chosen;
    sooner["soak"] = json!("167h");
    let generation = world.pool("p", spec_of(sooner.clone())).await?;
    world.held("p", generation, Code::CanaryFirst).await?;
    sooner["soak"] = json!("1s");
    world.pool("p", spec_of(sooner)).await?;
    world.in_order(&["a"]).await
}

async fn failures(world: &World) -> Result<()> {
    world.pool("p", spec(json!({}))).await?;
    waiting(world, &["a", "b"]).await?;
    world.granted(&["a"]).await?;
    world.accept("a").await?;
    world.finish("a", Outcome::Failed).await?;
    let generation = world
        .pool("p", spec(json!({"maxFailures": 1, "settle": "0s"})))
        .await?;
    let status = world.held("p", generation, Code::IdentityFailed).await?;
    ensure!(status["conditions"][0]["status"] == "True", "{status:#}");
    world.pool("p", spec(json!({"maxFailures": 2}))).await?;
    world.in_order(&["b"]).await
}

async fn releases(world: &World) -> Result<()> {
    let generation = world
        .pool("p", spec(json!({"target": {"version": "3"}})))
        .await?;
    waiting(world, &["a"]).await?;
    world.held("p", generation, Code::NotTarget).await?;
    let manual = |approved: Value| {
        let target = json!({"identity": release(2).to_string()});
        spec(json!({"target": target, "approval": "Manual", "approved": approved}))
    };
    let generation = world.pool("p", manual(json!([]))).await?;
    world.held("p", generation, Code::NotApproved).await?;
    world.pool("p", manual(json!([{"version": "2"}]))).await?;
    world.in_order(&["a"]).await
}

async fn checks(world: &World) -> Result<()> {
    let checks = json!({
        "before": [BEFORE], "after": [AFTER], "daemonSetsReady": true,
        "blockingPods": [{"namespace": "batch", "labelSelector": {}}],
    });
    let drain = json!({
        "timeout": "20m", "gracePeriod": "30s", "onTimeout": "Delete", "emptyDir": "Block", "unmanaged": "Block",
        "skipNamespaces": ["kube-system"], "waitForVolumes": false, "delay": "10s",
    });
    world
        .pool("p", spec(json!({"checks": checks, "drain": drain})))
        .await?;
    waiting(world, &["a"]).await?;
    let labelled = async |label: &str| {
        until(format!("the label {label}"), SOON, async || {
            let selector = format!("{label}=true");
            let found = world
                .plane
                .kubectl(&["get", "nodes", "-l", &selector, "-o", "name"])
                .await?;
            Ok((found.trim() == "node/a").then_some(()))
        })
        .await
    };
    labelled(BEFORE_REBOOT).await?;
    world.granted(&[]).await?;
    world.annotate("a", BEFORE, Some("true")).await?;
    world.granted(&["a"]).await?;
    let node = world.view("a").await?;
    let grant = node.operator.grant.value().context("no grant")?;
    let expected = DrainPolicy {
        timeout_seconds: 1200,
        grace_period_seconds: Some(30),
        on_timeout: OnTimeout::Delete,
        empty_dir: Treatment::Block,
        unmanaged: Treatment::Block,
        skip_namespaces: ["kube-system".to_owned()].into(),
        wait_for_volumes: false,
        delay_seconds: 10,
        ..DrainPolicy::default()
    };
    ensure!(grant.drain == expected, "{grant:#?}");
    let expected = PodChecks {
        blocking: vec![PodMatch {
            namespace: Some("batch".to_owned()),
            ..PodMatch::default()
        }],
        daemon_sets_ready: true,
    };
    ensure!(grant.pods == expected, "{grant:#?}");
    world.update("a").await?;
    labelled(AFTER_REBOOT).await?;
    ensure!(
        !world.view("a").await?.operator.grant.is_absent(),
        "the slot is free"
    );
    world.annotate("a", AFTER, Some("true")).await?;
    until("a free slot", SOON, async || {
        let operator = world.view("a").await?.operator;
        Ok((!operator.has_slot() && !operator.after).then_some(()))
    })
    .await
}

async fn budget(world: &World) -> Result<()> {
    let share = json!({"maxUnavailable": "50%"});
    world.pool("p", spec(share.clone())).await?;
    world.node("c", &[LABEL], 1).await?;
    waiting(world, &["a", "b", "d"]).await?;
    world.granted(&["a", "b"]).await?;
    // Somebody else's cordon counts, too.
    world
        .change("c", json!({"spec": {"unschedulable": true}}))
        .await?;
    world.update("a").await?;
    until(
        "one slot and one that is out of service",
        SOON,
        async || {
            let nodes = &world.get("p").await?["status"]["nodes"];
            ensure!(
                nodes["rebooting"] == 1 && nodes["unavailable"] == 2,
                "{nodes:#}"
            );
            Ok(Some(()))
        },
    )
    .await?;
    world.granted(&["b"]).await?;
    let mut settle = share;
    settle["settle"] = json!("168h");
    let generation = world.pool("p", spec(settle)).await?;
    world.update("b").await?;
    world.held("p", generation, Code::PoolSettling).await?;
    world
        .pool("p", spec(json!({"maxUnavailable": 2, "settle": "1s"})))
        .await?;
    world.granted(&["d"]).await
}
