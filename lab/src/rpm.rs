//! The RPMs of the agent and of `cuoctl`, from their spec file and programs that are built already.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::image::Build;
use crate::process::{bound, cargo, spawn_logged};

/// The spec file, in the repository.
pub const SPEC: &str = "packaging/rpm/cuo-agent.spec";
/// Macros beside those of rpm, in the repository.
const MACROS: &str = "packaging/rpm/macros.prebuilt";

/// What goes into the RPM, and how.
#[derive(Debug)]
pub struct Package<'a> {
    /// Where the sources are.
    pub repository: &'a Path,
    /// Its version, which is Cargo's.
    pub version: &'a str,
    /// The agent, which is built already.
    pub program: &'a Path,
    /// `cuoctl` likewise, if it is to have a package, too.
    pub cuoctl: Option<&'a Path>,
    /// What its release ends with in place of what rpm says, if not empty; a longer one is newer.
    pub dist: &'a str,
    /// How it was built; only what is shipped is worth to be compressed for long.
    pub build: Build,
}

/// Builds the RPMs below `folder`, which is recreated, and returns the agent's; another one is beside it. What rpmbuild says goes to
/// `folder/log`.
///
/// With the same package and time it has the same bytes. The time is `SOURCE_DATE_EPOCH` of the environment, else that of the last
/// commit.
///
/// # Errors
/// When rpmbuild can't be run or fails; the error has the end of its log.
pub async fn build(package: &Package<'_>, folder: &Path) -> Result<PathBuf> {
    let Package {
        repository,
        version,
        program,
        cuoctl,
        dist,
        build,
    } = package;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    let sources = folder.join("sources");
    fs::create_dir_all(&sources).with_context(|| format!("create {}", sources.display()))?;
    let spec = folder.join("cuo-agent.spec");
    let text = spec_of(repository, version)?;
    fs::write(&spec, text).with_context(|| format!("write {}", spec.display()))?;
    let time = source_date(repository).await?;
    pack(repository, version, time, &sources).await?;

    let log = folder.join("log");
    let mut rpmbuild = bound("rpmbuild");
    // Its requirements for building are names of RPMs, which a host of another kind has under other names.
    rpmbuild
        .args(["-bb", "--nodeps", "--load"])
        .arg(repository.join(MACROS));
    let payload = match build {
        Build::Release => "w19.zstdio",
        Build::Debug => "w1.zstdio",
    };
    rpmbuild
        .arg("--define")
        .arg(format!("_binary_payload {payload}"));
    if !dist.is_empty() {
        rpmbuild.arg("--define").arg(format!("dist {dist}"));
    }
    let definitions = [
        ("_topdir", folder),
        ("_sourcedir", &sources),
        ("_dbpath", &folder.join("db")),
        ("cuo_program", *program),
    ];
    for (name, value) in definitions {
        rpmbuild
            .arg("--define")
            .arg(format!("{name} {}", value.display()));
    }
    if let Some(cuoctl) = cuoctl {
        rpmbuild
            .arg("--define")
            .arg(format!("cuoctl_program {}", cuoctl.display()));
    }
    rpmbuild
        .arg(&spec)
        .env("SOURCE_DATE_EPOCH", time.to_string());
    run(&mut rpmbuild, &log).await?;
    let built = folder.join("RPMS").join(env::consts::ARCH);
    file_of(&built, "cuo-agent-")
        .with_context(|| format!("look for the package in {}", built.display()))
}

/// A program of the workspace as it is shipped, built from the sources as they are now. Cargo's output goes to standard error.
///
/// The first time takes minutes; with nothing changed, a second.
///
/// # Errors
/// When it can't be built.
pub async fn program(repository: &Path, name: &str) -> Result<PathBuf> {
    let target = repository.join("target");
    let status = cargo()
        .args(["build", "--locked", "--release", "--package", name])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(repository)
        .status()
        .await
        .context("start cargo")?;
    ensure!(status.success(), "cargo could not build {name}: {status}");
    Ok(target.join("release").join(name))
}

