//! `cuoctl why`: everything that a node waits for, from its host to its pools.

use anyhow::Result;
use clap::Args;
use cuo_core::field::trouble;
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::plan::{Plan, PoolReport, plan};
use cuo_core::reason::{AnyCode, Code, Reason};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::pools;
use crate::print::Output;
use crate::status::ago;

/// Options of `why`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The node.
    pub node: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Why a node does or does not reboot now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The node.
    pub node: String,
    /// What everything comes to, a code of `docs/protocol.md` and a sentence.
    pub verdict: Option<Given>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// All that was looked at, in the order in which it decides.
    pub chain: Vec<Link>,
    /// What is not known, each a sentence.
    pub unknown: Vec<String>,
}

/// A reason as it was given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Given {
    /// Its code.
    pub code: String,
    /// Its sentence.
    pub message: String,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    /// What.
    pub about: String,
    /// What is so.
    pub found: String,
    /// It keeps the node from rebooting.
    pub holds: bool,
}

impl Why {
    /// Why the node `name` does or does not reboot.
    ///
    /// # Errors
    /// Where there is no such node, or something can't be parsed.
    pub fn of(cluster: &Cluster, name: &str) -> Result<Self> {
        let seen = cluster.seen()?;
        let plan = plan(&seen, &cluster.policy()?, cluster.at);
        let view = pools::node(&seen.nodes, name)?;
        let verdict = plan.verdicts.get(&view.name);
        let own: Option<&Reason<AnyCode>> = view.agent.reason.value();
        // An agent that holds knows why; the operator only knows that it does.
        let agents = own.filter(|_| verdict.is_none_or(|verdict| verdict.code == Code::AgentHolds));
        let said = agents
            .cloned()
            .or_else(|| verdict.cloned().map(Reason::read));
        let mut chain = vec![
            Self::node(cluster, view),
            Self::agent(cluster, view),
            Self::release(view),
        ];
        let pools = pools::of_node(&seen, view);
        let of = |report: &&PoolReport| match &report.name {
            Some(name) => pools.iter().any(|known| known == name.as_str()),
            None => pools.is_empty(),
        };
        for report in plan.pools.iter().filter(of) {
            chain.extend(Self::pool(report, &plan, view));
        }
        chain.extend(Self::slot(&plan, view));
        Ok(Self {
            node: name.to_owned(),
            remedy: said
                .as_ref()
                .and_then(|reason| reason.code.known())
                .map(|code| code.remedy().to_owned()),
            verdict: said.map(|reason| Given {
                code: reason.code.to_string(),
                message: reason.message,
            }),
            chain,
            unknown: cluster.unknown.clone(),
        })
    }

    fn node(cluster: &Cluster, view: &NodeView) -> Link {
        let mut found = vec![if view.ready { "Ready" } else { "not Ready" }.to_owned()];
        found.extend(
            view.control_plane
                .then(|| "one of the control plane".to_owned()),
        );
        found.extend(view.cordoned_by_other());
        found.extend(
            view.paused
                .then(|| "paused by the label or annotation reboot-paused".to_owned()),
        );
        let requests = &view.requests;
        let strange = trouble(&requests.reboot, keys::REBOOT_REQUESTED)
            .or_else(|| trouble(&requests.retry, keys::RETRY));
        found.extend(strange.map(|reason| reason.message));
        let runs_operator = cluster.own_node.as_deref() == Some(view.name.as_str());
        found.extend(runs_operator.then(|| "the leading operator runs here".to_owned()));
        Link {
            about: "node".to_owned(),
            holds: !view.ready || view.paused || view.cordoned_by_other().is_some(),
            found: found.join(", "),
        }
    }

    fn agent(cluster: &Cluster, view: &NodeView) -> Link {
        let status = view.agent.status.value();
        let reason = view.agent.reason.value();
        let found = match (status, reason) {
            (None, _) => "has not announced itself".to_owned(),
            (Some(status), None) => {
                let since = ago(cluster.at.since(status.since));
                format!("{} for {since}", status.phase)
            }
            (Some(status), Some(reason)) => {
                let since = ago(cluster.at.since(status.since));
                format!("{} for {since}: {reason}", status.phase)
            }
        };
        Link {
            about: "agent".to_owned(),
            holds: status.is_none() || view.agent.waits_for().is_some(),
            found,
        }
    }

