//! `cuo-agent status`: the host and its agent, as far as the caller may see them.
//!
//! The deployments come from rpm-ostree, which answers everybody. The rest comes from the running agent's file or, if none runs, from the
//! Node and the agent's state, if the credentials and the state can be read.

mod report;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_cluster::node::{Keep, get_node};
use cuo_cluster::{ClientSource, Program};
use cuo_core::agent::state::State;
use cuo_core::host::Host;
use cuo_core::node::NodeView;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::answer::{Answer, Granted, Next};
use crate::bus::Bus;
use crate::config::Config;
use crate::credentials;
use crate::feed;
use crate::rpmostree::{Client, Limits};
use crate::store::Store;
use crate::survey;

pub use report::{Agent, Report, Shown, Source, Why};

/// Limit for rpm-ostree, and for the API server if the agent's file does not describe the Node: starting the one or connecting to the other
/// takes seconds on a slow host. Longer than this means that it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Lines for people.
    Human,
    /// One JSON object.
    Json,
}

/// Options of `status` and `doctor`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub output: Output,
    /// The kubeconfig, in place of the one that the agent uses.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Collects and prints the report. For people, what is known at once is printed first.
///
/// # Errors
/// When it can't be printed.
pub async fn run(root: &Path, options: &Options) -> Result<()> {
    let store = Store::new(root);
    let report = Report::at_once(&store);
    let (now, human) = (Timestamp::now().into(), options.output == Output::Human);
    let mut said = String::new();
    if human {
        let known = Report {
            unknown: vec![],
            ..report.clone()
        };
        said = text::of(&known, now);
        print(&said)?;
    }
    let report = report.whole(root, &store, options).await;
    let text = match options.output {
        Output::Human => text::of(&report, now),
        Output::Json => serde_json::to_string_pretty(&report).context("the report as JSON")? + "\n",
    };
    print(text.strip_prefix(&said).unwrap_or(&text))
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.context("write to the standard output")
}

/// The result of `asked`, or an error that `whom` did not answer.
async fn patiently<T>(
    whom: &str,
    asked: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let silent = |_| {
        let seconds = PATIENCE.as_secs();
        Err(format!("{whom} has not answered within {seconds} s"))
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(silent)
}

async fn deployments() -> Result<Host, String> {
    let client = Client::new(Bus::system(), Limits::default());
    client.host().await.map_err(|error| error.to_string())
}

impl Report {
    /// The report of what is known at once: the agent's own file, if it runs.
    fn at_once(store: &Store) -> Self {
        let mut report = Self::default();
        match store.agent() {
            Ok(Some(pid)) => report.agent_runs(pid, store.read_answer(pid)),
            Ok(None) => {}
            Err(error) => report.unknown.push(format!("the agent: {error:#}")),
        }
        report
    }

    /// The complete report.
    async fn whole(mut self, root: &Path, store: &Store, options: &Options) -> Self {
        // If it is not known whether the agent runs, its file is not used.
        let away = !self.agent.running && self.unknown.is_empty();
        let host = patiently("rpm-ostreed", deployments());
        let node = async {
            match away {
                true => {
                    let asked = node(root, options.kubeconfig.as_deref());
                    Some(patiently("the API server", asked).await)
                }
                false => None,
            }
        };
        let (host, node) = tokio::join!(host, node);
        match host {
            Ok(host) => self.deployed(root, host),
            Err(why) => self.unknown.insert(0, format!("deployments: {why}")),
        }
        if let Some(node) = node {
            self.agent_is_away(store, node);
        }
        self
    }

    fn deployed(&mut self, root: &Path, host: Host) {
        let Host {
            booted,
            pending,
            others,
        } = host;
        self.booted = Some(booted.into());
        self.pending = pending.map(|pending| {
            let note = survey::staged(root).ok().flatten();
            let note = note.filter(|note| note.is_about(&pending));
            let locked = note.map(|note| note.locked);
            Shown {
                locked,
                ..pending.into()
            }
        });
        self.others = others.into_iter().map(Shown::from).collect();
    }

    fn agent_runs(&mut self, pid: i32, answer: Result<Option<Answer>>) {
        self.agent = Agent {
            running: true,
            pid: Some(pid),
            version: None,
        };
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                let text = "the agent: it has not come to a decision yet";
                return self.unknown.push(text.to_owned());
            }
            Err(error) => return self.unknown.push(format!("the agent: {error:#}")),
        };
        self.agent.version = Some(answer.version);
        self.source = Some(Source::Agent);
        self.node = answer.node;
        self.phase = Some(answer.phase);
        self.since = Some(answer.since);
        self.reason = answer.reason.map(Why::from);
        self.grant = answer.grant;
        self.release = answer.release;
        self.check = Some(answer.check);
        self.next = Some(answer.next);
        self.result = answer.result;
        self.failed = answer.failed;
    }

    fn agent_is_away(&mut self, store: &Store, node: Result<NodeView, String>) {
        self.next = Some(Next {
            what: "nothing, until the agent is started: `systemctl start cuo-agent`".to_owned(),
            at: None,
        });
        match node {
            Ok(node) => self.node_says(&node),
            Err(why) => self.unknown.push(format!("the Node: {why}")),
        }
        match store.peek() {
            Ok(state) => self.state_says(state),
            Err(why) => self.unknown.push(format!("the agent's state: {why:#}")),
        }
    }

    fn node_says(&mut self, node: &NodeView) {
        let agent = &node.agent;
        self.source = Some(Source::Node);
        self.node = Some(node.name.to_string());
        if let Some(status) = agent.status.value() {
            (self.phase, self.since) = (Some(status.phase), Some(status.since));
        }
        self.reason = agent.reason.value().cloned().map(Why::from);
        self.release = agent.following.value().cloned();
        self.result = agent.result.value().cloned();
        let failed = agent.failed.value();
        self.failed = failed.map_or_else(Vec::new, |failed| failed.identities.clone());
        let acted_on = agent.progress.value();
        let open = node.operator.grant.value();
        let open =
            open.filter(|grant| self.result.as_ref().map(|result| result.id) != Some(grant.id));
        self.grant = acted_on
            .map(|progress| Granted::accepted(progress.id, progress.identity, progress.accepted))
            .or_else(|| open.map(Granted::open));
    }

    /// Adds the agent's state, which is newer than the Node because it is written first.
    fn state_says(&mut self, state: State) {
        if !state.adopted {
            return;
        }
        self.result = state.result;
        self.failed = state.failed.identities;
        if let Some(attempt) = state.attempt {
            let progress = attempt.grant.progress;
            self.grant = Some(Granted::accepted(
                progress.id,
                progress.identity,
                progress.accepted,
            ));
        }
    }
}

/// This host's Node, read with the agent's credentials.
async fn node(root: &Path, kubeconfig: Option<&Path>) -> Result<NodeView, String> {
    let (config, _) = Config::load(root);
    let source = ClientSource::start(
        credentials::of_the_agent(&config, root, kubeconfig),
        PROGRAM,
    )
    .await;
    let text = |error: cuo_cluster::ApiError| error.to_string();
    let name = feed::named(&source, config.node_name.as_deref(), root);
    let name = name.await.map_err(text)??;
    let found = get_node(&source, name.as_str(), &Keep::default()).await;
    let raw = found.map_err(text)?;
    let raw = raw.ok_or_else(|| format!("there is no Node {name}"))?;
    NodeView::parse(&raw).map_err(|error| error.to_string())
}

/// The program's name in requests to the API server.
pub(crate) const PROGRAM: Program = Program {
    name: "cuo-agent",
    version: env!("CARGO_PKG_VERSION"),
};
