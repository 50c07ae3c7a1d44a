//! Selects the annotations and labels of a Node that are kept in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use cuo_core::keys;

/// The annotations and labels to keep besides those of the protocol. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep(Arc<Kept>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Kept {
    annotations: BTreeSet<String>,
    labels: BTreeSet<String>,
    all_labels: bool,
}

impl Keep {
    /// Keeps the annotations of these names, such as those of reboot checks.
    pub fn new<S: Into<String>>(annotations: impl IntoIterator<Item = S>) -> Self {
        Self(Arc::new(Kept {
            annotations: annotations.into_iter().map(Into::into).collect(),
            labels: BTreeSet::new(),
            all_labels: false,
        }))
    }

    /// Keeps all labels.
    #[must_use]
    pub fn all_labels(mut self) -> Self {
        Arc::make_mut(&mut self.0).all_labels = true;
        self
    }

    /// Adds these; whether any of them was missing.
    pub fn grow<'a>(
        &mut self,
        annotations: impl IntoIterator<Item = &'a str>,
        labels: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let new = |names: &BTreeSet<String>, name: &&str| !names.contains(*name);
        let kept = Arc::clone(&self.0);
        let annotations = annotations.into_iter();
        let annotations: Vec<_> = annotations
            .filter(|name| new(&kept.annotations, name))
            .collect();
        let labels = labels.into_iter().filter(|name| new(&kept.labels, name));
        let labels: Vec<_> = labels.collect();
        if annotations.is_empty() && labels.is_empty() {
            return false;
        }
        let all = Arc::make_mut(&mut self.0);
        all.annotations
            .extend(annotations.into_iter().map(str::to_owned));
        all.labels.extend(labels.into_iter().map(str::to_owned));
        true
    }

    pub(crate) fn annotation(&self, name: &str) -> bool {
        self.0.annotations.contains(name)
    }

    pub(crate) fn label(&self, name: &str) -> bool {
        keys::CONTROL_PLANE.contains(&name) || self.0.all_labels || self.0.labels.contains(name)
    }
}
