//! Makes one of histories that differ in nothing that matters any more.

use std::cell::RefCell;

use cuo_core::agent::Act;
use cuo_core::agent::state::{Stage as Progress, State};
use cuo_core::ledger::{Ledger, Stage};
use cuo_core::node::NodeView;
use cuo_core::release::Rollout;
use cuo_core::time::Time;
use cuo_core::values::Field;

use crate::releases::forget;
use crate::shared::{Pool, Shared};
use crate::world::{Operator, Sent, Site, World, Write};

/// Stands for every time that no decision depends on.
const NO_TIME: Time = Time::EPOCH;

/// One copy of each part, of all states that are looked at.
#[derive(Default)]
pub struct Parts {
    sites: RefCell<Pool<Site>>,
    operators: RefCell<Pool<Operator>>,
    ledgers: RefCell<Pool<Ledger>>,
    nodes: RefCell<Pool<NodeView>>,
    states: RefCell<Pool<State>>,
    rollouts: RefCell<Pool<Rollout>>,
}

impl Parts {
    /// `doomed`: writes whose condition fails are dropped at once. What sent one would wait for the refusal, and can do nothing then that
    /// it could not do earlier.
    pub fn site(&self, mut at: Site, doomed: bool) -> Shared<Site> {
        at.written = false;
        let agent = &mut at.agent;
        if doomed {
            if agent.flight.take_if(|sent| !sent.current).is_some() {
                agent.stale = None; // it reads again
            }
            agent.orphan.take_if(|sent| !sent.current);
        }
        for sent in agent.flight.iter_mut().chain(&mut agent.orphan) {
            if let Act::Publish(..) = *sent.what {
                forget_in_act(&mut sent.what);
            }
        }
        forget_in_state(&mut agent.disk);
        agent.disk = self.states.borrow_mut().keep(agent.disk.clone());
        at.node = at.node.take().map(|node| self.node(node));
        if let Some(stale) = &mut at.agent.stale {
            stale.view = stale.view.take().map(|node| self.node(node));
        }
        self.sites.borrow_mut().keep(at.into())
    }

    fn node(&self, mut node: Shared<NodeView>) -> Shared<NodeView> {
        forget_in_node(&mut node);
        self.nodes.borrow_mut().keep(node)
    }

    fn ledger(&self, mut ledger: Shared<Ledger>) -> Shared<Ledger> {
        forget_in_ledger(&mut ledger);
        self.ledgers.borrow_mut().keep(ledger)
    }

    fn rollout(&self, mut rollout: Shared<Rollout>) -> Shared<Rollout> {
        forget(&mut rollout);
        self.rollouts.borrow_mut().keep(rollout)
    }

    fn operator(&self, at: &Operator, doomed: bool) -> Shared<Operator> {
        let mut at = at.clone();
        if doomed {
            let lost = |sent: &mut Sent<Write>| !sent.current;
            match at.flight.take_if(lost).map(|sent| sent.what) {
                // It reads again.
                Some(Write::Ledger(_)) => at.ledger = None,
                Some(Write::Node(..) | Write::Pool(_)) | None => {}
            }
            at.orphan.take_if(lost);
        }
        for sent in at.flight.iter_mut().chain(&mut at.orphan) {
            match &mut sent.what {
                Write::Ledger(ledger) => *ledger = self.ledger(ledger.clone()),
                Write::Node(_, allotted) if allotted.grant.is_some() => allotted
                    .grant
                    .iter_mut()
                    .for_each(|grant| grant.issued = NO_TIME),
                Write::Node(..) => {}
                Write::Pool(rollout) => *rollout = self.rollout(rollout.clone()),
            }
        }
        if let Some(rollout) = &mut at.rollout {
            *rollout = self.rollout(rollout.clone());
        }
        self.operators.borrow_mut().keep(at.into())
    }

    /// Brings what is new in `world` into its one form.
    pub fn settle(&self, world: &mut World, before: &World, doomed: bool) {
        for site in 0..world.sites.len() {
            if !world.sites[site].same(&before.sites[site]) {
                if world.sites[site].written {
                    world.node_written(site);
                }
                world.sites[site] = self.site((*world.sites[site]).clone(), doomed);
            }
        }
        if !world.rollout.same(&before.rollout) {
            world.rollout = self.rollout(world.rollout.clone());
        }
        if !world.ledger.same(&before.ledger) {
            world.ledger = self.ledger(world.ledger.clone());
        }
        for (operator, before) in world.operators.iter_mut().zip(&before.operators) {
            if !operator.same(before) {
                *operator = self.operator(operator, doomed);
            }
        }
        // Operators are alike: which one does what makes no difference.
        world.operators.sort_by_key(Shared::number);
    }
}

fn forget_in_act(act: &mut Act) {
    if let Act::Publish(_, want) = act {
        want.status.since = NO_TIME;
        want.booted
            .iter_mut()
            .for_each(|booted| booted.since = NO_TIME);
        want.result
            .iter_mut()
            .for_each(|result| result.at = NO_TIME);
        want.failed
            .identities
            .iter_mut()
            .for_each(|failure| failure.at = NO_TIME);
    }
}

fn forget_in_node(node: &mut NodeView) {
    if let Field::Value(status) = &mut node.agent.status {
        status.since = NO_TIME;
    }
    if let Field::Value(booted) = &mut node.agent.booted {
        booted.since = NO_TIME;
    }
    if let Field::Value(result) = &mut node.agent.result {
        result.at = NO_TIME;
    }
    if let Field::Value(failed) = &mut node.agent.failed {
        failed
            .identities
            .iter_mut()
            .for_each(|failure| failure.at = NO_TIME);
    }
    if let Field::Value(grant) = &mut node.operator.grant {
        grant.issued = NO_TIME;
    }
}

fn forget_in_state(state: &mut State) {
    state
        .result
        .iter_mut()
        .for_each(|result| result.at = NO_TIME);
    state
        .failed
        .identities
        .iter_mut()
        .for_each(|failure| failure.at = NO_TIME);
    let request = state
        .attempt
        .as_mut()
        .and_then(|attempt| match &mut attempt.stage {
            Progress::Draining | Progress::Delaying { .. } => None,
            Progress::Rebooting { request, .. } => Some(request),
            Progress::Verifying { asked, .. } => asked.as_mut(),
        });
    if let Some(request) = request {
        request.at = NO_TIME;
    }
}

/// How long a slot is kept for a Node that says nothing counts from when it was granted.
fn forget_in_ledger(ledger: &mut Ledger) {
    ledger
        .entries
        .values_mut()
        .filter(|entry| entry.stage == Stage::Reserved)
        .for_each(|entry| entry.since = NO_TIME);
}