/// The spec file with `version`, which is Cargo's.
fn spec_of(repository: &Path, version: &str) -> Result<String> {
    let path = repository.join(SPEC);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let line = |line: &str| match line.strip_prefix("Version:") {
        Some(old) => format!(
            "Version:{}{version}\n",
            &old[..old.len() - old.trim_start().len()]
        ),
        None => format!("{line}\n"),
    };
    Ok(text.lines().map(line).collect())
}

/// Seconds since 1970 that stand for the time of the build.
async fn source_date(repository: &Path) -> Result<u64> {
    if let Some(given) = env::var_os("SOURCE_DATE_EPOCH") {
        let given = given.to_string_lossy();
        return given.parse().with_context(|| {
            format!("SOURCE_DATE_EPOCH is {given:?}, which is no number of seconds")
        });
    }
    let mut git = bound("git");
    git.args(["log", "-1", "--format=%ct"])
        .current_dir(repository);
    if let Ok(output) = git.output().await
        && output.status.success()
        && let Ok(time) = String::from_utf8_lossy(&output.stdout).trim().parse()
    {
        return Ok(time);
    }
    // Sources without a history: now, and other bytes each time.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(now.as_secs())
}

/// Packs the sources, as a release has them.
async fn pack(repository: &Path, version: &str, time: u64, into: &Path) -> Result<()> {
    let mut tar = bound("tar");
    tar.arg("--create").arg("--gzip").arg("--file");
    tar.arg(into.join(format!("cuo-{version}.tar.gz")));
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ]);
    tar.arg(format!("--mtime=@{time}"));
    tar.arg(format!("--transform=s,^,cuo-{version}/,SH"));
    tar.arg("--directory").arg(repository);
    match tracked(repository).await? {
        Some(files) => {
            let list = into.with_file_name("sources.list");
            fs::write(&list, files).with_context(|| format!("write {}", list.display()))?;
            tar.args(["--null", "--no-recursion", "--verbatim-files-from"])
                .arg("--files-from")
                .arg(&list);
        }
        // Sources without a history have nothing else among them but what was built.
        None => {
            tar.args(["--exclude=./target", "--exclude=./.git", "."]);
        }
    }
    run(&mut tar, &into.with_file_name("log.tar")).await
}

/// The files that belong to the project, each with a zero byte behind it, and none where there is no history: what else lies around in a
/// working tree is nobody else's business.
async fn tracked(repository: &Path) -> Result<Option<Vec<u8>>> {
    let mut git = bound("git");
    git.args(["ls-files", "-z"]).current_dir(repository);
    let Ok(output) = git.output().await else {
        return Ok(None);
    };
    if !output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8(output.stdout).context("names of files")?;
    // One that was just removed is tracked still.
    let there = text
        .split_terminator('\0')
        .filter(|name| repository.join(name).symlink_metadata().is_ok());
    let list: String = there.flat_map(|name| [name, "\0"]).collect();
    Ok(Some(list.into_bytes()))
}

pub(crate) async fn run(command: &mut Command, log: &Path) -> Result<()> {
    let shown = format!(
        "{:?}",
        command.as_std().get_args().nth(3).unwrap_or_default()
    );
    let status = spawn_logged(command, log)?
        .wait()
        .await
        .with_context(|| format!("wait for {shown}"))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n");
    bail!(
        "{shown} failed ({status}); {} ends with:\n{end}",
        log.display()
    )
}

/// The only file in `folder` whose name begins with `name`.
pub(crate) fn file_of(folder: &Path, name: &str) -> Result<PathBuf> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
    let paths = entries?.into_iter().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default();
        file.as_encoded_bytes().starts_with(name.as_bytes())
    };
    let mut found = paths.filter(named);
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        (None, _) => bail!("there is no file {name}…"),
        (Some(_), Some(_)) => bail!("there are several files {name}…"),
    }
}

#[cfg(test)]
mod tests;
