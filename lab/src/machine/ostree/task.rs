//! What a method call asks for.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use zbus::{OwnedVariant, Signature, Type, Variant};

/// An `a{sv}` argument in the order it came. The daemon compares the arguments of two calls as serialized data, so a client that sends
/// the same options in another order does not join its own transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options(Vec<(String, OwnedVariant)>);

impl Options {
    fn get(&self, key: &str) -> Option<&Variant<'static>> {
        let entry = self.0.iter().find(|(name, _)| name == key);
        entry.map(|(_, value)| &**value)
    }

    /// A value of another type counts as absent, as in the daemon.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Variant::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.get(key) {
            Some(Variant::Str(value)) => Some(value.as_str().to_owned()),
            _ => None,
        }
    }
}

/// As `{'key': value}`.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}'{key}': {}", &**value)?;
        }
        f.write_str("}")
    }
}

impl Type for Options {
    const SIGNATURE: &'static Signature = <HashMap<String, OwnedVariant>>::SIGNATURE;
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dictionary of options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Options(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The work of one transaction.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Check, download, stage, register a driver.
    Update(Update),
    /// Unlock the staged deployment and reboot.
    Finalize {
        checksum: Option<String>,
        allow_missing: bool,
        allow_unlocked: bool,
    },
    /// Make the deployment after the booted one the default.
    Rollback { reboot: bool },
    /// Remove deployments.
    Cleanup(Vec<String>),
}

/// `Upgrade`, `UpdateDeployment`, `Deploy` and `AutomaticUpdateTrigger`: one parser for all options.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) goal: Goal,
    pub(super) check: bool,
    pub(super) lock: bool,
    pub(super) reboot: bool,
    pub(super) allow_downgrade: bool,
    pub(super) download_only: bool,
    pub(super) cache_only: bool,
    pub(super) no_pull_base: bool,
    pub(super) skip_branch_check: bool,
    pub(super) driver: Option<String>,
    pub(super) command_line: Option<String>,
}

/// Which release to go to.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// What branch or tag point at.
    Newest,
    /// A commit, version or digest.
    Revision(String),
    /// Another branch or image.
    Refspec(String),
}

impl Update {
    pub(super) fn new(goal: Goal, allow_downgrade: bool, options: &Options) -> Self {
        let flag = |key| options.flag(key).unwrap_or(false);
        Self {
            goal,
            check: false,
            lock: flag("lock-finalization"),
            reboot: flag("reboot"),
            allow_downgrade: options.flag("allow-downgrade").unwrap_or(allow_downgrade),
            download_only: flag("download-only"),
            cache_only: flag("cache-only"),
            no_pull_base: flag("no-pull-base"),
            skip_branch_check: flag("skip-branch-check"),
            driver: options.text("register-driver"),
            command_line: options.text("initiating-command-line"),
        }
    }

    /// `UpdateDeployment`: its modifiers decide the goal. Going back needs `allow-downgrade` here even with `set-revision`, against
    /// what the interface's documentation says (seen in rpm-ostree 2026.2).
    pub(super) fn modified(modifiers: &Options, options: &Options) -> Self {
        let goal = match (
            modifiers.text("set-refspec"),
            modifiers.text("set-revision"),
        ) {
            (Some(refspec), _) => Goal::Refspec(refspec),
            (None, Some(revision)) => Goal::Revision(revision),
            (None, None) => Goal::Newest,
        };
        Self::new(goal, false, options)
    }

    /// What the title becomes when the work begins.
    pub(super) fn title(&self) -> String {
        let step = if self.check { "check" } else { "stage" };
        match &self.command_line {
            Some(line) if line.contains("--trigger-automatic-update-policy") => {
                format!("automatic ({step})")
            }
            Some(line) => line.clone(),
            None => match (&self.goal, self.check, self.download_only) {
                (Goal::Refspec(_), ..) => "rebase",
                (Goal::Revision(_), ..) => "deploy",
                (Goal::Newest, true, _) => "upgrade (check only)",
                (Goal::Newest, false, true) => "upgrade (download only)",
                (Goal::Newest, false, false) => "upgrade",
            }
            .to_owned(),
        }
    }
}

impl Task {
    /// The title before the work begins.
    pub(super) fn first_title(&self) -> &'static str {
        match self {
            Self::Update(_) => "new-deployment",
            Self::Finalize { .. } => "finalize-deployment",
            Self::Rollback { .. } => "rollback",
            Self::Cleanup(_) => "cleanup",
        }
    }
}
