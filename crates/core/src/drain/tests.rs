use jiff::SignedDuration;

use super::*;
use crate::selector::Selector;
use crate::time::Tick;

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

fn at(second: u64) -> Tick {
    Tick::after(std::time::Duration::from_secs(second))
}

fn said(name: &str, second: u64, how: How, answer: Answer) -> EvictionTry {
    EvictionTry {
        uid: format!("uid-{name}"),
        at: at(second),
        how,
        answer,
    }
}

fn tried(name: &str, second: u64, how: How, refused: Option<&str>) -> EvictionTry {
    let answer = refused.map_or(Answer::Accepted, |why| Answer::Refused(why.to_owned()));
    said(name, second, how, answer)
}

fn blocked(pod: &str, why: &str) -> Blocked {
    let (pod, why) = (pod.to_owned(), why.to_owned());
    Blocked { pod, why }
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
            let left = left(&pods, policy, None);
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
    let left = left(&pods, &DrainPolicy::default(), None);
    let names: Vec<_> = left.leaving.iter().map(|pod| name(pod)).collect();
    assert_eq!(names, ["default/a", "default/b"]);
}

fn leaving(pods: &[RawPod]) -> Left<'_> {
    Left {
        leaving: pods.iter().collect(),
        ..Left::default()
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
        blocked: vec![blocked("default/refused", "budget")],
        going: vec![
            "default/fresh is asked to leave".into(),
            "default/accepted is asked to leave".into(),
            "default/going is ending".into(),
        ],
        newcomers: vec![],
    };
    let round = |now| super::round(&leaving(&pods), &tries, (How::Evict, None), RETRY, at(now));
    assert_eq!(round(3), expected(&["fresh"], Some(at(5))));
    let all = ["fresh", "refused", "accepted"];
    assert_eq!(round(7), expected(&all, None));
}

/// A webhook may take 30 s, and the pods beside its own have nothing to do with that.
#[test]
fn a_call_that_takes_its_time_is_not_repeated_and_holds_up_no_other_pod() {
    let pods = [pod("slow"), pod("lost"), pod("web")];
    let mut tries = vec![
        said("slow", 0, How::Evict, Answer::Open),
        said("lost", 0, How::Evict, Answer::Lost),
    ];
    let round = |tries: &[EvictionTry], now| {
        super::round(&leaving(&pods), tries, (How::Evict, None), RETRY, at(now))
    };
    let names =
        |round: &Round| -> Vec<_> { round.remove.iter().map(|pod| pod.name.clone()).collect() };
    let first = round(&tries, 3);
    assert_eq!(
        (names(&first), first.wake),
        (vec!["web".to_owned()], Some(at(5)))
    );
    let slow = "default/slow is asked to leave, and the API server has yet to answer";
    assert_eq!(first.going[0], slow);
    assert_eq!(names(&round(&tries, 40)), ["web", "lost"]);
    // Another kind of call about it does not wait for the first.
    let delete = super::round(&leaving(&pods), &tries, (How::Delete, None), RETRY, at(40));
    assert_eq!(names(&delete), ["slow", "lost", "web"]);
    // No more of them at once than there may be.
    tries.extend((0..AT_ONCE - 2).map(|n| said(&n.to_string(), 0, How::Evict, Answer::Open)));
    assert_eq!(names(&round(&tries, 40)), ["web"]);
    tries.push(said("web", 40, How::Evict, Answer::Open));
    assert_eq!(names(&round(&tries, 40)), [""; 0]);
}

