use serde_json::json;

use super::*;
use crate::answer::Answer;
use crate::testing::{put, root};

/// What an agent with this process id says of its metrics.
fn answer(pid: i32, textfile: Option<&str>) -> Answer {
    let told = json!({
        "version": "0.1.0",
        "pid": pid,
        "phase": "idle",
        "since": "2026-11-23T21:00:00Z",
        "check": {},
        "next": {"what": "look for an update", "at": null},
        "failed": [],
        "textfile": textfile
    });
    serde_json::from_value(told).unwrap()
}

#[test]
fn the_metrics_are_as_the_running_agent_found_them() {
    let root = root(&[]);
    let store = Store::new(root.path());
    let path = root.path().join("cuo.prom");
    let look = |pid: Option<i32>| metrics(&path, &store, pid);
    let needs = Check::not_looked_at("metrics", "a running agent");
    assert_eq!(look(None), needs);

    store.write_answer(&answer(7, None)).unwrap();
    let reload = "`systemctl reload cuo-agent` if the configuration was changed since it started.";
    let shown = path.display();
    let missing = Check::warning("metrics", format!("{shown} is not there yet"), reload);
    assert_eq!(look(Some(7)), missing);
    put(root.path(), "cuo.prom", "");
    let written = Check::ok("metrics", format!("are written to {shown}"));
    assert_eq!(look(Some(7)), written);

    store.write_answer(&answer(7, Some("can't"))).unwrap();
    let remedy = Event::MetricsUnwritten.remedy();
    assert_eq!(look(Some(7)), Check::warning("metrics", "can't", remedy));
    // Of an agent that ran before.
    assert_eq!(look(Some(8)), written);
}
