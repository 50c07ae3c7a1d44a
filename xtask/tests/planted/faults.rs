//! The faults that are planted, one at a time.

/// A change of one place that a person could make by mistake.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The file, from the repository's root on.
    pub file: &'static str,
    /// What is there, exactly once.
    pub old: &'static str,
    /// What is there instead.
    pub new: &'static str,
    /// What that would do to somebody.
    pub why: &'static str,
    /// The package whose unit tests find it.
    pub package: &'static str,
    /// The test that fails.
    pub test: &'static str,
}

/// All of them: decisions first, then what reads and writes the API server, then the plan and the agent's steps.
pub const FAULTS: &[Fault] = &[
    Fault {
        file: "crates/core/src/window.rs",
        old: "*start <= at && at < *end",
        new: "*start <= at && at <= *end",
        why: "a window would still be open at the moment at which it ends",
        package: "cuo-core",
        test: "window::tests::open_until",
    },
    Fault {
        file: "crates/core/src/window.rs",
        old: "next.map_or(end, |next| next.min(end))",
        new: "next.map_or(end, |_| end)",
        why: "a grant could last into a blackout",
        package: "cuo-core",
        test: "window::tests::blackouts_close_windows_and_what_is_always_open",
    },
    Fault {
        file: "crates/core/src/selector.rs",
        old: "Operator::NotIn => !listed,",
        new: "Operator::NotIn => found.is_some() && !listed,",
        why: "nodes without the label would be in no pool, unlike in Kubernetes",
        package: "cuo-core",
        test: "selector::tests::demands_hold_as_in_kubernetes",
    },
    Fault {
        file: "crates/core/src/trust.rs",
        old: ".is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))",
        new: ".is_some()",
        why: "a label that nodes write would pass for one that they can't write",
        package: "cuo-core",
        test: "trust::tests::nodes_write_what_node_restriction_lets_them",
    },
    Fault {
        file: "crates/core/src/identity.rs",
        old: "if digits.len() != 2 * N {",
        new: "if digits.len() < 2 * N {",
        why: "two texts would name the same release",
        package: "cuo-core",
        test: "identity::tests::other_texts_are_refused",
    },
    Fault {
        file: "crates/core/src/lease.rs",
        old: "Some(before) if before.record == record => before.since,",
        new: "Some(before) if before.record.holder == record.holder => before.since,",
        why: "a lease would be taken from an operator that renews it",
        package: "cuo-core",
        test: "lease::tests::only_a_change_of_the_record_starts_its_time_anew",
    },
    Fault {
        file: "crates/core/src/survey.rs",
        old: "self.runs(ZINCATI) && !self.zincati_off",
        new: "self.runs(ZINCATI) && self.zincati_off",
        why: "two programs would update the same host",
        package: "cuo-core",
        test: "survey::tests::only_what_runs_and_updates_is_a_rival",
    },
    Fault {
        file: "crates/core/src/drain.rs",
        old: "if created >= cordoned)",
        new: "if created > cordoned)",
        why: "a pod that comes back within the second of the cordon would be evicted for ever",
        package: "cuo-core",
        test: "drain::tests::what_comes_to_a_cordoned_node_and_would_come_again_stays",
    },
    Fault {
        file: "crates/core/src/drain/rounds.rs",
        old: "if !again || before.is_some_and(|before| before.answer == Answer::Open) {",
        new: "if !again {",
        why: "an eviction that a webhook holds up would be sent again and again",
        package: "cuo-core",
        test: "drain::tests::a_call_that_takes_its_time_is_not_repeated_and_holds_up_no_other_pod",
    },
    Fault {
        file: "crates/cluster/src/node.rs",
        old: "metadata.insert(\"resourceVersion\".into(), json!(patch.resource_version));",
        new: "",
        why: "a write to a Node would undo what somebody else wrote meanwhile",
        package: "cuo-cluster",
        test: "node::tests::a_patch_holds_the_version_and_only_what_changes",
    },
    Fault {
        file: "crates/cluster/src/evict.rs",
        old: "uid: Some(pod.uid.clone()),\n            ..Preconditions",
        new: "uid: None,\n            ..Preconditions",
        why: "the pod that came in place of the one that left would be evicted, too",
        package: "cuo-cluster",
        test: "evict::tests::each_request_names_the_pod_by_its_uid_and_its_time_to_end",
    },
    Fault {
        file: "crates/cluster/src/watch.rs",
        old: "Ok(None) if open.since.elapsed() < TOO_SHORT => {",
        new: "Ok(None) if open.since.elapsed() > TOO_SHORT => {",
        why: "an API server that is shutting down would be asked for watches without a pause",
        package: "cuo-cluster",
        test: "watch::tests::after_every_kind_of_failure_the_present_is_told_again",
    },
    Fault {
        file: "crates/cluster/src/watch.rs",
        old: "open.version = object.resource_version().to_owned();\n                Ok(Some(Change::Changed",
        new: "Ok(Some(Change::Changed",
        why: "a watch that goes on would tell what was told already, or find its version too old",
        package: "cuo-cluster",
        test: "watch::tests::a_new_client_takes_the_watch_over_where_it_was",
    },
    Fault {
        file: "crates/cluster/src/wire.rs",
        old: "(self.key.is_empty() && exists)",
        new: "self.key.is_empty()",
        why: "pods that the cordon keeps away would count as coming back",
        package: "cuo-cluster",
        test: "wire::tests::a_toleration_is_for_cordons_as_the_scheduler_sees_it",
    },
    Fault {
        file: "operator/src/run/writes.rs",
        old: "now < trouble.until || sent.is_some_and(|sent| sent.slow)",
        new: "now < trouble.until",
        why: "one Node whose writes hang would hold up all others",
        package: "cuo-operator",
        test: "run::writes::tests::a_write_that_takes_its_time_is_left_out_of_account",
    },
    Fault {
        file: "operator/src/run/pause.rs",
        old: "self.until = on.max(Some(now + scattered(pause, least)));",
        new: "self.until = Some(now + scattered(pause, least));",
        why: "the last of many failures would cut the pause short that another one asked for",
        package: "cuo-operator",
        test: "run::pause::tests::a_burst_of_failures_is_one",
    },
    Fault {
        file: "crates/core/src/plan/slot.rs",
        old: "deadline: closes.map_or(limit, |end| end.min(limit)),",
        new: "deadline: closes.map_or(limit, |_| limit),",
        why: "a node could accept its grant after the window has closed",
        package: "cuo-core",
        test: "plan::tests::a_grant_lapses_with_its_window_at_the_latest",
    },
    Fault {
        file: "crates/core/src/plan/order.rs",
        old: "let number = part.trim_start_matches('0');",
        new: "let number = part;",
        why: "of two versions the newer would pass for the older",
        package: "cuo-core",
        test: "plan::order::tests::versions_are_compared_as_numbers_and_words",
    },
    Fault {
        file: "crates/core/src/agent/health.rs",
        old: "up.max(since.later(span))",
        new: "up.min(since.later(span))",
        why: "a clock that is set forward would make a node fail that is well",
        package: "cuo-core",
        test: "agent::tests::health::a_clock_that_is_set_is_no_deadline",
    },
];
