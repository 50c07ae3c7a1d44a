//! Which release an update goes to.

use super::origin::Origin;
use super::policy;
use super::release::{Release, Remote, Trouble};
use super::state::{Deployed, Sysroot};
use super::task::Update;
use super::texts::{self, Pull};
use super::transaction::Signal;
use super::work::{Break, Work};

/// What an update goes to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The release.
    pub(super) release: Release,
    /// What the deployment will follow.
    pub(super) origin: Origin,
    /// What is fetched for it: the same, or the image by the digest that was asked for.
    pub(super) fetched: Origin,
    /// `override-commit`: the commit or digest that was asked for.
    pub(super) revision: Option<String>,
}

impl Target {
    /// The commit that is deployed, without layered packages.
    pub(super) fn base_checksum(&self) -> String {
        match self.origin {
            Origin::Ostree { .. } => self.release.commit(),
            Origin::Container { .. } => self.release.merge_commit(),
        }
    }

    /// What a branch is pulled for.
    pub(super) fn pull(&self) -> Pull<'_> {
        match &self.revision {
            Some(commit) => Pull::Commit(commit),
            None => Pull::Head,
        }
    }
}

/// Looks up what the update means, with the messages of that.
pub(super) fn resolve(
    work: &Work<'_>,
    update: &Update,
    current: &Deployed,
) -> Result<Target, Break> {
    let origin = origin(update, current)?;
    if update.cache_only {
        return Ok(cached(&work.load()?, current, origin));
    }
    let remote: Remote = work.daemon.root.load()?;
    if origin.is_image() {
        return image(work, update, origin, &remote);
    }
    let Some(revision) = &update.revision else {
        return head(update, current, origin, &remote);
    };
    let looking = Looking {
        work,
        update,
        current,
        origin: &origin,
        remote: &remote,
    };
    let release = looking.find(revision)?;
    Ok(Target {
        revision: Some(release.commit()),
        release,
        fetched: origin.clone(),
        origin,
    })
}

/// What the host will follow.
fn origin(update: &Update, current: &Deployed) -> Result<Origin, Break> {
    let Some(refspec) = &update.refspec else {
        return Ok(current.origin.clone());
    };
    let origin = Origin::parse(refspec);
    if origin == current.origin {
        return Err(texts::same_reference(&origin).into());
    }
    Ok(origin)
}

/// No network: only what an earlier pull left.
fn cached(sysroot: &Sysroot, current: &Deployed, origin: Origin) -> Target {
    let pulled = sysroot
        .local_ref
        .clone()
        .or_else(|| sysroot.image_pulled.clone());
    Target {
        release: pulled.unwrap_or_else(|| current.release.clone()),
        fetched: origin.clone(),
        origin,
        revision: None,
    }
}

/// What the branch points at.
fn head(
    update: &Update,
    current: &Deployed,
    origin: Origin,
    remote: &Remote,
) -> Result<Target, Break> {
    let head = remote.head_of(&origin);
    if let Some(trouble) = remote.trouble {
        let commit = head.or(remote.head()).map(Release::commit);
        let commit = commit.unwrap_or_default();
        return Err(texts::trouble_with(trouble, &origin, Pull::Head, &commit).into());
    }
    let head =
        head.ok_or_else(|| texts::trouble_with(Trouble::NoSuchBranch, &origin, Pull::Head, ""))?;
    let older = head.timestamp < current.release.timestamp;
    if older && !update.allow_downgrade {
        // A branch that is new to the host has nothing that its head could be older than, so that it is noticed later.
        return Err(match update.refspec {
            None => texts::older(head, &current.release, &origin),
            Some(_) => {
                let checksums = (head.commit(), current.base_checksum());
                texts::older_deployment(head, &current.release, checksums)
            }
        }
        .into());
    }
    Ok(Target {
        release: head.clone(),
        fetched: origin.clone(),
        origin,
        revision: None,
    })
}

/// What the tag points at, or the image of the digest that was asked for; the tag stays what is followed. Whether it is older is known
/// only once it was fetched, and a check does not fetch it.
fn image(
    work: &Work<'_>,
    update: &Update,
    origin: Origin,
    remote: &Remote,
) -> Result<Target, Break> {
    if update.revision.is_some() {
        work.transaction.send(Signal::ProgressEnd);
    }
    // Nothing is looked up in it: whatever it is takes the place of the tag.
    let revision = update.revision.as_deref();
    let fetched = revision.map_or_else(|| origin.clone(), |digest| origin.at(digest));
    if !update.check {
        work.message(format!("Pulling manifest: {}", fetched.shown()));
    }
    let policy = policy::load(&work.daemon.root)?;
    policy::check_form(&policy, &fetched)?;
    let digest = fetched.digest();
    if digest.is_some_and(|digest| !digest.starts_with("sha256:")) {
        return Err(texts::invalid_reference().into());
    }
    if let Some(trouble) = remote.trouble {
        return Err(texts::trouble_with(trouble, &fetched, Pull::Head, "").into());
    }
    let found = match digest {
        Some(digest) => remote.find_in(&fetched, |release| {
            release.digest() == digest || release.list_digest() == digest
        }),
        None => remote.head_of(&fetched),
    };
    let named = digest.or(fetched.tag()).unwrap_or("latest");
    let release = found.ok_or_else(|| texts::manifest_unknown(named, &fetched))?;
    policy::check_image(&policy, &fetched, release, remote)?;
    Ok(Target {
        release: release.clone(),
        revision: revision.map(str::to_owned),
        origin,
        fetched,
    })
}

