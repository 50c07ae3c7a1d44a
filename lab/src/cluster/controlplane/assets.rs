//! The programs of a control plane: found, or built once from their Go modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache;
use crate::process::bound;

/// Both builds together took 7 minutes on two idle cores; a machine that needs longer than this is not usable for the lab.
const BUILD_DEADLINE: Duration = Duration::from_secs(3600);

/// Where the programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// `etcd`.
    pub etcd: PathBuf,
    /// `kube-apiserver`.
    pub apiserver: PathBuf,
    /// `kube-controller-manager`.
    pub controller_manager: PathBuf,
    /// `kube-scheduler`.
    pub scheduler: PathBuf,
    /// `kubectl`.
    pub kubectl: PathBuf,
}

/// A Go module without any code of its own, that requires what is built.
struct Module {
    name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
}

const ETCD_MODULE: Module = Module {
    name: "etcd",
    go_mod: include_str!("../../../assets/etcd/go.mod"),
    go_sum: include_str!("../../../assets/etcd/go.sum"),
};
const KUBERNETES_MODULE: Module = Module {
    name: "kubernetes",
    go_mod: include_str!("../../../assets/kubernetes/go.mod"),
    go_sum: include_str!("../../../assets/kubernetes/go.sum"),
};

const HELM_MODULE: Module = Module {
    name: "helm",
    go_mod: include_str!("../../../assets/helm/go.mod"),
    go_sum: include_str!("../../../assets/helm/go.sum"),
};

/// One program: the file's name, and the package it is built from.
struct Program {
    name: &'static str,
    module: &'static Module,
    package: &'static str,
}

const ETCD: Program = Program {
    name: "etcd",
    module: &ETCD_MODULE,
    package: "go.etcd.io/etcd/server/v3",
};
const APISERVER: Program = kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver");
const CONTROLLER_MANAGER: Program = kubernetes(
    "kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
);
const SCHEDULER: Program = kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler");
const KUBECTL: Program = kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl");
const HELM: Program = Program {
    name: "helm",
    module: &HELM_MODULE,
    package: "helm.sh/helm/v4/cmd/helm",
};

const fn kubernetes(name: &'static str, package: &'static str) -> Program {
    Program {
        name,
        module: &KUBERNETES_MODULE,
        package,
    }
}

/// Finds the programs, and builds those that are not there; `progress` gets a line at least every ten seconds meanwhile.
///
/// With `KUBEBUILDER_ASSETS` set (the folder that `setup-envtest` makes), etcd, kube-apiserver and kubectl are taken from there, and
/// the other two if they are there. Everything else is built from Go modules at pinned versions into a cache folder, once: 7 minutes
/// on two cores, later runs take milliseconds. The cache is `$CUO_LAB_CACHE`, else `$XDG_CACHE_HOME/cuo-lab`, else `~/.cache/cuo-lab`.
/// Several processes may call this at the same time; one builds, the others wait for it.
///
/// # Errors
/// When `KUBEBUILDER_ASSETS` lacks one of its three programs, when there is no Go toolchain, or when the build fails (the error
/// names its log).
pub async fn ensure(progress: impl Fn(&str)) -> Result<Binaries> {
    let Some(given) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty())
    else {
        let all = [ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KUBECTL];
        let built = control_plane(&all, &progress).await?;
        return Ok(Binaries {
            etcd: built.join(ETCD.name),
            apiserver: built.join(APISERVER.name),
            controller_manager: built.join(CONTROLLER_MANAGER.name),
            scheduler: built.join(SCHEDULER.name),
            kubectl: built.join(KUBECTL.name),
        });
    };
    let given = PathBuf::from(given);
    for program in [ETCD, APISERVER, KUBECTL] {
        let path = given.join(program.name);
        ensure!(
            path.is_file(),
            "KUBEBUILDER_ASSETS is set, but {} is not there; let setup-envtest fill that folder, or unset the variable",
            path.display()
        );
    }
    let others =
        if given.join(CONTROLLER_MANAGER.name).is_file() && given.join(SCHEDULER.name).is_file() {
            given.clone()
        } else {
            control_plane(&[CONTROLLER_MANAGER, SCHEDULER], &progress).await?
        };
    Ok(Binaries {
        etcd: given.join(ETCD.name),
        apiserver: given.join(APISERVER.name),
        controller_manager: others.join(CONTROLLER_MANAGER.name),
        scheduler: others.join(SCHEDULER.name),
        kubectl: given.join(KUBECTL.name),
    })
}

