//! One slot in use: its next write, or why it waits.

use jiff::SignedDuration;

use super::act::{Act, LedgerChange, NodeChange, Note, on};
use super::nodes::holds;
use super::planner::Planner;
use crate::features::Feature;
use crate::field::trouble;
use crate::ids::{GrantId, NodeName};
use crate::keys;
use crate::ledger::{Entry, Stage};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Cordoned, Grant, Outcome, RebootResult, Reservation};

/// The next step of a slot.
pub(super) struct Next {
    pub act: Option<Act>,
    pub verdict: Option<Reason>,
}

impl Next {
    fn wait(reason: impl Into<Reason>) -> Self {
        Self {
            act: None,
            verdict: Some(reason.into()),
        }
    }

    fn act(act: Act, reason: impl Into<Reason>) -> Self {
        Self {
            act: Some(act),
            verdict: Some(reason.into()),
        }
    }

    fn only(act: Act) -> Self {
        Self {
            act: Some(act),
            verdict: None,
        }
    }
}

impl Planner<'_> {
    pub(super) fn slot(&mut self, name: &NodeName, entry: &Entry) -> Next {
        let node = self.seen.nodes.get(name);
        match (entry.stage, node) {
            (Stage::Reserved, None) => Next::only(self.give_up(name)),
            (Stage::Reserved, Some(node)) => self.reserved(node, entry),
            (Stage::Granted, None) => self.untraced(name, entry),
            (Stage::Granted, Some(node)) => self.granted(node, entry),
        }
    }

    /// Deleted Nodes that the ledger still has notes about.
    fn gone(&self) -> Vec<NodeName> {
        let noted = self.ledger.unanswered.keys();
        let gone = noted.filter(|name| !self.seen.nodes.contains_key(*name));
        gone.cloned().collect()
    }

    /// Gives up the reservation of `name`.
    fn give_up(&self, name: &NodeName) -> Act {
        self.ledger(name, LedgerChange::GiveUp { gone: self.gone() })
    }

    /// Frees the slot of `name` after a grant.
    fn drop_entry(&self, name: &NodeName, unanswered: Note) -> Act {
        let gone = self.gone();
        self.ledger(name, LedgerChange::Drop { gone, unanswered })
    }

    /// Whether the node still wants what the entry was made for.
    fn still_wanted(&mut self, node: &NodeView, entry: &Entry) -> Result<(), Reason> {
        self.wants(node)?;
        let same = node.agent.needed.value() == Some(&entry.identity);
        let here = node
            .agent
            .booted
            .value()
            .is_some_and(|booted| booted.boot == entry.boot);
        if same && here {
            Ok(())
        } else {
            Err(Code::GrantMismatch.into())
        }
    }

    /// Whether the entry's node may still go, beside all others.
    fn still_next(&mut self, node: &NodeView, entry: &Entry) -> Result<(), Reason> {
        self.still_wanted(node, entry)?;
        self.turn(node)?;
        self.pools.fits(node)
    }

    /// The next step of a reserved slot: write the reservation, wait for checks, mark as granted, or drop.
    fn reserved(&mut self, node: &NodeView, entry: &Entry) -> Next {
        if taken_back(node, entry) {
            return Next::only(self.give_up(&node.name));
        }
        if let Err(reason) = self.still_next(node, entry) {
            return Next::act(self.give_up(&node.name), reason);
        }
        self.wakes.extend(self.pools.closes(&node.name));
        let shown = node.operator.reserved.value().map(|reserved| reserved.id);
        let before = self.pools.checks(&node.name, |pool| &pool.before);
        // The label differs too if other checks are asked for by now.
        let asked = node.operator.before != before.is_empty();
        if shown != Some(entry.id) || !asked {
            // Without its reservation the node only delays others.
            if self.seen.writes.refused(&node.name) {
                return Next::act(self.give_up(&node.name), Code::WriteRefused);
            }
            return Next::act(self.reservation(node, entry, before), Code::Reserved);
        }
        if let Some(reason) = missing(node, &before, Code::BeforeChecks) {
            return Next::wait(reason);
        }
        if !self.seen.pools_live {
            return Next::act(Act::ConfirmPools, Code::Reserved);
        }
        // The checks may have taken hours.
        Next::act(self.begin(node, entry), Code::Reserved)
    }

    /// Marks the entry as granted: the agent's time begins now.
    fn begin(&self, node: &NodeView, entry: &Entry) -> Act {
        let entry = Entry {
            stage: Stage::Granted,
            since: self.now,
            ..entry.clone()
        };
        self.ledger(&node.name, LedgerChange::MarkGranted(entry))
    }

    /// The reservation, with the label that starts the checks; what was answered to earlier ones is removed.
    fn reservation(&self, node: &NodeView, entry: &Entry, before: Vec<String>) -> Act {
        let after = self.pools.checks(&node.name, |pool| &pool.after);
        let change = NodeChange::MarkReserved {
            reservation: Reservation {
                id: entry.id,
                identity: entry.identity,
                boot: entry.boot,
            },
            before: !before.is_empty(),
            reset: before.into_iter().chain(after).collect(),
        };
        on(node, change)
    }

    /// A granted slot of which the known Node shows nothing, or whose Node is not known: the API server itself has to say so.
    ///
    /// A Node that was deleted and recreated while its host was about to reboot shows nothing either. Its agent, if there is one, says
    /// at once whether it continues; until it does, the slot is kept for as long as it could still act on the grant.
    fn untraced(&mut self, name: &NodeName, entry: &Entry) -> Next {
        let live = match self.seen.live.get(name) {
            None => return Next::act(Act::ConfirmNode(name.clone()), Code::Granted),
            Some(None) => return Next::only(self.drop_entry(name, Note::Keep)),
            Some(Some(live)) => live,
        };
        let acts_until = entry
            .since
            .later(self.policy.accept_timeout)
            .later(self.pools.longest_drain());
        // The watch is behind. Anything else on the Node may be what another operator has made of the slot meanwhile.
        if holds(live) {
            return Next::wait(Code::Granted);
        }
        if live.protocol.is_absent() && self.now <= acts_until {
            self.wakes
                .push(acts_until.later(SignedDuration::from_secs(1)));
            let text = "the Node was recreated during the update; waiting for its agent";
            return Next::wait(Reason::new(Code::Rebooting, text));
        }
        let answered = answer(live, entry).is_some();
        match self.seen.nodes.get(name) {
            _ if answered => Next::only(self.close(live, entry)),
            Some(node) => Next::only(self.take_back(node, entry)),
            None => Next::wait(Code::Granted),
        }
    }

    /// Another number on the Node than the entry's, in place of whatever was there. From then on no write that is still on its way can
    /// put the grant there, whoever sent it; nor can it if the Node was recreated meanwhile. The entry ends with that, and then the
    /// number belongs to nobody and is removed, too.
    fn take_back(&self, node: &NodeView, entry: &Entry) -> Act {
        let id = GrantId {
            seq: self.last_seq + 1,
            salt: entry.id.salt,
        };
        let number = Reservation {
            id,
            identity: entry.identity,
            boot: entry.boot,
        };
        on(node, NodeChange::Withdraw(number))
    }

    /// Frees the slot, with a note if its grant lapsed.
    fn close(&self, node: &NodeView, entry: &Entry) -> Act {
        let lapsed = match answer(node, entry) {
            Some(answer) => answer.gave(Code::GrantExpired),
            None => self.now > entry.since.later(self.policy.accept_timeout),
        };
        let unanswered = match lapsed {
            true => Note::Set(self.now),
            false => Note::Clear,
        };
        self.drop_entry(&node.name, unanswered)
    }

    /// The next step of a granted slot: write the grant, wait for the answer and for checks, remove the grant, drop.
    fn granted(&mut self, node: &NodeView, entry: &Entry) -> Next {
        let id = entry.id;
        let operator = &node.operator;
        if let Some(grant) = operator.grant.value().filter(|grant| grant.id == id) {
            return self.on_node(node, entry, grant);
        }
        if operator
            .reserved
            .value()
            .is_some_and(|reserved| reserved.id == id)
        {
            return self.hand_over(node, entry);
        }
        if taken_back(node, entry) {
            return Next::only(self.close(node, entry));
        }
        if node
            .agent
            .progress
            .value()
            .is_some_and(|progress| progress.id == id)
        {
            // Somebody removed the grant; the agent gives it up, or has rebooted already and answers.
            return Next::wait(Code::Rebooting);
        }
        self.untraced(&node.name, entry)
    }

    /// Replaces the reservation with the grant, unless something changed: then it is removed, which keeps every write of the grant
    /// that is still on its way from succeeding.
    fn hand_over(&mut self, node: &NodeView, entry: &Entry) -> Next {
        // Any time may have passed since the entry was written, if the operator ended right after.
        if let Err(reason) = self.still_next(node, entry) {
            return Next::act(self.take_back(node, entry), reason);
        }
        let limit = entry.since.later(self.policy.accept_timeout);
        match self.seen.writes.suspect.contains(&node.name) {
            // What keeps the grant from being written may allow this write, and then others can go.
            true if self.now > limit => {
                return Next::act(self.take_back(node, entry), Code::WriteRefused);
            }
            true => self.wakes.push(limit.later(SignedDuration::from_secs(1))),
            // The ledger says how long the agent can act on the grant, whatever becomes of the Node.
            false if self.now > entry.since.later(self.policy.accept_timeout / 2) => {
                return Next::act(self.begin(node, entry), Code::Reserved);
            }
            false => {}
        }
        // No reads from the API server for a write that has to wait.
        if self.seen.writes.refused(&node.name) {
            return Next::wait(Code::WriteRefused);
        }
        if self.seen.writes.wait(&node.name) {
            return Next::wait(Code::Granted);
        }
        // The watch of pools may be behind for any time, and the drain and the deadline come from them.
        if !self.seen.pools_live {
            return Next::act(Act::ConfirmPools, Code::Reserved);
        }
        Next::act(self.grant(node, entry, limit), Code::Granted)
    }

    /// The grant in place of the reservation, to be accepted until `limit` or before a window closes.
    fn grant(&self, node: &NodeView, entry: &Entry, limit: Time) -> Act {
        // All pools of the node want the same, or it would not have been chosen.
        let asks = self.pools.asks(&node.name).next();
        let (drain, pods) = asks.map_or_else(Default::default, |pool| {
            (pool.drain.clone(), pool.pods.clone())
        });
        let cordoned = match Feature::Cordoned.is_in(&node.agent.features) {
            true => self.pools.cordoned(&node.name),
            // Without the field it does so.
            false => Cordoned::default(),
        };
        let closes = self.pools.closes(&node.name).into_iter();
        let closes = closes.chain(self.gates_close(node));
        let grant = Grant {
            id: entry.id,
            identity: entry.identity,
            boot: entry.boot,
            issued: self.now,
            deadline: closes.fold(limit, Time::min),
            drain: drain.within(&node.agent.features),
            pods,
            cordoned,
        };
        on(node, NodeChange::Grant(Box::new(grant)))
    }

    /// The next step while the grant is on the Node.
    fn on_node(&mut self, node: &NodeView, entry: &Entry, grant: &Grant) -> Next {
        let accepted = node
            .agent
            .progress
            .value()
            .is_some_and(|progress| progress.id == entry.id);
        match answer(node, entry) {
            Some(answer) if answer.outcome == Outcome::Done => self.after(node, grant, answer),
            Some(answer) => Next::only(release(node, grant, answer)),
            None if accepted => Next::wait(Code::Rebooting),
            None => {
                // An agent of another version may have accepted.
                if let Some(reason) = trouble(&node.agent.progress, keys::REBOOT_IN_PROGRESS) {
                    return Next::wait(reason);
                }
                let wanted = self.still_wanted(node, entry);
                let expired = self.now > grant.deadline;
                self.wakes
                    .push(grant.deadline.later(SignedDuration::from_secs(1)));
                match wanted {
                    Ok(()) if expired => Next::act(self.take_back(node, entry), Code::GrantExpired),
                    Ok(()) => Next::wait(Code::Granted),
                    Err(reason) => Next::act(self.take_back(node, entry), reason),
                }
            }
        }
    }

    /// The node is done; the after-reboot checks decide when the slot is free. Only answers count that were given since they were
    /// asked for.
    fn after(&self, node: &NodeView, grant: &Grant, answer: &RebootResult) -> Next {
        let checks = &self.pools.checks(&node.name, |pool| &pool.after);
        if !checks.is_empty() && !node.operator.after {
            let act = on(node, NodeChange::AskAfterChecks(checks.clone()));
            return Next::act(act, Code::AfterChecks);
        }
        match missing(node, checks, Code::AfterChecks) {
            Some(reason) => Next::wait(reason),
            None => Next::only(release(node, grant, answer)),
        }
    }
}

/// Removes the grant from the Node.
fn release(node: &NodeView, grant: &Grant, answer: &RebootResult) -> Act {
    let change = NodeChange::Release {
        grant: Box::new(grant.clone()),
        answer: answer.clone(),
    };
    on(node, change)
}

/// What the agent answered to the grant of the entry.
fn answer<'n>(node: &'n NodeView, entry: &Entry) -> Option<&'n RebootResult> {
    let answer = node.agent.result.value();
    answer.filter(|answer| answer.id == entry.id)
}

/// See [`Planner::take_back`].
fn taken_back(node: &NodeView, entry: &Entry) -> bool {
    let shown = node.operator.reserved.value();
    shown.is_some_and(|reserved| reserved.id.seq > entry.id.seq)
}

/// Which of the checks have not passed.
fn missing(node: &NodeView, checks: &[String], code: Code) -> Option<Reason> {
    let open: Vec<_> = checks
        .iter()
        .filter(|name| !node.check_passed(name))
        .map(String::as_str)
        .collect();
    (!open.is_empty()).then(|| Reason::new(code, format!("not yet true: {}", open.join(", "))))
}
