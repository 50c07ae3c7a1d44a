//! `Upgrade`, `UpdateDeployment`, `Deploy` and `AutomaticUpdateTrigger`.

use tokio::time::sleep;

use super::faults::{Stage, ms};
use super::gvariant;
use super::release::{Release, Remote};
use super::state::{CachedUpdate, Deployed, Origin, Sysroot};
use super::task::{Goal, Update};
use super::texts;
use super::transaction::Signal;
use super::view::Reload;
use super::work::{Break, Done, Work, check_inhibitors, start_finalizer};

/// Does the work of one update.
pub(super) async fn update(work: &Work<'_>, update: &Update) -> Result<Done, Break> {
    if update.check && (update.cache_only || update.download_only || update.no_pull_base) {
        // An assertion of the real daemon.
        work.daemon.die();
    }
    work.transaction.send(Signal::Title(update.title()));
    work.strike(Stage::Running).await?;
    if let Some(driver) = &update.driver {
        register_driver(work, driver)?;
        if matches!(&update.goal, Goal::Revision(revision) if revision.is_empty()) {
            work.message("Empty string revision found; registering update driver only");
            return Ok(Done::default());
        }
    }
    let sysroot = work.load()?;
    let current = sysroot.default().cloned().ok_or("No deployments found")?;
    let origin = match &update.goal {
        Goal::Refspec(refspec) => Origin::parse(refspec),
        _ => current.origin.clone(),
    };
    let remote: Remote = work.daemon.root.load()?;
    let target = resolve(work, update, &origin, &current, &remote, &sysroot)?;
    if update.check {
        return check(work, &origin, target).await;
    }
    if update.reboot {
        check_inhibitors(work).await?;
    }
    let fresh = target.version != current.release.version || origin != current.origin;
    fetch(work, update, &origin, &target, &current, fresh).await?;
    // Also where the base has nothing new. That it comes after the fetch is of the source of rpm-ostree 2026.2.
    if let Some(trouble) = remote.layers.filter(|_| !current.packages.is_empty()) {
        return Err(texts::layers(trouble, &current.packages).into());
    }
    if update.download_only {
        work.message("Update downloaded.");
        return Ok(Done::default());
    }
    if !fresh {
        // Also when that very update is staged: its lock stays as it is.
        work.message(match update.goal {
            Goal::Newest => "No upgrade available.",
            _ => "No change.",
        });
        return Ok(Done::default());
    }
    deploy(work, update, &origin, &target).await?;
    Ok(Done {
        reboot: update.reboot,
        reload_late: false,
    })
}

fn register_driver(work: &Work<'_>, driver: &str) -> Result<(), Break> {
    let unit = work.daemon.faults().caller_unit.ok_or(texts::NO_UNIT)?;
    let content = gvariant::update_driver(driver, &unit);
    Ok(work
        .daemon
        .root
        .write("run/rpm-ostree/update-driver.gv", content)?)
}

/// The release that the goal means.
fn resolve(
    work: &Work<'_>,
    update: &Update,
    origin: &Origin,
    current: &Deployed,
    remote: &Remote,
    sysroot: &Sysroot,
) -> Result<Release, Break> {
    if update.cache_only {
        // No network: only what an earlier pull left.
        let pulled = sysroot
            .local_ref
            .clone()
            .or_else(|| sysroot.image_pulled.clone());
        return Ok(pulled.unwrap_or_else(|| current.release.clone()));
    }
    let head = remote
        .head()
        .ok_or("lab: remote.json has no release at newest")?;
    if let Some(trouble) = remote.trouble {
        return Err(texts::trouble(trouble, origin, head).into());
    }
    let pinned = match &update.goal {
        // A deployment by digest keeps its tag, whose head is taken again by the next plain upgrade.
        Goal::Newest | Goal::Refspec(_) => origin.digest(),
        Goal::Revision(revision) => Some(revision.as_str()),
    };
    let target = match (pinned, origin) {
        (None, _) => head.clone(),
        (Some(revision), Origin::Container { .. }) => by_digest(revision, origin, remote)?,
        (Some(revision), Origin::Ostree { .. }) => {
            by_revision(work, update, revision, origin, remote)?
        }
    };
    // Of an image it is known only once it was fetched, and a check does not fetch it.
    if matches!(origin, Origin::Ostree { .. }) {
        guard(update, origin, &target, current)?;
    }
    Ok(target)
}

