//! Order and times for a policy of each kind. Without anything else said, a drain takes two minutes and a reboot five.

use cuo_core::ids::PoolName;
use cuo_core::keys;
use cuo_core::raw::RawNode;
use cuo_core::values::{PlainReboots, to_json};
use jiff::SignedDuration;

use super::{Assumed, Forecast, forecast};
use crate::cluster::Cluster;
use crate::testing::{cluster, idle, old, pool, waiting};

const ASSUMED: Assumed = Assumed {
    drain: SignedDuration::from_mins(2),
    with_delay: false,
    reboot: SignedDuration::from_mins(5),
    stage: SignedDuration::from_mins(5),
};

fn foreseen(cluster: &Cluster, days: i64) -> Forecast {
    let until = cluster.at.later(SignedDuration::from_hours(24 * days));
    let policy = cluster.config().unwrap().policy();
    forecast(cluster.seen().unwrap(), &policy, ASSUMED, cluster.at, until).unwrap()
}

/// What is foreseen for a week, a line each: reboots, what becomes of candidates, and who waits.
fn lines(cluster: &Cluster) -> Vec<String> {
    let found = foreseen(cluster, 7);
    let time = |time: cuo_core::time::Time| time.timestamp().strftime("%d %H:%M:%S").to_string();
    let reboots = found
        .reboots
        .iter()
        .map(|one| format!("{} {} to {}", one.node, time(one.granted), time(one.done)));
    let turns = found
        .turns
        .iter()
        .map(|turn| format!("{}: {} {}", turn.pool, turn.what, time(turn.at)));
    let left = found.left.iter().map(|left| {
        let until = if left.later { "later" } else { "never" };
        format!("{} {until} {}", left.node, left.reason.code)
    });
    reboots.chain(turns).chain(left).collect()
}

fn three() -> Vec<RawNode> {
    ["n1", "n2", "n3"].map(|name| waiting(name, &[])).to_vec()
}

fn all(spec: &str) -> String {
    pool("all", spec)
}

#[test]
fn one_node_goes_at_a_time_without_any_policy() {
    let expected = [
        "n1 01 21:00:00 to 01 21:07:00",
        "n2 01 21:07:00 to 01 21:14:00",
        "n3 01 21:14:00 to 01 21:21:00",
    ];
    assert_eq!(lines(&cluster(three(), "", &[])), expected);
}

#[test]
fn flags_of_the_operator_are_the_policy_of_nodes_in_no_pool() {
    let flags = ["--max-unavailable=2", "--window=Fri 02:00 1h"];
    let expected = [
        "n1 02 02:00:00 to 02 02:07:00",
        "n2 02 02:00:00 to 02 02:07:00",
        "n3 02 02:07:00 to 02 02:14:00",
    ];
    assert_eq!(lines(&cluster(three(), "", &flags)), expected);
}

/// It waits for no approval, and comes once; then the node is as the others, for whose update nobody has asked.
#[test]
fn a_reboot_without_an_update_is_foreseen() {
    let mut asked = waiting("n1", &[]);
    let reboots = PlainReboots {
        wanted: Some("memory errors".to_owned()),
        done: None,
    };
    let set = [
        (keys::REBOOT_NEEDED, old().to_string()),
        (keys::AGENT_REBOOT, to_json(&reboots)),
    ];
    let set = set.map(|(key, value)| (key.to_owned(), value));
    asked.annotations.extend(set);
    let nodes = vec![asked, waiting("n2", &[])];
    let expected = [
        "n1 01 21:00:00 to 01 21:07:00",
        "all: 2 is the candidate 01 21:00:00",
        "n1 never NotApproved",
        "n2 never NotApproved",
    ];
    let spec = all("{nodeSelector: {}, approval: Manual}");
    assert_eq!(lines(&cluster(nodes, &spec, &[])), expected);
}

