//! What is new: what the cluster shows, against what was told of it.
//!
//! Nothing here depends on having seen a change happen, so what happened while this program was away is told of when it is back, as far as
//! the cluster still shows it.

use std::collections::{BTreeMap, BTreeSet};

use cuo_core::node::NodeView;
use cuo_core::pause::{FoundPause, Scope};
use cuo_core::pool::FoundPool;
use cuo_core::reason::{AnyCode, Attribute, Code};
use cuo_core::time::Time;
use cuo_core::values::{Outcome, Phase};
use serde::{Deserialize, Serialize};

use super::news::{BUILT_IN, Draft, Kind, LONGEST};
use super::rollouts::{self, Failures, Pool, Versions, failures, named};
use super::seen::Whole;
use crate::text::short;

/// What was told of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// Of the roll-outs of each pool.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rollouts: BTreeMap<String, rollouts::Told>,
    /// Releases that each pool gave up.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub given_up: BTreeMap<String, BTreeSet<String>>,
    /// Nodes that need a person, with the code that says why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
    /// The grant of each node that came to nothing last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ended: BTreeMap<String, String>,
    /// What is paused, with what was said of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pauses: BTreeMap<String, Pause>,
}

/// A pause that was told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The pools that it is about; none if it is about all nodes.
    pub pools: BTreeSet<String>,
    /// One sentence.
    pub text: String,
}

/// What is to be known of the cluster at `now`, after `told`, and what is new. The first time, when nothing was told yet, nothing is new:
/// nobody wants to be told of all that happened before.
pub fn next(told: Option<&Told>, whole: Whole<'_>, now: Time) -> (Told, Vec<Draft>) {
    let before = told.cloned().unwrap_or_default();
    let mut next = Told::default();
    let mut news = Vec::new();
    next.rollouts(&before, whole, now, &mut news);
    next.nodes(&before, whole, &mut news);
    next.pauses(&before, whole, now, &mut news);
    if told.is_none() {
        news.clear();
    }
    (next, news)
}

impl Told {
    fn rollouts(&mut self, before: &Self, whole: Whole<'_>, now: Time, news: &mut Vec<Draft>) {
        let versions = Versions::of(whole.nodes.values());
        let failures = failures(whole.nodes.values());
        let mut members: BTreeMap<String, Vec<&NodeView>> = BTreeMap::new();
        for node in whole.nodes.values().filter(|node| has_agent(node)) {
            for pool in whole.pools_of(node) {
                members.entry(pool).or_default().push(node);
            }
        }
        for (name, members) in members {
            let pool = Pool {
                name: &name,
                members,
                max_failures: max_failures(&name, whole),
                versions: &versions,
                failures: &failures,
            };
            let none = rollouts::Told::default();
            let told = before.rollouts.get(&name).unwrap_or(&none);
            let (after, new) = pool.next(told, now);
            let given_up = given_up(&pool, &after, told, whole);
            self.give_up(before, &name, given_up, &failures, news);
            news.extend(new);
            if after != none {
                self.rollouts.insert(name, after);
            }
        }
        self.carry_over(before, whole);
    }

    /// Keeps what was told of pools that are there and have no node with an agent now: the only one may be about to come back.
    fn carry_over(&mut self, before: &Self, whole: Whole<'_>) {
        let members = whole.nodes.values().filter(|node| has_agent(node));
        let members: BTreeSet<_> = members.flat_map(|node| whole.pools_of(node)).collect();
        let exists = |name: &str| {
            name == BUILT_IN || whole.pools.values().any(|pool| pool.name.as_str() == name)
        };
        let idle = |name: &String| !members.contains(name) && exists(name);
        let rollouts = before.rollouts.iter().filter(|(name, _)| idle(name));
        let rollouts = rollouts.map(|(name, told)| (name.clone(), told.clone()));
        self.rollouts.extend(rollouts);
        let given_up = before.given_up.iter().filter(|(name, _)| idle(name));
        let given_up = given_up.map(|(name, ids)| (name.clone(), ids.clone()));
        self.given_up.extend(given_up);
    }

