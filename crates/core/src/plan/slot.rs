//! One slot that is out: its next write, or why it waits.

use jiff::SignedDuration;

use super::{Act, Planner, holds};
use crate::features::Feature;
use crate::field::trouble;
use crate::identity::{GrantId, Identity, NodeName};
use crate::keys;
use crate::ledger::{Entry, Ledger, Stage};
use crate::node::{Allotted, NodeView};
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Cordoned, Grant, Granted, Outcome, Reservation};

/// What is next for a slot.
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
            (Stage::Reserved, None) => Next::only(self.drop_entry(name)),
            (Stage::Reserved, Some(node)) => self.reserved(node, entry),
            (Stage::Granted, None) => self.untraced(name, entry),
            (Stage::Granted, Some(node)) => self.granted(node, entry),
        }
    }

    /// The ledger without the entry of `name`, and without notes about Nodes that are gone.
    fn without(&self, name: &NodeName) -> Ledger {
        let mut ledger = self.ledger.clone();
        ledger.entries.remove(name);
        let nodes = &self.seen.nodes;
        ledger
            .unanswered
            .retain(|other, _| nodes.contains_key(other));
        ledger.seq = self.last_seq;
        ledger
    }

    /// The slot of `name` is free.
    fn drop_entry(&self, name: &NodeName) -> Act {
        Act::WriteLedger(self.without(name))
    }

    fn write(&self, node: &NodeView, allotted: Allotted) -> Act {
        Act::WriteNode(node.name.clone(), Box::new(allotted))
    }

    /// What the entry was made for is what the node still wants.
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

    /// The entry's node may still go, beside everybody else.
    fn still_next(&mut self, node: &NodeView, entry: &Entry) -> Result<(), Reason> {
        self.still_wanted(node, entry)?;
        self.turn(node, &entry.identity)?;
        self.pools.fits(node)
    }

    /// A reserved slot: on to the Node, through the checks, to granted, or dropped.
    fn reserved(&mut self, node: &NodeView, entry: &Entry) -> Next {
        if taken_back(node, entry) {
            return Next::only(self.drop_entry(&node.name));
        }
        if let Err(reason) = self.still_next(node, entry) {
            return Next::act(self.drop_entry(&node.name), reason);
        }
        self.wakes.extend(self.pools.closes(&node.name));
        let shown = node.operator.reserved.value().map(|reserved| reserved.id);
        let before = self.pools.checks(&node.name, |pool| &pool.before);
        // The label differs too if other checks are asked for by now.
        let asked = node.operator.before != before.is_empty();
        if shown != Some(entry.id) || !asked {
            // Without its reservation the node only keeps others from their turn.
            if self.seen.writes.refused(&node.name) {
                return Next::act(self.drop_entry(&node.name), Code::WriteRefused);
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

    /// The ledger with the entry as granted: the agent's time begins now.
    fn begin(&self, node: &NodeView, entry: &Entry) -> Act {
        let mut ledger = self.ledger.clone();
        ledger.entries.insert(
            node.name.clone(),
            Entry {
                stage: Stage::Granted,
                since: self.now,
                ..entry.clone()
            },
        );
        ledger.seq = self.last_seq;
        Act::WriteLedger(ledger)
    }

    /// The reservation, with the label that starts the checks; what was answered to earlier ones is removed.
    fn reservation(&self, node: &NodeView, entry: &Entry, before: Vec<String>) -> Act {
        let after = self.pools.checks(&node.name, |pool| &pool.after);
        let allotted = Allotted {
            reserved: Some(Reservation {
                id: entry.id,
                identity: entry.identity,
                boot: entry.boot,
            }),
            before: !before.is_empty(),
            reset: before.into_iter().chain(after).collect(),
            ..Allotted::default()
        };
        self.write(node, allotted)
    }

    /// A granted slot of which the known Node shows nothing, or whose Node is not known: the API server itself has to say so.
    ///
    /// A Node that was deleted and made anew while its host was about to reboot shows nothing either. Its agent, if there is one, says
    /// at once whether it goes on; without a word of it, the slot is kept for as long as it could still act on the grant.
    fn untraced(&mut self, name: &NodeName, entry: &Entry) -> Next {
        let live = match self.seen.live.get(name) {
            None => return Next::act(Act::Confirm(name.clone()), Code::Granted),
            Some(None) => return Next::only(self.drop_entry(name)),
            Some(Some(live)) => live,
        };
        let acts_until = entry
            .since
            .later(self.policy.accept_timeout)
            .later(self.pools.longest_drain());
        // The watch is behind. Whatever else is there may be what another operator has made of the slot meanwhile.
        if holds(live) {
            return Next::wait(Code::Granted);
        }
        if live.protocol.is_absent() && self.now <= acts_until {
            self.wakes
                .push(acts_until.later(SignedDuration::from_secs(1)));
            let text = "the Node was made anew in the middle of it; waiting for its agent";
            return Next::wait(Reason::new(Code::Rebooting, text));
        }
        let answered = live.agent.result.value().map(|result| result.id) == Some(entry.id);
        match self.seen.nodes.get(name) {
            _ if answered => Next::only(self.close(live, entry)),
            Some(node) => Next::only(self.take_back(node, entry)),
            None => Next::wait(Code::Granted),
        }
    }

    /// Another number on the Node than the entry's, in place of whatever was there. From then on no write that is still on its way can
    /// put the grant there, whoever sent it; nor can it if the Node was made anew meanwhile. The entry ends with that, and then the
    /// number is nobody's and goes, too.
    fn take_back(&self, node: &NodeView, entry: &Entry) -> Act {
        let id = GrantId {
            seq: self.last_seq + 1,
            salt: entry.id.salt,
        };
        let reserved = Reservation {
            id,
            identity: entry.identity,
            boot: entry.boot,
        };
        let allotted = Allotted {
            reserved: Some(reserved),
            ..Allotted::default()
        };
        self.write(node, allotted)
    }

    /// The ledger without the entry, and with a note if its grant lapsed.
    fn close(&self, node: &NodeView, entry: &Entry) -> Act {
        let answer = node
            .agent
            .result
            .value()
            .filter(|result| result.id == entry.id);
        let lapsed = match answer {
            Some(answer) => answer.gave(Code::GrantExpired),
            None => self.now > entry.since.later(self.policy.accept_timeout),
        };
        let mut ledger = self.without(&node.name);
        ledger.unanswered.remove(&node.name);
        if lapsed {
            ledger.unanswered.insert(node.name.clone(), self.now);
        }
        Act::WriteLedger(ledger)
    }

    /// A granted slot: on to the Node, to the answer, through the checks, off the Node, dropped.
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

    /// The reservation is to become the grant, unless something changed: then it is taken off, which keeps every write of the grant
    /// that is still on its way from succeeding.
    fn hand_over(&mut self, node: &NodeView, entry: &Entry) -> Next {
        // Any time may have passed since the entry was written, if the operator ended right after.
        if let Err(reason) = self.still_next(node, entry) {
            return Next::act(self.take_back(node, entry), reason);
        }
        let limit = entry.since.later(self.policy.accept_timeout);
        match self.seen.writes.suspect.contains(&node.name) {
            // Whatever keeps the grant from the Node may let this pass, and then others can go.
            true if self.now > limit => {
                return Next::act(self.take_back(node, entry), Code::WriteRefused);
            }
            true => self.wakes.push(limit.later(SignedDuration::from_secs(1))),
            // The ledger tells how long the agent can act on the grant, whatever becomes of the Node.
            false if self.now > entry.since.later(self.policy.accept_timeout / 2) => {
                return Next::act(self.begin(node, entry), Code::Reserved);
            }
            false => {}
        }
        // Nothing is asked of the API server for a write that has to wait.
        if self.seen.writes.refused(&node.name) {
            return Next::wait(Code::WriteRefused);
        }
        if self.seen.writes.wait(&node.name) {
            return Next::wait(Code::Granted);
        }
        // The watch that tells of pools may be behind for any time, and the drain and the deadline come from them.
        if !self.seen.pools_live {
            return Next::act(Act::ConfirmPools, Code::Reserved);
        }
        Next::act(self.grant(node, entry, limit), Code::Granted)
    }

    /// The grant in place of the reservation, to be accepted until `limit` or before a window closes.
    fn grant(&self, node: &NodeView, entry: &Entry, limit: Time) -> Act {
        // They all want the same, or the node would not go.
        let asks = self.pools.asks(&node.name).next();
        let (drain, pods) = asks.map_or_else(Default::default, |pool| {
            (pool.drain.clone(), pool.pods.clone())
        });
        let cordoned = match Feature::Cordoned.is_in(&node.agent.features) {
            true => self.pools.cordoned(&node.name),
            // Without the field it does so.
            false => Cordoned::default(),
        };
        let closes = self.pools.closes(&node.name);
        let grant = Grant {
            id: entry.id,
            identity: entry.identity,
            boot: entry.boot,
            issued: self.now,
            deadline: closes.map_or(limit, |end| end.min(limit)),
            drain: drain.within(&node.agent.features),
            pods,
            cordoned,
        };
        let allotted = Allotted {
            granted: noted(node, grant.identity),
            grant: Some(grant),
            ..Allotted::default()
        };
        self.write(node, allotted)
    }

    /// The grant is on the Node.
    fn on_node(&mut self, node: &NodeView, entry: &Entry, grant: &Grant) -> Next {
        let answer = node
            .agent
            .result
            .value()
            .filter(|result| result.id == entry.id);
        let accepted = node
            .agent
            .progress
            .value()
            .is_some_and(|progress| progress.id == entry.id);
        match answer {
            Some(answer) if answer.outcome == Outcome::Done => self.after(node, grant),
            Some(_) => Next::only(self.release(node, grant)),
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
    fn after(&self, node: &NodeView, grant: &Grant) -> Next {
        let checks = &self.pools.checks(&node.name, |pool| &pool.after);
        if !checks.is_empty() && !node.operator.after {
            let allotted = Allotted {
                grant: Some(grant.clone()),
                after: true,
                reset: checks.clone(),
                ..Allotted::default()
            };
            return Next::act(self.write(node, allotted), Code::AfterChecks);
        }
        match missing(node, checks, Code::AfterChecks) {
            Some(reason) => Next::wait(reason),
            None => Next::only(self.release(node, grant)),
        }
    }

    /// The grant is taken off the Node. One of an operator that did not note what it granted is noted now.
    fn release(&self, node: &NodeView, grant: &Grant) -> Act {
        let allotted = Allotted {
            granted: noted(node, grant.identity),
            ..Allotted::default()
        };
        self.write(node, allotted)
    }
}

/// The note of what the node was granted, with `identity` in it; `None` if it is there.
fn noted(node: &NodeView, identity: Identity) -> Option<Granted> {
    let known = node.operator.granted.value();
    if known.is_some_and(|known| known.identities.contains(&identity)) {
        return None;
    }
    let mut noted = known.cloned().unwrap_or_default();
    noted.add(identity);
    Some(noted)
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
