//! The RPM: all that it puts on a host, with modes and owners, what it needs and runs, and that it is the same each time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cuo_lab::image::Build;
use cuo_lab::machine::binary;
use cuo_lab::rpm::{self, Package};
use tempfile::TempDir;

use crate::{repository, said};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Mode, owner, group, path.
const CONTENTS: &str = "\
drwxr-xr-x root root /etc/cuo-agent
drwxr-xr-x root root /etc/cuo-agent/config.d
-rwxr-xr-x root root /usr/bin/cuo-agent
drwxr-xr-x root root /usr/lib/cuo-agent
drwxr-xr-x root root /usr/lib/cuo-agent/config.d
-rw-r--r-- root root /usr/lib/systemd/catalog/cuo-agent.catalog
-rw-r--r-- root root /usr/lib/systemd/system/cuo-agent-credentials.path
-rw-r--r-- root root /usr/lib/systemd/system/cuo-agent-credentials.service
-rw-r--r-- root root /usr/lib/systemd/system/cuo-agent-credentials.timer
-rw-r--r-- root root /usr/lib/systemd/system/cuo-agent.service
drwxr-xr-x root root /usr/lib/systemd/system/rpm-ostreed.service.d
-rw-r--r-- root root /usr/lib/systemd/system/rpm-ostreed.service.d/50-cuo-agent.conf
-rw-r--r-- root root /usr/lib/sysusers.d/cuo-agent.conf
-rw-r--r-- root root /usr/share/bash-completion/completions/cuo-agent
drwxr-xr-x root root /usr/share/cuo-agent
drwxr-xr-x root root /usr/share/cuo-agent/polkit
-rw-r--r-- root root /usr/share/cuo-agent/polkit/cuo-agent-rebase.rules
drwxr-xr-x root root /usr/share/doc/cuo-agent
-rw-r--r-- root root /usr/share/doc/cuo-agent/CHANGELOG.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/README.md
drwxr-xr-x root root /usr/share/doc/cuo-agent/docs
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/fedora-coreos.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/install.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/journal.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/operations.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/protocol.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/releases.md
-rw-r--r-- root root /usr/share/doc/cuo-agent/docs/troubleshooting.md
-rw-r--r-- root root /usr/share/fish/vendor_completions.d/cuo-agent.fish
drwxr-xr-x root root /usr/share/licenses/cuo-agent
-rw-r--r-- root root /usr/share/licenses/cuo-agent/LICENSE
-rw-r--r-- root root /usr/share/licenses/cuo-agent/LICENSE.dependencies
-rw-r--r-- root root /usr/share/licenses/cuo-agent/cargo-vendor.txt
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-check.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-config-show.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-config.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-credentials.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-doctor.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-forget.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-run.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent-status.8.gz
-rw-r--r-- root root /usr/share/man/man8/cuo-agent.8.gz
-rw-r--r-- root root /usr/share/polkit-1/rules.d/cuo-agent.rules
-rw-r--r-- root root /usr/share/zsh/site-functions/_cuo-agent
";

/// Asks rpm about a package file.
pub fn query(package: &Path, arguments: &[&str]) -> String {
    let mut rpm = Command::new("rpm");
    let asked = said(
        rpm.args(["--query", "--package"])
            .args(arguments)
            .arg(package),
    );
    assert!(asked.success, "{}", asked.stderr);
    asked.stdout
}

async fn build(folder: &TempDir, program: &Path) -> PathBuf {
    let package = Package {
        repository: &repository(),
        version: VERSION,
        program,
        cuoctl: None,
        dist: "",
        build: Build::Debug,
    };
    rpm::build(&package, &folder.path().join("build"))
        .await
        .unwrap()
}

