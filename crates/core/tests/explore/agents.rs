//! The agents: deciding, and what their acts do.

#[path = "published.rs"]
pub mod published;

use cuo_core::agent::Health;
use cuo_core::agent::state::Retry;
use cuo_core::agent::{
    Act, Asked, NodeSeen, Observation, Place, Questions, Settings, Step, step, wants_pods,
};
use cuo_core::drain::{Answer, EvictionTry, How, RawPod};
use cuo_core::field::Field;
use cuo_core::ids::ReleaseId;
use cuo_core::keys;
use cuo_core::look::Mode;
use cuo_core::node::{AgentFields, NodeView, Published, SystemLabels};
use cuo_core::reason::{Code, Reason};
use cuo_core::values::Outcome;
use jiff::SignedDuration;

use crate::bugs::Bug;
use crate::search::Violation;
use crate::world::{Pod, Sent, Site, Who, clocks};

fn settings(at: &Site) -> Settings {
    Settings {
        hold: None,
        mode: Mode::Stage,
        retry: Retry {
            first: SignedDuration::from_secs(60),
            cap: SignedDuration::from_secs(600),
        },
        health: Health {
            units: vec![],
            settle: SignedDuration::ZERO,
            deadline: SignedDuration::from_hours(1),
            rollback: at.machine.sick,
        },
        evict_every: SignedDuration::from_secs(5),
        shutdown: SignedDuration::from_secs(300),
        any_kubelet: false,
        allow_downgrade: false,
        state_unusable: None,
    }
}

/// What the agent sees with this picture of its Node.
fn observe(at: &Site, node: Option<&NodeView>, live: bool) -> Observation {
    let machine = &at.machine;
    let pod = RawPod {
        namespace: "default".into(),
        name: "web".into(),
        uid: "u".into(),
        ..RawPod::default()
    };
    let refused = at.agent.refused.map(|moment| EvictionTry {
        uid: "u".into(),
        at: clocks(moment).tick,
        how: How::Evict,
        answer: Answer::Refused("budget".into()),
    });
    let wanted = wants_pods(&at.agent.disk, node, &at.boot_id(), at.agent.asked.as_ref());
    Observation {
        boot: at.boot_id(),
        uptime: None,
        host: Ok(machine.host()),
        busy: false,
        node: match node {
            Some(view) => NodeSeen::Present {
                view: Box::new(view.clone()),
                live,
            },
            None => NodeSeen::Absent,
        },
        pods: match wanted {
            true => Ok(Vec::from_iter((machine.pod != Pod::Gone).then_some(pod))),
            false => Err(String::new()),
        },
        preflight: None,
        evictions: refused.into_iter().collect(),
        volumes: None,
        reported: None,
        inhibitors: Ok(vec![]),
        survey: Ok(at.survey()),
        system: SystemLabels::default(),
        staging: cuo_core::agent::Staging::Idle,
        check_due: false,
        looked: None,
        skew: None,
        following: None,
        asked: at.agent.asked.clone(),
    }
}

/// One decision on the picture `node`, with the truth read live where the agent asks for it. `truth` is where [`Bug`]s may lie.
pub fn decide(at: &Site, node: Option<&NodeView>, moment: usize, bug: Option<Bug>) -> Step {
    let look = |node: Option<&NodeView>, live: bool, preflight: Option<Questions>| {
        let mut seen = observe(at, node, live);
        seen.preflight = preflight;
        if let Some(bug) = bug {
            bug.blind_agent(&mut seen, &at.agent.disk);
        }
        step(&at.agent.disk, &seen, &settings(at), clocks(moment))
    };
    let mut first = look(node, false, None);
    if let Act::Preflight { grant, pods } = &first.act {
        // It changes nothing, so it is no step of its own here.
        let blocked = at.machine.pod == Pod::Blocked;
        let answers = pods.iter().map(|pod| EvictionTry {
            uid: pod.uid.clone(),
            at: clocks(moment).tick,
            how: How::Evict,
            answer: match blocked {
                true => Answer::Refused("budget".into()),
                false => Answer::Accepted,
            },
        });
        let preflight = Questions {
            grant: *grant,
            answers: answers.collect(),
        };
        first = look(node, false, Some(preflight));
    }
    if first.act != Act::Confirm {
        return first;
    }
    let live = if bug == Some(Bug::ConfirmsFromCache) {
        node
    } else {
        at.node.as_deref()
    };
    look(live, true, None)
}