/// Refuses to go back in time.
fn guard(
    update: &Update,
    origin: &Origin,
    target: &Release,
    current: &Deployed,
) -> Result<(), Break> {
    let older = target.timestamp < current.release.timestamp;
    if older && !update.allow_downgrade {
        return Err(texts::older(target, &current.release, origin).into());
    }
    Ok(())
}

fn by_digest(revision: &str, origin: &Origin, remote: &Remote) -> Result<Release, Break> {
    let digest = revision.strip_prefix("revision=").unwrap_or(revision);
    if !digest.starts_with("sha256:") {
        return Err(texts::INVALID_REFERENCE.into());
    }
    let found = remote.find(|release| release.digest() == digest);
    Ok(found
        .cloned()
        .ok_or_else(|| texts::manifest_unknown(digest, origin))?)
}

fn by_revision(
    work: &Work<'_>,
    update: &Update,
    revision: &str,
    origin: &Origin,
    remote: &Remote,
) -> Result<Release, Break> {
    let is_hash =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (commit, version) = match (
        revision.strip_prefix("revision="),
        revision.strip_prefix("version="),
    ) {
        (Some(commit), _) => (Some(commit), ""),
        (None, Some(version)) => (None, version),
        (None, None) if is_hash(revision) => (Some(revision), ""),
        (None, None) => (None, revision),
    };
    if let Some(commit) = commit {
        if !update.skip_branch_check {
            work.message(format!("Validating checksum '{commit}'"));
        }
        let found = remote.find(|release| release.commit() == commit);
        return Ok(found
            .cloned()
            .ok_or_else(|| texts::commit_not_found(commit, origin))?);
    }
    work.message(format!("Resolving version '{version}'"));
    let found = remote.find(|release| release.version == version);
    Ok(found
        .cloned()
        .ok_or_else(|| texts::version_not_found(version, origin))?)
}

/// Looks for an update and leaves what it saw in the cached update.
async fn check(work: &Work<'_>, origin: &Origin, target: Release) -> Result<Done, Break> {
    let sysroot = work.load()?;
    let booted = sysroot
        .booted()
        .cloned()
        .ok_or("lab: not booted into ostree")?;
    let container = matches!(origin, Origin::Container { .. });
    let pulled = !container && sysroot.local_ref.as_ref() != Some(&target);
    let news = pulled && target.version != booted.release.version;
    if !container {
        let count = u8::from(news);
        work.message(format!(
            "{count} metadata, 0 content objects fetched; 907 B transferred in 0 seconds; 0 bytes content written"
        ));
    }
    work.pull(origin).await?;
    work.transaction.send(Signal::ProgressEnd);
    work.strike(Stage::Deploy).await?;
    work.edit(|sysroot| {
        if container {
            sysroot.cached_update = checked_image(sysroot, &booted, target);
        } else {
            let differs = target.version != booted.release.version;
            sysroot.cached_update = differs.then(|| found(&booted, &target, sysroot.signed, true));
            sysroot.local_ref = Some(target);
        }
    })?;
    work.strike(Stage::Finish).await?;
    if news {
        work.reload(Reload::Os).await;
    }
    Ok(Done {
        reboot: false,
        reload_late: news,
    })
}

/// A container check shows the new version beside the booted checksum and time. It misses updates on layered hosts, and it keeps
/// reporting what was once pulled through the tag.
fn checked_image(sysroot: &Sysroot, booted: &Deployed, head: Release) -> Option<CachedUpdate> {
    let pulled = sysroot.image_pulled.clone();
    let seen = pulled
        .filter(|pulled| pulled.version != booted.release.version)
        .unwrap_or(head);
    if !booted.packages.is_empty() || seen.version == booted.release.version {
        return None;
    }
    Some(CachedUpdate {
        version: Some(seen.version),
        manifest_diff: true,
        ..found(booted, &booted.release, false, false)
    })
}

fn found(booted: &Deployed, target: &Release, signed: bool, new_commit: bool) -> CachedUpdate {
    let ostree = matches!(booted.origin, Origin::Ostree { .. });
    let checksum = if ostree {
        target.commit()
    } else {
        booted.checksum()
    };
    CachedUpdate {
        update_sha256: booted.checksum(),
        checksum,
        version: Some(target.version.clone()),
        origin: booted.origin.text().to_owned(),
        timestamp: target.timestamp,
        ref_has_new_commit: new_commit,
        deployment: None,
        gpg_enabled: ostree.then_some(signed),
        manifest_diff: false,
    }
}

