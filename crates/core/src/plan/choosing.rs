//! What becomes of a pool's candidate: which release is the next, and how it ends.

use std::collections::{BTreeMap, HashMap};

use super::act::{Act, PoolAct, PoolChange};
use super::announced::{architecture, goes_to, is_on, is_told};
use super::course::Course;
use super::planner::Planner;
use super::versions::{by_version, newer};
use crate::ids::ReleaseId;
use crate::node::NodeView;
use crate::pool::Release;
use crate::release::{Chosen, Declaration, GivenUp, NamedRelease, Source};

/// A release that a node announces.
#[derive(Debug, Clone)]
struct Found<'a> {
    architecture: &'a str,
    source: Source,
    release: NamedRelease,
}

impl<'a> Planner<'a> {
    /// The next change of what a pool goes to, if there is one and it can be written.
    pub(super) fn changes(&mut self) -> Option<Act> {
        let (mut act, mut wakes) = (None, vec![]);
        for course in self.courses.values() {
            if let Err(wait) = &course.soaked {
                wakes.extend(wait.until.filter(|until| *until > self.now));
            }
            let next = || self.change(course).filter(|act| !self.rests(act));
            act = act.or_else(next);
        }
        self.wakes.extend(wakes);
        act.or_else(|| self.ends())
    }

    /// A pool without a candidate of its own leaves its nodes to what they find.
    fn ends(&self) -> Option<Act> {
        let mut rollouts = self.seen.rollouts.iter();
        rollouts.find_map(|(name, rollout)| {
            let mut pools = self.pools.all.iter();
            let asks = pools.find_map(|pool| pool.asks.ok().filter(|_| pool.name == Some(name)))?;
            let left = rollout.candidate.is_some() || rollout.promoted.is_some();
            let act = Act::Pool(PoolAct {
                pool: name.clone(),
                at: self.now,
                nodes: 0,
                change: PoolChange::End,
            });
            (left && !asks.has_candidate() && !self.rests(&act)).then_some(act)
        })
    }

    fn change(&self, course: &Course<'a>) -> Option<Act> {
        let rollout = course.rollout;
        let change = self
            .restored(course)
            .map(|restored| PoolChange::Restore(Box::new(restored)))
            .or_else(|| self.gives_up(course))
            .or_else(|| self.forgives(course))
            .or_else(|| match &rollout.candidate {
                Some(candidate) => self.goes_on(course, candidate),
                None => self.begins(course),
            })?;
        let about = match &change {
            PoolChange::GiveUp(_) => rollout.candidate.as_ref().or(rollout.promoted.as_ref()),
            _ => rollout.candidate.as_ref(),
        };
        Some(Act::Pool(PoolAct {
            pool: course.name.clone(),
            at: self.now,
            nodes: about.map_or(0, |chosen| course.running(chosen)),
            change,
        }))
    }

    /// What the pool tries, or has promoted, failed on too many nodes. With one architecture of a release go the others.
    fn gives_up(&self, course: &Course<'a>) -> Option<PoolChange> {
        let most = course.asks.max_failures.max(1);
        let failed = |release: &NamedRelease| {
            let nodes = self.failures.get(&release.identity)?;
            let names = || nodes.iter().map(|(name, _)| (*name).clone()).collect();
            (nodes.len() >= most).then(names)
        };
        let rollout = course.rollout;
        let mut chosen = rollout.candidate.iter().chain(&rollout.promoted);
        let (about, nodes) = chosen.find_map(|chosen| {
            let nodes: Vec<_> = chosen.identities.values().find_map(failed)?;
            Some((chosen, nodes))
        })?;
        let same = about
            .identities
            .values()
            .filter(|one| one.version == about.version);
        let given_up = same.map(|release| GivenUp {
            identity: release.identity,
            version: release.version.clone(),
            at: self.now,
            nodes: failed(release).unwrap_or_else(|| nodes.clone()),
        });
        Some(PoolChange::GiveUp(given_up.collect()))
    }

    /// A release that was given up is on no list any more of the nodes on which it failed, and all of them are still there.
    fn forgives(&self, course: &Course<'a>) -> Option<PoolChange> {
        let forgotten = |one: &&GivenUp| {
            let well = |name| {
                let node = self.seen.nodes.get(name);
                node.is_some_and(|node| {
                    let granted = node.operator.granted.value();
                    let known = granted.is_some_and(|list| list.identities.contains(&one.identity));
                    known && !super::announced::failed_here(node, &one.identity)
                })
            };
            !one.nodes.is_empty() && one.nodes.iter().all(well)
        };
        let one = course.rollout.given_up.iter().find(forgotten)?;
        Some(PoolChange::Forgive(one.identity))
    }

