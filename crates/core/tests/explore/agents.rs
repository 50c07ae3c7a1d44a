//! The agents: deciding, and what their acts do.

use std::cell::RefCell;
use std::collections::HashMap;

use cuo_core::agent::state::Retry;
use cuo_core::agent::{Act, Asked, NodeSeen, Observation, Settings, Step, step};
use cuo_core::drain::{EvictionTry, RawPod};
use cuo_core::node::{NodeView, Published, SystemLabels};
use cuo_core::values::{Outcome, Progress};
use jiff::{SignedDuration, Timestamp};

use crate::bugs::Bug;
use crate::search::{Violation, hash};
use crate::world::{MOMENTS, Pod, Sent, Site, Who, World, boot_id, uncordons};

fn settings() -> Settings {
    Settings {
        hold: None,
        retry: Retry {
            first: SignedDuration::from_secs(60),
            cap: SignedDuration::from_secs(600),
        },
        evict_every: SignedDuration::from_secs(5),
        shutdown: SignedDuration::from_secs(300),
        state_unusable: None,
    }
}

/// What the agent of `site` sees with this picture of its Node.
fn observe(site: usize, at: &Site, node: Option<&NodeView>, live: bool) -> Observation {
    let machine = &at.machine;
    let pod = RawPod {
        namespace: "default".into(),
        name: "web".into(),
        uid: "u".into(),
        ..RawPod::default()
    };
    let refused = at.agent.refused.map(|moment| EvictionTry {
        uid: "u".into(),
        at: Timestamp::from_second(MOMENTS[moment]).unwrap(),
        refused: Some("budget".into()),
    });
    Observation {
        boot: boot_id(site, machine.boot),
        host: Ok(machine.host()),
        node: match node {
            Some(view) => NodeSeen::Present {
                view: Box::new(view.clone()),
                live,
            },
            None => NodeSeen::Absent,
        },
        pods: Some(if machine.pod == Pod::Gone {
            vec![]
        } else {
            vec![pod]
        }),
        evictions: refused.into_iter().collect(),
        inhibitors: Ok(vec![]),
        system: SystemLabels::default(),
        staging: cuo_core::agent::Staging::Idle,
        check_due: false,
        check_error: None,
        asked: at.agent.asked.clone(),
    }
}

/// One decision on the picture `node`, with the truth read live where the agent asks for it. `truth` is where [`Bug`]s may lie.
pub fn decide(
    site: usize,
    at: &Site,
    node: Option<&NodeView>,
    now: Timestamp,
    bug: Option<Bug>,
) -> Step {
    let look = |node: Option<&NodeView>, live: bool| {
        let mut seen = observe(site, at, node, live);
        if let Some(bug) = bug {
            bug.blind_agent(&mut seen, &at.agent.disk);
        }
        step(&at.agent.disk, &seen, &settings(), now)
    };
    let first = look(node, false);
    if first.act != Act::Confirm {
        return first;
    }
    let live = if bug == Some(Bug::ConfirmsFromCache) {
        node
    } else {
        at.node.as_ref()
    };
    look(live, true)
}

/// Without the API server nothing is done but what concerns the host alone (I6).
fn cut_off(site: usize, at: &Site, now: Timestamp) -> Result<(), Violation> {
    let mut seen = observe(site, at, None, false);
    seen.node = NodeSeen::Unknown("refused".into());
    match step(&at.agent.disk, &seen, &settings(), now).act {
        Act::Wait | Act::Stage => Ok(()),
        act => Err(Violation::new("I6: acted without the API server", &act)),
    }
}

/// A decision, and whether it rests on the Node as it is now.
#[derive(Clone)]
struct Turn {
    step: Step,
    current: bool,
}

thread_local! {
    /// Decisions by the hash of all that they depend on: most of what happens in the cluster does not concern most agents.
    static KNOWN: RefCell<HashMap<u64, Result<Option<Turn>, Violation>>> = RefCell::default();
}

