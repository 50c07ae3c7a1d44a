//! What Prometheus is told.

use std::collections::BTreeMap;

use cuo_cluster::ApiError;
use cuo_core::plan::{Plan, Snapshot};
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::steps::Write;

type Label = [(&'static str, &'static str); 1];

/// Phase of nodes whose agent shows none.
const NO_PHASE: &str = "none";

/// All metrics. Counters begin at zero with each start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    nodes: Family<Label, Gauge>,
    verdicts: Family<Label, Gauge>,
    used: Gauge,
    budget: Gauge,
    leading: Gauge,
    connected: Gauge,
    writes: Family<Label, Counter>,
    grants: Counter,
    results: Family<Label, Counter>,
    errors: Family<Label, Counter>,
    dropped: Counter,
}

impl Metrics {
    /// Metrics for an operator with this budget.
    pub fn new(max_unavailable: usize) -> Self {
        let mut metrics = Self::default();
        metrics.budget.set(gauge(max_unavailable));
        metrics.register();
        metrics.forget_plan();
        for write in Write::ALL {
            let count = metrics.writes.get_or_create(&[("write", write.as_str())]);
            count.inc_by(0);
        }
        for outcome in OUTCOMES {
            let label = [("outcome", outcome_name(outcome))];
            metrics.results.get_or_create(&label).inc_by(0);
        }
        metrics
    }

    fn register(&mut self) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let registry = &mut self.registry;
        let build = "The build that runs";
        registry.register("cuo_operator_build", build, Info::new(version.to_vec()));
        let nodes = "Nodes by the phase that their agent shows, while this process leads";
        registry.register("cuo_nodes", nodes, self.nodes.clone());
        let verdicts = "Nodes by why they do or do not reboot now, while this process leads";
        registry.register("cuo_verdicts", verdicts, self.verdicts.clone());
        let used = "Nodes that count against the budget, while this process leads";
        registry.register("cuo_budget_used", used, self.used.clone());
        let budget = "Most nodes that may be out of service because of a grant";
        registry.register("cuo_budget_max", budget, self.budget.clone());
        let grants = "Grants that were put on Nodes";
        registry.register("cuo_grants", grants, self.grants.clone());
        let results = "Grants that agents answered, by outcome";
        registry.register("cuo_grant_results", results, self.results.clone());
        let leading = "Whether this process leads: 1 or 0";
        registry.register("cuo_operator_leader", leading, self.leading.clone());
        let connected = "Whether the watch of the Nodes is in touch: 1 or 0";
        registry.register("cuo_operator_watch_up", connected, self.connected.clone());
        let writes = "Writes to the ledger and to Nodes that succeeded";
        registry.register("cuo_operator_writes", writes, self.writes.clone());
        let errors = "Calls of the API server that failed, by class";
        registry.register("cuo_operator_api_errors", errors, self.errors.clone());
        let dropped = "Events that were not published because too many were waiting";
        registry.register("cuo_operator_events_dropped", dropped, self.dropped.clone());
    }

    /// In the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A plan was made.
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
        let mut codes: BTreeMap<Code, usize> = BTreeMap::new();
        for reason in plan.verdicts.values() {
            *codes.entry(reason.code).or_default() += 1;
        }
        for code in Code::ALL.iter().filter(|code| code.who() != "agent") {
            let count = codes.get(code).copied().unwrap_or_default();
            self.verdicts
                .get_or_create(&[("code", code.as_str())])
                .set(gauge(count));
        }
        self.used.set(gauge(plan.used.len()));
    }

    /// What was planned says nothing any more: somebody else leads, and would be counted twice.
    fn forget_plan(&self) {
        self.nodes.clear();
        self.verdicts.clear();
        self.used.set(0);
    }

    /// This process leads, or no longer does.
    pub fn led(&self, leading: bool) {
        self.leading.set(leading.into());
        if !leading {
            self.forget_plan();
        }
    }

    /// The watch is in touch, or not.
    pub fn watching(&self, connected: bool) {
        self.connected.set(connected.into());
    }

    /// A write succeeded.
    pub fn wrote(&self, write: Write) {
        self.writes
            .get_or_create(&[("write", write.as_str())])
            .inc();
        if write == Write::NodeGrant {
            self.grants.inc();
        }
    }

    /// A slot is given back after the agent's answer.
    pub fn answered(&self, outcome: Outcome) {
        self.results
            .get_or_create(&[("outcome", outcome_name(outcome))])
            .inc();
    }

    /// A call failed.
    pub fn failed(&self, error: &ApiError) {
        self.errors.get_or_create(&[("class", class(error))]).inc();
    }

    /// An Event was dropped.
    pub fn dropped(&self) {
        self.dropped.inc();
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const OUTCOMES: [Outcome; 4] = [
    Outcome::Done,
    Outcome::Refused,
    Outcome::Aborted,
    Outcome::Failed,
];

/// An outcome as it is written on Nodes.
pub fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Aborted => "aborted",
        Outcome::Failed => "failed",
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
