//! Parses an `UpdatePool`'s `spec` into the pool that decisions use.

use std::fmt::Display;

use cuo_core::ids::{PoolName, ReleaseId};
use cuo_core::keys;
use cuo_core::pool::{Canary, CanaryWho, FoundPool, MaxUnavailable, Order, OrderBy, Pool, Release};
use cuo_core::release::{Declaration, Declared, ImageName};
use cuo_core::selector::{Operator, Selector};
use cuo_core::values::{
    Cordoned, DrainMode, DrainPolicy, OnTimeout, PodChecks, PodMatch, PreflightMode, Treatment,
};
use cuo_core::window::{Blackout, Calendar, Window, Windows};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

use super::spec::{
    Approval, BlackoutSpec, CanarySpec, ChecksSpec, ControlPlaneSpec, CordonedSpec, DeclaredSpec,
    DrainModeSpec, DrainSpec, IntOrText, OnTimeoutSpec, OrderBySpec, OrderSpec, PoolSpec,
    PreflightSpec, ReleaseSpec, TreatmentSpec, WindowSpec,
};

/// Longest time that may be given for anything, as the schema has it.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The pool `name` as its `spec` describes it.
///
/// The API server refuses most invalid specs. What it can't check, or did not with an earlier definition, makes the pool invalid: its nodes
/// are held, because they must not be treated as if no pool selected them.
pub fn pool(name: PoolName, spec: &Value) -> FoundPool {
    let invalid = |selector, why| FoundPool::Invalid {
        name: name.clone(),
        selector,
        why,
    };
    let selector = match spec.get("nodeSelector") {
        None => Ok(Selector::default()),
        Some(selector) => Selector::deserialize(selector).map_err(|error| error.to_string()),
    };
    let selector = selector.and_then(|selector| of_nodes(&selector).map(|()| selector));
    let selector = match selector {
        Ok(selector) => selector,
        Err(why) => return invalid(None, format!("nodeSelector: {why}")),
    };
    let parsed = PoolSpec::deserialize(spec).map_err(|error| error.to_string());
    match parsed.and_then(|spec| valid(&name, spec)) {
        Ok(pool) => FoundPool::Valid(Box::new(pool)),
        Err(why) => invalid(Some(selector), why),
    }
}

/// Adds the name of the field to an error.
trait At<T> {
    fn at(self, field: impl Display) -> Result<T, String>;
}

impl<T, E: Display> At<T> for Result<T, E> {
    fn at(self, field: impl Display) -> Result<T, String> {
        self.map_err(|error| format!("{field}: {error}"))
    }
}

fn valid(name: &PoolName, spec: PoolSpec) -> Result<Pool, String> {
    let each = |field: &'static str| move |index: usize| format!("{field}[{index}]");
    let approved = match spec.approval {
        Approval::Automatic => None,
        Approval::Manual => Some(all(spec.approved, each("approved"), release)?),
    };
    let windows = Windows::new(all(spec.windows, each("windows"), window)?);
    let blackouts = all(spec.blackouts, each("blackouts"), blackout)?;
    let (before, after, pods) = checks(spec.checks)?;
    Ok(Pool {
        name: Some(name.clone()),
        selector: spec.node_selector,
        max_unavailable: max_unavailable(&spec.max_unavailable).at("maxUnavailable")?,
        paused: spec.paused,
        gates: spec.gates,
        calendar: Calendar::new(windows, blackouts),
        order: order(spec.order)?,
        canary: spec.canary.map(canary).transpose()?,
        max_failures: usize::try_from(spec.max_failures.max(1)).at("maxFailures")?,
        release: declared(spec.release, spec.target.is_some()).at("release")?,
        target: spec.target.map(release).transpose().at("target")?,
        approved,
        before,
        after,
        pods,
        drain: drain(spec.drain)?,
        cordoned: match spec.cordoned {
            CordonedSpec::Hold => Cordoned::Hold,
            CordonedSpec::Update => Cordoned::Update,
        },
        settle: optional(spec.settle.as_deref(), "settle")?.unwrap_or_default(),
    })
}

fn all<S, T>(
    specs: Vec<S>,
    field: impl Fn(usize) -> String,
    parse: impl Fn(S) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let specs = specs.into_iter().enumerate();
    specs
        .map(|(index, spec)| parse(spec).at(field(index)))
        .collect()
}

