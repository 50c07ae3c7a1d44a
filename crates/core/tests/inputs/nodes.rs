//! What stands on a Node.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use cuo_core::ids::{BootId, GrantId, NodeName, ReleaseId};
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::raw::RawNode;
use cuo_core::reason::{Code, Reason};
use cuo_core::selector::{Operator, Requirement, Selector};
use cuo_core::time::Time;
use cuo_core::values::{
    Booted, Cordoned, DrainMode, DrainPolicy, Failure, Failures, Field, Grant, Granted, Names,
    OnTimeout, Outcome, Phase, PodChecks, PodMatch, Progress, RebootResult, Reservation, Status,
    Treatment, to_json,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::mutated::{any_or, config, mutated};

/// Keys, each with a value as CUO writes it.
fn valid() -> Vec<(&'static str, String)> {
    let (id, boot) = (GrantId { seq: 17, salt: 9 }, BootId::from_bytes([3; 16]));
    let (commit, image) = (ReleaseId::Commit([0xab; 32]), ReleaseId::Image([7; 32]));
    let at = Time::EPOCH;
    let selector = Selector {
        match_labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        match_expressions: vec![Requirement {
            key: "tier".to_owned(),
            operator: Operator::NotIn,
            values: ["a".to_owned()].into(),
        }],
    };
    let grant = Grant {
        id,
        identity: image,
        boot,
        issued: at,
        deadline: at,
        drain: DrainPolicy {
            on_timeout: OnTimeout::Force,
            grace_period_seconds: Some(30),
            empty_dir: Treatment::Block,
            pod_selector: selector.clone(),
            skip_namespaces: ["a".to_owned()].into(),
            mode: DrainMode::None,
            ..DrainPolicy::default()
        },
        pods: PodChecks {
            blocking: vec![PodMatch {
                namespace: Some("a".to_owned()),
                selector,
            }],
            daemon_sets_ready: true,
        },
        cordoned: Cordoned::Update,
    };
    let code = Code::ALL[0];
    let failure = |identity| Failure {
        identity,
        code: code.into(),
        at,
    };
    let status = Status {
        phase: Phase::Waiting,
        since: at,
    };
    let reserved = Reservation {
        id,
        identity: commit,
        boot,
    };
    let progress = Progress {
        id,
        identity: image,
        boot,
        accepted: at,
    };
    let booted = Booted {
        identity: commit,
        version: "44.1".to_owned(),
        boot,
        since: at,
    };
    let result = RebootResult {
        id,
        outcome: Outcome::Failed,
        code: Some(code.into()),
        at,
    };
    let failed = Failures {
        identities: vec![failure(commit), failure(image)],
    };
    let granted = Granted {
        identities: vec![commit, image],
    };
    let reason = Reason::new(code, "default/web: it is so");
    vec![
        (keys::PROTOCOL, keys::VERSION.to_string()),
        (keys::STATUS, status.to_string()),
        (keys::REASON, reason.to_string()),
        (keys::REBOOT_NEEDED, image.to_string()),
        (keys::AGENT_MADE_UNSCHEDULABLE, id.to_string()),
        (keys::BOOTED, to_json(&booted)),
        (keys::REBOOT_IN_PROGRESS, to_json(&progress)),
        (keys::REBOOT_RESULT, to_json(&result)),
        (keys::FAILED, to_json(&failed)),
        (keys::REBOOT_RESERVED, to_json(&reserved)),
        (keys::REBOOT_OK, to_json(&grant)),
        (keys::GRANTED, to_json(&granted)),
        (keys::FEATURES, "cordoned,drain-mode".to_owned()),
        (keys::CONTROL_PLANE_PODS, "etcd".to_owned()),
        (keys::ONLY_NODE, "true".to_owned()),
    ]
}

/// A key with something like its value, or with anything.
fn pair() -> impl Strategy<Value = (String, String)> {
    let all: Vec<_> = valid().into_iter().map(|(_, value)| value).collect();
    let near = valid().into_iter().map(|(key, value)| {
        // Mostly its own; those of other keys are nothing to it, or get into it.
        let values = [vec![value; all.len()], all.clone()].concat();
        (Just(key.to_owned()), mutated(values)).boxed()
    });
    let own: Vec<_> = keys::TABLE.iter().map(|key| key.name.to_owned()).collect();
    let keys = prop_oneof![4 => select(own), 1 => any::<String>()];
    prop_oneof![6 => Union::new(near), 1 => (keys, any_or(all))]
}

fn values() -> impl Strategy<Value = BTreeMap<String, String>> {
    vec(pair(), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

#[test]
fn what_is_changed_by_chance_is_understood_as_it_is() {
    let own = valid().into_iter();
    let raw = RawNode {
        name: "n1".to_owned(),
        annotations: own.map(|(key, value)| (key.to_owned(), value)).collect(),
        ..RawNode::default()
    };
    let view = NodeView::parse(&raw).unwrap();
    let (agent, operator) = (&view.agent, &view.operator);
    let understood = [
        view.protocol.value().is_some(),
        agent.status.value().is_some(),
        agent.reason.value().is_some(),
        agent.needed.value().is_some(),
        agent.owned.value().is_some(),
        agent.booted.value().is_some(),
        agent.progress.value().is_some(),
        agent.result.value().is_some(),
        agent.failed.value().is_some(),
        operator.reserved.value().is_some(),
        operator.grant.value().is_some(),
        operator.granted.value().is_some(),
        !agent.features.is_empty(),
        !agent.control_plane_pods.is_empty(),
        operator.only_node,
    ];
    assert_eq!(understood, [true; 15]);
}

fn json<T>(found: &Field<T>) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Clone + Debug,
{
    match found {
        Field::Value(value) => {
            let again = Field::json(Some(&to_json(value)));
            prop_assert_eq!(&again, found);
        }
        Field::Malformed(why) => prop_assert!(!why.is_empty()),
        Field::OtherVersion(version) => prop_assert_ne!(*version, keys::VERSION),
        Field::Absent => {}
    }
    Ok(())
}

fn text<T>(found: &Field<T>) -> Result<(), TestCaseError>
where
    T: FromStr + Display + PartialEq + Debug,
    T::Err: Display,
{
    match found {
        Field::Value(value) => {
            let again = Field::text(Some(&value.to_string()));
            prop_assert_eq!(&again, found);
        }
        Field::Malformed(why) => prop_assert!(!why.is_empty()),
        Field::OtherVersion(version) => prop_assert_ne!(*version, keys::VERSION),
        Field::Absent => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_stands_on_a_node_is_read_and_means_the_same_when_it_is_written_again(
        name in any_or(vec!["n1".to_owned(), "worker-1.example.com".to_owned()]),
        annotations in values(),
        labels in values(),
        ids in (any_or(vec![BootId::from_bytes([3; 16]).to_string()]), any_or(vec!["0f".repeat(16)])),
    ) {
        let raw = RawNode {
            name: name.clone(),
            annotations: annotations.clone(),
            labels: labels.clone(),
            boot_id: ids.0,
            machine_id: ids.1,
            ..RawNode::default()
        };
        let Ok(view) = NodeView::parse(&raw) else {
            prop_assert!(name.parse::<NodeName>().is_err());
            return Ok(());
        };
        prop_assert_eq!(view.name.to_string(), name);
        let (agent, operator) = (&view.agent, &view.operator);
        text(&view.protocol)?;
        text(&agent.status)?;
        text(&agent.reason)?;
        text(&agent.needed)?;
        text(&agent.owned)?;
        json(&agent.booted)?;
        json(&agent.progress)?;
        json(&agent.result)?;
        json(&agent.failed)?;
        json(&operator.reserved)?;
        json(&operator.grant)?;
        json(&operator.granted)?;
        for names in [&agent.features, &agent.control_plane_pods] {
            prop_assert_eq!(&Names::read(Some(&names.to_string())), names);
        }
        prop_assert!(agent.suspected.len() <= 64);
        let own = |map: &BTreeMap<String, String>| map.keys().any(|key| keys::TABLE.iter().any(|known| known.name == key));
        prop_assert!(!own(&view.others) && !own(&view.labels));
        let read = (view.others.len(), view.labels.len());
        let foreign = |map: &BTreeMap<String, String>| map.keys().filter(|key| keys::TABLE.iter().all(|known| known.name != *key)).count();
        prop_assert_eq!(read, (foreign(&annotations), foreign(&labels)));
    }
}