/// The agent of `site` decides; `None` when it has nothing to do.
pub fn turn(world: &World, site: usize, bug: Option<Bug>) -> Result<Option<World>, Violation> {
    let at = &world.sites[site];
    if !at.agent.running || at.agent.flight.is_some() {
        return Ok(None);
    }
    let key = hash(&(site, world.moment, at, bug.map(|bug| bug as u8)));
    let known = KNOWN.with_borrow(|known| known.get(&key).cloned());
    let decided = known.unwrap_or_else(|| {
        let decided = judged(world, site, bug);
        KNOWN.with_borrow_mut(|known| known.insert(key, decided.clone()));
        decided
    });
    let Some(Turn { step, current }) = decided? else {
        return Ok(None);
    };
    let mut next = world.clone();
    let agent = &mut next.sites[site].agent;
    if step.state.attempt.is_none() {
        (agent.asked, agent.refused) = (None, None);
    }
    agent.disk = step.state;
    if matches!(step.act, Act::Finalize(_) | Act::Reboot) {
        asked(&mut next, site);
    }
    if step.act != Act::Wait {
        next.sites[site].agent.flight = Some(Sent {
            what: step.act,
            current,
        });
    }
    Ok(Some(next))
}

/// Decides, and checks the decision against the invariants.
fn judged(world: &World, site: usize, bug: Option<Bug>) -> Result<Option<Turn>, Violation> {
    let at = &world.sites[site];
    cut_off(site, at, world.now())?;
    let (picture, current) = match &at.agent.stale {
        Some(stale) => (stale.view.as_ref(), stale.current),
        None => (at.node.as_ref(), true),
    };
    let step = decide(site, at, picture, world.now(), bug);
    if step.state == at.agent.disk && step.act == Act::Wait {
        return Ok(None);
    }
    rests_on_a_grant(at, site, picture, &step)?;
    runs_what_it_says(at, site, &step)?;
    if let (Act::Publish(want), Some(picture)) = (&step.act, picture) {
        accepts_what_is_granted(at, site, picture, want, &step)?;
    }
    Ok(Some(Turn { step, current }))
}

/// Done is what runs what was granted, in another boot (I3).
fn runs_what_it_says(at: &Site, site: usize, step: &Step) -> Result<(), Violation> {
    let new = step
        .state
        .result
        .as_ref()
        .filter(|result| at.agent.disk.result.as_ref() != Some(result));
    let (Some(result), Some(attempt)) = (new, &at.agent.disk.attempt) else {
        return Ok(());
    };
    let left = attempt.progress.boot != boot_id(site, at.machine.boot);
    let runs = attempt.progress.identity == at.machine.booted;
    if result.outcome == Outcome::Done && !(left && runs) {
        return Err(Violation::new(
            "I3: done, but does not run what was granted",
            result,
        ));
    }
    Ok(())
}

/// A grant is accepted only as it stands on the Node (I1), and never for what failed here (I10).
fn accepts_what_is_granted(
    at: &Site,
    site: usize,
    picture: &NodeView,
    want: &Published,
    step: &Step,
) -> Result<(), Violation> {
    let Some(progress) = want
        .progress
        .as_ref()
        .filter(|progress| picture.agent.progress.value() != Some(progress))
    else {
        return Ok(());
    };
    // A reboot that was asked for is noted on a Node that was made anew, too.
    let asked = step
        .state
        .attempt
        .as_ref()
        .is_some_and(|attempt| attempt.requested.is_some());
    if asked || progress.boot != boot_id(site, at.machine.boot) {
        return Ok(());
    }
    let granted = picture.operator.grant.value();
    if !granted.is_some_and(|grant| grant.id == progress.id && grant.identity == progress.identity)
    {
        return Err(Violation::new("I1: accepted what was not granted", want));
    }
    if step.state.failed.find(&progress.identity).is_some() {
        return Err(Violation::new("I10: accepted what failed here", want));
    }
    Ok(())
}

/// What was sent arrives.
pub fn arrive(
    world: &mut World,
    site: usize,
    sent: Sent<Act>,
    bug: Option<Bug>,
) -> Result<(), Violation> {
    match sent.what {
        Act::Publish(want) => {
            if sent.current || bug == Some(Bug::WritesWithoutCondition) {
                publish(world, site, &want, bug)?;
            }
        }
        Act::Evict(_) => {
            let moment = world.moment;
            let at = &mut world.sites[site];
            match at.machine.pod {
                Pod::Runs => at.machine.pod = Pod::Gone,
                Pod::Blocked => at.agent.refused = Some(moment),
                Pod::Gone => {}
            }
        }
        Act::Finalize(_) | Act::Reboot => {
            reboot(world, site, matches!(sent.what, Act::Finalize(_)))?
        }
        Act::Wait | Act::Stage | Act::Confirm => {}
    }
    Ok(())
}

