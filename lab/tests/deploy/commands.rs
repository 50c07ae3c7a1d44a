//! The documentation's commands for `kubectl`, as they stand there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::assets;
use cuo_lab::machine::binary;
use cuo_lab::process::bound;
use tokio::time::timeout;

use crate::{Bench, repository};

const PAGES: [&str; 14] = [
    "README.md",
    "docs/architecture.md",
    "docs/behaviours.md",
    "docs/coming-from.md",
    "docs/coming-from-fluo.md",
    "docs/coming-from-kured.md",
    "docs/drain.md",
    "docs/kubectl-cuo.md",
    "docs/operations.md",
    "docs/pools.md",
    "docs/protocol.md",
    "docs/quickstart.md",
    "docs/security.md",
    "docs/troubleshooting.md",
];
/// A folder with more of them.
const RUNBOOKS: &str = "docs/runbooks";
/// The section with the commands that end everything.
const UNINSTALL: &str = "Uninstall";
/// Hollow kubelets have neither containers' output nor their ports.
const NEED_A_CONTAINER: [&str; 2] = [" logs ", " port-forward "];
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// One command of a page, or a manifest as the command that would apply it.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    page: String,
    section: String,
    text: String,
}

/// Applies a manifest that is given on the standard input, as far as the API server's checks go.
const DRY_RUN: &str = "kubectl apply --dry-run=server --validate=strict -f - <<'END'";

/// The commands for `kubectl` in the shell blocks of `page`, and its manifests; continued lines are one.
fn commands(page: &str, text: &str) -> Vec<Command> {
    let (mut section, mut language, mut found) = (String::new(), None, Vec::new());
    let mut push = |section: &str, text: String| {
        found.push(Command {
            page: page.to_owned(),
            section: section.to_owned(),
            text,
        });
    };
    let mut manifest = String::new();
    for line in text.replace("\\\n", "").lines() {
        if let Some(fence) = line.strip_prefix("```") {
            if language == Some("yaml") {
                push(&section, format!("{DRY_RUN}\n{manifest}END"));
                manifest.clear();
            }
            language = language.is_none().then_some(fence);
        } else if language == Some("yaml") {
            manifest += &format!("{line}\n");
        } else if language == Some("sh") && line.starts_with("kubectl ") {
            push(&section, line.to_owned());
        } else if language.is_none() && line.starts_with('#') {
            section = line.trim_start_matches(['#', ' ']).to_owned();
        }
    }
    found
}

#[test]
fn commands_are_found_in_shell_blocks_only() {
    let text = "# A\nkubectl no\n```sh\nkubectl a \\\n  b # c\nsystemctl d\n```\n```json\nkubectl no\n```\n\
                ## B c\n```sh\n# x\nkubectl e\n```\n```yaml\nf:\n  g\n```\n";
    let found = commands("p", text);
    let picture: Vec<_> = found
        .iter()
        .map(|found| (found.section.as_str(), found.text.as_str()))
        .collect();
    let manifest = format!("{DRY_RUN}\nf:\n  g\nEND");
    let expected = [
        ("A", "kubectl a   b # c"),
        ("B c", "kubectl e"),
        ("B c", &manifest),
    ];
    assert_eq!(picture, expected);
}

fn all() -> Result<Vec<Command>> {
    let mut pages: Vec<_> = PAGES.map(str::to_owned).into();
    let folder = std::fs::read_dir(repository().join(RUNBOOKS));
    for page in folder.with_context(|| format!("list {RUNBOOKS}"))? {
        let name = page?.file_name();
        pages.push(format!("{RUNBOOKS}/{}", name.to_string_lossy()));
    }
    // What one page leaves behind, the next one finds, so they come in the same order everywhere.
    pages.sort();
    let mut found = Vec::new();
    for page in pages {
        let path = repository().join(&page);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        found.extend(commands(&page, &text));
    }
    Ok(found)
}

/// The manifest in `section` of `page`.
pub fn manifest(page: &str, section: &str) -> Result<String> {
    let all = all()?;
    let mut found = all
        .iter()
        .filter(|command| command.page == page && command.section == section)
        .filter_map(|command| command.text.strip_prefix(DRY_RUN)?.strip_suffix("END"));
    let manifest = found.next();
    manifest
        .map(str::to_owned)
        .with_context(|| format!("{page} has no manifest in {section:?}"))
}

/// Runs every command but those of the last section, with `NODE` as n1.
pub async fn run_all(bench: &Bench) -> Result<()> {
    let all = all()?;
    let ends = |command: &&Command| {
        command.section == UNINSTALL || command.text.contains("kubectl delete -f")
    };
    let now: Vec<_> = all.iter().filter(|command| !ends(command)).collect();
    ensure!(
        now.len() > 10,
        "the documentation's commands are not found: {now:?}"
    );
    for command in now {
        run(bench, command).await?;
    }
    Ok(())
}

/// Runs the commands that end everything.
pub async fn run_uninstall(bench: &Bench) -> Result<()> {
    let last = all()?
        .into_iter()
        .filter(|command| command.section == UNINSTALL);
    for command in last {
        run(bench, &command).await?;
    }
    Ok(())
}

async fn run(bench: &Bench, command: &Command) -> Result<()> {
    let Command { page, text, .. } = command;
    if NEED_A_CONTAINER.iter().any(|what| text.contains(what)) {
        return Ok(());
    }
    let kubectl = assets::ensure(|line| eprintln!("{line}")).await?.kubectl;
    let folder = kubectl
        .parent()
        .and_then(Path::to_str)
        .context("kubectl is in a folder")?;
    let plugins = bench.dir.join("plugins");
    let plugin = plugins.join("kubectl-cuo");
    if !plugin.exists() {
        std::fs::create_dir_all(&plugins)?;
        std::os::unix::fs::symlink(binary("cuoctl")?, &plugin)?;
    }
    let plugins = plugins.display();
    let path = format!("{plugins}:{folder}:{}", std::env::var("PATH")?);
    let text = text.replace("NODE", "n1");
    let mut shell = bound("sh");
    shell.args(["-c", &text]).current_dir(repository());
    shell
        .envs([("PATH", path.as_str()), ("HOME", folder)])
        .env("KUBECONFIG", bench.plane.admin_kubeconfig());
    let output = timeout(COMMAND_WITHIN, shell.output()).await;
    let output = output
        .with_context(|| format!("{page}: `{text}` did not end within {COMMAND_WITHIN:?}"))??;
    let reported = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{page}: `{text}`: {reported}");
    Ok(())
}
