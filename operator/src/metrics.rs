//! Metrics for Prometheus.

mod durations;
mod labels;
mod nodes;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use cuo_cluster::ApiError;
use cuo_core::pause::{FoundPause, Scope};
use cuo_core::plan::{Plan, PoolReport, Snapshot};
use cuo_core::pool::FoundPool;
use cuo_core::reason::Code;
use cuo_core::release::{Chosen, Rollout};
use cuo_core::time::Time;
use cuo_core::timing::Lap;
use cuo_core::values::{Outcome, Phase};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::narration::{Count, Write};
use durations::Durations;
use labels::{BUILT_IN, Label, NO_PHASE, PoolLabels};
use nodes::Nodes;

/// What a pause holds, as a label.
const SCOPES: [&str; 3] = [ALL, POOL, NODES];
const ALL: &str = "all";
const POOL: &str = "pool";
const NODES: &str = "nodes";

macro_rules! metrics {
    ($($field:ident: $kind:ty = $name:literal, $help:literal;)*) => {
        /// All metrics. Counters begin at zero with each start of the process.
        #[derive(Debug, Default)]
        pub struct Metrics {
            registry: Registry,
            per_node: Arc<Nodes>,
            durations: Durations,
            $(#[doc = $help] $field: $kind,)*
        }

        impl Metrics {
            fn register(&mut self) {
                let version = vec![("version", env!("CARGO_PKG_VERSION"))];
                let build = "The build that runs";
                self.registry.register("cuo_operator_build", build, Info::new(version));
                $(self.registry.register($name, $help, self.$field.clone());)*
                self.durations.register(&mut self.registry);
                self.registry.register_collector(Box::new(Arc::clone(&self.per_node)));
            }
        }
    };
}

metrics! {
    nodes: Family<Label, Gauge> = "cuo_nodes", "Nodes by the phase that their agent shows, while this process leads";
    verdicts: Family<Label, Gauge> = "cuo_verdicts", "Nodes by why they do or do not reboot now, while this process leads";
    reasons: Family<Label, Gauge> = "cuo_agent_reasons", "Nodes by the reason that their agent reports, while this process leads";
    control_plane: Gauge = "cuo_control_plane_nodes", "Nodes that count as control plane, while this process leads";
    resting: Gauge = "cuo_operator_nodes_resting", "Nodes that are left alone for a while because writes to them fail or are slow";
    used: Gauge = "cuo_budget_used", "Nodes that count against any budget, while this process leads";
    budget: Gauge = "cuo_budget_max", "How many nodes of no pool may be out of service because of a grant";
    pool_nodes: Family<PoolLabels, Gauge> = "cuo_pool_nodes", "Nodes of a pool by state; a node can be in several states and pools";
    pool_used: Family<PoolLabels, Gauge> = "cuo_pool_budget_used", "Nodes of a pool that count against its budget";
    pool_budget: Family<PoolLabels, Gauge> = "cuo_pool_budget_max", "How many nodes of a pool may be out of service because of a grant";
    pool_open: Family<PoolLabels, Gauge> = "cuo_pool_window_open", "Whether nodes of a pool may be granted, as far as its windows go: 1 or 0";
    pool_release: Family<PoolLabels, Gauge> = "cuo_pool_release_info", "Pools that choose releases: the candidate and the promoted one; always 1";
    pool_given_up: Family<PoolLabels, Gauge> = "cuo_pool_releases_given_up", "Releases that a pool gave up since it last promoted one, of pools that try one at a time";
    pauses: Family<Label, Gauge> = "cuo_pauses", "Pauses in force by what they hold; one that can't be read counts as `all`";
    grants: Counter = "cuo_grants", "Grants that were put on Nodes";
    results: Family<Label, Counter> = "cuo_grant_results", "Grants that agents answered, by outcome";
    leading: Gauge = "cuo_operator_leader", "Whether this process leads: 1 or 0";
    connected: Gauge = "cuo_operator_watch_up", "Whether the watch of the Nodes is in touch: 1 or 0";
    heard: Family<Label, Counter> = "cuo_operator_node_events", "What the watch of the Nodes brought, by whether a decision could depend on it (`changed`) or not (`same`)";
    writes: Family<Label, Counter> = "cuo_operator_writes", "Writes to the ledger and to Nodes that succeeded";
    errors: Family<Label, Counter> = "cuo_operator_api_errors", "Calls of the API server that failed, by class";
    dropped: Counter = "cuo_operator_events_dropped", "Events that were not published because too many were waiting";
}

impl Metrics {
    /// Metrics for an operator with this budget, that serves metrics of single nodes for up to `per_node` of them.
    pub fn new(max_unavailable: usize, per_node: usize) -> Self {
        let mut metrics = Self {
            per_node: Arc::new(Nodes::up_to(per_node)),
            ..Self::default()
        };
        metrics.budget.set(gauge(max_unavailable));
        metrics.register();
        metrics.forget_plan();
        for write in Write::ALL {
            let count = metrics.writes.get_or_create(&[("write", write.as_str())]);
            count.inc_by(0);
        }
        for outcome in Outcome::ALL {
            metrics.result(*outcome).inc_by(0);
        }
        for changed in [true, false] {
            metrics.event(changed).inc_by(0);
        }
        metrics
    }

    /// The watch of the Nodes brought something that a decision could depend on, or not.
    pub fn heard(&self, changed: bool) {
        self.event(changed).inc();
    }

    fn event(&self, changed: bool) -> impl Deref<Target = Counter> + '_ {
        let kind = if changed { "changed" } else { "same" };
        self.heard.get_or_create(&[("event", kind)])
    }

    /// In the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Records a plan.
    pub fn planned(&self, seen: &Snapshot, plan: &Plan) {
        let mut phases: BTreeMap<_, usize> = BTreeMap::new();
        for node in seen.nodes.values() {
            let phase = node.agent.status.value();
            let phase = phase.map_or(NO_PHASE, |status| status.phase.as_str());
            *phases.entry(phase).or_default() += 1;
        }
        let all = Phase::ALL.iter().map(|phase| phase.as_str());
        for phase in all.chain([NO_PHASE]) {
            let count = phases.get(phase).copied().unwrap_or_default();
            self.nodes
                .get_or_create(&[("phase", phase)])
                .set(gauge(count));
        }
        let verdicts = plan.verdicts.values().map(|reason| reason.code);
        by_code(&self.verdicts, "agent", verdicts);
        let agents = seen.nodes.values();
        let reasons = agents.filter_map(|node| node.agent.reason.value());
        let known = reasons.filter_map(|reason| reason.code.known());
        by_code(&self.reasons, "operator", known);
        self.control_plane.set(gauge(plan.control_plane.len()));
        self.resting.set(gauge(seen.writes.resting.len()));
        self.used.set(gauge(plan.used.len()));
        self.forget_pools();
        for report in &plan.pools {
            self.pool(report);
        }
        for (name, rollout) in &seen.rollouts {
            self.rollout(name.as_str(), rollout);
        }
        // What a pool gave up that tries no releases any more keeps nobody from anything new.
        let trying = seen.pools.iter().filter_map(|found| match found {
            FoundPool::Valid(pool) => pool.name.as_ref().filter(|_| pool.has_candidate()),
            FoundPool::Invalid { .. } => None,
        });
        for name in trying {
            let given_up = seen.rollouts.get(name).map_or(0, Rollout::given_up_since);
            let labels = vec![("pool", name.to_string())];
            self.pool_given_up
                .get_or_create(&labels)
                .set(gauge(given_up));
        }
    }

    /// Records a plan that leaves nothing to write at `now`.
    pub fn settled(&self, seen: &Snapshot, plan: &Plan, now: Time) {
        self.per_node.settled(seen, plan);
        let mut held: BTreeMap<_, usize> = SCOPES.map(|scope| (scope, 0)).into();
        for pause in &seen.pauses {
            let scope = match pause {
                FoundPause::Valid(pause) if !pause.holds(now) => continue,
                FoundPause::Valid(pause) => match pause.scope {
                    Scope::All => ALL,
                    Scope::Pool(_) => POOL,
                    Scope::Nodes(_) => NODES,
                },
                FoundPause::Invalid { .. } => ALL,
            };
            *held.entry(scope).or_default() += 1;
        }
        for (scope, count) in held {
            let scope = self.pauses.get_or_create(&[("scope", scope)]);
            scope.set(gauge(count));
        }
    }

    /// Records parts of grants that are over, of nodes in `seen`.
    pub fn ended(&self, seen: &Snapshot, laps: &[Lap]) {
        self.durations.ended(seen, laps);
    }

    fn rollout(&self, pool: &str, rollout: &Rollout) {
        if rollout.candidate.is_none() && rollout.promoted.is_none() {
            return;
        }
        let named = |chosen: &Option<Chosen>| {
            let text = |chosen: &Chosen| {
                let version = chosen.version.clone();
                let first = chosen.identities.values().next();
                version.or_else(|| Some(first?.identity.to_string()))
            };
            chosen.as_ref().and_then(text).unwrap_or_default()
        };
        let labels = vec![
            ("pool", pool.to_owned()),
            ("candidate", named(&rollout.candidate)),
            ("promoted", named(&rollout.promoted)),
        ];
        self.pool_release.get_or_create(&labels).set(1);
    }

    fn pool(&self, report: &PoolReport) {
        let name = report.name.as_ref().map_or(BUILT_IN, |name| name.as_str());
        let pool = || ("pool", name.to_owned());
        for (state, count) in [
            ("all", report.members),
            ("up-to-date", report.up_to_date),
            ("need-reboot", report.needing),
            ("rebooting", report.rebooting),
            ("unavailable", report.unavailable),
            ("failed", report.failed),
        ] {
            let labels = vec![pool(), ("state", state.to_owned())];
            self.pool_nodes.get_or_create(&labels).set(gauge(count));
        }
        let set = |family: &Family<PoolLabels, Gauge>, value| {
            family.get_or_create(&vec![pool()]).set(value);
        };
        set(&self.pool_used, gauge(report.used));
        set(&self.pool_budget, gauge(report.budget));
        set(&self.pool_open, report.open.into());
    }

    /// Drops the metrics of pools, which may have been deleted.
    fn forget_pools(&self) {
        for family in [
            &self.pool_nodes,
            &self.pool_used,
            &self.pool_budget,
            &self.pool_open,
            &self.pool_release,
            &self.pool_given_up,
        ] {
            family.clear();
        }
    }

    /// Drops what was planned: somebody else leads now, and nodes would be counted twice.
    fn forget_plan(&self) {
        self.nodes.clear();
        self.verdicts.clear();
        self.reasons.clear();
        self.pauses.clear();
        self.per_node.forget();
        for count in [&self.control_plane, &self.resting, &self.used] {
            count.set(0);
        }
        self.forget_pools();
    }

    /// Records whether this process leads.
    pub fn led(&self, leading: bool) {
        self.leading.set(leading.into());
        if !leading {
            self.forget_plan();
        }
    }

    /// Records whether the watch is connected.
    pub fn watching(&self, connected: bool) {
        self.connected.set(connected.into());
    }

    /// Records a successful write.
    pub fn wrote(&self, write: Write, count: Option<Count>) {
        self.writes
            .get_or_create(&[("write", write.as_str())])
            .inc();
        match count {
            None => {}
            Some(Count::Grant) => {
                self.grants.inc();
            }
            Some(Count::Answer(outcome)) => {
                self.result(outcome).inc();
            }
        }
    }

    fn result(&self, outcome: Outcome) -> impl Deref<Target = Counter> {
        self.results.get_or_create(&[("outcome", outcome.as_str())])
    }

    /// Records a failed call.
    pub fn failed(&self, error: &ApiError) {
        self.errors.get_or_create(&[("class", class(error))]).inc();
    }

    /// Records a dropped Event.
    pub fn dropped(&self) {
        self.dropped.inc();
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Counts by code, leaving out codes that only `others` reports.
fn by_code(family: &Family<Label, Gauge>, others: &str, found: impl Iterator<Item = Code>) {
    let mut codes: BTreeMap<Code, usize> = BTreeMap::new();
    for code in found {
        *codes.entry(code).or_default() += 1;
    }
    for code in Code::ALL.iter().filter(|code| code.who() != others) {
        let count = codes.get(code).copied().unwrap_or_default();
        family
            .get_or_create(&[("code", code.as_str())])
            .set(gauge(count));
    }
}

fn class(error: &ApiError) -> &'static str {
    match error {
        ApiError::Credentials(_) => "credentials",
        ApiError::Unauthorized { .. } => "unauthorized",
        ApiError::Forbidden { .. } => "forbidden",
        ApiError::NotFound { .. } => "not-found",
        ApiError::Conflict { .. } => "conflict",
        ApiError::Gone { .. } => "gone",
        ApiError::TooManyRequests { .. } => "too-many-requests",
        ApiError::Server { .. } => "server",
        ApiError::Unreachable { .. } => "unreachable",
        ApiError::Timeout { .. } => "timeout",
        ApiError::Other { .. } => "other",
    }
}

#[cfg(test)]
mod tests;
