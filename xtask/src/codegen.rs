//! `cargo xtask codegen`: the parts of the documentation that are printed from the code.
//!
//! A page has them between `<!-- generated: NAME -->` and `<!-- end of NAME -->`, a manifest between comments of its own.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use clap::{Arg, Args, CommandFactory};
use cuo_agent::journal;
use cuo_coordination::pool::schema;
use cuo_coordination::{gate, pause};
use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_operator::config::Config as OperatorConfig;

use crate::place::Place;
use crate::{behaviours, chart, companion, examples, life, metrics, policies, root, yaml};

/// What to do.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Change nothing, and fail where a page is not up to date.
    #[arg(long)]
    check: bool,
}

/// What is printed: page, name, text.
fn parts() -> Result<Vec<(&'static str, &'static str, String)>> {
    let mut parts = vec![
        ("charts/cuo/values.yaml", "chart flags", chart::flags()),
        ("docs/protocol.md", "keys", key_table()),
        ("docs/protocol.md", "phases", phase_table()),
        ("docs/protocol.md", "examples", examples::of_nodes()?),
        ("docs/protocol.md", "ledger", examples::of_the_ledger()?),
        ("docs/protocol.md", "places", life::places()),
        ("docs/protocol.md", "transitions", life::transitions()),
        ("docs/protocol.md", "reasons", reason_table()),
        (
            "docs/operations.md",
            "agent configuration",
            agent_configuration()?,
        ),
        ("docs/operations.md", "operator flags", operator_flags()),
        ("docs/companion.md", "companion flags", companion::flags()),
        ("docs/companion.md", "companion news", companion::news()),
        (
            "docs/companion.md",
            "companion metrics",
            companion::metrics(),
        ),
        (
            "docs/operations.md",
            "operator metrics",
            metrics::of_the_operator()?,
        ),
        (
            "docs/operations.md",
            "agent metrics",
            metrics::of_an_agent(),
        ),
        ("docs/operations.md", "removal of all keys", removal()),
        ("docs/journal.md", "events", event_table()),
        ("docs/kubectl-cuo.md", "commands", commands()),
        ("docs/pools.md", "fields", pool_fields()),
        (
            "deploy/operator.yaml",
            "UpdatePool",
            yaml::document(&schema::definition()),
        ),
        (
            "deploy/operator.yaml",
            "UpdatePause",
            yaml::document(&pause::definition()),
        ),
        (
            "deploy/operator.yaml",
            "UpdateGate",
            yaml::document(&gate::definition()),
        ),
        (
            "deploy/operator.yaml",
            "when a key of the operator changes",
            policies::an_operators_key_changes(),
        ),
        (
            "deploy/operator.yaml",
            "the operator's keys",
            policies::operators_keys(),
        ),
        (
            "deploy/operator.yaml",
            "what nodes write",
            policies::nodes_keys(),
        ),
        (
            "deploy/agent-identity.yaml",
            "what agents write",
            policies::agents_keys(),
        ),
        ("deploy/monitoring/prometheusrule.yaml", "rules", rules()?),
    ];
    parts.extend(Place::of_workspace()?.parts());
    Ok(parts)
}

/// Files that are printed as a whole.
fn files() -> Result<Vec<(String, String)>> {
    let catalog = ("systemd/cuo-agent.catalog".to_owned(), journal::catalog());
    Ok([catalog].into_iter().chain(chart::files()?).collect())
}

/// Files that name runbooks.
const WITH_RUNBOOKS: [&str; 3] = [
    "deploy/monitoring/rules.yaml",
    "deploy/monitoring/tests/rollout.yaml",
    "deploy/monitoring/tests/slow.yaml",
];