/// A revision of a branch that is looked for.
#[derive(Debug)]
struct Looking<'a> {
    work: &'a Work<'a>,
    update: &'a Update,
    current: &'a Deployed,
    origin: &'a Origin,
    remote: &'a Remote,
}

/// A text that names a release of a branch.
enum Revision<'a> {
    Commit(&'a str),
    Version(&'a str),
}

/// As rpm-ostree 2026.2 reads it (`parse_revision`): with a prefix, else a checksum where it looks like one, else a version.
fn parse(revision: &str) -> Result<Revision<'_>, String> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_checksum = |text: &str| text.len() == 64 && text.bytes().all(digit);
    let (prefix, value) = revision.split_once('=').unwrap_or_default();
    match prefix.to_ascii_lowercase().as_str() {
        "revision" if is_checksum(value) => Ok(Revision::Commit(value)),
        "revision" => Err(texts::no_checksum(revision, value)),
        "version" => Ok(Revision::Version(value)),
        _ if is_checksum(revision) => Ok(Revision::Commit(revision)),
        _ => Ok(Revision::Version(revision)),
    }
}

impl Looking<'_> {
    /// The release, once its branch was looked through and its commit was asked for.
    fn find(&self, revision: &str) -> Result<Release, Break> {
        let commit = match parse(revision)? {
            Revision::Commit(commit) if self.update.skip_branch_check => commit.to_owned(),
            Revision::Commit(commit) => {
                let validating = format!("Validating checksum '{commit}'");
                self.work.message(validating);
                let found = self.in_history(|release| release.commit() == commit)?;
                found
                    .ok_or_else(|| texts::commit_not_found(commit, self.origin))?
                    .commit()
            }
            Revision::Version(version) => {
                self.work.message(format!("Resolving version '{version}'"));
                let found = self.in_history(|release| release.version == version)?;
                found
                    .ok_or_else(|| texts::version_not_found(version, self.origin))?
                    .commit()
            }
        };
        self.work.transaction.send(Signal::ProgressEnd);
        self.fetchable(&commit)
    }

    /// The release that fits among those of the branch up to its head, which is fetched for that.
    fn in_history(&self, fits: impl Fn(&Release) -> bool) -> Result<Option<&Release>, Break> {
        let (origin, remote) = (self.origin, self.remote);
        let head = remote.head_of(origin);
        let commit = head.or(remote.head()).map(Release::commit);
        let trouble = remote.trouble.filter(|trouble| !trouble.is_of_the_disk());
        let trouble = trouble.or(head.is_none().then_some(Trouble::NoSuchBranch));
        let Some((head, None)) = head.map(|head| (head, trouble)) else {
            let trouble = trouble.unwrap_or(Trouble::NoSuchBranch);
            let commit = commit.unwrap_or_default();
            return Err(texts::trouble_with(trouble, origin, Pull::History, &commit).into());
        };
        let before = self
            .work
            .edit(|sysroot| sysroot.local_ref.replace(head.clone()))?;
        let news = before.as_ref().unwrap_or(&self.current.release) != head;
        self.work.message(match news {
            true => texts::LOOKED_AT,
            false => texts::NOTHING_FETCHED,
        });
        let found = remote.find_in(origin, |release| {
            release.timestamp <= head.timestamp && fits(release)
        });
        Ok(found)
    }

    /// The release of a commit that the remote hands out.
    fn fetchable(&self, commit: &str) -> Result<Release, Break> {
        let (origin, remote) = (self.origin, self.remote);
        // It needs no branch.
        let trouble = remote.trouble.filter(|one| *one != Trouble::NoSuchBranch);
        if let Some(trouble) = trouble {
            let pull = Pull::Commit(commit);
            return Err(texts::trouble_with(trouble, origin, pull, commit).into());
        }
        let found = remote.find(|release| release.commit() == commit);
        let found = found.ok_or_else(|| texts::no_object(commit))?;
        let places = remote.places.get(&found.version);
        if let Some(places) = places.filter(|places| !places.is_empty()) {
            let places: Vec<_> = places.iter().map(String::as_str).collect();
            if !places.contains(&origin.name()) {
                return Err(texts::bound_elsewhere(commit, origin, &places).into());
            }
        }
        let current = self.current;
        if found.timestamp < current.release.timestamp && !self.update.allow_downgrade {
            return Err(texts::older_commit(found, current).into());
        }
        Ok(found.clone())
    }
}