    fn release(view: &NodeView) -> Link {
        let agent = &view.agent;
        let runs = agent.booted.value();
        let runs = runs.map_or_else(
            || "something unknown".to_owned(),
            |runs| runs.version.clone(),
        );
        let following = agent.following.value();
        let from = following.map(|following| {
            let source = following.source;
            format!(
                "; its source is {source}, and it follows {}",
                following.reference
            )
        });
        let assigned = view.operator.assigned.value();
        let told = assigned.and_then(|assigned| {
            let name = assigned.version.clone();
            let name = name.or_else(|| assigned.identity.map(|id| id.short()))?;
            Some(format!("; the operator assigned {name}"))
        });
        let next = match agent.needed.value() {
            None => "needs no reboot".to_owned(),
            Some(needed) => {
                let version = agent.needed_version.clone();
                let version = version.unwrap_or_else(|| needed.short());
                match view.only_reboots() {
                    Some(why) => format!("is to reboot without an update, {why}"),
                    None => format!("a reboot boots {version}"),
                }
            }
        };
        Link {
            about: "release".to_owned(),
            holds: agent.needed.is_absent(),
            found: format!(
                "runs {runs}, {next}{}{}",
                from.unwrap_or_default(),
                told.unwrap_or_default()
            ),
        }
    }

    fn pool(report: &PoolReport, plan: &Plan, view: &NodeView) -> Vec<Link> {
        let name = report.name.as_ref();
        let about = name.map_or_else(|| "built-in pool".to_owned(), |name| format!("pool {name}"));
        let window = match (report.open, report.next_opening) {
            (true, _) => Link {
                about: about.clone(),
                found: "a window is open".to_owned(),
                holds: false,
            },
            (false, opens) => Link {
                about: about.clone(),
                found: opens.map_or_else(
                    || "no window ever opens".to_owned(),
                    |opens| format!("no window is open; the next one opens at {opens}"),
                ),
                holds: true,
            },
        };
        // Whoever counts in this cluster; which of them are of this pool, its numbers say.
        let users = plan.used.iter().filter(|user| **user != view.name);
        let users: Vec<_> = users.map(ToString::to_string).collect();
        let who = match (report.used, &users[..]) {
            (0, _) | (_, []) => String::new(),
            (_, users) => format!(" (in the cluster: {})", users.join(", ")),
        };
        let own = usize::from(plan.used.contains(&view.name));
        let budget = Link {
            about,
            found: format!(
                "{} of {} nodes out of service or about to be, of {} allowed{who}",
                report.used, report.members, report.budget
            ),
            // Its own share is no obstacle to it.
            holds: report.used.saturating_sub(own) >= report.budget,
        };
        vec![window, budget]
    }

    fn slot(plan: &Plan, view: &NodeView) -> Option<Link> {
        let mut slots = plan.pools.iter().flat_map(|pool| &pool.slots);
        let slot = slots.find(|slot| slot.node == view.name)?;
        let why = slot.why.as_ref().map(|why| format!(": {why}"));
        Some(Link {
            about: "slot".to_owned(),
            found: format!(
                "grant {} has been out since {}{}",
                slot.id,
                slot.since,
                why.unwrap_or_default()
            ),
            holds: slot.why.is_some(),
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = match &self.verdict {
            Some(Given { code, message }) => format!("{}: {code}: {message}\n", self.node),
            None => format!("{}: nothing is known\n", self.node),
        };
        if let Some(remedy) = &self.remedy {
            text += &format!("What to do: {remedy}\n");
        }
        text += "\n";
        let width = self
            .chain
            .iter()
            .map(|link| link.about.len())
            .max()
            .unwrap_or(0);
        for link in &self.chain {
            let mark = if link.holds { "holds" } else { "ok" };
            text += &format!("{mark:5}  {:width$}  {}\n", link.about, link.found);
        }
        text
    }
}
