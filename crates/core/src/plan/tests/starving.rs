//! A new version every half a minute, and a soak of a minute: everybody is updated, and nobody before its canary has run the version for as
//! long as it was meant to.

use super::pools::{pool, selector, world};
use super::*;
use crate::features::Feature;
use crate::pool::{Canary, CanaryWho};

const EVERY: i64 = 30;
const SOAK: i64 = 60;
/// How often everything looks.
const STEP: i64 = 5;
/// How long a reboot takes.
const REBOOT: i64 = 10;

/// A boot into a version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Boot {
    node: String,
    version: u8,
    second: i64,
}

fn release(version: u8) -> ReleaseId {
    ReleaseId::Commit([version; 32])
}

/// What agents do that can be told what to stage, over some time.
struct Hosts {
    world: World,
    second: i64,
    boots: Vec<Boot>,
}

impl Hosts {
    fn new(nodes: &[&str], canary: Canary) -> Self {
        let mut p = pool("p");
        p.max_unavailable = MaxUnavailable::Count(9);
        p.canary = Some(canary);
        let mut world = world(nodes, vec![p]);
        for node in world.seen.nodes.values_mut() {
            node.agent.features = Feature::own();
            node.agent.needed = Field::Absent;
            phase(node, Phase::Idle);
        }
        Self {
            world,
            second: 0,
            boots: vec![],
        }
    }

    fn pass(&mut self, seconds: i64) {
        let end = self.second + seconds;
        while self.second < end {
            self.world.now = NOW + self.second;
            let names: Vec<_> = self.world.seen.nodes.keys().cloned().collect();
            for name in names {
                self.turn(name.as_str());
            }
            self.world.run();
            self.second += STEP;
        }
    }

    /// One agent goes on.
    fn turn(&mut self, text: &str) {
        let now = self.world.now;
        let node = self.world.node(text);
        let answered = node.agent.result.value().map(|result| result.id);
        if let Some(progress) = node.agent.progress.value().cloned() {
            if at(now).since(progress.accepted) >= SignedDuration::from_secs(REBOOT) {
                self.boot(text, &progress);
            }
        } else if let Some(grant) = node.operator.grant.value() {
            if answered != Some(grant.id) {
                self.world.accept(text);
            }
        } else if node.operator.reserved.is_absent() {
            self.stage(text);
        }
    }

    /// Stages what it is told, or else what is the newest.
    fn stage(&mut self, text: &str) {
        // The first version is there from the first minute on.
        let newest = u8::try_from(self.second / EVERY).unwrap() + 10;
        let node = self.world.node(text);
        let told = node.operator.assigned.value();
        let avoid = told.map(|told| told.avoid.clone()).unwrap_or_default();
        let told = told.and_then(|told| told.identity);
        let target = told.unwrap_or(release(newest));
        let booted = node.agent.booted.value().unwrap().identity;
        if target == booted || avoid.contains(&target) {
            node.agent.needed = Field::Absent;
            phase(node, Phase::Idle);
            return;
        }
        let ReleaseId::Commit(bytes) = target else {
            panic!("no commit")
        };
        node.agent.needed = Field::Value(target);
        node.agent.needed_version = Some(bytes[0].to_string());
        phase(node, Phase::Waiting);
    }

    fn boot(&mut self, text: &str, progress: &Progress) {
        let (now, second) = (self.world.now, self.second);
        let node = self.world.node(text);
        let ReleaseId::Commit(bytes) = progress.identity else {
            panic!("no commit")
        };
        let boot = BootId::from_bytes([progress.id.seq as u8 + 100; 16]);
        node.agent.progress = Field::Absent;
        node.agent.needed = Field::Absent;
        node.agent.booted = Field::Value(Booted {
            identity: progress.identity,
            version: bytes[0].to_string(),
            boot,
            since: at(now),
        });
        node.kubelet_boot = Some(boot);
        node.unschedulable = false;
        node.agent.result = Field::Value(RebootResult {
            id: progress.id,
            outcome: Outcome::Done,
            code: None,
            at: at(now),
        });
        phase(node, Phase::Idle);
        self.boots.push(Boot {
            node: text.to_owned(),
            version: bytes[0],
            second,
        });
    }

    /// How often each node was updated.
    fn updates(&self) -> BTreeMap<&str, usize> {
        let mut updates = BTreeMap::new();
        for boot in &self.boots {
            *updates.entry(boot.node.as_str()).or_default() += 1;
        }
        updates
    }

    /// Each boot of a version beyond the first `count` of it comes after these have run it for long enough.
    fn nobody_is_early(&self, count: usize) {
        for (place, boot) in self.boots.iter().enumerate() {
            let before = self.boots[..place].iter();
            let same: Vec<_> = before.filter(|one| one.version == boot.version).collect();
            if let Some(last) = same.get(count - 1) {
                assert!(boot.second >= last.second + SOAK, "{boot:?} after {last:?}");
            }
        }
    }
}

fn canary(who: CanaryWho) -> Canary {
    Canary {
        who,
        soak: SignedDuration::from_secs(SOAK),
    }
}

#[test]
fn canaries_by_name_starve_nobody_however_often_there_is_a_new_version() {
    let who = CanaryWho::Nodes(selector("brave=yes"));
    let mut hosts = Hosts::new(&["a=p+brave", "b=p", "c=p", "d=p"], canary(who));
    hosts.pass(300);
    hosts.nobody_is_early(1);
    let updates = hosts.updates();
    assert!(
        updates.len() == 4 && updates["b"] >= 2,
        "{:#?}",
        hosts.boots
    );
    let early = hosts.boots.iter().filter(|boot| boot.node != "a");
    for boot in early {
        let canary = Boot {
            node: "a".into(),
            ..boot.clone()
        };
        let ran = |one: &&Boot| (&one.node, one.version) == (&canary.node, canary.version);
        let ran = hosts.boots.iter().find(ran).unwrap();
        assert!(boot.second >= ran.second + SOAK, "{boot:?} after {ran:?}");
    }
}

#[test]
fn canaries_by_number_starve_nobody_however_often_there_is_a_new_version() {
    for count in [1, 2] {
        let nodes = ["a=p", "b=p", "c=p", "d=p"];
        let mut hosts = Hosts::new(&nodes, canary(CanaryWho::Count(count)));
        hosts.pass(300);
        hosts.nobody_is_early(count);
        assert_eq!(hosts.updates().len(), 4, "{:#?}", hosts.boots);
    }
}

/// Idling costs nothing, and being told costs a write.
#[test]
fn each_node_is_told_at_most_what_it_needs_to_be() {
    let who = CanaryWho::Nodes(selector("brave=yes"));
    let mut hosts = Hosts::new(&["a=p+brave", "b=p", "c=p"], canary(who));
    hosts.pass(300);
    let told = hosts
        .world
        .log
        .iter()
        .filter(|line| line.contains(": told "));
    let boots = hosts.boots.len();
    // Once with each candidate, once when it is promoted and the canary is free again.
    assert!(told.clone().count() <= 3 * boots, "{:#?}", hosts.world.log);
}