/// Prints all parts into their pages, or tells which are not as they should be.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut stale = Vec::new();
    let mut print = |page: &str, name: &str, before: &str, after: &str| {
        if before == after {
            return Ok(());
        }
        if arguments.check {
            stale.push(format!("{page}, {name}:\n{}", difference(before, after)));
        } else {
            fs::write(root().join(page), after).with_context(|| format!("write {page}"))?;
            println!("{page}: {name}");
        }
        Ok::<_, anyhow::Error>(())
    };
    for (page, name, text) in parts()? {
        let path = root().join(page);
        let before = fs::read_to_string(&path).with_context(|| format!("read {page}"))?;
        let after = replace(&before, name, &text).with_context(|| page.to_owned())?;
        print(page, name, &before, &after)?;
    }
    for (file, text) in files()? {
        let before = fs::read_to_string(root().join(&file)).unwrap_or_default();
        print(&file, "all of it", &before, &text)?;
    }
    for file in WITH_RUNBOOKS {
        let before = fs::read_to_string(root().join(file)).with_context(|| file.to_owned())?;
        let after = Place::of_workspace()?.runbooks(&before);
        print(file, "addresses of runbooks", &before, &after)?;
    }
    ensure!(
        stale.is_empty(),
        "run `cargo xtask codegen`:\n{}",
        stale.join("\n")
    );
    behaviours::check()
}

/// `page` with `text` as the part `name`, as far to the right as its first comment.
fn replace(page: &str, name: &str, text: &str) -> Result<String> {
    // In a manifest a comment begins with another sign.
    let (open, close) = if page.contains("<!-- ") {
        ("<!--", " -->")
    } else {
        ("#", "")
    };
    let (begin, end) = (
        format!("{open} generated: {name}{close}\n"),
        format!("{open} end of {name}{close}\n"),
    );
    let mut halves = page.split(&begin);
    let (Some(before), Some(rest), None) = (halves.next(), halves.next(), halves.next()) else {
        bail!("expected one line `{}`", begin.trim_end());
    };
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("no line `{}`", end.trim_end()))?;
    let indent = before.rsplit('\n').next().unwrap_or_default();
    ensure!(
        indent.trim().is_empty(),
        "`{}` is not alone on its line",
        begin.trim_end()
    );
    let mut part = String::new();
    for line in text.split_inclusive('\n') {
        if line != "\n" {
            part += indent;
        }
        part += line;
    }
    Ok(format!("{before}{begin}{part}{indent}{end}{after}"))
}

/// The lines that differ, without what is the same before and after them.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same = old
        .iter()
        .zip(&new)
        .take_while(|(old, new)| old == new)
        .count();
    let (old, new) = (&old[same..], &new[same..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let lines = |sign: char, lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{sign}{line}\n"))
            .collect::<String>()
    };
    lines('-', &old[..old.len() - tail]) + &lines('+', &new[..new.len() - tail])
}

pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(
        &head
            .iter()
            .map(|cell| (*cell).to_owned())
            .collect::<Vec<_>>(),
    );
    text += &line(&vec!["---".to_owned(); head.len()]);
    for row in rows {
        text += &line(
            &row.iter()
                .map(|cell| cell.replace('|', "\\|"))
                .collect::<Vec<_>>(),
        );
    }
    text
}

fn key_table() -> String {
    let row = |key: &keys::Key| {
        let name = key.name.strip_prefix(keys::PREFIX).unwrap_or(key.name);
        vec![
            format!("`{name}`"),
            key.kind.into(),
            key.writer.to_string(),
            key.value.into(),
        ]
    };
    table(
        &["Key", "Kind", "Written by", "Value"],
        keys::TABLE.iter().map(row),
    )
}

fn phase_table() -> String {
    let row = |phase: &Phase| vec![format!("`{phase}`"), phase.means().to_owned()];
    table(&["Phase", "Meaning"], Phase::ALL.iter().map(row))
}

fn reason_table() -> String {
    let row = |code: &Code| {
        vec![
            format!("`{code}`"),
            code.who().into(),
            code.means().into(),
            code.remedy().into(),
        ]
    };
    table(
        &["Code", "Given by", "Meaning", "What to do"],
        Code::ALL.iter().map(row),
    )
}