fn max_unavailable(found: &IntOrText) -> Result<MaxUnavailable, String> {
    match found {
        IntOrText::Int(count) => {
            let known = usize::try_from(*count).map(MaxUnavailable::Count);
            known.map_err(|_| format!("{count} is no number of nodes"))
        }
        IntOrText::Text(text) => {
            let share = text.strip_suffix('%').and_then(|share| share.parse().ok());
            let share = share.filter(|share: &u8| *share <= 100);
            let expected = || format!("{text:?} is neither a number nor a share such as \"10%\"");
            share.map(MaxUnavailable::Percent).ok_or_else(expected)
        }
    }
}

fn length(text: &str) -> Result<SignedDuration, String> {
    let found: SignedDuration = text
        .parse()
        .map_err(|error| format!("{text:?} is no length of time: {error}"))?;
    if found.is_negative() || found > LONGEST {
        return Err(format!("{text:?} is not from 0s to 168h"));
    }
    Ok(found)
}

fn optional(text: Option<&str>, field: &str) -> Result<Option<SignedDuration>, String> {
    text.map(length).transpose().at(field)
}

fn seconds(length: SignedDuration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX)
}

fn window(spec: WindowSpec) -> Result<Window, String> {
    let days: Vec<_> = spec.days.iter().map(|day| format!("{day:?}")).collect();
    let WindowSpec {
        start,
        duration,
        time_zone,
        ..
    } = spec;
    // None of them may bring words of its own along.
    for word in [&start, &duration, &time_zone] {
        if word.is_empty() || word.contains(char::is_whitespace) {
            return Err(format!("{word:?} is not one word"));
        }
    }
    let text = format!("{} {start} {duration} {time_zone}", days.join(","));
    text.parse()
        .map_err(|error: cuo_core::window::WindowError| error.to_string())
}

fn blackout(spec: BlackoutSpec) -> Result<Blackout, String> {
    let from = spec.from.parse().at("from")?;
    let to = spec.to.map_or(Ok(from), |to| to.parse()).at("to")?;
    Blackout::new(from, to, &spec.time_zone)
}

fn order(spec: OrderSpec) -> Result<Order, String> {
    let by = match (spec.by, spec.topology_key) {
        (OrderBySpec::Name, None) => OrderBy::Name,
        (OrderBySpec::OldestVersion, None) => OrderBy::OldestVersion,
        (OrderBySpec::Zone, Some(label)) => OrderBy::Zone(label),
        (OrderBySpec::Zone, None) => return Err("order: `by: Zone` needs a `topologyKey`".into()),
        (_, Some(_)) => return Err("order: `topologyKey` goes with `by: Zone` only".into()),
    };
    Ok(Order {
        by,
        control_plane_first: spec.control_plane == ControlPlaneSpec::First,
    })
}

fn canary(spec: CanarySpec) -> Result<Canary, String> {
    let who = match (spec.count, spec.node_selector) {
        (Some(count), None) => CanaryWho::Count(usize::try_from(count).at("canary.count")?),
        (None, Some(selector)) => {
            of_nodes(&selector).at("canary.nodeSelector")?;
            CanaryWho::Nodes(selector)
        }
        _ => return Err("canary: expected either `count` or `nodeSelector`".into()),
    };
    let soak = optional(spec.soak.as_deref(), "canary.soak")?.unwrap_or_default();
    Ok(Canary { who, soak })
}

fn release(spec: ReleaseSpec) -> Result<Release, String> {
    match (spec.identity, spec.version) {
        (Some(identity), None) => identity.parse().map(Release::Id).at("identity"),
        (None, Some(version)) => Ok(Release::Version(version)),
        _ => Err("expected either `identity` or `version`".into()),
    }
}

fn declared(spec: Option<DeclaredSpec>, target: bool) -> Result<Option<Declared>, String> {
    let Some(spec) = spec else { return Ok(None) };
    if target {
        return Err("`target` says nothing beside it".into());
    }
    let what = match (spec.image, spec.version, spec.commit) {
        (Some(image), None, None) => {
            let image: ImageName = image.parse().at("image")?;
            if image.tag.is_none() && image.digest().is_none() {
                return Err("image: expected a tag or a digest".into());
            }
            Declaration::Image(image)
        }
        (None, Some(version), None) => Declaration::Version(version),
        (None, None, Some(commit)) => match commit.parse().at("commit")? {
            commit @ ReleaseId::Commit(_) => Declaration::Commit(commit),
            ReleaseId::Image(_) => return Err("commit: expected no digest".into()),
        },
        _ => return Err("expected either `image`, `version` or `commit`".into()),
    };
    Ok(Some(Declared {
        what,
        downgrade: spec.allow_downgrade,
    }))
}