#[tokio::test]
async fn it_holds_exactly_what_a_host_needs() {
    if !said(Command::new("rpmbuild").arg("--version")).success {
        eprintln!("SKIPPED: needs rpmbuild; `cargo xtask rpm` installs it where apt is");
        return;
    }
    let folder = TempDir::new().unwrap();
    // Without its symbols, which rpm would take out anyway, it is handled faster.
    let program = folder.path().join("cuo-agent");
    let mut strip = Command::new("strip");
    strip
        .arg("-o")
        .arg(&program)
        .arg(binary("cuo-agent").unwrap());
    assert!(said(&mut strip).success);
    let package = build(&folder, &program).await;
    let name = format!("cuo-agent-{VERSION}-1.{}.rpm", std::env::consts::ARCH);
    assert_eq!(package.file_name().unwrap().to_str().unwrap(), name);

    let format = "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\\n]";
    let listed = query(&package, &["--queryformat", format]);
    assert_eq!(listed, CONTENTS);
    assert_eq!(query(&package, &["--configfiles"]), "");

    let needs = query(&package, &["--requires"]);
    let own = needs.lines().filter(|line| !line.contains(['(', '/']));
    assert_eq!(
        own.collect::<Vec<_>>(),
        ["polkit", "rpm-ostree", "systemd", "systemd", "systemd"]
    );
    let scripts = query(&package, &["--scripts"]);
    // What the credentials' unit leaves behind goes with the package.
    assert!(scripts.contains("rm -rf /run/cuo-agent\n"), "{scripts}");
    let commands = scripts
        .lines()
        .filter(|line| line.contains("systemd-update-helper ") && !line.starts_with("if"));
    let commands: Vec<_> = commands
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(
        commands,
        [
            "install-system-units",
            "remove-system-units",
            "mark-restart-system-units"
        ]
    );

    if said(Command::new("rpmlint").arg("--version")).success {
        let mut rpmlint = Command::new("rpmlint");
        rpmlint
            .arg("--config")
            .arg(repository().join("packaging/rpm/rpmlint.toml"))
            .arg("--strict")
            .arg(repository().join(rpm::SPEC));
        let judged = said(rpmlint.arg(&package));
        assert!(judged.success, "{}{}", judged.stdout, judged.stderr);
    } else {
        eprintln!("SKIPPED: what rpmlint finds; `cargo xtask rpm` installs it where apt is");
    }

    let other = TempDir::new().unwrap();
    let again = build(&other, &program).await;
    assert!(
        fs::read(&package).unwrap() == fs::read(&again).unwrap(),
        "built twice, it differs"
    );
}

/// Its dependencies come in a file, or with `--without vendor` as packages; a program that is there already has them inside.
#[test]
fn one_switch_says_whether_dependencies_are_vendored() {
    if !said(Command::new("rpmspec").arg("--version")).success {
        eprintln!("SKIPPED: needs rpmspec; `cargo xtask rpm` installs it where apt is");
        return;
    }
    let parsed = |definition: &str| {
        let mut rpmspec = Command::new("rpmspec");
        rpmspec
            .arg("--load")
            .arg(repository().join("packaging/rpm/macros.prebuilt"));
        rpmspec.args(["--define", definition, "--parse"]);
        let parsed = said(rpmspec.arg(repository().join(rpm::SPEC)));
        assert!(parsed.success, "{definition}: {}", parsed.stderr);
        let has = |text: &str| parsed.stdout.contains(text);
        (
            has("-vendor.tar.xz"),
            has("LICENSE.dependencies cargo-vendor.txt"),
        )
    };
    assert_eq!(parsed("nothing 1"), (true, true));
    assert_eq!(parsed("_without_vendor --without-vendor"), (false, false));
    assert_eq!(parsed("cuo_program /bin/true"), (false, true));
}

/// The licences of what is linked in, as the spec file has to name them.
#[test]
fn the_spec_file_says_what_cargo_says() {
    let spec = fs::read_to_string(repository().join(rpm::SPEC)).unwrap();
    let version = spec.lines().find_map(|line| line.strip_prefix("Version:"));
    assert_eq!(
        version.map(str::trim),
        Some(VERSION),
        "the spec file's version"
    );

    assert_eq!(named_licences(&spec), linked_licences("cuo-agent"));
}

/// The licences that the first tag of that kind in `spec` names.
pub fn named_licences(spec: &str) -> BTreeSet<String> {
    let (_, licence) = spec.split_once("%{shrink:").unwrap();
    let (licence, _) = licence.split_once('}').unwrap();
    all_of(&licence.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The licences of what cargo links into `program`.
pub fn linked_licences(program: &str) -> BTreeSet<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["tree", "--offline", "--locked", "--package", program]);
    cargo.args([
        "--edges",
        "no-build,no-dev,no-proc-macro",
        "--no-dedupe",
        "--prefix",
        "none",
    ]);
    let tree = said(cargo.args(["--format", "{l}"]).current_dir(repository()));
    assert!(tree.success, "{}", tree.stderr);
    let linked = tree.stdout.lines().map(|line| line.replace('/', " OR "));
    all_of(&linked.collect::<Vec<_>>().join(" AND "))
}

/// The parts of a licence that all hold, each in one order.
fn all_of(text: &str) -> BTreeSet<String> {
    let parts = text.split(" AND ").map(|part| {
        let part = part.trim_matches(['(', ')', ' ']);
        let mut either: Vec<_> = part.split(" OR ").map(str::trim).collect();
        either.sort_unstable();
        either.join(" OR ")
    });
    parts.collect()
}