    fn goes_on(&self, course: &Course<'a>, candidate: &Chosen) -> Option<PoolChange> {
        if !is_asked_for(course, candidate) {
            return Some(PoolChange::Supersede(None));
        }
        if let Some(other) = self.approved_instead(course) {
            return Some(PoolChange::Supersede(Some(other)));
        }
        if !self.is_reachable(course, candidate) {
            return Some(PoolChange::Supersede(None));
        }
        let resolved = self.all_found(course).into_iter().find(|found| {
            let open = candidate.of(found.architecture).is_none();
            let same = found.release.version == candidate.version;
            open && same && found.source == candidate.source
        });
        if let Some(found) = resolved {
            let architecture = found.architecture.to_owned();
            return Some(PoolChange::Resolve(architecture, found.release));
        }
        course.soaked.is_ok().then_some(PoolChange::Promote)
    }

    /// There is no candidate: the next one, if any is known.
    fn begins(&self, course: &Course<'a>) -> Option<PoolChange> {
        let promoted = course.rollout.promoted.as_ref();
        let declared = course.asks.release.as_ref();
        if promoted.is_some_and(|promoted| promoted.source == Source::Cluster) && declared.is_none()
        {
            return Some(PoolChange::End);
        }
        let known = declared.and_then(|declared| Some((declared, declared.what.identity()?)));
        let chosen = match known {
            Some((declared, identity)) => {
                let release = NamedRelease {
                    identity,
                    version: None,
                };
                let chosen = Chosen {
                    identities: BTreeMap::from([(String::new(), release)]),
                    version: None,
                    source: Source::Cluster,
                    image: declared.what.image().cloned(),
                    since: self.now,
                };
                Some(chosen).filter(|chosen| !is_known(course, &identity, chosen))
            }
            None => self
                .newest(course, |_| true)
                .or_else(|| self.approved_by_hand(course)),
        };
        let chosen = chosen.filter(|chosen| self.is_reachable(course, chosen))?;
        Some(PoolChange::Choose(chosen))
    }

