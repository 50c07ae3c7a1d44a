//! Bringing what an update goes to onto the host.

use super::origin::{Origin, Verifier};
use super::state::Deployed;
use super::target::Target;
use super::task::Update;
use super::texts;
use super::transaction::Signal;
use super::work::{Break, Work};

/// Brings the content to the host, with the messages of each kind of origin. `changed` is whether it is another base than that of the
/// deployment it is compared with.
pub(super) async fn fetch(
    work: &Work<'_>,
    update: &Update,
    target: &Target,
    current: &Deployed,
    changed: bool,
) -> Result<(), Break> {
    match target.origin {
        Origin::Ostree { .. } => branch(work, update, target, changed).await?,
        Origin::Container { .. } => {
            image(work, update, target, changed).await?;
            guard(update, target, current, changed)?;
        }
    }
    work.transaction.send(Signal::ProgressEnd);
    Ok(())
}

async fn branch(
    work: &Work<'_>,
    update: &Update,
    target: &Target,
    changed: bool,
) -> Result<(), Break> {
    if changed {
        work.pull(&target.origin, target.pull()).await?;
    }
    work.message(if changed {
        texts::FETCHED
    } else {
        texts::NOTHING_FETCHED
    });
    if work.load()?.signed {
        let commit = target.release.commit();
        work.transaction.send(Signal::Signature(commit));
    }
    if !update.cache_only {
        // Also what was asked for by its commit: libostree 2025.2 points the local branch at it (source).
        work.edit(|sysroot| sysroot.local_ref = Some(target.release.clone()))?;
    }
    Ok(())
}

async fn image(
    work: &Work<'_>,
    update: &Update,
    target: &Target,
    changed: bool,
) -> Result<(), Break> {
    // What is had already is found under the very reference that it was fetched by. What was fetched by digest is not kept under that.
    if changed || !update.is_upgrade() {
        import(work, target, changed).await?;
    }
    if update.is_upgrade() {
        work.edit(|sysroot| sysroot.image_pulled = Some(target.release.clone()))?;
    }
    Ok(())
}

async fn import(work: &Work<'_>, target: &Target, changed: bool) -> Result<(), Break> {
    let release = &target.release;
    work.message(format!(
        "Importing: {} (digest: {})",
        target.fetched.shown(),
        release.digest()
    ));
    let deployed = work.load()?.deployments;
    let present = deployed
        .iter()
        .any(|one| one.origin.is_image() && one.release == *release);
    if !changed || present {
        work.message("ostree chunk layers already present: 1");
        return Ok(());
    }
    work.message("ostree chunk layers needed: 1 (1.1\u{a0}MB)");
    let chunk = release.merge_commit().chars().take(21).collect::<String>();
    let text = format!("[1/1] Fetching ostree chunk {chunk} (1.1\u{a0}MB)");
    work.transaction.send(Signal::TaskBegin(text));
    work.pull(&target.fetched, target.pull()).await?;
    if let Verifier::Remote(remote) = target.fetched.verifier()
        && !release.has_signed_commit()
    {
        return Err(texts::unsigned_commit(remote).into());
    }
    work.transaction.send(Signal::TaskEnd("done".to_owned()));
    Ok(())
}

/// Refuses to go back in time.
fn guard(update: &Update, target: &Target, current: &Deployed, changed: bool) -> Result<(), Break> {
    let release = &target.release;
    let older = release.timestamp < current.release.timestamp;
    if changed && older && !update.allow_downgrade {
        let checksums = (target.base_checksum(), current.base_checksum());
        return Err(texts::older_deployment(release, &current.release, checksums).into());
    }
    Ok(())
}
