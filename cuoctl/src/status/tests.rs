use cuo_core::keys;
use jiff::SignedDuration;

use super::{Status, ago};
use crate::cluster::Cluster;
use crate::durations::Took;
use crate::print::Screen;
use crate::testing::{cluster, idle, new, pool, waiting};
use crate::why::Why;

#[test]
fn pools_and_nodes_are_shown_with_what_they_wait_for() {
    let nodes = vec![
        idle("n1", &[]),
        waiting("n2", &[("a", "")]),
        waiting("n3", &[("a", "")]),
    ];
    let a = "{nodeSelector: {matchExpressions: [{key: a, operator: Exists}]}, windows: [{start: '22:00', duration: 1h}]}";
    let cluster = cluster(nodes, &pool("a", a), &[]);
    let status = Status::of(&cluster, &[]).unwrap();
    let expected = "\
POOL        NODES  UPDATED  NEEDING  REBOOTING  FAILED  BUDGET  WINDOW                      WHY
a           2      0        2        0          0       0/1     opens 2026-10-01T22:00:00Z  WindowClosed: pool a: the next window opens 2026-10-01T22:00:00Z
(built-in)  1      1        0        0          0       0/1     open

NODE  PHASE    SINCE  RUNS  NEXT  WHY
n1    idle     30d    1     -
n2    waiting  0s     1     2     WindowClosed: pool a: the next window opens 2026-10-01T22:00:00Z
n3    waiting  0s     1     2     WindowClosed: pool a: the next window opens 2026-10-01T22:00:00Z
";
    assert_eq!(status.text(Screen::PLAIN, false), expected);
    let names = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let status = Status::of(&cluster, &names).unwrap();
        let pools = status.pools.into_iter().map(|pool| pool.name.unwrap());
        let nodes = status.nodes.into_iter().map(|node| node.name);
        pools.chain(nodes).collect::<Vec<_>>()
    };
    assert_eq!(names(&["a"]), ["a", "n2", "n3"]);
    assert_eq!(names(&["n1"]), ["n1"]);
    let error = Status::check_names(&cluster, &["n4".to_owned()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is neither a pool nor a node \"n4\""
    );
}

#[test]
fn a_node_that_is_at_it_is_expected_back_as_soon_as_others_were() {
    let mut busy = waiting("n2", &[]);
    let since = "2026-10-01T20:58:00Z";
    let progress = format!(
        r#"{{"v":1,"id":"1-00000001","identity":"{}","boot":"{}","accepted":"2026-10-01T20:57:00Z"}}"#,
        new(),
        busy.boot_id
    );
    busy.annotations.extend([
        (keys::STATUS.to_owned(), format!("rebooting since {since}")),
        (keys::REBOOT_IN_PROGRESS.to_owned(), progress),
    ]);
    let mut cluster = cluster(vec![idle("n1", &[]), busy], "", &[]);
    let rest = |cluster: &Cluster| {
        let text = Status::of(cluster, &[]).unwrap().text(Screen::PLAIN, false);
        let nodes = text.lines().skip_while(|line| !line.starts_with("NODE"));
        let nodes = nodes.map(|line| line.trim_end().to_owned());
        nodes.collect::<Vec<_>>()
    };
    let expected = |done: &str| {
        [
            "NODE  PHASE      SINCE  DONE IN  RUNS  NEXT  WHY".to_owned(),
            "n1    idle       30d    -        1     -".to_owned(),
            format!(
                "n2    rebooting  2m     {done}       1     2     AgentHolds: the agent is rebooting"
            ),
        ]
    };
    assert_eq!(rest(&cluster), expected("3m"));
    let took = Took {
        drain: SignedDuration::from_mins(1),
        reboot: SignedDuration::from_mins(9),
    };
    cluster.took.insert("n1".to_owned(), took);
    assert_eq!(rest(&cluster), expected("7m"));
}

#[test]
fn an_absent_operator_and_a_pause_are_said_first() {
    let paused = cluster(vec![], "", &["--paused"]);
    let text = Status::of(&paused, &[]).unwrap().text(Screen::PLAIN, false);
    assert!(text.starts_with("All reboots are paused"), "{text}");
    let mut absent = cluster(vec![], "", &[]);
    absent.operator = None;
    let text = Status::of(&absent, &[]).unwrap().text(Screen::PLAIN, false);
    assert!(text.starts_with("No cuo-operator is ready"), "{text}");
}

#[test]
fn ages_have_one_unit() {
    let cases = [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7_200, "2h"),
        (172_800, "2d"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(ago(SignedDuration::from_secs(seconds)), expected);
    }
}

#[test]
fn why_follows_the_chain_from_the_node_to_its_pools() {
    let mut other = waiting("n2", &[]);
    other.ready = false;
    let cluster = cluster(vec![waiting("n1", &[]), other], "", &[]);
    let why = Why::of(&cluster, "n1").unwrap();
    let expected = "\
n1: BudgetExhausted: 1 of 1 in use: n2
What to do: Wait for, or repair, the nodes that the reason names.

ok     node           Ready
ok     agent          waiting for 0s
ok     release        runs 1, a reboot boots 2
ok     built-in pool  a window is open
holds  built-in pool  1 of 2 nodes out of service or about to be, of 1 allowed (in the cluster: n2)
";
    assert_eq!(why.text(), expected);
    let error = Why::of(&cluster, "n3").unwrap_err();
    assert_eq!(error.to_string(), "there is no node \"n3\"");
}
