//! The kubelet's credentials, copied to where the agent's own user can read them.
//!
//! Only root can read the kubelet's kubeconfig and keys, and the agent does not run as root. So a small service of root makes a copy, when
//! it starts, when the originals change, and every hour: one file that refers to no other, for root and the agent's group only.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_cluster::credentials::{flatten, passed_over};
use cuo_cluster::{Credentials, CredentialsError};

use crate::config::Config;
use crate::files::write_atomic;

/// The path of the copy, below the root. The directory belongs to root, and files in it to the agent's group.
pub const COPY: &str = "run/cuo-agent/credentials/kubeconfig";
/// Readable for its owner and group; root, who writes it, needs no permission to replace it.
const MODE: u32 = 0o440;
/// How long the originals have to stay unchanged: renewing a certificate changes several files and a link within milliseconds.
const SETTLED: Duration = Duration::from_secs(1);
/// How often to look for changes, enough for any renewal. Later changes are copied the next time.
const LOOKS: usize = 10;

/// The credentials that the configuration leads to, on the host below `root`.
pub fn configured(config: &Config, root: &Path) -> Credentials {
    let root = root.to_owned();
    match &config.kubeconfig {
        Some(path) => Credentials::File {
            path: path.clone(),
            root,
        },
        None => Credentials::Host { root },
    }
}

/// The agent's credentials: `given`, else the copy if there is one, else those that the configuration leads to.
pub fn of_the_agent(config: &Config, root: &Path, given: Option<&Path>) -> Credentials {
    let copy = root.join(COPY);
    match given.or_else(|| copy.exists().then_some(&copy)) {
        Some(path) => Credentials::File {
            path: path.to_owned(),
            root: root.to_owned(),
        },
        None => configured(config, root),
    }
}

/// Copies the kubeconfig that the configuration below `root` leads to, and repeats that until the originals do not change any more: changes
/// while the service runs do not start it again before its timer does.
///
/// # Errors
/// When there is no kubeconfig, or none that can be used, or when the copy can't be written. An older copy is then left as it is.
pub fn copy(root: &Path) -> Result<()> {
    let (config, errors) = Config::load(root);
    for error in &errors {
        eprintln!("{}", error.picture());
    }
    let credentials = configured(&config, root);
    let target = root.join(COPY);
    let directory = target.parent().unwrap_or(root);
    std::fs::create_dir_all(directory)
        .with_context(|| format!("create {}", directory.display()))?;
    until_settled(
        || flatten(&credentials),
        |flat| replace(&target, flat),
        || std::thread::sleep(SETTLED),
    )
    .with_context(|| {
        format!(
            "no credentials were copied to {}, which the agent reads",
            target.display()
        )
    })?;
    println!("the credentials are in {}", target.display());
    if config.kubeconfig.is_none() {
        match passed_over(root) {
            Ok(others) => others
                .iter()
                .for_each(|one| println!("passed over {}: {}", one.path.display(), one.why)),
            // Since the copy was made.
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

/// Writes `flat` unless the file already has that content: the agent reconnects for each new file.
fn replace(target: &Path, flat: &str) -> std::io::Result<()> {
    if std::fs::read(target).is_ok_and(|old| old == flat.as_bytes()) {
        return Ok(());
    }
    write_atomic(target, flat.as_bytes(), MODE)
}

/// Reads until two reads in a row agree, and writes each new content. The last one read counts.
fn until_settled(
    mut look: impl FnMut() -> Result<String, CredentialsError>,
    write: impl Fn(&str) -> std::io::Result<()>,
    mut pause: impl FnMut(),
) -> Result<()> {
    let mut seen = look();
    for _ in 0..LOOKS {
        if let Ok(flat) = &seen {
            write(flat)?;
        }
        pause();
        let before = std::mem::replace(&mut seen, look());
        if seen == before {
            break;
        }
    }
    write(&seen?)?;
    Ok(())
}

#[cfg(test)]
mod tests;
