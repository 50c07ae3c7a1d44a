//! Packages that are signed with a key which is made for them, as those of a repository that people add are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::process::bound;
use crate::rpm::run;

/// Whose key it is. A name below `.example` is nobody's (RFC 2606).
const OWNER: &str = "CUO lab <lab@cuo.example>";

/// A key, in a folder of its own.
#[derive(Debug)]
pub(super) struct Key {
    home: PathBuf,
    log: PathBuf,
}

impl Key {
    /// Makes one in the folder `home`, in place of whatever an earlier run left there.
    pub(super) async fn generate(home: &Path) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        if home.exists() {
            fs::remove_dir_all(home).with_context(|| format!("empty {}", home.display()))?;
        }
        let mut folder = fs::DirBuilder::new();
        let made = folder.mode(0o700).recursive(true).create(home);
        made.with_context(|| format!("create {}", home.display()))?;
        let key = Self {
            home: home.to_owned(),
            log: home.join("log"),
        };
        let kind = [
            "--passphrase",
            "",
            "--quick-generate-key",
            OWNER,
            "rsa2048",
            "sign",
            "never",
        ];
        run(key.gpg().args(kind), &key.log).await?;
        Ok(key)
    }

    /// Signs the package `file` in place.
    pub(super) async fn sign(&self, file: &Path) -> Result<()> {
        let mut rpmsign = bound("rpmsign");
        rpmsign
            // Debian's rpm asks for a gpg2 that Debian does not have.
            .args(["--define", "__gpg /usr/bin/gpg"])
            .args(["--define", &format!("_gpg_name {OWNER}")])
            .args(["--define", &format!("_gpg_path {}", self.home.display())])
            .arg("--addsign")
            .arg(file);
        run(&mut rpmsign, &self.log).await
    }

    /// Writes the public part to `file`, as text.
    pub(super) async fn publish(&self, file: &Path) -> Result<()> {
        let output = self.gpg().args(["--armor", "--export"]).output().await;
        let output = output.context("gpg --export")?;
        ensure!(
            output.status.success() && !output.stdout.is_empty(),
            "gpg --export: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        fs::write(file, output.stdout).with_context(|| format!("write {}", file.display()))
    }

    /// Ends the agent that gpg started for it and that would stay.
    pub(super) async fn retire(self) -> Result<()> {
        let mut gpgconf = bound("gpgconf");
        gpgconf.arg("--homedir").arg(&self.home);
        run(gpgconf.args(["--kill", "gpg-agent"]), &self.log).await
    }

    fn gpg(&self) -> Command {
        let mut gpg = bound("gpg");
        gpg.args(["--batch", "--quiet", "--homedir"])
            .arg(&self.home);
        gpg
    }
}
