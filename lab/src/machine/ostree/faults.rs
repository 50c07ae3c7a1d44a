//! What goes wrong on purpose, and how long things take: `lab/faults.json`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::LabFile;

/// Faults that wait to happen, and the pace of the double.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// The first one that fits is used and counted down. A list that became empty tells a test that all of them happened.
    pub rules: Vec<Fault>,
    /// How long things take.
    pub pace: Pace,
    /// `AutomaticUpdatePolicy` of `rpm-ostreed.conf`: `none`, `check`, `stage` or `apply`.
    pub policy: Policy,
    /// Unit that callers appear to run in; `None` is a caller outside of any unit.
    pub caller_unit: Option<String>,
}

/// `AutomaticUpdatePolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// No automatic updates.
    #[default]
    None,
    /// Look for updates.
    Check,
    /// Stage them.
    Stage,
    /// Stage them and reboot.
    Apply,
}

impl Policy {
    /// The name in the configuration; `off` and `ex-stage` are accepted too.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" | "off" => Some(Self::None),
            "check" => Some(Self::Check),
            "stage" | "ex-stage" => Some(Self::Stage),
            "apply" => Some(Self::Apply),
            _ => None,
        }
    }

    /// The property's text.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Check => "check",
            Self::Stage => "stage",
            Self::Apply => "apply",
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// D-Bus method it hits, for example `Upgrade`; `None` hits every method.
    pub method: Option<String>,
    /// When in the life of the call.
    pub stage: Stage,
    /// What happens.
    pub effect: Effect,
    /// How often it happens before it is removed; `None` is without end.
    pub times: Option<u32>,
}

/// A point in the life of a method call and its transaction, in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The call arrived, nothing was answered. The only stage of calls that make no transaction.
    Call,
    /// The address was answered, nobody called `Start`. Only [`Effect::Crash`] is possible here.
    Opened,
    /// `Start` arrived and is not yet answered: [`Effect::Crash`], [`Effect::Hang`], or [`Effect::Delay`] of the answer alone, so
    /// that signals overtake it.
    Start,
    /// The work began, the title is set.
    Running,
    /// In the middle of a download.
    Pull,
    /// The download is done, nothing is deployed.
    Deploy,
    /// The deployment is staged, noted and shown; the work that is left takes its time.
    Staged,
    /// Everything is done, `Finished` is not yet sent.
    Finish,
    /// `Finished` was sent, the reboot is about to be requested.
    Reboot,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The daemon dies at once: the peer sees its socket close, the socket file stays.
    Crash,
    /// `Finished(false, text)`; at [`Stage::Reboot`] the reboot silently doesn't happen.
    Fail(String),
    /// The call itself is answered with this error. For [`Stage::Call`] only.
    Refuse {
        /// D-Bus error name.
        name: String,
        /// Error message.
        text: String,
    },
    /// Nothing further happens until `Cancel`; before `Start` nothing further happens at all.
    Hang,
    /// As [`Effect::Hang`], but `Cancel` does nothing.
    HangForever,
    /// This many milliseconds pass.
    Delay(u64),
    /// The transaction succeeds here without doing what is left to do, as rpm-ostree 2026.1 did on container hosts.
    Nothing,
    /// The same after this `Message`.
    Say(String),
    /// This many `Message` signals at once.
    Burst(u32),
}

/// How long things take, in milliseconds. The defaults are what was seen with rpm-ostree 2026.2, but for the work itself, which is
/// as short as the lab's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Idle time after which the daemon leaves; 0 is never.
    pub idle_exit: u64,
    /// How long a finished transaction waits for its peers to leave.
    pub hold: u64,
    /// How long the fetch of new content takes.
    pub pull: u64,
    /// Time between two `DownloadProgress` signals.
    pub progress: u64,
    /// How long writing a deployment takes, until it is noted and shown.
    pub deploy: u64,
    /// How long the transaction is at work after that: from 200 to 1 800 were seen.
    pub staged: u64,
    /// The same with layered packages, where it was longest.
    pub staged_layers: u64,
    /// How long a cancelled transaction takes to notice.
    pub cancel: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            idle_exit: 60_000,
            hold: 30_000,
            pull: 100,
            progress: 1_000,
            deploy: 30,
            staged: 200,
            staged_layers: 1_800,
            cancel: 500,
        }
    }
}

impl Faults {
    /// The usual world: nothing goes wrong, callers are in `cuo-agent.service`.
    pub fn none() -> Self {
        Self {
            caller_unit: Some("cuo-agent.service".to_owned()),
            ..Self::default()
        }
    }

    /// Takes the fault for this point, counting it down.
    pub fn take(&mut self, method: &str, stage: Stage) -> Option<Effect> {
        let index = self.rules.iter().position(|rule| {
            rule.stage == stage && rule.method.as_deref().is_none_or(|name| name == method)
        })?;
        let rule = self.rules.get_mut(index)?;
        let effect = rule.effect.clone();
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.rules.remove(index);
            }
        }
        Some(effect)
    }
}

impl Fault {
    /// A fault that happens once.
    pub fn once(method: &str, stage: Stage, effect: Effect) -> Self {
        Self {
            times: Some(1),
            ..Self::always(method, stage, effect)
        }
    }

    /// A fault that happens each time.
    pub fn always(method: &str, stage: Stage, effect: Effect) -> Self {
        Self {
            method: Some(method.to_owned()),
            stage,
            effect,
            times: None,
        }
    }
}

impl LabFile for Faults {
    const NAME: &'static str = "faults.json";
}

/// A [`Duration`] of one of the fields of [`Pace`].
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
