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

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
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

/// `Upgrade`, `UpdateDeployment`, `Deploy` and `AutomaticUpdateTrigger`: one parser for all options. With neither reference nor revision
/// it goes to what branch or tag point at.
#[derive(Debug, Clone, Default)]
pub(super) struct Update {
    /// `set-refspec`: another branch or image.
    pub(super) refspec: Option<String>,
    /// `set-revision`: a commit, version or digest.
    pub(super) revision: Option<String>,
    /// Ends of the names of polkit's actions for whatever else the modifiers ask for, of which nothing is done.
    pub(super) others: Vec<&'static str>,
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

/// Modifiers of `UpdateDeployment` that are about packages, and the ends of the names of polkit's actions for them.
const PACKAGES: [(&str, &str); 8] = [
    ("install-packages", "install-uninstall-packages"),
    ("uninstall-packages", "install-uninstall-packages"),
    ("install-local-packages", "install-local-packages"),
    (
        "install-local-fileoverride-packages",
        "install-local-packages",
    ),
    ("override-replace-packages", "override"),
    ("override-remove-packages", "override"),
    ("override-reset-packages", "override"),
    ("override-replace-local-packages", "override"),
];

impl Update {
    /// To what branch or tag point at.
    pub(super) fn new(options: &Options) -> Self {
        let flag = |key| options.flag(key).unwrap_or(false);
        Self {
            lock: flag("lock-finalization"),
            reboot: flag("reboot"),
            allow_downgrade: flag("allow-downgrade"),
            download_only: flag("download-only"),
            cache_only: flag("cache-only"),
            no_pull_base: flag("no-pull-base"),
            skip_branch_check: flag("skip-branch-check"),
            driver: options.text("register-driver"),
            command_line: options.text("initiating-command-line"),
            ..Self::default()
        }
    }

    /// `Deploy`.
    pub(super) fn deploy(revision: String, options: &Options) -> Self {
        Self {
            revision: Some(revision),
            allow_downgrade: options.flag("allow-downgrade").unwrap_or(true),
            ..Self::new(options)
        }
    }

    /// `UpdateDeployment`, whose modifiers are reference and revision alone (rpm-ostree 2026.2, `deploy_transaction_execute`); the rest are
    /// options. Going back needs `allow-downgrade` even with `set-revision`, against what the interface's documentation says (seen in
    /// rpm-ostree 2026.2); with `set-refspec` it does not.
    pub(super) fn modified(modifiers: &Options, options: &Options) -> Self {
        let refspec = modifiers.text("set-refspec");
        let asked = PACKAGES.iter().filter(|(key, _)| modifiers.has(key));
        let mut others: Vec<_> = asked.map(|(_, action)| *action).collect();
        others.dedup();
        let rebases = refspec.is_some();
        Self {
            revision: modifiers.text("set-revision"),
            refspec,
            others,
            allow_downgrade: options.flag("allow-downgrade").unwrap_or(rebases),
            ..Self::new(options)
        }
    }

    /// Whether it stays on its branch or tag and takes what that points at.
    pub(super) fn is_upgrade(&self) -> bool {
        self.refspec.is_none() && self.revision.is_none()
    }

    /// The ends of the names of polkit's actions for `UpdateDeployment`, all of which have to be allowed (rpm-ostree 2026.2,
    /// `os_authorize_method`).
    pub(super) fn actions(&self) -> Vec<&'static str> {
        let first = match (&self.refspec, &self.revision) {
            (Some(_), _) => Some("rebase"),
            (None, Some(_)) => Some("deploy"),
            (None, None) => (!self.no_pull_base).then_some("upgrade"),
        };
        let all: Vec<_> = first.into_iter().chain(self.others.clone()).collect();
        if all.is_empty() {
            return vec!["override"];
        }
        all
    }

    /// What the title becomes when the work begins.
    pub(super) fn title(&self) -> String {
        let step = if self.check { "check" } else { "stage" };
        if let Some(line) = &self.command_line {
            return match line.contains("--trigger-automatic-update-policy") {
                true => format!("automatic ({step})"),
                false => line.clone(),
            };
        }
        let what = match (&self.refspec, &self.revision) {
            (Some(_), _) => "rebase",
            (None, Some(_)) => "deploy",
            (None, None) => "upgrade",
        };
        let how = match (self.cache_only, self.check, self.download_only) {
            (true, _, _) => " (cache only)",
            (false, true, _) => " (check only)",
            (false, false, true) => " (download only)",
            (false, false, false) => "",
        };
        format!("{what}{how}")
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

#[cfg(test)]
mod tests;