#[test]
fn a_window_ends_what_is_not_granted_yet() {
    let spec = "{nodeSelector: {}, windows: [{start: '22:00', duration: 10m}]}";
    let expected = [
        "n1 01 22:00:00 to 01 22:07:00",
        "n2 01 22:07:00 to 01 22:14:00",
        "n3 02 22:00:00 to 02 22:07:00",
    ];
    assert_eq!(lines(&cluster(three(), &all(spec), &[])), expected);
}

#[test]
fn days_of_blackouts_are_left_out() {
    let spec = "{nodeSelector: {}, maxUnavailable: 3, blackouts: [{from: '2026-10-01', to: '2026-10-03'}]}";
    let expected = ["n1", "n2", "n3"].map(|name| format!("{name} 04 00:00:00 to 04 00:07:00"));
    assert_eq!(lines(&cluster(three(), &all(spec), &[])), expected);
}

#[test]
fn settling_keeps_the_next_one_waiting() {
    let spec = "{nodeSelector: {}, settle: 10m}";
    let expected = [
        "n1 01 21:00:00 to 01 21:07:00",
        "n2 01 21:17:00 to 01 21:24:00",
        "n3 01 21:34:00 to 01 21:41:00",
    ];
    assert_eq!(lines(&cluster(three(), &all(spec), &[])), expected);
}

#[test]
fn zones_go_one_after_the_other() {
    let nodes = [("n1", "b"), ("n2", "a"), ("n3", "b")];
    let nodes = nodes.map(|(name, zone)| waiting(name, &[("zone", zone)]));
    let spec = "{nodeSelector: {}, order: {by: Zone, topologyKey: zone}}";
    let expected = [
        "n2 01 21:00:00 to 01 21:07:00",
        "n1 01 21:07:00 to 01 21:14:00",
        "n3 01 21:14:00 to 01 21:21:00",
    ];
    assert_eq!(lines(&cluster(nodes.to_vec(), &all(spec), &[])), expected);
}

#[test]
fn nodes_of_the_control_plane_go_last_and_one_at_a_time() {
    const ROLE: (&str, &str) = ("node-role.kubernetes.io/control-plane", "");
    let nodes = vec![
        waiting("c1", &[ROLE]),
        waiting("c2", &[ROLE]),
        waiting("w1", &[]),
    ];
    let spec = "{nodeSelector: {}, maxUnavailable: 3}";
    let expected = [
        "w1 01 21:00:00 to 01 21:07:00",
        "c1 01 21:00:00 to 01 21:07:00",
        "c2 01 21:07:00 to 01 21:14:00",
    ];
    let found = lines(&cluster(nodes, &all(spec), &[]));
    let mut sorted = found.clone();
    sorted.sort();
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(sorted, expected);
}

#[test]
fn canaries_run_the_candidate_until_it_is_promoted() {
    let spec = "{nodeSelector: {}, canary: {count: 1, soak: 1h}, maxUnavailable: 2}";
    let expected = [
        "n1 01 21:00:00 to 01 21:07:00",
        "n2 01 22:07:00 to 01 22:14:00",
        "n3 01 22:07:00 to 01 22:14:00",
        "all: 2 is the candidate 01 21:00:00",
        "all: 2 is promoted 01 22:07:00",
    ];
    assert_eq!(lines(&cluster(three(), &all(spec), &[])), expected);
}

