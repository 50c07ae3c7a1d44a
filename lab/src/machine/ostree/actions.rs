//! `FinalizeDeployment`, `Rollback` and `Cleanup`.

use super::faults::Stage;
use super::texts;
use super::view::Reload;
use super::work::{Break, Done, Work, check_inhibitors};

/// Unlocks what is staged; the reboot follows `Finished` at once.
pub(super) async fn finalize(
    work: &Work<'_>,
    expected: Option<&str>,
    allow_missing: bool,
    allow_unlocked: bool,
) -> Result<Done, Break> {
    work.strike(Stage::Running).await?;
    let sysroot = work.load()?;
    let staged = sysroot.staged().ok_or(texts::NOTHING_STAGED)?;
    match expected {
        Some(expected) if expected != staged.identity() => {
            return Err(texts::wrong_checksum(expected, &staged.identity()).into());
        }
        None if !allow_missing => return Err(texts::MISSING_CHECKSUM.into()),
        _ => {}
    }
    if !staged.locked && !allow_unlocked {
        return Err(texts::ALREADY_UNLOCKED.into());
    }
    check_inhibitors(work).await?;
    work.strike(Stage::Deploy).await?;
    work.edit(|sysroot| {
        if let Some(staged) = sysroot.deployments.first_mut() {
            staged.locked = false;
        }
    })?;
    // The real one bumps it even when nothing was locked.
    work.daemon.root.bump_deploy()?;
    work.strike(Stage::Finish).await?;
    Ok(Done {
        reboot: true,
        reload_late: false,
    })
}

/// Makes the deployment after the booted one the first, or undoes that.
pub(super) async fn rollback(work: &Work<'_>, reboot: bool) -> Result<Done, Break> {
    work.strike(Stage::Running).await?;
    let sysroot = work.load()?;
    if sysroot.staged().is_some() {
        return Err(texts::ROLLBACK_STAGED.into());
    }
    let booted = sysroot.deployments.iter().position(|one| one.booted);
    let booted = booted.ok_or("lab: not booted into ostree")?;
    let chosen = match (booted, sysroot.rollback()) {
        (booted, Some(_)) => booted + 1,
        (0, None) => return Err(texts::NO_ROLLBACK.into()),
        (booted, None) => booted,
    };
    work.strike(Stage::Deploy).await?;
    work.edit(|sysroot| {
        if chosen < sysroot.deployments.len() {
            let first = sysroot.deployments.remove(chosen);
            sysroot.deployments.insert(0, first);
        }
    })?;
    work.reload(Reload::All).await;
    work.strike(Stage::Finish).await?;
    Ok(Done {
        reboot,
        reload_late: false,
    })
}

/// Removes deployments that are neither booted nor pinned.
pub(super) async fn cleanup(work: &Work<'_>, what: &[String]) -> Result<Done, Break> {
    work.strike(Stage::Running).await?;
    let has = |name: &str| what.iter().any(|one| one == name);
    let (pending, rollback) = (has("pending-deploy"), has("rollback-deploy"));
    let freed = work.edit(|sysroot| {
        let all = sysroot.deployments.clone();
        let booted = sysroot.deployments.iter().position(|one| one.booted);
        let mut index = 0;
        sysroot.deployments.retain(|one| {
            let before = booted.is_some_and(|booted| index < booted);
            index += 1;
            one.booted || one.pinned || !(if before { pending } else { rollback })
        });
        // What the local branch points at is kept.
        all.iter().any(|one| {
            !sysroot.deployments.contains(one) && sysroot.local_ref.as_ref() != Some(&one.release)
        })
    })?;
    work.reload(Reload::All).await;
    if freed {
        work.message(texts::FREED);
    }
    work.strike(Stage::Finish).await?;
    Ok(Done::default())
}
