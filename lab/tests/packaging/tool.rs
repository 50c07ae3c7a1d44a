//! The RPM of `cuoctl`: all that it puts on a machine, and what kubectl finds there.

use std::fs;
use std::process::Command;

use cuo_lab::image::Build;
use cuo_lab::machine::binary;
use cuo_lab::rpm::{self, Package};
use tempfile::TempDir;

use crate::rpm::query;
use crate::{repository, said};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Mode and path, without the manual pages of its commands.
const CONTENTS: &str = "\
-rwxr-xr-x /usr/bin/cuoctl
lrwxrwxrwx /usr/bin/kubectl-cuo
lrwxrwxrwx /usr/bin/kubectl_complete-cuo
-rw-r--r-- /usr/share/bash-completion/completions/cuoctl
drwxr-xr-x /usr/share/doc/cuoctl
-rw-r--r-- /usr/share/doc/cuoctl/kubectl-cuo.md
-rw-r--r-- /usr/share/fish/vendor_completions.d/cuoctl.fish
drwxr-xr-x /usr/share/licenses/cuoctl
-rw-r--r-- /usr/share/licenses/cuoctl/LICENSE
-rw-r--r-- /usr/share/licenses/cuoctl/LICENSE.dependencies
-rw-r--r-- /usr/share/licenses/cuoctl/cargo-vendor.txt
-rw-r--r-- /usr/share/man/man1/cuoctl.1.gz
-rw-r--r-- /usr/share/zsh/site-functions/_cuoctl
";

#[tokio::test]
async fn cuoctl_has_a_package_of_its_own_with_what_kubectl_looks_for() {
    if !said(Command::new("rpmbuild").arg("--version")).success {
        eprintln!("SKIPPED: needs rpmbuild; `cargo xtask rpm` installs it where apt is");
        return;
    }
    let folder = TempDir::new().unwrap();
    let stripped = ["cuo-agent", "cuoctl"].map(|name| {
        let path = folder.path().join(name);
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(&path).arg(binary(name).unwrap());
        assert!(said(&mut strip).success);
        path
    });
    let package = Package {
        repository: &repository(),
        version: VERSION,
        program: &stripped[0],
        cuoctl: Some(&stripped[1]),
        dist: "",
        build: Build::Debug,
    };
    let built = folder.path().join("build");
    let agent = rpm::build(&package, &built).await.unwrap();
    let name = format!("cuoctl-{VERSION}-1.{}.rpm", std::env::consts::ARCH);
    let package = agent.with_file_name(name);

    let format = "[%{FILEMODES:perms} %{FILENAMES}\\n]";
    let listed = query(&package, &["--queryformat", format]);
    let (pages, others): (Vec<_>, Vec<_>) = listed
        .lines()
        .partition(|line| line.contains("/man1/cuoctl-"));
    assert_eq!(others.join("\n") + "\n", CONTENTS);
    assert!(pages.len() > 10, "{pages:?}");
    // It is for any machine that has kubectl.
    let needs = query(&package, &["--requires"]);
    let own = needs.lines().filter(|line| !line.contains(['(', '/']));
    assert_eq!(own.collect::<Vec<_>>(), Vec::<&str>::new());
    let list = query(&agent, &["--list"]);
    assert!(!list.contains("cuoctl"), "{list}");

    if said(Command::new("rpmlint").arg("--version")).success {
        let mut rpmlint = Command::new("rpmlint");
        let config = repository().join("packaging/rpm/rpmlint.toml");
        rpmlint.arg("--config").arg(config).arg("--strict");
        let judged = said(rpmlint.arg(&package));
        assert!(judged.success, "{}{}", judged.stdout, judged.stderr);
    } else {
        eprintln!("SKIPPED: what rpmlint finds; `cargo xtask rpm` installs it where apt is");
    }
}

/// The licences of what is linked in, as the spec file has to name them.
#[test]
fn the_spec_file_names_the_licences_of_cuoctl() {
    let spec = fs::read_to_string(repository().join(rpm::SPEC)).unwrap();
    let (_, spec) = spec.split_once("%package -n cuoctl\n").unwrap();
    assert_eq!(
        crate::rpm::named_licences(spec),
        crate::rpm::linked_licences("cuoctl")
    );
}
