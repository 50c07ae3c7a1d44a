//! Metrics for Prometheus.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Labels by name.
type Labels = Vec<(&'static str, String)>;

macro_rules! metrics {
    ($($field:ident: $kind:ty = $name:literal, $help:literal;)*) => {
        /// All metrics. Counters begin at zero with each start of the process.
        #[derive(Debug, Default)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] $field: $kind,)*
        }

        impl Metrics {
            /// All of them, registered.
            pub fn new() -> Self {
                let mut metrics = Self::default();
                let version = vec![("version", env!("CARGO_PKG_VERSION"))];
                let build = "The build that runs";
                metrics.registry.register("cuo_companion_build", build, Info::new(version));
                $(metrics.registry.register($name, $help, metrics.$field.clone());)*
                metrics
            }
        }
    };
}

metrics! {
    leading: Gauge = "cuo_companion_leader", "Whether this process acts, and not another replica: 1 or 0";
    api_errors: Counter = "cuo_companion_api_errors", "Calls of the API server that failed";
    gate_open: Family<Labels, Gauge> = "cuo_companion_gate_open", "Whether the gate is to be open, as of the last look at its condition: 1 or 0";
    gate_unknown: Family<Labels, Counter> = "cuo_companion_gate_unknown", "Looks at a gate's condition that saw nothing";
    sent: Family<Labels, Counter> = "cuo_companion_messages", "Messages by sink and what became of them: `sent`, `failed` (and tried again) or `dropped`";
    waiting: Family<Labels, Gauge> = "cuo_companion_news_waiting", "Pieces of news that a sink has yet to be sent";
    hook_jobs: Family<Labels, Gauge> = "cuo_companion_hook_jobs", "Jobs of hooks by state: `running`, `complete` or `failed`";
}

impl Metrics {
    /// In the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// This process acts, or not. While it does not, it knows nothing of what those who act see.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
        if !leads {
            self.gate_open.clear();
            self.waiting.clear();
            self.hook_jobs.clear();
        }
    }

    /// A call of the API server failed.
    pub fn api_error(&self) {
        self.api_errors.inc();
    }

    /// The gate `name` is to be open, or not.
    pub fn gate(&self, name: &str, open: bool) {
        let gate = self.gate_open.get_or_create(&named("gate", name));
        gate.set(i64::from(open));
    }

    /// The condition of the gate `name` could not be looked at.
    pub fn gate_unknown(&self, name: &str) {
        self.gate_unknown.get_or_create(&named("gate", name)).inc();
    }

    /// Something became of `count` messages to the sink `name`.
    pub fn messages(&self, name: &str, outcome: Fate, count: usize) {
        let mut labels = named("sink", name);
        labels.push(("outcome", outcome.as_str().to_owned()));
        self.sent
            .get_or_create(&labels)
            .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// So many pieces of news wait for the sink `name`.
    pub fn waiting(&self, name: &str, count: usize) {
        let gauge = self.waiting.get_or_create(&named("sink", name));
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Metrics {
    /// So many Jobs of hooks are in this state.
    pub fn hook_jobs(&self, state: &str, count: usize) {
        let gauge = self.hook_jobs.get_or_create(&named("state", state));
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The service took it.
    Sent,
    /// The service did not, and is asked again.
    Failed,
    /// It was too old, there were too many, or the service refused it for good.
    Dropped,
}

impl Fate {
    /// As a label.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

fn named(label: &'static str, name: &str) -> Labels {
    vec![(label, name.to_owned())]
}

#[cfg(test)]
mod tests;
