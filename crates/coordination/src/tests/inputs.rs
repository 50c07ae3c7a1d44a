//! Pools by chance: nothing ends the program, and what is understood is within bounds and stays the same when it is written and read
//! again. `PROPTEST_CASES` says how many.

use cuo_core::pool::{CanaryWho, FoundPool, MaxUnavailable};
use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::pool::{PoolSpec, pool};

#[path = "../../../core/tests/inputs/mutated.rs"]
mod mutated;
use mutated::{any_or, config};

/// A pool with every field.
fn spec() -> Value {
    json!({
        "nodeSelector": {
            "matchLabels": {"pool": "edge"},
            "matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}],
        },
        "maxUnavailable": "10%",
        "paused": true,
        "windows": [
            {"days": ["Mon", "Fri"], "start": "22:00", "duration": "4h", "timeZone": "Europe/Berlin"},
            {"start": "12:00", "duration": "1h30m"},
        ],
        "blackouts": [{"from": "2026-12-24", "to": "2027-01-02", "timeZone": "Europe/Berlin"}],
        "order": {"by": "Zone", "topologyKey": "topology.kubernetes.io/zone", "controlPlane": "First"},
        "canary": {"count": 2, "soak": "24h"},
        "maxFailures": 2,
        "target": {"version": "44.1"},
        "approval": "Manual",
        "approved": [{"identity": "ab".repeat(32)}, {"version": "44.2"}],
        "checks": {
            "before": ["example.com/backup"],
            "after": ["example.com/well"],
            "blockingPods": [{"namespace": "batch", "labelSelector": {"matchLabels": {"job": "x"}}}, {}],
            "daemonSetsReady": true,
        },
        "drain": {
            "timeout": "20m", "gracePeriod": "0s", "onTimeout": "Force", "emptyDir": "Block", "unmanaged": "Block",
            "podSelector": {"matchLabels": {"drain": "yes"}}, "skipNamespaces": ["b", "a"],
            "waitForVolumes": false, "delay": "30s",
        },
        "settle": "10m",
    })
}

/// Texts that mean something in some field.
fn words() -> Vec<String> {
    let words = [
        "22:00",
        "4h",
        "168h",
        "-1s",
        "PT1H",
        "1 week",
        "Mon",
        "2026-12-24",
        "9999-12-31",
        "-009999-01-01",
        "Europe/Berlin",
        "UTC",
        "In",
        "NotIn",
        "Exists",
        "10%",
        "100%",
        "101%",
        "-1%",
        "cuo.coreos.com/id",
        "example.com/a",
        "Automatic",
        "Manual",
        "Name",
    ];
    words.map(str::to_owned).into()
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(vec![-1, 0, 1, 2, i64::MAX]).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_or(words()).prop_map(Value::from),
    ];
    let names: Vec<String> = spec().as_object().unwrap().keys().cloned().collect();
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let name = any_or(names.clone());
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// How many values there are in `value`, itself among them.
fn count(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    inner + 1
}

/// Changes the value at `place`, counted as [`count`] does: another one is put there, or what is in it loses one or gets one more.
fn change(value: &mut Value, place: usize, how: u8, name: &str, new: &Value) {
    let Some(mut place) = place.checked_sub(1) else {
        match (how, value) {
            (0, Value::Object(fields)) => drop(fields.insert(name.to_owned(), new.clone())),
            (0, Value::Array(items)) => items.push(new.clone()),
            (1, Value::Object(fields)) => fields.retain(|field, _| field > &name.to_owned()),
            (1, Value::Array(items)) => drop(items.pop()),
            (_, value) => *value = new.clone(),
        }
        return;
    };
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    for value in inner {
        let size = count(value);
        if place < size {
            return change(value, place, how, name, new);
        }
        place -= size;
    }
}

fn specs() -> impl Strategy<Value = Value> {
    let names = spec().as_object().unwrap().keys().cloned().collect();
    let edit = (any::<Index>(), 0_u8..4, any_or(names), anything());
    let changed = vec(edit, 0..4).prop_map(|edits| {
        let mut spec = spec();
        for (place, how, name, new) in edits {
            let place = place.index(count(&spec));
            change(&mut spec, place, how, &name, &new);
        }
        spec
    });
    prop_oneof![1 => anything(), 8 => changed]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_a_pool_asks_for_is_within_bounds_or_it_is_invalid(spec in specs()) {
        let name = || "p".parse().unwrap();
        let found = pool(name(), &spec);
        let valid = match &found {
            FoundPool::Valid(valid) => valid,
            FoundPool::Invalid { why, .. } => {
                prop_assert!(!why.is_empty());
                return Ok(());
            }
        };
        let written = serde_json::to_value(PoolSpec::deserialize(&spec).unwrap()).unwrap();
        prop_assert_eq!(&pool(name(), &written), &found);

        let longest = SignedDuration::from_hours(168);
        let bounded = |length: SignedDuration| length >= SignedDuration::ZERO && length <= longest;
        prop_assert!(bounded(valid.settle) && valid.max_failures >= 1);
        if let MaxUnavailable::Percent(share) = valid.max_unavailable {
            prop_assert!(share <= 100);
        }
        if let Some(canary) = &valid.canary {
            prop_assert!(bounded(canary.soak));
            if let CanaryWho::Count(count) = canary.who {
                prop_assert!(u32::try_from(count).is_ok());
            }
        }
        let drain = &valid.drain;
        let lengths = [Some(drain.timeout_seconds), drain.grace_period_seconds, Some(drain.delay_seconds)];
        prop_assert!(lengths.into_iter().flatten().all(|seconds| seconds <= 168 * 3600));
        prop_assert_eq!(valid.approved.is_some(), spec["approval"] == "Manual");
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let next = valid.calendar.next_opening(now);
        prop_assert!(next.is_none_or(|next| next > now && valid.calendar.open(now).is_none()));
    }
}
