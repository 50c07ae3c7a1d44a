//! What real daemons are tried with: three small releases as a branch and as images, and hosts that run the first of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::files::{KERNEL, PACKAGE, create, lay_out, skeleton, write, write_etc, write_service};
use super::registry::Registry;
use super::server::Folder;
use super::space::Tree;
use crate::conformance::subject::Server;
use crate::conformance::words::Names;
use crate::conformance::{BRANCH, STATEROOT, V1, VERSIONS};
use crate::machine::logind::{self, Inhibitors};
use crate::machine::ostree::{NAME, NodeRoot, Release};
use crate::machine::{OriginKind, binary};
use crate::process::bound;

/// The remote that the branch is of.
const REMOTE: &str = "fedora";
/// Repository of the images, in the registry.
const IMAGES: &str = "fcos";

/// The part of the bus's configuration that is not an address: everybody may do everything, as on the lab's hosts.
const BUS: &str = include_str!("../../../assets/conformance/bus.conf");

/// What all cases share. Dropping it removes it.
#[derive(Debug)]
pub struct Fixture {
    tree: Tree,
    versions: String,
    served: Folder,
    registry: Option<Registry>,
    commits: BTreeMap<String, String>,
    digests: BTreeMap<String, String>,
    folder: TempDir,
}

impl Fixture {
    /// Makes it with the tree's own programs; `images` as well. `progress` gets a line for each part.
    ///
    /// # Errors
    /// What a program of the tree says, or what can't be written.
    pub async fn make(tree: Tree, images: bool, progress: impl Fn(&str)) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("conformance").tempdir();
        let folder = folder.context("a folder for the contract")?;
        let place = folder.path();
        skeleton(&place.join("tools"))?;
        for part in [
            "tools/etc",
            "tools/made",
            "tools/var/tmp",
            "bound",
            "made/remote",
        ] {
            create(&place.join(part))?;
        }
        let served = Folder::serve(&place.join("made/remote")).await?;
        let mut registry = None;
        if images {
            let log = place.join("registry.log");
            registry = Some(Registry::start(&place.join("registry"), &log).await?);
        }
        write_etc(&place.join("bound/etc"), registry.as_ref())?;
        symlink(place.join("made"), place.join("bound/made")).context("link made")?;
        let mut fixture = Self {
            tree,
            versions: String::new(),
            served,
            registry,
            commits: BTreeMap::new(),
            digests: BTreeMap::new(),
            folder,
        };
        let (root, bound) = fixture.tools();
        fixture.versions = fixture.tree.versions(&root, &bound).await?;
        progress(&fixture.versions);
        for version in VERSIONS {
            progress(&format!("making release {version}"));
            fixture.release(version).await?;
        }
        progress("making a host on the branch");
        fixture.publish(OriginKind::Ostree, V1).await?;
        fixture.branch_host().await?;
        if images {
            progress("making a host on the tag");
            fixture.publish(OriginKind::Container, V1).await?;
            fixture.image_host().await?;
        }
        Ok(fixture)
    }

    /// Versions of what is tried, in a line.
    pub fn versions(&self) -> &str {
        &self.versions
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Where buses and daemons write.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("bus.log")
    }

    /// Root and bound folders of programs that are no daemons.
    fn tools(&self) -> (PathBuf, PathBuf) {
        let place = self.folder.path();
        (place.join("tools"), place.join("bound"))
    }

    async fn run(&self, words: &[&str]) -> Result<String> {
        let (root, bound) = self.tools();
        self.tree.run(&root, &bound, words).await
    }

    /// Commits a release after those before it, and makes an image of it.
    async fn release(&mut self, version: &str) -> Result<()> {
        const REPO: &str = "--repo=/made/remote";
        let place = self.folder.path().join("made/release");
        if place.exists() {
            fs::remove_dir_all(&place).context("remove the release before")?;
        } else {
            self.run(&["ostree", REPO, "init", "--mode=archive"])
                .await?;
        }
        lay_out(&place, version)?;
        self.bring(&place, "/usr/bin/true").await?;
        self.package(version).await?;
        let meta = |key: &str, value: &str| format!("--add-metadata={key}={value}");
        // Without a list of packages rpm-ostree 2026.2 dies of a check.
        let packages = format!(
            "[('kernel', '0', '6.9.1', '200.fc40', 'x86_64'), ('lab-foo', '0', '{version}', '1.fc40', 'noarch')]"
        );
        let words = [
            "ostree".to_owned(),
            REPO.to_owned(),
            "commit".to_owned(),
            format!("--branch={BRANCH}"),
            format!("--bind-ref={BRANCH}"),
            "--tree=dir=/made/release".to_owned(),
            "--owner-uid=0".to_owned(),
            "--owner-gid=0".to_owned(),
            "--no-xattrs".to_owned(),
            format!("--timestamp=@{}", Release::new(version).timestamp),
            meta("version", &format!("'{version}'")),
            meta("ostree.bootable", "true"),
            meta("ostree.linux", &format!("'{KERNEL}'")),
            meta("rpmostree.rpmdb.pkglist", &packages),
        ];
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let commit = self.run(&words).await?;
        if let Some(registry) = &self.registry {
            let image = format!("docker://{}/{IMAGES}:{version}", registry.address());
            let words = ["ostree", "container", "encapsulate", REPO, BRANCH, &image];
            self.run(&words).await?;
            let inspect = [
                "skopeo",
                "inspect",
                "--tls-verify=false",
                "--format={{.Digest}}",
            ];
            let digest = self.run(&[&inspect[..], &[&image]].concat()).await?;
            self.digests.insert(version.to_owned(), digest);
        }
        self.commits.insert(version.to_owned(), commit);
        Ok(())
    }

    /// Puts a package into the database of a release: of images without any, rpm-ostree 2026.2 dies.
    async fn package(&self, version: &str) -> Result<()> {
        let folder = self.folder.path().join("made/packages");
        let spec = folder.join("lab-foo.spec");
        write(&spec, PACKAGE.replace("VERSION", version))?;
        let mut build = bound("rpmbuild");
        let define = |name: &str| format!("{name} {}", folder.display());
        build.args([
            "-bb",
            "--quiet",
            "--define",
            &define("_topdir"),
            "--define",
            &define("_rpmdir"),
        ]);
        let built = build.arg(&spec).output().await.context("run rpmbuild")?;
        let said = String::from_utf8_lossy(&built.stderr);
        ensure!(
            built.status.success(),
            "rpmbuild {}: {said}",
            spec.display()
        );
        let package = format!("/made/packages/noarch/lab-foo-{version}-1.noarch.rpm");
        let database = "--dbpath=/made/release/usr/share/rpm";
        self.run(&["rpmdb", database, "--initdb"]).await?;
        // It has no files, and this root is not what it is for.
        let install = [
            "rpm",
            database,
            "--install",
            "--justdb",
            "--nodeps",
            "--noscripts",
        ];
        self.run(&[&install[..], &[&package]].concat()).await?;
        Ok(())
    }

    /// Brings a program of the tree into a release, with what it is linked with: rpm-ostree runs `true` in what it deploys.
    async fn bring(&self, release: &Path, program: &str) -> Result<()> {
        let linked = self.run(&["ldd", program]).await?;
        let paths = linked
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        for path in paths.chain([program]) {
            // The roots of both have the same links into `/usr`.
            let to = release.join(path.trim_start_matches('/'));
            self.tree.copy(path, &to)?;
        }
        Ok(())
    }

    /// An empty sysroot in the folder of this name.
    async fn sysroot(&self, name: &str) -> Result<()> {
        create(&self.folder.path().join("made").join(name))?;
        let path = format!("/made/{name}");
        self.run(&["ostree", "admin", "init-fs", &path]).await?;
        let sysroot = format!("--sysroot={path}");
        self.run(&["ostree", "admin", "os-init", &sysroot, STATEROOT])
            .await?;
        let repo = format!("--repo={path}/ostree/repo");
        // There is nothing to boot with.
        let loader = ["config", "set", "sysroot.bootloader", "none"];
        self.run(&[&["ostree", &*repo][..], &loader].concat())
            .await?;
        let remote = ["remote", "add", "--no-gpg-verify", REMOTE];
        let url = self.served.url();
        self.run(&[&["ostree", &*repo][..], &remote, &[&url]].concat())
            .await?;
        Ok(())
    }

    async fn branch_host(&self) -> Result<()> {
        self.sysroot("branch").await?;
        let repo = "--repo=/made/branch/ostree/repo";
        self.run(&["ostree", repo, "pull", REMOTE, BRANCH]).await?;
        let (os, follows) = (format!("--os={STATEROOT}"), format!("{REMOTE}:{BRANCH}"));
        let deploy = ["ostree", "admin", "deploy", "--sysroot=/made/branch"];
        self.run(&[&deploy[..], &[&os, "--karg=rw", &follows]].concat())
            .await?;
        Ok(())
    }

    async fn image_host(&self) -> Result<()> {
        self.sysroot("image").await?;
        let follows = format!("{}:stable", self.image());
        let (os, image) = (
            format!("--stateroot={STATEROOT}"),
            format!("--imgref={follows}"),
        );
        let deploy = [
            "ostree",
            "container",
            "image",
            "deploy",
            "--sysroot=/made/image",
        ];
        self.run(&[&deploy[..], &[&os, "--karg=rw", &image]].concat())
            .await?;
        Ok(())
    }

    /// As it was when it was made.
    pub(super) async fn start_over(&mut self, origin: OriginKind) -> Result<()> {
        self.serve(origin, Server::Up).await?;
        self.publish(origin, V1).await
    }

    /// A new host of this kind below `folder`: its root, and the folders that are mounted into it.
    pub(super) async fn copy(
        &self,
        origin: OriginKind,
        folder: &Path,
    ) -> Result<(PathBuf, PathBuf)> {
        let name = match origin {
            OriginKind::Ostree => "branch",
            OriginKind::Container => "image",
        };
        let sysroot = folder.join("sysroot");
        // With what is the same file in deployment and repository.
        let mut copy = bound("cp");
        copy.args(["--archive", "--reflink=auto", "--no-target-directory", "--"])
            .arg(self.folder.path().join("made").join(name))
            .arg(&sysroot);
        let copied = copy.output().await.context("run cp")?;
        if !copied.status.success() {
            bail!(
                "copy a sysroot: {}",
                String::from_utf8_lossy(&copied.stderr)
            );
        }
        let stateroot = sysroot.join("ostree/deploy").join(STATEROOT);
        let root = only_folder(&stateroot.join("deploy"))?;
        let bound = folder.join("bound");
        write_etc(&bound.join("etc"), self.registry.as_ref())?;
        for part in ["run/dbus", "run/ostree", "run/lock", "lab/services"] {
            create(&bound.join(part))?;
        }
        write(&bound.join("run/ostree-booted"), "")?;
        for (name, to) in [
            ("sysroot", sysroot.clone()),
            ("boot", sysroot.join("boot")),
            ("var", stateroot.join("var")),
        ] {
            symlink(to, bound.join(name)).with_context(|| format!("link {name}"))?;
        }
        write(&bound.join("lab/bus.conf"), BUS)?;
        let daemon = "/usr/bin/rpm-ostree start-daemon";
        write_service(&bound, NAME, daemon)?;
        write_service(&bound, logind::NAME, "/lab/lab-logind --root /")?;
        let logind = binary("lab-logind")?;
        fs::copy(&logind, bound.join("lab/lab-logind"))
            .with_context(|| format!("copy {}", logind.display()))?;
        NodeRoot::new(&bound).save(&Inhibitors::default())?;
        Ok((root, bound))
    }

    pub(super) async fn publish(&self, origin: OriginKind, version: &str) -> Result<()> {
        match (origin, &self.registry) {
            (OriginKind::Ostree, _) => {
                let commit = self.commit(version)?;
                let to = format!("--create={BRANCH}");
                let refs = [
                    "ostree",
                    "--repo=/made/remote",
                    "refs",
                    "--force",
                    &to,
                    &commit,
                ];
                self.run(&refs).await?;
                self.summary().await
            }
            (OriginKind::Container, Some(registry)) => {
                let image = format!("docker://{}/{IMAGES}", registry.address());
                let (from, to) = (format!("{image}:{version}"), format!("{image}:stable"));
                let copy = [
                    "--src-tls-verify=false",
                    "--dest-tls-verify=false",
                    "--preserve-digests",
                ];
                self.run(&[&["skopeo", "copy"][..], &copy, &[&from, &to]].concat())
                    .await?;
                Ok(())
            }
            (OriginKind::Container, None) => bail!("there is no registry"),
        }
    }

    async fn summary(&self) -> Result<()> {
        self.run(&["ostree", "--repo=/made/remote", "summary", "--update"])
            .await
            .map(drop)
    }

    pub(super) async fn serve(&mut self, origin: OriginKind, how: Server) -> Result<()> {
        match (origin, &mut self.registry) {
            (OriginKind::Ostree, _) => {
                if how == Server::WithoutBranch {
                    let refs = ["ostree", "--repo=/made/remote", "refs", "--delete", BRANCH];
                    self.run(&refs).await?;
                    self.summary().await?;
                }
                self.served.answer(how).await
            }
            (OriginKind::Container, Some(registry)) => match how {
                Server::Up => registry.up().await,
                Server::Down => registry.down().await,
                Server::Status(_) | Server::WithoutBranch | Server::Stuck => {
                    bail!("a registry can't be made to answer as {how:?}")
                }
            },
            (OriginKind::Container, None) => bail!("there is no registry"),
        }
    }

    pub(super) fn commit(&self, version: &str) -> Result<String> {
        let commit = self.commits.get(version);
        commit
            .cloned()
            .with_context(|| format!("no commit of {version}"))
    }

    pub(super) fn digest(&self, version: &str) -> Result<String> {
        let digest = self.digests.get(version);
        digest
            .cloned()
            .with_context(|| format!("no image of {version}"))
    }

    pub(super) fn image(&self) -> String {
        let address = self.registry.as_ref().map(Registry::address);
        let address = address.map_or_else(String::new, |address| address.to_string());
        format!("ostree-unverified-registry:{address}/{IMAGES}")
    }

    pub(super) fn names(&self) -> Names {
        let mut names = vec![(self.served.url(), "<remote>".to_owned())];
        if let Some(registry) = &self.registry {
            names.push((registry.address().to_string(), "<registry>".to_owned()));
        }
        names
    }
}

fn only_folder(parent: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(parent).with_context(|| format!("read {}", parent.display()))?;
    let mut folders = entries
        .flatten()
        .map(|one| one.path())
        .filter(|one| one.is_dir());
    folders
        .next()
        .with_context(|| format!("{} has no deployment", parent.display()))
}