/// What stands on the Node would else change with each try.
#[test]
fn a_refusal_holds_until_the_next_answer() {
    let pods = [pod("web")];
    let mut tries = vec![said("web", 0, How::Evict, Answer::Refused("no".into()))];
    let round = |tries: &[EvictionTry], now| {
        super::round(&leaving(&pods), tries, (How::Evict, None), RETRY, at(now))
    };
    let blocked = vec![Blocked::new(&pods[0], "no")];
    assert_eq!(round(&tries, 1).blocked, blocked);
    tries.push(said("web", 6, How::Evict, Answer::Open));
    let asked = round(&tries, 40);
    assert_eq!((asked.blocked, asked.remove), (blocked, vec![]));
    tries.push(said("web", 41, How::Evict, Answer::Accepted));
    assert_eq!(round(&tries, 42).going, ["default/web is asked to leave"]);
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
    assert_eq!(again, [&names[..16], &names[..12]].concat());
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
    // Less time than it has: it is reported once.
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
fn each_pod_is_asked_about_once_before_the_drain() {
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
    let left = left(&pods, &policy, None);
    let outlook = |answers: &[EvictionTry]| super::outlook(&left, answers);
    let asks = |names: &[usize]| {
        let pods = names.iter().map(|at| pods[*at].clone());
        Outlook::Ask(pods.collect())
    };
    let open = said("c", 20, How::Evict, Answer::Open);
    let lost = said("c", 20, How::Evict, Answer::Lost);
    let refused = tried("a", 10, How::Evict, Some("budget"));
    let accepted = tried("c", 20, How::Evict, None);
    let known = vec![blocked("default/a", "budget")];
    let cases = [
        (vec![], asks(&[0, 2])),
        (vec![refused.clone()], asks(&[2])),
        (vec![open.clone()], asks(&[0])),
        (
            vec![refused.clone(), open],
            Outlook::Open(vec!["default/c".into()]),
        ),
        (vec![refused.clone(), lost], asks(&[2])),
        // However long ago.
        (vec![refused, accepted], Outlook::Known(known)),
    ];
    for (answers, expected) in cases {
        assert_eq!(outlook(&answers), expected, "{answers:?}");
    }
}

/// By the API server's clock, to the second.
#[test]
fn what_comes_to_a_cordoned_node_and_would_come_again_stays() {
    let cordoned = Some(Time::from_second(1000));
    let made = |second, tolerates_cordon, placed| RawPod {
        created: Some(Time::from_second(second)),
        tolerates_cordon,
        placed,
        ..owned("web", "ReplicaSet")
    };
    let (leaves, stays) = ((1, 0), (0, 1));
    let cases = [
        (made(999, true, false), cordoned, leaves),
        (made(999, true, true), cordoned, leaves),
        (made(1000, true, true), cordoned, stays),
        (made(1001, true, false), cordoned, stays),
        (made(1001, false, true), cordoned, stays),
        // The scheduler had not heard of the cordon yet: the next one goes elsewhere.
        (made(1001, false, false), cordoned, leaves),
        (made(1001, true, true), None, leaves),
        (
            RawPod {
                created: None,
                ..made(0, true, true)
            },
            cordoned,
            leaves,
        ),
        (
            RawPod {
                terminating: true,
                ..made(1001, true, true)
            },
            cordoned,
            leaves,
        ),
    ];
    for (pod, cordoned, expected) in cases {
        let pods = [RawPod {
            claims: ["pages".to_owned()].into(),
            ..pod.clone()
        }];
        let policy = DrainPolicy::default();
        let left = left(&pods, &policy, cordoned);
        let found = (left.leaving.len(), left.newcomers.len());
        assert_eq!(found, expected, "{pod:?}, {cordoned:?}");
        let claims = claims_that_stay(&pods, &policy, cordoned);
        assert_eq!(claims.len(), found.1, "{pod:?}, {cordoned:?}");
    }
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
    let found = claims_that_stay(&pods, &DrainPolicy::default(), None);
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
    let reported = |pods: &[RawPod], tries: &[EvictionTry], how| {
        let round = super::round(&leaving(pods), tries, (how, None), RETRY, at(10));
        super::reported(&round, how)
    };
    assert_eq!(
        reported(&pods, &[], How::Evict),
        "1 pod is leaving: default/held has ended and is held by example.com/stay."
    );
    pods.extend(["a", "b", "c", "d"].map(pod));
    let names = "default/held has ended and is held by example.com/stay; default/b is asked to leave; \
                 default/c is asked to leave; and 1 more";
    let refused = [tried("a", 9, How::Evict, Some("budget"))];
    let text = reported(&pods, &refused, How::Delete);
    assert_eq!(
        text,
        format!("blocked: default/a: budget. 4 pods are being deleted: {names}.")
    );
    let text = reported(&pods[1..2], &refused, How::Evict);
    assert_eq!(text, "blocked: default/a: budget.");
}

#[test]
fn what_came_after_the_cordon_is_told_by_name() {
    let cases = [
        (vec![], None),
        (vec!["d/a"], Some("d/a came after the cordon and stays.")),
        (
            vec!["d/a", "d/b"],
            Some("d/a; d/b came after the cordon and stay."),
        ),
    ];
    for (names, expected) in cases {
        let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
        assert_eq!(stay(&names).as_deref(), expected);
    }
}