fn event_table() -> String {
    let row = |event: &journal::Event| {
        vec![
            event.subject().into(),
            format!("`{}`", event.id()),
            event.means().into(),
            event.remedy().into(),
        ]
    };
    table(
        &["Event", "`MESSAGE_ID`", "Meaning", "What to do"],
        journal::Event::ALL.iter().map(row),
    )
}

/// Every field of an UpdatePool's `spec`.
fn pool_fields() -> String {
    let row =
        |[path, kind, default, means]: [String; 4]| vec![format!("`{path}`"), kind, default, means];
    table(
        &["Field", "Type", "Default", "Meaning"],
        schema::fields().into_iter().map(row),
    )
}

/// What `cuo-agent config show` prints where nothing is configured.
fn agent_configuration() -> Result<String> {
    let defaults = toml::to_string(&cuo_agent::config::Config::default())
        .context("the agent's configuration as TOML")?;
    Ok(format!("```toml\n{defaults}```\n"))
}

/// What `cuo-operator --help` lists.
fn operator_flags() -> String {
    flags(&OperatorConfig::command())
}

/// The flags of `command` that are variables as well.
pub fn flags(command: &clap::Command) -> String {
    let row = |arg: &Arg| {
        let flag = arg.get_long().map(|long| format!("`--{long}`"));
        let variable = arg.get_env().map(|name| format!("`{}`", name.display()));
        let defaults = arg.get_default_values().iter();
        let defaults: Vec<_> = defaults
            .map(|value| format!("`{}`", value.display()))
            .collect();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('<', "\\<");
        vec![
            flag.unwrap_or_default(),
            variable.unwrap_or_default(),
            defaults.join(", "),
            help,
        ]
    };
    let own = command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some());
    table(&["Flag", "Variable", "Default", "Meaning"], own.map(row))
}

/// The help of each command of `cuoctl`.
fn commands() -> String {
    let mut command = cuoctl::cli::command(Some("kubectl-cuo".as_ref())).term_width(100);
    command.build();
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    let below = below.filter(|below| below.get_name() != "help");
    let each = below.cloned().map(|below| {
        // They are the same everywhere, and said once.
        let mut below = below.mut_args(|arg| match arg.is_global_set() {
            true => arg.hide(true),
            false => arg,
        });
        let help = below.render_long_help().to_string();
        let lines = help.lines().map(str::trim_end);
        let help = lines.collect::<Vec<_>>().join("\n");
        format!("\n### {}\n\n```text\n{help}\n```\n", below.get_name())
    });
    let global = command.get_arguments().filter(|arg| arg.is_global_set());
    let rows = global.map(|arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let value = arg
            .get_value_names()
            .filter(|_| arg.get_action().takes_values());
        let value = value
            .and_then(|names| names.first())
            .map(|name| format!(" {name}"));
        let long = arg.get_long().unwrap_or_default();
        vec![format!("`--{long}{}`", value.unwrap_or_default()), help]
    });
    table(&["Option of each command", "Meaning"], rows) + &each.collect::<String>()
}

/// The alerts without the comment above them, which is about the file.
fn rules() -> Result<String> {
    const FILE: &str = "deploy/monitoring/rules.yaml";
    let text = fs::read_to_string(root().join(FILE)).with_context(|| format!("read {FILE}"))?;
    let begin = text
        .find("\ngroups:\n")
        .with_context(|| format!("{FILE}: no line `groups:`"))?;
    Ok(text[begin + 1..].to_owned())
}

/// The commands that remove every key from every Node.
fn removal() -> String {
    let mut text = "```sh\n".to_owned();
    for (kind, verb) in [("annotation", "annotate"), ("label", "label")] {
        let _ = write!(text, "kubectl {verb} nodes --all");
        for key in keys::TABLE.iter().filter(|key| key.kind.contains(kind)) {
            let _ = write!(text, " \\\n  {}-", key.name);
        }
        text += "\n";
    }
    text + "```\n"
}

#[cfg(test)]
mod tests;
