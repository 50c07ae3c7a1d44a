//! Builds a pool's `status`: numbers, and conditions with reasons.

use cuo_coordination::pool::PoolObject;
use cuo_coordination::pool::releases::{IdentityStatus, ReleaseStatus};
use cuo_coordination::pool::status::{Condition, NodeCounts, PoolStatus, Slot, Target};
use cuo_core::plan::PoolReport;
use cuo_core::pool::FoundPool;
use cuo_core::reason::{Code, Reason};
use cuo_core::time::Time;
use cuo_core::trust::{Chosen, RESTRICTED};

/// The status of `pool`; `before` is the previous one.
pub fn status(
    pool: &PoolObject,
    report: &PoolReport,
    before: &PoolStatus,
    now: Time,
) -> PoolStatus {
    let conditions = [
        ("Accepted", accepted(pool)),
        ("Progressing", progressing(report)),
        ("Held", held(report)),
        ("Degraded", degraded(report)),
        ("SelectorTrusted", trusted(pool)),
        ("Drainable", drainable(report)),
        // As GitOps tools read any object (kstatus, of cli-utils): being changed, in need of a person, or well.
        ("Ready", ready(pool, report, true)),
        ("Reconciling", progressing(report)),
        ("Stalled", ready(pool, report, false)),
    ];
    let conditions = conditions.map(|(kind, (status, reason, message))| {
        let known = before.conditions.iter().find(|known| known.kind == kind);
        let since = known.filter(|known| known.status == status);
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            last_transition_time: since.map_or(now, |known| known.last_transition_time),
            observed_generation: pool.generation,
        }
    });
    PoolStatus {
        observed_generation: pool.generation,
        max_unavailable: number(report.budget),
        nodes: NodeCounts {
            total: number(report.members),
            up_to_date: number(report.up_to_date),
            need_reboot: number(report.needing),
            rebooting: number(report.rebooting),
            unavailable: number(report.used),
            failed: number(report.failed),
        },
        slots: report.slots.iter().map(slot).collect(),
        targets: targets(report),
        control_plane: report.control_plane.clone(),
        release: release(pool, report),
        history: pool.status.history.clone(),
        next_window: report.next_opening,
        conditions: conditions.into(),
    }
}

/// What decides stays as it is; what waits is for people.
fn release(pool: &PoolObject, report: &PoolReport) -> Option<ReleaseStatus> {
    let waiting = report.waiting.as_ref().map(|release| IdentityStatus {
        architecture: String::new(),
        identity: release.identity,
        version: release.version.clone(),
    });
    let known = pool.status.release.clone()?;
    Some(ReleaseStatus { waiting, ..known })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn slot(slot: &cuo_core::plan::SlotReport) -> Slot {
    Slot {
        node: slot.node.clone(),
        grant: slot.id,
        identity: slot.identity,
        since: slot.since,
    }
}

fn targets(report: &PoolReport) -> Vec<Target> {
    let targets = report.targets.iter();
    let targets = targets.map(|(identity, target)| Target {
        identity: *identity,
        version: target.version.clone(),
        nodes: number(target.nodes),
    });
    targets.collect()
}

/// A condition's status, reason and message.
type Why = (&'static str, String, String);

fn why(holds: bool, reason: &str, message: impl Into<String>) -> Why {
    let status = if holds { "True" } else { "False" };
    (status, reason.to_owned(), message.into())
}

fn accepted(pool: &PoolObject) -> Why {
    match &pool.found {
        FoundPool::Valid(_) => why(true, "Valid", "The pool is valid."),
        FoundPool::Invalid { why: text, .. } => why(false, Code::PoolInvalid.as_str(), text),
    }
}

fn progressing(report: &PoolReport) -> Why {
    let reason = rests(report);
    if report.rebooting > 0 {
        let reported = report.slots.iter().map(|slot| match &slot.why {
            Some(why) => format!("{} ({why})", slot.node),
            None => slot.node.to_string(),
        });
        let reported: Vec<_> = reported.collect();
        return why(true, reason.code.as_str(), reported.join(", "));
    }
    why(false, reason.code.as_str(), reason.message)
}

/// The condition `Held`: why nothing happens although something is to be done.
fn held(report: &PoolReport) -> Why {
    let reason = rests(report);
    let holds = report.why.is_some() && report.rebooting == 0;
    why(holds, reason.code.as_str(), reason.message)
}

/// The reason of `Progressing` while no node has its turn, or one has.
fn rests(report: &PoolReport) -> Reason {
    if let Some(stuck) = report.slots.iter().find_map(|slot| slot.why.as_ref()) {
        return stuck.clone();
    }
    let (code, text) = match &report.why {
        _ if report.rebooting > 0 => (Code::Rebooting, "A node has its turn."),
        Some(reason) => return reason.clone(),
        None if report.needing > 0 => (Code::Reserved, "A node is about to have its turn."),
        None => (Code::UpToDate, "No node needs a reboot."),
    };
    Reason::new(code, text)
}

fn degraded(report: &PoolReport) -> Why {
    match report.failed {
        0 => why(
            false,
            "NoFailures",
            "No update failed on a node of this pool.",
        ),
        count => why(
            true,
            "NodesFailed",
            format!("{count} of the pool's nodes need a person, or need what failed on them."),
        ),
    }
}

/// The condition `Ready`, and `Stalled`, its opposite: `good` is the status of the first.
fn ready(pool: &PoolObject, report: &PoolReport, good: bool) -> Why {
    let (bad, reason, text) = match accepted(pool) {
        ("True", ..) => degraded(report),
        (_, reason, text) => ("True", reason, text),
    };
    match bad {
        "True" => why(!good, &reason, text),
        _ => why(
            good,
            "Valid",
            "The pool is in force, and none of its nodes needs a person.",
        ),
    }
}

/// The condition `SelectorTrusted`: whether nodes can't decide on their own to be selected.
fn trusted(pool: &PoolObject) -> Why {
    let chosen = match &pool.found {
        FoundPool::Valid(pool) => Chosen::of(pool),
        FoundPool::Invalid { .. } => {
            let (status, reason) = ("Unknown", Code::PoolInvalid.as_str());
            return (status, reason.to_owned(), "The pool is invalid.".into());
        }
    };
    let fields = [
        ("nodeSelector", &chosen.members),
        ("canary.nodeSelector", &chosen.canaries),
    ];
    let fields = fields.iter().filter(|(_, labels)| !labels.is_empty());
    let fields: Vec<_> = fields
        .map(|(field, labels)| {
            let labels: Vec<_> = labels.iter().copied().collect();
            format!("{field} looks at {}", labels.join(", "))
        })
        .collect();
    if fields.is_empty() {
        let text = "Nodes can't write the labels by which they are selected.";
        return why(true, "NodesCannotChoose", text);
    }
    let text = format!(
        "Nodes can set the labels that select them on themselves: {}. They can't set labels that begin with {RESTRICTED}/.",
        fields.join("; ")
    );
    why(false, "NodesChooseThemselves", text)
}

/// The condition `Drainable`: whether pods that have to leave a node have another one to go to.
fn drainable(report: &PoolReport) -> Why {
    let Some(lone) = &report.lone else {
        let text = "No node of this pool is the only one that takes pods, or they are not drained.";
        return why(true, "OtherNodes", text);
    };
    let text = format!(
        "{lone} is the only node that takes pods, so those with a disruption budget do not leave it: `drain.mode: None` updates it without a drain."
    );
    why(false, "OnlyNode", text)
}

#[cfg(test)]
mod tests;