/// Brings the content to the host, with the messages of each kind of origin.
async fn fetch(
    work: &Work<'_>,
    update: &Update,
    origin: &Origin,
    target: &Release,
    current: &Deployed,
    fresh: bool,
) -> Result<(), Break> {
    let newest = matches!(update.goal, Goal::Newest);
    match origin {
        Origin::Ostree { .. } => {
            if fresh {
                work.pull(origin).await?;
            }
            work.message(if fresh {
                "9 metadata, 5 content objects fetched; 10 KiB transferred in 0 seconds; 225.5 kB content written"
            } else {
                "0 metadata, 0 content objects fetched; 907 B transferred in 0 seconds; 0 bytes content written"
            });
            if work.load()?.signed {
                work.transaction.send(Signal::Signature(target.commit()));
            }
            if newest {
                work.edit(|sysroot| sysroot.local_ref = Some(target.clone()))?;
            }
        }
        Origin::Container { reference } => {
            work.message(format!("Pulling manifest: {reference}"));
            if fresh {
                import(work, origin, target).await?;
            }
            if newest {
                work.edit(|sysroot| sysroot.image_pulled = Some(target.clone()))?;
            }
            guard(update, origin, target, current)?;
        }
    }
    work.transaction.send(Signal::ProgressEnd);
    Ok(())
}

async fn import(work: &Work<'_>, origin: &Origin, target: &Release) -> Result<(), Break> {
    let chunk = target.merge_commit().chars().take(21).collect::<String>();
    work.message(format!(
        "Importing: {} (digest: {})",
        origin.text(),
        target.digest()
    ));
    work.message("ostree chunk layers needed: 1 (1.1 MB)");
    let text = format!("[1/1] Fetching ostree chunk {chunk} (1.1 MB)");
    work.transaction.send(Signal::TaskBegin(text));
    work.pull(origin).await?;
    work.transaction.send(Signal::TaskEnd("done".to_owned()));
    Ok(())
}

/// Stages the target in place of what was staged before.
async fn deploy(
    work: &Work<'_>,
    update: &Update,
    origin: &Origin,
    target: &Release,
) -> Result<(), Break> {
    work.strike(Stage::Deploy).await?;
    let sysroot = work.load()?;
    let layered = sysroot
        .default()
        .is_some_and(|one| !one.packages.is_empty());
    if layered {
        for percent in [0, 50, 100] {
            work.transaction
                .send(Signal::Percent("Checking out packages".to_owned(), percent));
        }
    }
    work.transaction
        .send(Signal::TaskBegin("Staging deployment".to_owned()));
    sleep(ms(work.pace.deploy)).await;
    work.edit(|sysroot| sysroot.stage(target.clone(), origin.clone(), update.lock))?;
    start_finalizer(work).await;
    work.reload(Reload::All).await;
    work.strike(Stage::Staged).await?;
    let replaces = sysroot.staged().is_some();
    tidy_up(work, origin, layered, replaces).await;
    if matches!(update.goal, Goal::Newest) {
        work.edit(staged_cache)?;
    }
    work.strike(Stage::Finish).await?;
    work.reload(Reload::All).await;
    Ok(())
}

/// The rest of a staging. Seen with rpm-ostree 2026.2: what is staged is noted and shown long before the end, and the task ends in the
/// middle of what is left.
async fn tidy_up(work: &Work<'_>, origin: &Origin, layered: bool, replaces: bool) {
    let rest = if layered {
        work.pace.staged_layers
    } else {
        work.pace.staged
    };
    sleep(ms(rest / 2)).await;
    work.transaction.send(Signal::TaskEnd("done".to_owned()));
    if replaces {
        if matches!(origin, Origin::Container { .. }) {
            work.message("Pruned images: 0 (layers: 1)");
        }
        work.message("Freed: 229.0 kB (pkgcache branches: 0)");
    }
    sleep(ms(rest - rest / 2)).await;
}

/// What staging by branch or tag leaves in the cached update; an image loses its version here.
fn staged_cache(sysroot: &mut Sysroot) {
    let (Some(booted), Some(staged)) = (sysroot.booted(), sysroot.staged()) else {
        return;
    };
    let container = matches!(staged.origin, Origin::Container { .. });
    let cached = CachedUpdate {
        checksum: staged.base_checksum(),
        version: (!container).then(|| staged.release.version.clone()),
        deployment: Some(staged.id(&sysroot.osname)),
        ..found(booted, &staged.release, sysroot.signed, true)
    };
    sysroot.cached_update = Some(cached);
}