    /// Records what the pool `name` gave up, by release id, with what people call it.
    fn give_up(
        &mut self,
        before: &Self,
        name: &str,
        given_up: BTreeMap<String, String>,
        failures: &Failures,
        news: &mut Vec<Draft>,
    ) {
        let known = before.given_up.get(name);
        for (id, version) in &given_up {
            if known.is_some_and(|known| known.contains(id)) {
                continue;
            }
            let nodes = failures
                .iter()
                .find(|(failed, _)| failed.to_string() == *id);
            let nodes: Vec<_> = nodes.iter().flat_map(|(_, nodes)| nodes.iter()).collect();
            let nodes: Vec<_> = nodes.iter().map(ToString::to_string).take(5).collect();
            let text = match nodes.is_empty() {
                true => format!("{version} is tried no longer."),
                false => format!(
                    "{version} is tried no longer. It failed on {}.",
                    nodes.join(", ")
                ),
            };
            let mut draft = Draft::new(Kind::ReleaseGivenUp, text);
            draft.pools.insert(name.to_owned());
            draft.release = Some(version.clone());
            draft.code = Some(Code::ReleaseGivenUp.to_string());
            news.push(draft);
        }
        if !given_up.is_empty() {
            self.given_up
                .insert(name.to_owned(), given_up.into_keys().collect());
        }
    }

    fn nodes(&mut self, before: &Self, whole: Whole<'_>, news: &mut Vec<Draft>) {
        for node in whole.nodes.values() {
            let name = node.name.to_string();
            let about = |kind, text, code| Draft {
                pools: whole.pools_of(node),
                node: Some(name.clone()),
                code,
                ..Draft::new(kind, text)
            };
            if let Some((grant, kind)) = ended(node) {
                if before.ended.get(&name) != Some(&grant) {
                    let (code, text) = why_ended(node);
                    news.push(about(kind, text, code));
                }
                self.ended.insert(name.clone(), grant);
            }
            match (needs_person(node), before.people.get(&name)) {
                (Some((code, text)), known) => {
                    if known != Some(&code) {
                        news.push(about(Kind::NodeNeedsPerson, text, Some(code.clone())));
                    }
                    self.people.insert(name, code);
                }
                (None, Some(code)) => {
                    let text = format!("It no longer reports {code}.");
                    news.push(about(Kind::NodeRecovered, text, Some(code.clone())));
                }
                (None, None) => {}
            }
        }
    }

    fn pauses(&mut self, before: &Self, whole: Whole<'_>, now: Time, news: &mut Vec<Draft>) {
        self.pauses = in_force(whole, now);
        let draft = |kind, pause: &Pause| Draft {
            pools: pause.pools.clone(),
            ..Draft::new(kind, pause.text.clone())
        };
        for (name, pause) in &self.pauses {
            if before.pauses.get(name) != Some(pause) {
                news.push(draft(Kind::Paused, pause));
            }
        }
        for (name, pause) in &before.pauses {
            if !self.pauses.contains_key(name) {
                news.push(draft(Kind::Resumed, pause));
            }
        }
    }
}

fn has_agent(node: &NodeView) -> bool {
    !node.protocol.is_absent()
}

/// How many failures of a release the pool allows.
fn max_failures(name: &str, whole: Whole<'_>) -> usize {
    let found = whole.pools.values().find(|pool| pool.name.as_str() == name);
    match found.map(|pool| &pool.found) {
        Some(FoundPool::Valid(pool)) => pool.max_failures,
        Some(FoundPool::Invalid { .. }) | None => 1,
    }
}

/// What the pool gave up: as its status says, and among what it rolls out.
fn given_up(
    pool: &Pool<'_>,
    after: &rollouts::Told,
    before: &rollouts::Told,
    whole: Whole<'_>,
) -> BTreeMap<String, String> {
    let object = whole
        .pools
        .values()
        .find(|one| one.name.as_str() == pool.name);
    let status = object.map(|one| one.rollout().given_up).unwrap_or_default();
    let status = status.into_iter().map(|one| {
        let version = one
            .version
            .map_or_else(|| pool.versions.called(&one.identity), |name| named(&name));
        (one.identity.to_string(), version)
    });
    let rollouts = after.under_way.iter().chain(&before.under_way);
    let ids =
        rollouts.flat_map(|(version, rollout)| rollout.ids.iter().map(move |id| (id, version)));
    let failed = |id| pool.failures.get(id).map_or(0, BTreeSet::len);
    let failed = ids.filter(|(id, _)| failed(id) >= pool.max_failures.max(1));
    let failed = failed.map(|(id, version)| (id.to_string(), version.clone()));
    failed.chain(status).collect()
}