fn checks(spec: ChecksSpec) -> Result<(Vec<String>, Vec<String>, PodChecks), String> {
    for name in spec.before.iter().chain(&spec.after) {
        if name.starts_with(keys::PREFIX) {
            return Err(format!("checks: {name:?} is one of CUO's own names"));
        }
    }
    let blocking = spec.blocking_pods.into_iter().map(|pods| PodMatch {
        namespace: pods.namespace,
        selector: pods.label_selector,
    });
    let blocking: Vec<_> = blocking.collect();
    for pods in &blocking {
        sound(&pods.selector).at("checks.blockingPods")?;
    }
    let pods = PodChecks {
        blocking,
        daemon_sets_ready: spec.daemon_sets_ready,
    };
    Ok((spec.before, spec.after, pods))
}

fn drain(spec: DrainSpec) -> Result<DrainPolicy, String> {
    let default = DrainPolicy::default();
    let field = |text: &Option<String>, name: &str| {
        let length = optional(text.as_deref(), &format!("drain.{name}"))?;
        Ok::<_, String>(length.map(seconds))
    };
    sound(&spec.pod_selector).at("drain.podSelector")?;
    let treatment = |spec| match spec {
        TreatmentSpec::Evict => Treatment::Evict,
        TreatmentSpec::Block => Treatment::Block,
    };
    let (mode, preflight) = (drain_mode(&spec)?, spec.preflight);
    Ok(DrainPolicy {
        mode,
        preflight: match preflight {
            PreflightSpec::Inform => PreflightMode::Inform,
            PreflightSpec::Require => PreflightMode::Require,
        },
        timeout_seconds: field(&spec.timeout, "timeout")?.unwrap_or(default.timeout_seconds),
        on_timeout: match spec.on_timeout {
            OnTimeoutSpec::Abort => OnTimeout::Abort,
            OnTimeoutSpec::Delete => OnTimeout::Delete,
            OnTimeoutSpec::Force => OnTimeout::Force,
        },
        grace_period_seconds: field(&spec.grace_period, "gracePeriod")?,
        empty_dir: treatment(spec.empty_dir),
        unmanaged: treatment(spec.unmanaged),
        pod_selector: spec.pod_selector,
        skip_namespaces: spec.skip_namespaces.into_iter().collect(),
        wait_for_volumes: spec.wait_for_volumes,
        delay_seconds: field(&spec.delay, "delay")?.unwrap_or(default.delay_seconds),
    })
}

fn drain_mode(spec: &DrainSpec) -> Result<DrainMode, String> {
    let blocks = [spec.empty_dir, spec.unmanaged].contains(&TreatmentSpec::Block);
    match spec.mode {
        DrainModeSpec::None if blocks => Err(
            "drain: with `mode: None` no pod leaves, so `emptyDir: Block` and `unmanaged: Block` say nothing"
                .into(),
        ),
        DrainModeSpec::None => Ok(DrainMode::None),
        DrainModeSpec::Evict => Ok(DrainMode::Evict),
    }
}

/// Agents write labels of the protocol, and must not choose their pools by them.
fn of_nodes(selector: &Selector) -> Result<(), String> {
    sound(selector)?;
    match selector.keys().find(|key| key.starts_with(keys::PREFIX)) {
        Some(key) => Err(format!("{key:?} is one of CUO's own names")),
        None => Ok(()),
    }
}

/// Checks a selector as the API server does in its own objects.
fn sound(selector: &Selector) -> Result<(), String> {
    for demand in &selector.match_expressions {
        let valued = matches!(demand.operator, Operator::In | Operator::NotIn);
        if valued == demand.values.is_empty() {
            let (key, operator) = (&demand.key, demand.operator);
            let needs = if valued {
                "needs values"
            } else {
                "takes no values"
            };
            return Err(format!("{operator:?} of {key:?} {needs}"));
        }
    }
    match selector.keys().find(|key| !is_label(key)) {
        Some(key) => Err(format!("{key:?} is no name of a label")),
        None => Ok(()),
    }
}

/// `name` or `prefix/name` as labels have it.
fn is_label(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = name.len() <= 63
        && name.chars().all(inner)
        && edge(name.chars().next())
        && edge(name.chars().next_back());
    // A prefix has the form of an object's name.
    named && prefix.is_none_or(|prefix| prefix.parse::<PoolName>().is_ok())
}
