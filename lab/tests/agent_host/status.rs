//! `cuo-agent status` with and without an agent, as whole values.

use std::time::Duration;

use cuo_core::reason::Code;
use cuo_lab::machine::binary;
use cuo_lab::machine::ostree::{Effect, Fault, Release, Stage, Trouble, texts};
use cuo_lab::wait::until;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::bench::{Bench, NEW, OLD, PATIENCE, branch, image};

/// What `status --output json` prints, without the times under `paths`, which have to be some.
async fn status(bench: &Bench, paths: &[&str]) -> Value {
    let (code, stdout, stderr) = bench.command(&["status", "--output", "json"]).await;
    assert_eq!((code, &*stderr), (0, ""), "{stdout}");
    let mut report: Value = serde_json::from_str(&stdout).unwrap();
    for path in paths {
        let Some(time) = report.pointer_mut(path) else {
            panic!("nothing at {path}: {report:#}");
        };
        let parsed = time
            .as_str()
            .and_then(|time| time.parse::<jiff::Timestamp>().ok());
        assert!(parsed.is_some(), "{path}: {report:#}");
        *time = json!("TIME");
    }
    report
}

fn nothing_but(known: Value) -> Value {
    let mut report = json!({
        "agent": {"running": false, "pid": null, "version": null},
        "source": null,
        "node": null,
        "phase": null,
        "since": null,
        "reason": null,
        "grant": null,
        "booted": null,
        "pending": null,
        "others": [],
        "release": null,
        "check": null,
        "next": null,
        "result": null,
        "failed": [],
        "unknown": []
    });
    let Value::Object(known) = known else {
        panic!("{known}");
    };
    for (key, value) in known {
        report[&key] = value;
    }
    report
}

fn shown(version: &str, identity: &str, staged: bool) -> Value {
    let locked = staged.then_some(true);
    json!({"version": version, "identity": identity, "staged": staged, "locked": locked})
}

/// Why the Node of a host without a kubeconfig is not known.
fn no_kubeconfig(bench: &Bench) -> String {
    let places = cuo_cluster::credentials::PLACES.iter().map(|place| {
        let path = bench.machine.root().join(&place[1..]);
        format!("{} (not there)", path.display())
    });
    let places: Vec<_> = places.collect();
    format!(
        "no kubeconfig on this host; tried {}; join the node to a cluster or name one with --kubeconfig",
        places.join(", ")
    )
}

fn away() -> Value {
    json!({"what": "nothing, until the agent is started: `systemctl start cuo-agent`", "at": null})
}

/// Waits until the running agent has said this of itself.
pub async fn says(bench: &Bench, what: &str) {
    let path = bench.machine.root().join("run/cuo-agent/agent/status.json");
    let look = async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Ok(text.contains(what).then_some(()))
    };
    until(format!("the agent to say {what}"), PATIENCE, look)
        .await
        .unwrap();
}

#[tokio::test]
async fn without_an_agent_there_are_the_deployments_and_what_is_missing() {
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        let identity = bench.machine.booted_identity().unwrap();
        let expected = nothing_but(json!({
            "booted": shown(OLD, &identity, false),
            "next": away(),
            "unknown": [format!("the Node: {}", no_kubeconfig(&bench))]
        }));
        assert_eq!(status(&bench, &[]).await, expected);
    }
}

#[tokio::test]
async fn the_running_agent_tells_what_it_does() {
    let mut bench = Bench::new(branch()).await;
    bench.set_remote(|remote| remote.trouble = Some(Trouble::Down));
    let program = binary("cuo-agent").unwrap();
    bench.machine.spawn_agent(&program, &[]).unwrap();
    says(&bench, "NetworkFailed").await;

    let identity = bench.machine.booted_identity().unwrap();
    let origin = bench.sysroot().deployments.remove(0).origin;
    let why = texts::trouble(Trouble::Down, &origin, &Release::new(NEW));
    let why = format!("Upgrade of rpm-ostreed failed: {why}");
    let agent = json!({
        "running": true,
        "pid": bench.machine.agent_pid(),
        "version": env!("CARGO_PKG_VERSION")
    });
    let expected = nothing_but(json!({
        "agent": agent,
        "source": "agent",
        "phase": "idle",
        "since": "TIME",
        "reason": {
            "code": "NetworkFailed",
            "message": why,
            "remedy": Code::NetworkFailed.remedy()
        },
        "booted": shown(OLD, &identity, false),
        "check": {"last": "TIME", "error": why, "next": "TIME"},
        "next": {"what": "look for an update", "at": "TIME"}
    }));
    let times = ["/since", "/check/last", "/check/next", "/next/at"];
    assert_eq!(status(&bench, &times).await, expected);

    bench.set_remote(|remote| remote.trouble = None);
    let (code, stdout, stderr) = bench.command(&["check"]).await;
    assert_eq!((code, &*stdout, &*stderr), (0, "", ""));
    says(&bench, "waiting").await;
    says(&bench, "\"error\": null").await;
    let new = Release::new(NEW).commit();
    let expected = nothing_but(json!({
        "agent": agent,
        "source": "agent",
        "phase": "waiting",
        "since": "TIME",
        "booted": shown(OLD, &identity, false),
        "pending": shown(NEW, &new, true),
        "release": {"source": "origin", "reference": "fedora:fedora/stable/x86_64/iot"},
        "check": {"last": "TIME", "error": null, "next": "TIME"},
        "next": {"what": "drain and reboot once the operator grants it", "at": null}
    }));
    let times = ["/since", "/check/last", "/check/next"];
    assert_eq!(status(&bench, &times).await, expected);

    // An agent that was killed leaves its files, which are not taken for a running one.
    bench.machine.kill_agent().await.unwrap();
    let expected = nothing_but(json!({
        "booted": shown(OLD, &identity, false),
        "pending": shown(NEW, &new, true),
        "next": away(),
        "unknown": [format!("the Node: {}", no_kubeconfig(&bench))]
    }));
    assert_eq!(status(&bench, &[]).await, expected);
}