/// The grant that came to nothing last, and how.
fn ended(node: &NodeView) -> Option<(String, Kind)> {
    let result = node.agent.result.value()?;
    let kind = match result.outcome {
        Outcome::Failed => Kind::UpdateFailed,
        Outcome::Aborted => Kind::UpdateAborted,
        // One that could not be accepted is asked for again at once.
        Outcome::Done | Outcome::Refused => return None,
    };
    Some((result.id.to_string(), kind))
}

/// The code and the sentence for a grant that came to nothing.
fn why_ended(node: &NodeView) -> (Option<String>, String) {
    let code = node
        .agent
        .result
        .value()
        .and_then(|result| result.code.clone());
    let reason = node.agent.reason.value();
    // The agent's own reason says more, while it is about the same.
    let own = reason.filter(|reason| Some(&reason.code) == code.as_ref());
    let text = match (own, &code) {
        (Some(reason), _) => reason.message.clone(),
        (None, Some(code)) => code.means().to_owned(),
        (None, None) => "The agent gave no reason.".to_owned(),
    };
    (code.map(|code| code.to_string()), text)
}

/// The code and the sentence for what a person has to do about the node, if one has to.
fn needs_person(node: &NodeView) -> Option<(String, String)> {
    let status = node.agent.status.value();
    let failed = status.is_some_and(|status| status.phase == Phase::Failed);
    let Some(reason) = node.agent.reason.value() else {
        let text = "Its agent says so, and gives no reason.".to_owned();
        return failed.then(|| ("Failed".to_owned(), text));
    };
    let waits = |code: Code| code.is(Attribute::NeedsPerson) || code.is(Attribute::HoldIsNews);
    let needed = match reason.code.known() {
        // It goes back by itself when its turn comes.
        Some(Code::RollbackWanted) => false,
        Some(code) => failed || waits(code),
        None => failed,
    };
    let remedy = reason.code.known().map_or("", Code::remedy);
    let text = format!("{} {remedy}", sentence(&reason.message));
    needed.then(|| (AnyCode::to_string(&reason.code), text.trim_end().to_owned()))
}

/// `text` with a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    match text.ends_with(['.', '!', '?']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

/// Everything that is paused at `now`, by what pauses it.
fn in_force(whole: Whole<'_>, now: Time) -> BTreeMap<String, Pause> {
    let objects = whole.pauses.iter().filter_map(|(name, found)| {
        let (pools, what, text) = match found {
            FoundPause::Valid(pause) if !pause.holds(now) => return None,
            FoundPause::Valid(pause) => {
                let (pools, what) = scope(&pause.scope, whole);
                (pools, what, pause.to_string())
            }
            FoundPause::Invalid { why, .. } => {
                let text = format!("paused by UpdatePause {name}, which is not understood: {why}");
                (BTreeSet::new(), "All nodes".to_owned(), text)
            }
        };
        // It is kept, too.
        let text = short(&format!("{what}: {text}"), LONGEST);
        Some((format!("UpdatePause/{name}"), Pause { pools, text }))
    });
    let pools = whole.pools.values().filter_map(|pool| match &pool.found {
        FoundPool::Valid(found) if found.paused => {
            let pools = BTreeSet::from([pool.name.to_string()]);
            let text = format!("Pool {}: spec.paused is true", pool.name);
            Some((format!("UpdatePool/{}", pool.name), Pause { pools, text }))
        }
        FoundPool::Valid(_) | FoundPool::Invalid { .. } => None,
    });
    objects.chain(pools).collect()
}

/// The pools that a pause is about, and what to call it.
fn scope(scope: &Scope, whole: Whole<'_>) -> (BTreeSet<String>, String) {
    match scope {
        Scope::All => (BTreeSet::new(), "All nodes".to_owned()),
        Scope::Pool(pool) => (BTreeSet::from([pool.to_string()]), format!("Pool {pool}")),
        Scope::Nodes(names) => {
            let known = names.iter().filter_map(|name| whole.nodes.get(name));
            let mut pools: BTreeSet<_> = known.flat_map(|node| whole.pools_of(node)).collect();
            if pools.is_empty() {
                pools.insert(BUILT_IN.to_owned());
            }
            let names: Vec<_> = names.iter().map(ToString::to_string).take(5).collect();
            (pools, format!("Nodes {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;