/// Without the API server nothing is done but what concerns the host alone (I6).
fn cut_off(at: &Site, moment: usize) -> Result<(), Violation> {
    let mut seen = observe(at, None, false);
    seen.node = NodeSeen::Unknown("refused".into());
    match step(&at.agent.disk, &seen, &settings(at), clocks(moment)).act {
        Act::Wait | Act::Stage | Act::Check => Ok(()),
        act => Err(Violation::new("I6: acted without the API server", &act)),
    }
}

/// The agent decides; `None` when it has nothing to do.
pub fn turn(at: &Site, moment: usize, bug: Option<Bug>) -> Result<Option<Site>, Violation> {
    if !at.agent.running || at.agent.flight.is_some() {
        return Ok(None);
    }
    cut_off(at, moment)?;
    let (picture, current) = match &at.agent.stale {
        Some(stale) => (stale.view.as_deref(), stale.current),
        None => (at.node.as_deref(), true),
    };
    let step = decide(at, picture, moment, bug);
    if step.state == *at.agent.disk && step.act == Act::Wait {
        return Ok(None);
    }
    follows_the_table(at, &step)?;
    rests_on_a_grant(at, picture, &step)?;
    runs_what_it_says(at, &step)?;
    if let (Act::Publish(_, want), Some(picture)) = (&step.act, picture) {
        accepts_what_is_granted(at, picture, want, &step)?;
    }
    let mut next = at.clone();
    let agent = &mut next.agent;
    if step.state.attempt.is_none() {
        (agent.asked, agent.refused) = (None, None);
    }
    agent.disk = step.state.into();
    if matches!(step.act, Act::Finalize(_) | Act::RollBack(_) | Act::Reboot) {
        asks(&mut next, &step.act, moment);
    }
    if step.act != Act::Wait {
        next.agent.flight = Some(Sent {
            current: current || !matches!(step.act, Act::Publish(..)),
            what: step.act.into(),
        });
    }
    Ok(Some(next))
}

/// An attempt takes no way that is not in the table, from where it was.
fn follows_the_table(at: &Site, step: &Step) -> Result<(), Violation> {
    let began = step.course.first().copied();
    let was = at.agent.disk.attempt.as_ref();
    let was = was.map(|attempt| Place::from(&attempt.stage));
    let known = |way: &[Place]| way[0].leads_to(way[1]);
    if step.course.windows(2).all(known) && (was.is_none() || was == began) {
        return Ok(());
    }
    let rule = "a transition that is not in the table";
    Err(Violation::new(rule, &step.course))
}

/// Done is what runs what was granted, in another boot (I3).
fn runs_what_it_says(at: &Site, step: &Step) -> Result<(), Violation> {
    let new = step
        .state
        .result
        .as_ref()
        .filter(|result| at.agent.disk.result.as_ref() != Some(result));
    let (Some(result), Some(attempt)) = (new, &at.agent.disk.attempt) else {
        return Ok(());
    };
    let left = attempt.grant.progress.boot != at.boot_id();
    let runs = attempt.grant.progress.identity == at.machine.booted;
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
    // A reboot that was asked for is noted on a Node that was recreated, too.
    let asked = step
        .state
        .attempt
        .as_ref()
        .is_some_and(|attempt| attempt.stage.request().is_some());
    if asked || progress.boot != at.boot_id() {
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
    at: &mut Site,
    sent: &Sent<impl std::ops::Deref<Target = Act>>,
    moment: usize,
    bug: Option<Bug>,
) -> Result<(), Violation> {
    match &*sent.what {
        Act::Publish(_, want) => {
            if sent.current || bug == Some(Bug::WritesWithoutCondition) {
                publish(at, want, bug)?;
            }
        }
        Act::Evict(_) => match at.machine.pod {
            Pod::Runs => at.machine.pod = Pod::Gone,
            Pod::Blocked => at.agent.refused = Some(moment),
            Pod::Gone => {}
        },
        Act::Finalize(_) => reboot(at, true)?,
        Act::RollBack(back) => roll_back(at, back.identity),
        Act::Reboot => reboot(at, false)?,
        Act::Wait | Act::Stage | Act::Check | Act::Confirm => {}
        // Looks, which need no time here.
        Act::Preflight { .. } | Act::FindVolumes(_) => {}
    }
    Ok(())
}

fn publish(at: &mut Site, want: &Published, bug: Option<Bug>) -> Result<(), Violation> {
    let Some(node) = &mut at.node else {
        return Ok(());
    };
    if uncordons(want, node) && !matches!(at.cordoned_by, Some(Who::Agent | Who::Unclear)) {
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
    published::publish(want, node);
    if bug == Some(Bug::AgentGrantsItself) && node.operator.grant.is_absent() {
        Bug::grant_itself(node);
    }
    if node.operator != before {
        return Err(Violation::new(
            "I9: an agent wrote the operator's keys",
            want,
        ));
    }
    at.touched();
    Ok(())
}

/// What a publication would change about the cordon.
fn uncordons(want: &Published, node: &NodeView) -> bool {
    node.unschedulable && want.unschedulable == Some(false)
}

fn reboot(at: &mut Site, finalize: bool) -> Result<(), Violation> {
    let Some(attempt) = at.agent.disk.attempt.clone() else {
        return Ok(());
    };
    let wanted = attempt.grant.progress.identity;
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
            asked.refused = Some(Code::FinalizeFailed.into());
        }
        return Ok(());
    }
    let unlocked = finalize || at.machine.going_down == Some(true);
    if staged && !unlocked && !attempt.baseline.plain {
        return Err(Violation::new(
            "I6: a reboot drops what is locked",
            &attempt,
        ));
    }
    at.machine.going_down = Some(unlocked);
    if let Some(asked) = &mut at.agent.asked {
        asked.unlocked = unlocked;
    }
    Ok(())
}