#[tokio::test]
async fn what_can_not_be_read_is_named() {
    let bench = Bench::down(branch());
    let state = bench.machine.root().join("var/lib/cuo-agent/state.json");
    std::fs::write(&state, "garbage").unwrap();
    let kubeconfig = bench
        .machine
        .root()
        .join("run/cuo-agent/credentials/kubeconfig");
    std::fs::create_dir_all(&kubeconfig).unwrap();
    let report = status(&bench, &[]).await;
    let unknown: Vec<_> = report["unknown"].as_array().unwrap().iter().collect();
    let starts = [
        "deployments: the system bus can't be reached (".to_owned(),
        format!(
            "the Node: can't read {}: Is a directory",
            kubeconfig.display()
        ),
        format!("the agent's state: {}: expected value", state.display()),
    ];
    assert_eq!(unknown.len(), starts.len(), "{report:#}");
    for (why, start) in unknown.iter().zip(&starts) {
        assert!(why.as_str().unwrap().starts_with(start), "{why} {start}");
    }
    // Looking moves nothing aside.
    assert_eq!(std::fs::read_to_string(&state).unwrap(), "garbage");
}

#[tokio::test]
async fn people_get_lines() {
    // By the agent, and by somebody else.
    for (locked, spec) in [(true, branch()), (false, branch()), (true, image())] {
        let bench = Bench::new(spec).await;
        let said = if locked {
            bench.client().stage(None, |_| ()).await.unwrap();
            "staged and locked"
        } else {
            bench.machine.admin_upgrade().await.unwrap();
            "staged and not locked"
        };
        let (code, stdout, _) = bench.command(&["status"]).await;
        let host = bench.client().host().await.unwrap();
        let expected = format!(
            "Agent:   does not run\n\
             Next:    nothing, until the agent is started: `systemctl start cuo-agent`\n\
             Booted:  {OLD} ({})\n\
             Pending: {NEW} ({}), {said}\n\
             Unknown: the Node: {}\n",
            host.booted.identity.short(),
            host.pending.unwrap().identity.short(),
            no_kubeconfig(&bench)
        );
        assert_eq!((code, stdout), (0, expected));
    }
}

/// rpm-ostreed takes the call and does not answer. What the agent says is there at once, and what it keeps back is not waited for.
#[tokio::test]
async fn a_silent_rpm_ostree_keeps_nothing_else_back() {
    let mut bench = Bench::new(branch()).await;
    let program = binary("cuo-agent").unwrap();
    bench.machine.spawn_agent(&program, &[]).unwrap();
    says(&bench, "waiting").await;
    let hangs = Fault::always("Reload", Stage::Call, Effect::HangForever);
    bench.set_faults(|faults| faults.rules.push(hangs));

    let started = Instant::now();
    let (_child, mut lines) = bench.lines(&["status"]);
    let mut next = async || {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        line.unwrap_or_default()
    };
    while !next().await.starts_with("Next: ") {}
    let at_once = started.elapsed();
    let why = "rpm-ostreed has not answered within 10 s";
    assert_eq!(next().await, format!("Unknown: deployments: {why}"));
    let all = started.elapsed();
    assert_eq!(next().await, "");
    // The call would be given up after a minute.
    assert!(
        at_once < all / 2 && all < Duration::from_secs(40),
        "{at_once:?} {all:?}"
    );

    let unknown = &status(&bench, &[]).await["unknown"];
    assert_eq!(*unknown, json!([format!("deployments: {why}")]));
}