fn publish(
    world: &mut World,
    site: usize,
    want: &Published,
    bug: Option<Bug>,
) -> Result<(), Violation> {
    let at = &mut world.sites[site];
    let Some(node) = &mut at.node else {
        return Ok(());
    };
    if uncordons(want, node) && at.cordoned_by != Some(Who::Agent) {
        return Err(Violation::new(
            "I4: uncordoned what somebody else cordoned",
            want,
        ));
    }
    if want.unschedulable == Some(true) && !node.unschedulable {
        if want.owned.is_none() {
            return Err(Violation::new("I4: cordoned without owning it", want));
        }
        at.cordoned_by = Some(Who::Agent);
    }
    if uncordons(want, node) {
        at.cordoned_by = None;
    }
    let before = node.operator.clone();
    want.apply(node);
    if bug == Some(Bug::AgentGrantsItself) && node.operator.grant.is_absent() {
        Bug::grant_itself(node);
    }
    if node.operator != before {
        return Err(Violation::new(
            "I9: an agent wrote the operator's keys",
            want,
        ));
    }
    world.touched(site);
    Ok(())
}

fn reboot(world: &mut World, site: usize, finalize: bool) -> Result<(), Violation> {
    let at = &mut world.sites[site];
    let Some(attempt) = at.agent.disk.attempt.clone() else {
        return Ok(());
    };
    let wanted = attempt.progress.identity;
    if at.machine.pod != Pod::Gone {
        return Err(Violation::new(
            "I5: rebooted with pods on the node",
            &attempt,
        ));
    }
    let (found, staged) = match at.machine.pending {
        Some((identity, staged)) => (Some(identity), staged),
        None => (None, false),
    };
    if finalize && !(found == Some(wanted) && staged) {
        // rpm-ostree compares and refuses; this process, if it still lives, hears of it.
        if let Some(asked) = &mut at.agent.asked {
            asked.refused = Some("Expected staged base checksum".into());
        }
        return Ok(());
    }
    at.machine.going_down = Some(finalize);
    Ok(())
}

/// What a decision to touch the host or its pods has to rest on: the grant for exactly what a reboot would boot (I1), and for a reboot
/// the grant as it stands on the API server now (I6).
fn rests_on_a_grant(
    at: &Site,
    site: usize,
    picture: Option<&NodeView>,
    step: &Step,
) -> Result<(), Violation> {
    let act = &step.act;
    let reboots = matches!(act, Act::Finalize(_) | Act::Reboot);
    if !reboots && !matches!(act, Act::Evict(_)) {
        return Ok(());
    }
    let node = if reboots { at.node.as_ref() } else { picture };
    let grant = node.and_then(|node| node.operator.grant.value());
    let (Some(grant), Some(attempt)) = (grant, &step.state.attempt) else {
        let rule = if reboots {
            "I6: reboots though the grant is gone"
        } else {
            "I1: drains without a grant"
        };
        return Err(Violation::new(rule, act));
    };
    let fits = attempt.progress.id == grant.id && grant.boot == boot_id(site, at.machine.boot);
    let boots = at.machine.pending.map(|(identity, _)| identity) == Some(grant.identity);
    if !(fits && boots) && at.agent.asked.is_none() {
        return Err(Violation::new(
            "I1: acts on a grant for something else",
            act,
        ));
    }
    Ok(())
}

/// Notes that this process has asked for the reboot.
fn asked(world: &mut World, site: usize) {
    let now = world.now();
    let agent = &mut world.sites[site].agent;
    let Some(attempt) = &agent.disk.attempt else {
        return;
    };
    let id = attempt.progress.id;
    agent.asked = Some(match agent.asked.take() {
        Some(asked) => Asked {
            again: Some(now),
            ..asked
        },
        None => Asked {
            id,
            at: now,
            again: None,
            refused: None,
        },
    });
}

/// An act in a few words.
pub fn brief(act: &Act) -> String {
    let Act::Publish(want) = act else {
        return format!("{act:?}").chars().take(40).collect();
    };
    let progress = want.progress.as_ref().map(|progress| progress.id);
    let result = want
        .result
        .as_ref()
        .map(|result| (result.id, result.outcome, result.code));
    let (phase, owned, unschedulable) = (want.status.phase, want.owned, want.unschedulable);
    format!(
        "says {phase}, progress {progress:?}, owned {owned:?}, unschedulable {unschedulable:?}, result {result:?}"
    )
}