/// What ran before is first again, if it is what rpm-ostree would choose and nothing is staged; whoever asked hears of it.
fn roll_back(at: &mut Site, wanted: ReleaseId) {
    let machine = &mut at.machine;
    if machine.pending.is_none() && machine.others.first() == Some(&wanted) {
        machine.others.remove(0);
        machine.pending = Some((wanted, false));
    }
    if machine.pending == Some((wanted, false)) {
        at.agent.asked = None;
    } else if let Some(asked) = &mut at.agent.asked {
        asked.refused = Some(Code::FinalizeFailed.into());
    }
}

/// What a decision to touch the host or its pods has to rest on: the grant for exactly what a reboot would boot (I1), and for a reboot
/// the grant as it stands on the API server now (I6).
fn rests_on_a_grant(at: &Site, picture: Option<&NodeView>, step: &Step) -> Result<(), Violation> {
    let act = &step.act;
    let reboots = matches!(act, Act::Finalize(_) | Act::RollBack(_) | Act::Reboot);
    if !reboots && !matches!(act, Act::Evict(_)) {
        return Ok(());
    }
    let node = if reboots { at.node.as_deref() } else { picture };
    let grant = node.and_then(|node| node.operator.grant.value());
    let (Some(grant), Some(attempt)) = (grant, &step.state.attempt) else {
        let rule = if reboots {
            "I6: reboots though the grant is gone"
        } else {
            "I1: drains without a grant"
        };
        return Err(Violation::new(rule, act));
    };
    let fits = attempt.grant.progress.id == grant.id && grant.boot == at.boot_id();
    let boots = match act {
        Act::RollBack(back) => Some(back.identity),
        // What is staged and locked is dropped; whatever was deployed is booted.
        _ if attempt.baseline.plain => match at.machine.pending {
            Some((deployed, false)) => Some(deployed),
            Some((_, true)) | None => Some(at.machine.booted),
        },
        // A host that is to leave what does not work is drained before anything is changed on it.
        Act::Evict(_) => at.machine.leads_to(),
        _ => at.machine.pending.map(|(identity, _)| identity),
    } == Some(grant.identity);
    if !(fits && boots) {
        return Err(Violation::new(
            "I1: acts on a grant for something else",
            act,
        ));
    }
    Ok(())
}

/// Notes that this process has asked for the reboot.
fn asks(at: &mut Site, act: &Act, moment: usize) {
    let agent = &mut at.agent;
    let Some(attempt) = &agent.disk.attempt else {
        return;
    };
    let id = attempt.grant.progress.id;
    agent.asked = Some(Asked::next(
        agent.asked.take(),
        id,
        act,
        clocks(moment).tick,
    ));
}

/// An act in a few words.
pub fn brief(act: &Act) -> String {
    let Act::Publish(_, want) = act else {
        return format!("{act:?}").chars().take(40).collect();
    };
    let progress = want.progress.as_ref().map(|progress| progress.id);
    let result = want
        .result
        .as_ref()
        .map(|result| (result.id, result.outcome, &result.code));
    let (phase, owned, unschedulable) = (want.status.phase, want.owned, want.unschedulable);
    format!(
        "says {phase}, progress {progress:?}, owned {owned:?}, unschedulable {unschedulable:?}, result {result:?}"
    )
}
