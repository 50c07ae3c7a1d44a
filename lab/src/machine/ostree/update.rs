//! `Upgrade`, `UpdateDeployment`, `Deploy` and `AutomaticUpdateTrigger`.

use tokio::time::sleep;

use super::faults::{Stage, ms};
use super::fetch::fetch;
use super::gvariant;
use super::origin::Origin;
use super::release::{Release, Remote};
use super::state::{CachedUpdate, Deployed, Sysroot};
use super::target::{Target, resolve};
use super::task::Update;
use super::texts::{self, Pull};
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
        if update.revision.as_deref() == Some("") {
            work.message("Empty string revision found; registering update driver only");
            return Ok(Done::default());
        }
    }
    let sysroot = work.load()?;
    let current = sysroot.default().cloned().ok_or("No deployments found")?;
    let target = resolve(work, update, &current)?;
    if update.check {
        return check(work, target).await;
    }
    if update.reboot {
        check_inhibitors(work).await?;
    }
    let changed = target.base_checksum() != current.base_checksum();
    // What was pulled of a branch to look a revision up, and is of no use afterwards.
    let looked_at = work.load()?.local_ref;
    fetch(work, update, &target, &current, changed).await?;
    // Also where the base has nothing new. That it comes after the fetch is of the source of rpm-ostree 2026.2.
    let remote: Remote = work.daemon.root.load()?;
    if let Some(trouble) = remote.layers.filter(|_| !current.packages.is_empty()) {
        return Err(texts::layers(trouble, &current.packages).into());
    }
    if let Some(nothing) = nothing_to_deploy(update, changed) {
        work.message(nothing);
        return Ok(Done::default());
    }
    let useless = looked_at.is_some_and(|one| one != target.release && one != current.release);
    deploy(work, update, &target, useless).await?;
    Ok(Done {
        reboot: update.reboot,
        reload_late: false,
    })
}

/// What is said where nothing is deployed. Also when that very update is staged: its lock stays as it is. Another reference is deployed
/// even if it leads to the same.
fn nothing_to_deploy(update: &Update, changed: bool) -> Option<&'static str> {
    let deploys = changed || update.refspec.is_some();
    match (deploys, update.download_only) {
        (true, false) => None,
        (true, true) if changed => Some("Update downloaded."),
        (true, true) => Some("No changes."),
        (false, _) if update.is_upgrade() => Some("No upgrade available."),
        (false, _) => Some("No change."),
    }
}

fn register_driver(work: &Work<'_>, driver: &str) -> Result<(), Break> {
    let unit = work.daemon.faults().caller_unit.ok_or(texts::NO_UNIT)?;
    let content = gvariant::update_driver(driver, &unit);
    Ok(work
        .daemon
        .root
        .write("run/rpm-ostree/update-driver.gv", content)?)
}

/// Looks for an update and leaves what it saw in the cached update.
async fn check(work: &Work<'_>, target: Target) -> Result<Done, Break> {
    let (origin, target) = (&target.origin, target.release);
    let sysroot = work.load()?;
    let booted = sysroot
        .booted()
        .cloned()
        .ok_or("lab: not booted into ostree")?;
    let container = matches!(origin, Origin::Container { .. });
    let pulled = !container && sysroot.local_ref.as_ref() != Some(&target);
    let news = pulled && target.version != booted.release.version;
    if !container {
        work.message(match news {
            true => texts::LOOKED_AT,
            false => texts::NOTHING_FETCHED,
        });
    }
    work.pull(origin, Pull::Head).await?;
    work.transaction.send(Signal::ProgressEnd);
    work.strike(Stage::Deploy).await?;
    work.edit(|sysroot| {
        if container {
            // Nothing is kept under a digest that a later look could be compared with.
            let pinned = origin.digest().is_some();
            let found = checked_image(sysroot, &booted, target);
            sysroot.cached_update = found.filter(|_| !pinned);
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

/// Stages the target in place of what was staged before.
async fn deploy(
    work: &Work<'_>,
    update: &Update,
    target: &Target,
    useless: bool,
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
    work.edit(|sysroot| stage(sysroot, update, target))?;
    start_finalizer(work).await;
    work.reload(Reload::All).await;
    work.strike(Stage::Staged).await?;
    let replaces = sysroot.staged().is_some();
    let tidied = Tidied {
        // What was fetched by digest is kept under no name.
        images: target.origin.is_image() && (replaces || update.revision.is_some()),
        content: replaces || useless,
    };
    tidy_up(work, layered, &tidied).await;
    if update.is_upgrade() {
        work.edit(staged_cache)?;
    }
    work.strike(Stage::Finish).await?;
    work.reload(Reload::All).await;
    Ok(())
}

fn stage(sysroot: &mut Sysroot, update: &Update, target: &Target) {
    let (release, origin) = (target.release.clone(), target.origin.clone());
    sysroot.stage(release, origin, update.lock);
    if let Some(staged) = sysroot.deployments.first_mut() {
        staged.override_commit = target.revision.clone();
    }
    if update.refspec.is_some() {
        // The local branch goes with what was followed (source of rpm-ostree 2026.2); the new one is where the deployment is.
        sysroot.local_ref = None;
    }
}

/// What is removed at the end of a staging.
#[derive(Debug)]
struct Tidied {
    images: bool,
    content: bool,
}

/// The rest of a staging. Seen with rpm-ostree 2026.2: what is staged is noted and shown long before the end, and the task ends in the
/// middle of what is left.
async fn tidy_up(work: &Work<'_>, layered: bool, tidied: &Tidied) {
    let rest = if layered {
        work.pace.staged_layers
    } else {
        work.pace.staged
    };
    sleep(ms(rest / 2)).await;
    work.transaction.send(Signal::TaskEnd("done".to_owned()));
    if tidied.images {
        work.message("Pruned images: 0 (layers: 1)");
    }
    if tidied.content {
        work.message(texts::FREED);
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