    /// The releases that nodes of the pool announce.
    fn all_found<'n>(&self, course: &Course<'n>) -> Vec<Found<'n>> {
        let runs_it = |identity: &ReleaseId| {
            let mut canaries = course.members.iter().filter(|node| course.is_canary(node));
            canaries.any(|node| is_on(node, identity))
        };
        let found = course.members.iter().filter_map(|node| {
            let (source, release) = self.found(course, node)?;
            let tried = course.is_canary(node) || runs_it(&release.identity);
            tried.then(|| Found {
                architecture: architecture(node),
                source,
                release,
            })
        });
        found.collect()
    }

    /// The newest release that nodes announce and that `fits`; of those that are as new, the one that most of them do.
    fn newest(&self, course: &Course<'a>, fits: impl Fn(&NamedRelease) -> bool) -> Option<Chosen> {
        let mut all = self.all_found(course);
        all.retain(|found| self.is_next(course, found) && fits(&found.release));
        let mut many: HashMap<&NamedRelease, usize> = HashMap::new();
        for found in &all {
            *many.entry(&found.release).or_default() += 1;
        }
        let best = all.iter().reduce(|best, found| {
            let order = by_version(&found.release, &best.release)
                .then_with(|| many.get(&found.release).cmp(&many.get(&best.release)));
            if order.is_gt() { found } else { best }
        })?;
        let mut identities = BTreeMap::new();
        let same = all.iter().filter(|found| {
            found.release.version == best.release.version && found.source == best.source
        });
        for found in std::iter::once(best).chain(same) {
            let known = identities.entry(found.architecture.to_owned());
            known.or_insert_with(|| found.release.clone());
        }
        let declared = course.asks.release.as_ref();
        Some(Chosen {
            identities,
            version: best.release.version.clone(),
            source: best.source,
            image: declared.and_then(|declared| declared.what.image().cloned()),
            since: self.now,
        })
    }

    /// What comes after the candidate, if a node announces it.
    pub(super) fn waiting(&self, course: &Course<'a>) -> Option<NamedRelease> {
        course.rollout.candidate.as_ref()?;
        let next = self.newest(course, |_| true)?;
        next.identities.into_values().next()
    }

    /// It is another release than the one that the pool goes to, and none that it has left behind.
    fn is_next(&self, course: &Course<'a>, found: &Found<'_>) -> bool {
        let release = &found.release;
        let (identity, version) = (&release.identity, release.version.as_deref());
        let asks = course.asks;
        let declared = asks.release.as_ref().map(|declared| &declared.what);
        if let Some(Declaration::Version(declared)) = declared
            && version != Some(declared)
        {
            return false;
        }
        let target = asks.target.as_ref();
        if target.is_some_and(|target| !target.names(identity, version)) {
            return false;
        }
        let rollout = course.rollout;
        let candidate = rollout.candidate.as_ref();
        if rollout.gave_up(identity) || candidate.is_some_and(|chosen| chosen.is(identity)) {
            return false;
        }
        let promoted = rollout.promoted.as_ref();
        if found.source == Source::Cluster {
            let image = declared.and_then(Declaration::image);
            let same = |chosen: &Chosen| chosen.is(identity) && chosen.image.as_ref() == image;
            return !promoted.is_some_and(same);
        }
        let of_this = promoted.and_then(|promoted| promoted.of(found.architecture));
        let older = of_this.is_some_and(|known| newer(known.version.as_deref(), version));
        let known = promoted.is_some_and(|promoted| promoted.is(identity));
        !known && !older && !rollout.was_promoted(identity)
    }

    /// The candidate is not approved, and another release is.
    fn approved_instead(&self, course: &Course<'a>) -> Option<Chosen> {
        let candidate = course.rollout.candidate.as_ref()?;
        if course.asks.approved.is_none() || course.approves(candidate) {
            return None;
        }
        let approved = |release: &NamedRelease| {
            let version = release.version.as_deref();
            course.asks.approves(&release.identity, version)
        };
        let announced = self.newest(course, approved);
        let chosen = announced.or_else(|| self.approved_by_hand(course))?;
        self.is_reachable(course, &chosen).then_some(chosen)
    }

    /// The last release that was approved, where no node has found it yet.
    fn approved_by_hand(&self, course: &Course<'a>) -> Option<Chosen> {
        let Some(Release::Id(identity)) = course.asks.approved.as_ref()?.last() else {
            return None;
        };
        let rollout = course.rollout;
        let mut past = rollout.history.iter();
        let mut members = course.members.iter();
        let known = past.any(|past| past.identities.contains(identity))
            || rollout.gave_up(identity)
            || rollout.promoted.iter().any(|chosen| chosen.is(identity))
            || rollout.candidate.iter().any(|chosen| chosen.is(identity))
            || members.any(|node| is_on(node, identity));
        let mut kinds: Vec<_> = course
            .members
            .iter()
            .map(|node| architecture(node))
            .collect();
        kinds.dedup();
        // Which architecture it would be for is not known otherwise.
        let [kind] = kinds.as_slice() else {
            return None;
        };
        if known || course.asks.release.is_some() {
            return None;
        }
        let release = NamedRelease {
            identity: *identity,
            version: None,
        };
        Some(Chosen {
            identities: BTreeMap::from([((*kind).to_owned(), release)]),
            version: None,
            source: Source::Origin,
            image: None,
            since: self.now,
        })
    }

    /// A node that may try it runs it, has it, or can be told to stage it: agents that can't be told stage what is newest.
    fn is_reachable(&self, course: &Course<'a>, chosen: &Chosen) -> bool {
        let reaches = |node: &NodeView| {
            let Some(release) = chosen.of(architecture(node)) else {
                return false;
            };
            let identity = &release.identity;
            let entry = self.ledger.entries.get(&node.name);
            let ran = is_on(node, identity);
            let told = is_told(node) && course.fits(node, (chosen, release));
            ran || told
                || goes_to(node, identity)
                || entry.is_some_and(|entry| entry.identity == *identity)
        };
        let mut tried = course.members.iter().filter(|node| course.is_canary(node));
        tried.any(|node| reaches(node))
    }
}

/// The pool goes to it already, or has given it up.
fn is_known(course: &Course<'_>, identity: &ReleaseId, chosen: &Chosen) -> bool {
    let promoted = course.rollout.promoted.as_ref();
    let same = |known: &Chosen| known.is(identity) && known.image == chosen.image;
    course.rollout.gave_up(identity) || promoted.is_some_and(same)
}

/// The candidate is what the pool asks for.
fn is_asked_for(course: &Course<'_>, candidate: &Chosen) -> bool {
    let asks = course.asks;
    let declared = match asks.release.as_ref().map(|declared| &declared.what) {
        None => candidate.source != Source::Cluster,
        Some(_) if candidate.source != Source::Cluster => false,
        Some(Declaration::Image(image)) => candidate.image.as_ref() == Some(image),
        Some(Declaration::Version(version)) => candidate.version.as_ref() == Some(version),
        Some(Declaration::Commit(identity)) => candidate.is(identity),
    };
    let target = asks.target.as_ref();
    let wanted = target.is_none_or(|target| {
        let mut releases = candidate.identities.values();
        releases.any(|one| target.names(&one.identity, one.version.as_deref()))
    });
    declared && wanted
}