/// Finds Helm, and builds it if it is not there, as [`ensure`] does.
///
/// # Errors
/// When there is no Go toolchain, or when the build fails (the error names its log).
pub async fn helm(progress: impl Fn(&str)) -> Result<PathBuf> {
    let required = HELM_MODULE.go_mod.lines().find_map(|line| {
        let version = line.trim().strip_prefix("helm.sh/helm/v4 ")?;
        version.split_whitespace().next()
    });
    let version = required.context("assets/helm/go.mod requires no release of Helm")?;
    let flags = format!("-s -w -X helm.sh/helm/v4/internal/version.version={version}");
    let folder = built("helm", &[HELM], &flags, &progress).await?;
    Ok(folder.join(HELM.name))
}

async fn control_plane(programs: &[Program], progress: &impl Fn(&str)) -> Result<PathBuf> {
    built("control-plane", programs, &linker_flags()?, progress).await
}

/// The cache folder that holds `programs`, built if it is not there.
async fn built(
    what: &str,
    programs: &[Program],
    flags: &str,
    progress: &impl Fn(&str),
) -> Result<PathBuf> {
    let entry = format!("{what}-{}", key(programs, flags));
    // A build that was killed is started over: Go's own cache keeps its work.
    cache::made(
        &entry,
        what,
        BUILD_DEADLINE,
        progress,
        async |partial, log| {
            find_go()?;
            let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
            progress(&format!(
                "building {} from Go modules, once, which takes minutes; log: {}",
                names.join(", "),
                log.display()
            ));
            for program in programs {
                build(program, flags, partial, log, progress).await?;
            }
            Ok(())
        },
    )
    .await
}

/// Names everything that decides what is built, so that a change of any of it is another cache entry.
fn key(programs: &[Program], flags: &str) -> String {
    let own = [std::env::consts::ARCH, flags];
    let parts = programs.iter().flat_map(|program| {
        [
            program.name,
            program.package,
            program.module.go_mod,
            program.module.go_sum,
        ]
    });
    cache::key(own.into_iter().chain(parts))
}

/// Drops what only debuggers need, and gives the programs the version that clients ask for: built from a module they would say 0.0.0.
fn linker_flags() -> Result<String> {
    let (version, major, minor) = required_version(KUBERNETES_MODULE.go_mod)
        .context("assets/kubernetes/go.mod requires no release of k8s.io/kubernetes")?;
    let mut flags = "-s -w".to_owned();
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        flags += &format!(
            " -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        );
    }
    Ok(flags)
}

/// The release of Kubernetes that a `go.mod` requires: whole, its major and its minor number.
fn required_version(go_mod: &str) -> Option<(&str, &str, &str)> {
    let version = go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))?;
    let version = version.split_whitespace().next()?;
    let (major, rest) = version.split_once('.')?;
    let (minor, _) = rest.split_once('.')?;
    Some((version, major, minor))
}

/// Builds one program to `folder/NAME`. The module is written beside it, so that Go never writes to the source tree.
async fn build(
    program: &Program,
    flags: &str,
    folder: &Path,
    log: &Path,
    progress: &impl Fn(&str),
) -> Result<()> {
    let Program {
        name,
        module,
        package,
    } = program;
    let source = folder.join("modules").join(module.name);
    fs::create_dir_all(&source).with_context(|| format!("create {}", source.display()))?;
    for (file, text) in [("go.mod", module.go_mod), ("go.sum", module.go_sum)] {
        let path = source.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }

    let mut command = bound("go");
    command
        .args(["build", "-trimpath", "-ldflags", flags, "-o"])
        .arg(folder.join(name))
        .arg(package)
        .current_dir(&source)
        // Flags of the user's environment would not be part of the key.
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOFLAGS", "-mod=readonly"),
            ("GOWORK", "off"),
        ]);
    cache::run_told(&mut command, name, log, BUILD_DEADLINE, progress).await
}

/// Fails with the remedy when there is no Go toolchain.
fn find_go() -> Result<()> {
    match std::process::Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) => Err(error).context(
            "the lab's control plane is built with Go, and `go` does not start; install Go (https://go.dev/dl) and put it in PATH, \
             or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl",
        ),
    }
}

#[cfg(test)]
mod tests;
