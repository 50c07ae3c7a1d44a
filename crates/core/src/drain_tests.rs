use super::*;
use crate::selector::Selector;

fn pod(name: &str) -> RawPod {
    RawPod {
        namespace: "default".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        ..RawPod::default()
    }
}

fn owned(name: &str, kind: &str) -> RawPod {
    RawPod {
        controller: Some(kind.into()),
        ..pod(name)
    }
}

fn going(name: &str) -> RawPod {
    RawPod {
        terminating: true,
        ..pod(name)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn tried(name: &str, second: i64, how: How, refused: Option<&str>) -> EvictionTry {
    EvictionTry {
        uid: format!("uid-{name}"),
        at: at(second),
        how,
        refused: refused.map(str::to_owned),
    }
}

fn selected(value: &str) -> Selector {
    Selector {
        match_labels: [("app".to_owned(), value.to_owned())].into(),
        ..Selector::default()
    }
}

const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// Each kind of pod, and what the usual and a strict policy do about it.
#[test]
fn only_pods_that_run_something_which_does_not_come_back_must_leave() {
    let strict = DrainPolicy {
        empty_dir: Treatment::Block,
        unmanaged: Treatment::Block,
        ..DrainPolicy::default()
    };
    let choosy = DrainPolicy {
        pod_selector: selected("web"),
        skip_namespaces: ["kept".to_owned()].into(),
        ..DrainPolicy::default()
    };
    let labelled = |pod: RawPod| RawPod {
        labels: [("app".to_owned(), "web".to_owned())].into(),
        ..pod
    };
    let mirror = |pod| RawPod {
        mirror: true,
        ..pod
    };
    let completed = |pod| RawPod {
        completed: true,
        ..pod
    };
    let scratch = RawPod {
        empty_dir: true,
        ..owned("scratch", "ReplicaSet")
    };
    let elsewhere = RawPod {
        namespace: "kept".into(),
        ..labelled(owned("elsewhere", "ReplicaSet"))
    };
    let (leaves, stays, kept) = ("leaves", "stays", "kept");
    let cases = [
        (owned("web", "ReplicaSet"), [leaves, leaves, stays]),
        (
            labelled(owned("web", "ReplicaSet")),
            [leaves, leaves, leaves],
        ),
        (elsewhere, [leaves, leaves, stays]),
        (owned("db", "StatefulSet"), [leaves, leaves, stays]),
        (labelled(owned("log", "DaemonSet")), [stays, stays, stays]),
        (labelled(owned("static", "Node")), [stays, stays, stays]),
        (labelled(mirror(pod("mirror"))), [stays, stays, stays]),
        (
            labelled(completed(owned("job", "Job"))),
            [stays, stays, stays],
        ),
        (labelled(pod("bare")), [leaves, kept, leaves]),
        (labelled(scratch), [leaves, kept, leaves]),
        (labelled(going("going")), [leaves, leaves, leaves]),
        // Its containers have ended, but a finalizer holds it.
        (labelled(completed(going("held"))), [leaves, leaves, leaves]),
    ];
    for (pod, expected) in cases {
        let policies = [DrainPolicy::default(), strict.clone(), choosy.clone()];
        for (policy, expected) in policies.iter().zip(expected) {
            let pods = [pod.clone()];
            let left = left(&pods, policy);
            let found = match (left.leaving.len(), left.kept.len()) {
                (1, 0) => leaves,
                (0, 1) => kept,
                _ => stays,
            };
            assert_eq!(found, expected, "{pod:?} with {policy:?}");
        }
    }
}

#[test]
fn what_leaves_is_told_by_name() {
    let pods = [pod("b"), pod("a")];
    let left = left(&pods, &DrainPolicy::default());
    let names: Vec<_> = left.leaving.iter().map(|pod| name(pod)).collect();
    assert_eq!(names, ["default/a", "default/b"]);
}

fn leaving(pods: &[RawPod]) -> Left<'_> {
    Left {
        leaving: pods.iter().collect(),
        kept: vec![],
    }
}

#[test]
fn a_refused_eviction_is_tried_again_and_told() {
    let pods = [
        pod("fresh"),
        pod("refused"),
        pod("accepted"),
        going("going"),
    ];
    let tries = [
        tried("refused", 0, How::Evict, Some("budget")),
        tried("accepted", 2, How::Evict, None),
        tried("going", 0, How::Evict, None),
    ];
    let expected = |remove: &[&str], wake| Round {
        remove: remove.iter().map(|name| pod(name)).collect(),
        wake,
        blocked: vec!["default/refused: budget".into()],
        going: vec![
            "default/fresh is asked to leave".into(),
            "default/accepted is asked to leave".into(),
            "default/going is ending".into(),
        ],
    };
    let round = |now| super::round(&leaving(&pods), &tries, (How::Evict, None), RETRY, at(now));
    assert_eq!(round(3), expected(&["fresh"], Some(at(5))));
    let all = ["fresh", "refused", "accepted"];
    assert_eq!(round(7), expected(&all, None));
    assert_eq!(round(-100), expected(&all, None), "the clock went back");
}

/// An API server that takes its time would otherwise be asked about the same pods again before it was asked about the others.
#[test]
fn a_round_is_short_and_those_that_waited_longest_come_first() {
    let names: Vec<_> = (0..20).map(|number| format!("p{number:02}")).collect();
    let pods: Vec<_> = names.iter().map(|name| pod(name)).collect();
    let mut tries = Vec::new();
    let mut asked = Vec::new();
    for turn in 0..3 {
        let now = at(turn * 100);
        let round = super::round(&leaving(&pods), &tries, (How::Evict, None), RETRY, now);
        assert_eq!(round.remove.len(), AT_ONCE);
        for pod in round.remove {
            tries.push(tried(&pod.name, turn * 100, How::Evict, Some("no")));
            asked.push(pod.name);
        }
    }
    let (first, again) = asked.split_at(20);
    assert_eq!(first, names);
    assert_eq!(again, &names[..4]);
}

#[test]
fn pods_are_deleted_whatever_was_refused_and_killed_once() {
    let pods = [pod("refused"), going("going")];
    let mut tries = vec![tried("refused", 9, How::Evict, Some("budget"))];
    let remove = |tries: &[EvictionTry], removal| {
        let round = super::round(&leaving(&pods), tries, removal, RETRY, at(10));
        let names = round.remove.into_iter().map(|pod| pod.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(remove(&tries, (How::Delete, None)), ["refused"]);
    // Less time than it has: it is told once.
    let short = (How::Delete, Some(3));
    assert_eq!(remove(&tries, short), ["refused", "going"]);
    tries.push(tried("going", 1, How::Delete, None));
    tries.push(tried("refused", 9, How::Delete, None));
    assert!(remove(&tries, short).is_empty());
    assert_eq!(remove(&tries, (How::Kill, None)), ["refused", "going"]);
    tries.push(tried("going", 1, How::Kill, Some("no")));
    tries.push(tried("refused", 1, How::Kill, None));
    assert!(remove(&tries, (How::Kill, None)).is_empty());
}

#[test]
fn what_is_asked_before_the_drain_is_asked_about_each_pod_and_counts_for_a_while() {
    let scratch = RawPod {
        empty_dir: true,
        ..owned("scratch", "ReplicaSet")
    };
    let pods = [
        owned("a", "ReplicaSet"),
        going("b"),
        owned("c", "Job"),
        scratch,
    ];
    let policy = DrainPolicy {
        empty_dir: Treatment::Block,
        ..DrainPolicy::default()
    };
    let left = left(&pods, &policy);
    let preflight = |answers: &[EvictionTry], now| super::preflight(&left, answers, at(now));
    let asks = |names: &[usize]| {
        let pods = names.iter().map(|at| pods[*at].clone());
        Preflight::Ask(pods.collect())
    };
    assert_eq!(preflight(&[], 0), asks(&[0, 2]));
    let answers = [
        tried("a", 10, How::Evict, Some("budget")),
        tried("c", 20, How::Evict, None),
    ];
    assert_eq!(preflight(&answers[..1], 20), asks(&[2]));
    let lines = vec![
        "default/scratch: its emptyDir volume would be lost".to_owned(),
        "default/a: budget".into(),
    ];
    assert_eq!(preflight(&answers, 20), Preflight::Asked(lines));
    assert_eq!(preflight(&answers, 71), asks(&[0]));
    // The clock went back.
    assert_eq!(preflight(&answers, 5), asks(&[0, 2]));
}

#[test]
fn a_pod_that_blocks_is_found_by_namespace_and_labels_while_it_runs() {
    let labelled = |namespace: &str, completed| RawPod {
        namespace: namespace.into(),
        labels: [("app".to_owned(), "batch".to_owned())].into(),
        completed,
        ..pod("p")
    };
    let wanted = |namespace: Option<&str>, value: &str| PodMatch {
        namespace: namespace.map(str::to_owned),
        selector: selected(value),
    };
    let cases = [
        (vec![wanted(None, "batch")], labelled("a", false), true),
        (vec![wanted(None, "batch")], labelled("a", true), false),
        (vec![wanted(Some("a"), "batch")], labelled("a", false), true),
        (
            vec![wanted(Some("b"), "batch")],
            labelled("a", false),
            false,
        ),
        (vec![wanted(None, "other")], labelled("a", false), false),
        (
            vec![wanted(None, "other"), wanted(None, "batch")],
            labelled("a", false),
            true,
        ),
        (vec![], labelled("a", false), false),
    ];
    for (wanted, pod, expected) in cases {
        assert_eq!(blocking(&[pod], &wanted).is_some(), expected, "{wanted:?}");
    }
}

#[test]
fn volumes_of_pods_that_stay_may_be_in_use() {
    let with = |pod: RawPod, claim: &str| RawPod {
        claims: [claim.to_owned()].into(),
        ..pod
    };
    let done = RawPod {
        completed: true,
        ..owned("done", "Job")
    };
    let pods = [
        with(owned("log", "DaemonSet"), "logs"),
        with(owned("web", "ReplicaSet"), "pages"),
        with(done, "results"),
    ];
    let found = claims_that_stay(&pods, &DrainPolicy::default());
    let logs = Claim {
        namespace: "default".into(),
        name: "logs".into(),
    };
    assert_eq!(found, [logs].into());
}

#[test]
fn what_is_told_begins_with_what_is_blocked_and_names_a_few() {
    let held = RawPod {
        completed: true,
        finalizers: vec!["example.com/stay".into()],
        ..going("held")
    };
    let mut pods = vec![held];
    let told = |pods: &[RawPod], tries: &[EvictionTry], how| {
        let round = super::round(&leaving(pods), tries, (how, None), RETRY, at(10));
        super::told(&round, how)
    };
    assert_eq!(
        told(&pods, &[], How::Evict),
        "1 pod is leaving: default/held has ended and is held by example.com/stay"
    );
    pods.extend(["a", "b", "c", "d"].map(pod));
    let names = "default/held has ended and is held by example.com/stay; default/b is asked to leave; \
                 default/c is asked to leave; and 1 more";
    let refused = [tried("a", 9, How::Evict, Some("budget"))];
    let text = told(&pods, &refused, How::Delete);
    assert_eq!(
        text,
        format!("blocked: default/a: budget. Also, 4 pods are being deleted: {names}")
    );
    assert_eq!(blocked_part(&text), Some("default/a: budget."));
    let text = told(&pods[1..2], &refused, How::Evict);
    assert_eq!(text, "blocked: default/a: budget.");
    assert_eq!(blocked_part(&told(&pods, &[], How::Evict)), None);
}
