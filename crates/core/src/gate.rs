//! Gates: an `UpdateGate` lets the pools that name it be granted while it is open. What opens and closes it is somebody else's business.

use crate::time::Time;

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Whether it was opened last, rather than closed.
    pub open: bool,
    /// When it closes by itself, by the operator's clock: whoever opens it has to do so again in time.
    pub until: Option<Time>,
    /// Why, in the words of whoever wrote it.
    pub reason: Option<String>,
}

/// A gate as found in the cluster; one that can't be understood is closed, and this says why.
pub type FoundGate = Result<Gate, String>;

impl Gate {
    /// Why it is closed at `now`; `None` while it is open.
    pub fn closed(&self, now: Time) -> Option<String> {
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        match (self.open, self.until) {
            (false, _) => Some(format!("is closed{reason}")),
            (true, Some(until)) if now >= until => Some(format!("was open until {until}{reason}")),
            (true, _) => None,
        }
    }
}