#[test]
fn what_is_not_approved_never_happens() {
    let spec = "{nodeSelector: {}, approval: Manual}";
    let found = lines(&cluster(three(), &all(spec), &[]));
    let expected = [
        "all: 2 is the candidate 01 21:00:00",
        "n1 never NotApproved",
        "n2 never NotApproved",
        "n3 never NotApproved",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_node_that_is_held_does_not_hold_the_others() {
    let mut nodes = three();
    nodes[0]
        .annotations
        .insert("cuo.coreos.com/reboot-paused".to_owned(), "true".to_owned());
    nodes[1].ready = false;
    let expected = [
        "n3 01 21:00:00 to 01 21:07:00",
        "n1 never Paused",
        "n2 never NodeNotReady",
    ];
    let flags = ["--max-unavailable=2"];
    assert_eq!(lines(&cluster(nodes, "", &flags)), expected);
}

#[test]
fn a_node_in_two_pools_needs_the_consent_of_both() {
    let nodes = vec![
        waiting("n1", &[("a", "")]),
        waiting("n2", &[("a", ""), ("b", "")]),
    ];
    let a = "{nodeSelector: {matchExpressions: [{key: a, operator: Exists}]}, maxUnavailable: 2}";
    let b = "{nodeSelector: {matchExpressions: [{key: b, operator: Exists}]}, windows: [{start: '23:00', duration: 1h}]}";
    let expected = [
        "n1 01 21:00:00 to 01 21:07:00",
        "n2 01 23:00:00 to 01 23:07:00",
    ];
    let pools = pool("a", a) + &pool("b", b);
    assert_eq!(lines(&cluster(nodes, &pools, &[])), expected);
}

#[test]
fn pods_that_stay_take_no_time() {
    let spec = "{nodeSelector: {}, drain: {mode: None, delay: 30s}}";
    let nodes = vec![waiting("n1", &[])];
    let expected = ["n1 01 21:00:00 to 01 21:05:30"];
    assert_eq!(lines(&cluster(nodes, &all(spec), &[])), expected);
}

#[test]
fn a_paused_pool_and_a_pool_without_a_budget_are_never_served() {
    let nodes = vec![waiting("n1", &[("a", "")]), waiting("n2", &[])];
    let a = "{nodeSelector: {matchExpressions: [{key: a, operator: Exists}]}, paused: true}";
    let b =
        "{nodeSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}, maxUnavailable: 0}";
    let pools = pool("a", a) + &pool("b", b);
    let expected = ["n1 never PoolPaused", "n2 never BudgetExhausted"];
    assert_eq!(lines(&cluster(nodes, &pools, &[])), expected);
}

/// Programs open gates; whether they do is not to be foreseen.
#[test]
fn a_closed_gate_is_for_later() {
    let spec = "{nodeSelector: {}, gates: [quiet]}";
    let expected = ["n1", "n2", "n3"].map(|name| format!("{name} later GateClosed"));
    assert_eq!(lines(&cluster(three(), &all(spec), &[])), expected);
}

#[test]
fn a_window_after_the_time_that_is_looked_at_is_later() {
    let spec = "{nodeSelector: {}, blackouts: [{from: '2026-10-01', to: '2026-10-30'}]}";
    let expected = ["n1", "n2", "n3"].map(|name| format!("{name} later WindowClosed"));
    assert_eq!(lines(&cluster(three(), &all(spec), &[])), expected);
}

#[test]
fn nothing_is_foreseen_where_nothing_is_needed() {
    let nodes = vec![idle("n1", &[])];
    assert_eq!(lines(&cluster(nodes, "", &[])), Vec::<String>::new());
}

/// The budget of a pool and the one of the control plane hold at every moment, and nobody reboots twice.
#[test]
fn simulated_histories_keep_the_budgets() {
    const ROLE: (&str, &str) = ("node-role.kubernetes.io/control-plane", "");
    for budget in 1..=4 {
        for controllers in 0..=3 {
            let nodes = (0..9).map(|number| {
                let labels: &[_] = if number < controllers { &[ROLE] } else { &[] };
                waiting(&format!("n{number}"), labels)
            });
            let spec = format!(
                "{{nodeSelector: {{}}, maxUnavailable: {budget}, settle: {}m, canary: {{count: 2, soak: 20m}}, windows: [{{start: '21:00', duration: 40m}}]}}",
                budget - 1
            );
            let found = foreseen(&cluster(nodes.collect(), &all(&spec), &[]), 14);
            let reboots = &found.reboots;
            assert_eq!(
                (reboots.len(), found.left.len()),
                (9, 0),
                "{spec}: {found:#?}"
            );
            for one in reboots {
                let with = reboots
                    .iter()
                    .filter(|other| other.granted <= one.granted && one.granted < other.done);
                let names: Vec<_> = with.map(|other| other.node.to_string()).collect();
                let of_the_control_plane = names
                    .iter()
                    .filter(|name| name[1..].parse::<usize>().unwrap() < controllers);
                assert!(names.len() <= budget, "{spec}: {names:?}");
                assert!(of_the_control_plane.count() <= 1, "{spec}: {names:?}");
            }
        }
    }
}

#[test]
fn a_declared_release_is_staged_and_rolled_out() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let spec = format!("{{nodeSelector: {{}}, release: {{image: 'quay.io/acme/os@{digest}'}}}}");
    let name: PoolName = "all".parse().unwrap();
    let cluster = cluster(vec![idle("n1", &[])], &all(&spec), &[]);
    let found = foreseen(&cluster, 7);
    let [reboot] = &found.reboots[..] else {
        panic!("{found:#?}");
    };
    assert_eq!(reboot.release.to_string(), digest);
    assert_eq!(reboot.granted.since(found.from), ASSUMED.stage);
    assert!(found.turns.iter().all(|turn| turn.pool == name));
}

#[test]
fn what_ends_with_time_is_later_and_what_does_not_is_never() {
    let soak = "{nodeSelector: {}, canary: {count: 1, soak: 160h}}";
    let mut tried = cluster(three(), &all(soak), &[]);
    let found: Vec<_> = lines(&tried)
        .into_iter()
        .filter(|line| line.contains(" later "))
        .collect();
    assert_eq!(
        found,
        Vec::<String>::new(),
        "160 h are over within the week"
    );
    let until = tried.at.later(SignedDuration::from_hours(24));
    let policy = tried.config().unwrap().policy();
    let seen = tried.seen().unwrap();
    let short = forecast(seen, &policy, ASSUMED, tried.at, until).unwrap();
    let left: Vec<_> = short
        .left
        .iter()
        .map(|left| (left.node.as_str(), left.later))
        .collect();
    assert_eq!(left, [("n2", true), ("n3", true)]);

    let pause = |until: serde_json::Value| serde_json::json!({"metadata": {"name": "p"}, "spec": {"scope": "All", "until": until}});
    tried.pauses = vec![pause("2026-11-01T00:00:00Z".into())];
    assert!(foreseen(&tried, 7).left.iter().all(|left| left.later));
    tried.pauses = vec![pause(serde_json::Value::Null)];
    assert!(foreseen(&tried, 7).left.iter().all(|left| !left.later));

    let never = "{nodeSelector: {}, blackouts: [{from: '2026-10-01', to: '9998-12-30'}]}";
    let found = foreseen(&cluster(three(), &all(never), &[]), 7);
    assert_eq!(found.left.len(), 3);
}

#[test]
fn a_node_that_is_not_where_it_is_to_go_is_left() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let spec = format!("{{nodeSelector: {{}}, release: {{image: 'quay.io/acme/os@{digest}'}}}}");
    let mut held = idle("n2", &[]);
    held.annotations.insert(
        cuo_core::keys::REASON.to_owned(),
        "DiskFull: no room".to_owned(),
    );
    let cluster = cluster(vec![idle("n1", &[]), held], &all(&spec), &[]);
    let policy = cluster.config().unwrap().policy();
    let until = cluster.at.later(SignedDuration::from_mins(2));
    let found = forecast(cluster.seen().unwrap(), &policy, ASSUMED, cluster.at, until).unwrap();
    let left: Vec<_> = found
        .left
        .iter()
        .map(|left| format!("{} {} {}", left.node, left.later, left.reason.code))
        .collect();
    assert_eq!(left, ["n1 true ReleasePending", "n2 false AgentHolds"]);
}

#[test]
fn a_cordon_of_somebody_else_stays_and_counts() {
    let mut cordoned = waiting("n1", &[]);
    cordoned.unschedulable = true;
    let spec = "{nodeSelector: {}, cordoned: Update}";
    let found = lines(&cluster(
        vec![cordoned, waiting("n2", &[])],
        &all(spec),
        &[],
    ));
    let expected = ["n1 01 21:00:00 to 01 21:07:00", "n2 never BudgetExhausted"];
    assert_eq!(found, expected);
}
