//! Reasons: stable codes that are the same in annotations, Events, the journal, metric labels and documentation.

mod operator;
mod quote;

use std::fmt;
use std::str::FromStr;

pub use operator::{Tells, Verdict};
pub use quote::MESSAGE_LIMIT;

use operator::{accept, hold, silent, warn};

macro_rules! codes {
    (@older $name:ident) => { Self::$name };
    (@older $name:ident $older:ident) => { Self::$older };
    ($($name:ident, $who:literal, $means:literal, $remedy:literal, [$($attribute:ident),*], $verdict:expr $(, older $older:ident)?;)*) => {
        /// The stable code of a reason. A code is never renamed and never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $means] $name,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Who reports this reason: `agent`, `operator` or both.
            pub const fn who(self) -> &'static str {
                match self { $(Self::$name => $who,)* }
            }

            /// What it means, as one sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }

            /// What a person can do, as one sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }

            /// How the agent treats it besides showing it.
            pub const fn attributes(self) -> &'static [Attribute] {
                match self { $(Self::$name => &[$(Attribute::$attribute),*],)* }
            }

            /// How the operator treats it as its verdict about a node.
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => $verdict,)* }
            }

            /// The code to write where the previous release reads it, which takes a value with an unknown code for malformed.
            /// It may go once that release is no longer supported.
            pub const fn older(self) -> Self {
                match self { $(Self::$name => codes!(@older $name $($older)?),)* }
            }
        }
    };
}

/// How the agent treats a reason besides showing it. Attributes are listed with each code, and no other place tells codes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// It lasts as long as its cause; the pause after a grant that was given up because of it is not what the node waits for.
    Level,
    /// Its end is not signalled, so its cause is polled.
    Polled,
    /// No look for updates begins meanwhile.
    StopsLooks,
    /// The pending release is not asked for again; another release takes its place.
    NeedsAnother,
    /// A failed look reports it, and nothing else does.
    FailsLook,
    /// It waits for a person, the remote or the configuration, so looks are not repeated soon, which would only burden the remote.
    NeedsPerson,
    /// A drain is given up because of it.
    EndsDrain,
    /// A grant refused because of it is worth an Event.
    RefusalIsNews,
    /// That no update is staged or booted because of it is worth an Event: it waits for a person, and nothing fails.
    HoldIsNews,
}

impl Code {
    /// Whether it has `attribute`.
    pub fn is(self, attribute: Attribute) -> bool {
        self.attributes().contains(&attribute)
    }
}

// Columns: name, who reports it, what it means, what a person can do, how the agent treats it, how the operator treats it as its verdict
// about a node, and the code in its place for the previous release.
codes! {
    Paused, "both", "An administrator paused this node.", "Remove the label or annotation cuo.coreos.com/reboot-paused, or delete the UpdatePause that the reason names.", [Level], hold(2);
    Hold, "agent", "The agent's configuration holds updates on this host.", "Remove `hold` from the agent's configuration.", [Level], hold(0);
    OtherDriver, "agent", "Another program updates this host, so the agent leaves it alone.", "Switch that program off as the reason says, or remove cuo-agent; updates then continue by themselves.", [Level, Polled, StopsLooks], hold(0);
    StagedUnlocked, "agent", "The staged update is not locked, so any reboot boots it without a grant.", "Run `ostree admin lock-finalization` on the node, or do not reboot the node until its turn has come.", [], hold(0);
    BootIncomplete, "agent", "The boot is not complete, so the running release is neither confirmed as healthy nor replaced.", "Look at `systemctl list-jobs` and at the host's health checks; `systemctl status boot-complete.target` says what is missing.", [Level, Polled, StopsLooks], hold(0);
    UnitsInactive, "agent", "Units that the agent's configuration requires are not running, since the boot or since before it.", "See `systemctl status` of the units that the reason names, or take them out of `health.units`.", [Level, Polled], hold(0);
    Settling, "agent", "The node is healthy and is watched a little longer before its slot is given back.", "Nothing.", [Polled], hold(0);
    Unhealthy, "agent", "The node has not become healthy in time after the boot, and no other node boots that version.", "Repair what the reason names, or roll the node back; it continues by itself once it is healthy.", [Polled], hold(0);
    RollbackWanted, "agent", "The node did not become healthy with the update, and waits for its turn to go back to what it ran before.", "Nothing: it is granted that reboot when its turn comes. To keep it where it is, set `rollback = false` in `[health]`, or pause the node.", [Polled], hold(0);
    UnitsUnknown, "agent", "systemd did not report which units run.", "See `systemctl status` on the node; the reason quotes the error.", [Level, Polled, StopsLooks], hold(0);
    ConfigInvalid, "agent", "The agent's configuration can't be read, so it neither stages nor reboots.", "Correct the file and line that the reason names, then `systemctl reload cuo-agent`.", [Level], hold(0);
    RebootPrepared, "agent", "A soft reboot or the boot of another kernel by kexec is prepared, and a reboot would turn into that.", "Remove `/run/nextroot`, or unload the kernel with `kexec --unload`, as the reason says; updates then continue by themselves.", [Level, Polled], hold(0), older Inhibited;
    RebootRequested, "agent", "The node is to reboot without an update, and waits for its turn.", "Nothing. To take a request back, remove the annotation cuo.coreos.com/reboot-requested, or the file that the reason names.", [], hold(0);
    Inhibited, "agent", "A program holds a block inhibitor lock on shutdown.", "Wait for that program, or end it; `systemd-inhibit --list` shows it.", [Level], hold(0);
    CordonedByOther, "both", "Somebody else has cordoned the node, so it is left alone.", "Uncordon the node, or set `cordoned: Update` in its pool.", [RefusalIsNews], hold(8), older Paused;
    Preflight, "agent", "The API server is being asked whether it would evict the pods, and takes its time.", "Nothing, unless it lasts: then look at the admission webhooks for evictions.", [], hold(0), older Draining;
    Draining, "agent", "Pods are still leaving the node.", "Nothing, unless the pods that the reason names are stuck: look at their PodDisruptionBudgets and finalizers.", [], hold(0);
    DrainBlocked, "agent", "The drain did not finish in time; the node was uncordoned and the slot given back.", "Look at the pods that the reason names and at their PodDisruptionBudgets; the drain is retried automatically.", [EndsDrain], hold(0);
    BlockingPod, "agent", "A pod on the node blocks reboots, as its pool demands.", "Wait for that pod to end, or change `checks.blockingPods` of the pool.", [RefusalIsNews], hold(0);
    PreflightBlocked, "agent", "Pods would not be evicted if the drain began now. Where the pool demands that they would, it did not, and nothing was cordoned.", "Look at the pods and the PodDisruptionBudgets that the reason names; it is retried automatically.", [RefusalIsNews], hold(0);
    VolumesInUse, "agent", "Volumes of pods that have left are still in use on the node.", "Nothing, unless it lasts: then look at the node's `status.volumesInUse` and the driver of those volumes.", [EndsDrain], hold(0);
    DrainDelay, "agent", "The drain is over, and the pool demands a delay before the reboot.", "Nothing.", [], hold(0);
    Drained, "agent", "The drain is over, and the reboot is next.", "Nothing.", [], hold(0);
    ControlPlaneFound, "agent", "Static pods of the control plane were found on the node, which did not count as one of the control plane when it was granted.", "Nothing: it is granted again as one of the control plane.", [], hold(0), older GrantMismatch;
    ControlPlaneNotReady, "agent", "Static pods of the control plane are not Ready on the node after the boot.", "Look at the pods that the reason names. Where the node is no longer of the control plane, remove its annotation cuo.coreos.com/control-plane.", [], hold(0), older NodeNotReady;
    DaemonSetsNotReady, "agent", "Pods of DaemonSets are not Ready on the node after the boot.", "Look at the pods that the reason names.", [], hold(0);
    IdentityFailed, "both", "This version failed on a node before, or somebody went back from it there, and it is not tried again.", "Publish a newer version, or run `kubectl cuo retry` for that node once the cause is gone.", [NeedsAnother], warn(3);
    RpmOstreeUnavailable, "agent", "rpm-ostree did not answer.", "See `journalctl -u rpm-ostreed`; the reason quotes the error.", [Level], hold(0);
    StageFailed, "agent", "Downloading or staging an update failed.", "The reason quotes rpm-ostree; it is tried again by itself.", [FailsLook], hold(0);
    NetworkFailed, "agent", "The place of the updates could not be reached, or did not answer as it should.", "Nothing, unless it lasts: then look at the network and at the server that the reason names; it is tried again by itself, with longer pauses.", [FailsLook], hold(0);
    SignatureRefused, "agent", "The update is not signed as this host demands, or the host may not fetch it.", "Look at the keys, the policy and the credentials of the host's remote; it is tried again once a period, and when they change.", [FailsLook, NeedsPerson], hold(0);
    DiskFull, "agent", "The disk has no room for the update.", "Free some space, for instance with `rpm-ostree cleanup --base --rollback`; it is tried again by itself, with longer pauses.", [FailsLook], hold(0);
    LayeringConflict, "agent", "Packages that are layered or overridden on this host do not go with the update.", "Change what is requested with `rpm-ostree uninstall` or `rpm-ostree override reset`; it is tried again once a period.", [FailsLook, NeedsPerson], hold(0);
    OlderVersion, "agent", "The remote offers an older version than the one that is there.", "Publish a newer version, or deploy the older one on the node by hand; it is tried again once a period.", [NeedsAnother, FailsLook, NeedsPerson], hold(0);
    OriginUnusable, "agent", "What the host follows for updates does not exist, is pinned, or is not set up.", "Look at `rpm-ostree status` on the node and rebase it; it is tried again once a period, and when its remotes change.", [FailsLook, NeedsPerson], hold(0);
    RpmOstreeBusy, "agent", "rpm-ostree has been at work for somebody else for a while.", "Nothing, unless it hangs: then `rpm-ostree cancel` on the node, or `systemctl restart rpm-ostreed`.", [], hold(0);
    RpmOstreeDenied, "agent", "rpm-ostree does not allow the agent what it asks for.", "See that the package's polkit rule is installed and that polkit runs; it is tried again once a period.", [NeedsPerson], hold(0);
    RpmOstreeDied, "agent", "rpm-ostreed ended in the middle of its work.", "See `journalctl -u rpm-ostreed`; it is tried again by itself, and after three times only once a period.", [], hold(0);
    NothingStaged, "agent", "rpm-ostree knows of an update, reports success, and yet staged nothing.", "Look at `rpm-ostree upgrade` on the node: its origin may be pinned, and 2026.1 does so for every image.", [], hold(0);
    UpdateAvailable, "agent", "There is an update, and the agent's configuration says only to tell of it.", "Stage it with `rpm-ostree upgrade --bypass-driver --lock-finalization` on the node, or set `mode = \"stage\"`.", [], hold(0);
    GraphUnreachable, "agent", "The update graph could not be fetched.", "Nothing, unless it lasts: then look at the network, the proxy and the server that the reason names; it is tried again by itself, with longer pauses.", [FailsLook], hold(0);
    GraphInvalid, "agent", "What the server of the update graph answered is no graph, or leads to what this host can't follow.", "Look at `graph.url` in the agent's configuration, and at what is between the node and that server; it is tried again by itself, with longer pauses.", [FailsLook], hold(0);
    NotInGraph, "agent", "The update graph does not have the release that the node runs, so nothing leads on from it.", "Run the command that the reason names on the node, which takes it to a release of its stream, or set `release.source = \"origin\"`.", [HoldIsNews], hold(0);
    DeadEnd, "agent", "The update graph has no way on from the release that the node runs.", "Read what the reason quotes of the graph; mostly the node has to be installed anew, or rebased by hand.", [HoldIsNews], hold(0);
    OriginRetired, "agent", "What the host follows gets no releases any more, and the agent can't move it on by itself.", "Run the command that the reason names on the node.", [HoldIsNews], hold(0);
    ReleaseRefused, "agent", "The release that the cluster assigns to the node is not one that the host accepts.", "Assign a release of what the host follows, or allow it with `release.allow` in the agent's configuration.", [HoldIsNews], hold(0);
    ReleaseWithdrawn, "agent", "The update graph no longer leads to what is staged, as when a release turns out to be bad.", "Nothing: another release takes its place once the graph leads to one.", [HoldIsNews], hold(0);
    KubeletTooNew, "agent", "The update brings a kubelet that is newer than the API server, which Kubernetes does not support.", "Upgrade the control plane first, or set `release.kubelet_skew = \"ignore\"`.", [Level, HoldIsNews], hold(0);
    Metered, "agent", "The network is metered, so no update is looked for.", "Nothing, if another network is to come; `cuo-agent check` looks all the same, and `check.metered = \"ignore\"` always does.", [Polled, StopsLooks], hold(0);
    ProtocolUnknown, "both", "The other side speaks a version of the protocol that this one does not know.", "Finish the upgrade of the agent and the operator.", [Level], warn(0).stalls();
    MalformedAnnotation, "both", "An annotation of the protocol has a value that no part of CUO writes.", "Remove the annotation that the reason names.", [Level], warn(0).stalls();
    GrantMismatch, "agent", "The grant names something else than what a reboot would boot now, or another boot.", "Nothing: the slot is given back and asked for again.", [], hold(0);
    GrantExpired, "agent", "The grant's deadline passed before it was accepted.", "Nothing, unless it repeats: then compare the clocks of the node and of the operator.", [], hold(0);
    GrantRevoked, "agent", "The grant disappeared while it was being acted on.", "Nothing, if you removed it; the node was uncordoned.", [], hold(0);
    PendingChanged, "agent", "What a reboot would boot changed while the grant was being acted on.", "Nothing: the slot is given back and asked for again.", [], hold(0);
    Uncordoned, "agent", "Somebody uncordoned the node during the drain, which the agent takes as a wish to keep it in service.", "Pause the node if it has to stay in service; otherwise the update is retried automatically.", [], hold(0);
    NodeNotReady, "both", "The Node is not Ready, or its kubelet has not reported since the boot.", "See the kubelet's journal on the node.", [Level], warn(5);
    FinalizeFailed, "agent", "rpm-ostree or logind refused the reboot into the update.", "The reason quotes the refusal; it is retried automatically.", [], hold(0);
    FinalizerInactive, "agent", "The service that writes a staged update to the disk is not running, so a reboot would lose the update.", "Run `systemctl start ostree-finalize-staged` on the node, and see its journal.", [Level, Polled], hold(0);
    FinalizationFailed, "agent", "ostree could not write the update to the disk at the shutdown, so the host booted what it ran before.", "The reason quotes ostree, if the journal has it; else see `journalctl -b -1 -u ostree-finalize-staged`. The usual cause is a full /boot; the update is staged again, three times at most.", [], hold(0);
    RebootDidNotHappen, "agent", "The reboot was requested, but the host is still up.", "Look at `systemctl list-jobs` on the node and reboot it by hand; the slot is kept until then.", [], hold(0);
    SoftReboot, "agent", "The host runs what was granted, but by a soft reboot: it still has the previous kernel, so nothing is proved.", "Nothing: with the next full reboot it runs the kernel, too.", [], hold(0), older ForeignDeployment;
    ForeignReboot, "agent", "The node rebooted before the update was finalized, so the update was not applied.", "Nothing: the update is staged again, and another grant is asked for.", [], hold(0);
    UpdateLost, "agent", "The reboot into the update was requested, but the update is missing after the boot, as after a power cut.", "See how `journalctl -b -1` ends; the update is staged again automatically.", [], hold(0);
    BootedFallback, "agent", "The update is installed, but the host booted the previous version.", "Look at the boot log of the failed version; publish a fixed one.", [], hold(0);
    RolledBack, "agent", "The host was rolled back from the update.", "Look at the health checks of the node; publish a fixed version.", [], hold(0);
    ForeignDeployment, "agent", "The host booted something that was not granted.", "Nothing, if you deployed it.", [], hold(0);
    StateUnreadable, "agent", "The agent can't use its state in /var/lib/cuo-agent.", "The reason names the file; upgrade the agent, or remove the file if no update of the node is in progress. Then `systemctl reload cuo-agent` reads it again.", [], hold(0);
    StateUnwritable, "agent", "The agent can't write its state in /var/lib/cuo-agent, so it starts nothing new.", "Free some space, or repair what the reason quotes; it is retried automatically, every ten seconds.", [], hold(0);
    UpToDate, "operator", "No reboot is needed.", "Nothing.", [], silent(1);
    AgentTooOld, "operator", "A pool of the node asks for something that the node's agent does not understand yet.", "Upgrade the agent on the node, for instance by an update under the pool as it was before.", [], hold(9);
    NoAgent, "operator", "No agent has announced itself on this node.", "Install and enable cuo-agent there, or ignore the node.", [], silent(0);
    AgentHolds, "operator", "The agent on the node holds; its own reason says why.", "Read the node's annotation cuo.coreos.com/reason.", [], hold(4);
    ClusterPaused, "operator", "All reboots are paused.", "Start the operator without --paused, or delete the UpdatePause that the reason names.", [], hold(14);
    WindowClosed, "operator", "No reboot window is open.", "Wait for the next window that the reason names.", [], hold(17);
    PoolInvalid, "operator", "An UpdatePool makes no sense, so the nodes that it selects are left alone.", "Correct the pool that the reason names.", [], warn(23);
    PoolValid, "operator", "The UpdatePool makes sense again.", "Nothing.", [], hold(0);
    ReleaseChosen, "operator", "The UpdatePool has a new candidate: canaries try it, or it waits for approval.", "Nothing.", [], hold(0);
    ReleasePromoted, "operator", "All nodes of the UpdatePool may boot the release.", "Nothing.", [], hold(0);
    ReleaseGivenUp, "operator", "The release failed on as many nodes as the UpdatePool allows, and is tried no longer.", "Look at the nodes that the reason names; publish a fixed release, or run `kubectl cuo retry` for them once the cause is gone.", [], hold(0);
    ReleaseSuperseded, "operator", "The candidate of the UpdatePool is none any more: another release was declared or approved, or no node can stage it.", "Nothing.", [], hold(0);
    PoolsDiffer, "operator", "The node is in several pools that want it drained in different ways, or to run different releases.", "Make `drain`, `checks` and `release` of the pools that the reason names alike, let only one of them have a `canary`, or let only one of them select the node.", [], warn(10);
    PoolPaused, "operator", "A pool of the node is paused.", "Set `paused: false` in the pool that the reason names, or delete the UpdatePause that it names.", [], hold(16);
    GateClosed, "operator", "A gate that a pool of the node names is closed, or missing.", "Wait until what the gate stands for opens it; or open it with `kubectl cuo gate open`, or take it out of `gates` of the pool that the reason names.", [], hold(15);
    NotTarget, "operator", "A pool of the node is pinned to something else.", "Change `target` of the pool that the reason names.", [], hold(11);
    NotApproved, "operator", "A pool of the node wants each update approved.", "Add the release id or the version to `approved` of the pool that the reason names.", [], hold(12);
    ReleasePending, "operator", "The pool of the node goes to another release first, or has yet to decide on this one.", "Wait until the release that the reason names is promoted or given up; or name another one in `release` or `approved` of the pool.", [], hold(13);
    CanaryFirst, "operator", "The canaries of a pool of the node have to run the update for a while first.", "Wait for the nodes that the reason names.", [], hold(19);
    PoolSettling, "operator", "A node of the same pool has just been updated, and the pool wants some time before the next.", "Nothing.", [], hold(20).soon();
    BudgetExhausted, "operator", "As many nodes as allowed are rebooting or unavailable.", "Wait for, or repair, the nodes that the reason names.", [], hold(22);
    ControlPlaneBusy, "operator", "Another control-plane node is rebooting or unavailable.", "Wait for, or repair, the node that the reason names.", [], hold(21);
    OwnNodeLast, "operator", "The operator runs on this node, so those that are under way or about to be go first.", "Nothing.", [], hold(18);
    WriteRefused, "both", "The API server refuses what is written to this Node.", "Look at the admission webhook or policy that the reason, or the operator's log, names; it is tried again by itself.", [], warn(6).stalls();
    Reserved, "operator", "The node is next; its slot is being confirmed.", "Nothing.", [], silent(24).soon();
    BeforeChecks, "operator", "The before-reboot checks have not all passed.", "Look at the pods that set the annotations which the reason names.", [], hold(0).stalls();
    AfterChecks, "operator", "The after-reboot checks have not all passed.", "Look at the pods that set the annotations which the reason names.", [], hold(0).stalls();
    Granted, "operator", "The node may reboot; the agent has not accepted yet.", "Nothing, unless it repeats: then look at the agent's journal.", [], silent(0);
    GrantUnanswered, "operator", "The agent did not accept its last grant in time; it is granted again after a while, and others go first.", "Look whether cuo-agent runs on the node, and compare the node's clock with the operator's.", [], warn(7);
    Rebooting, "operator", "The agent is acting on its grant.", "Nothing.", [], accept();
}

/// A code as another program wrote it, which may be of another release and know other codes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AnyCode {
    /// A code of this build.
    Known(Code),
    /// A code that this build does not know.
    Unknown(Box<str>),
}

/// The longest code, in letters and digits.
const LONGEST: usize = 64;

impl AnyCode {
    /// The code, if this build knows it.
    pub fn known(&self) -> Option<Code> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Unknown(_) => None,
        }
    }
}

impl AnyCode {
    /// What it means, as one sentence, if this build knows it.
    pub fn means(&self) -> &str {
        self.known()
            .map_or("This release does not know what that means.", Code::means)
    }
}

impl From<Code> for AnyCode {
    fn from(code: Code) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<Code> for AnyCode {
    fn eq(&self, code: &Code) -> bool {
        self.known() == Some(*code)
    }
}

impl fmt::Display for AnyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(code) => code.fmt(f),
            Self::Unknown(text) => f.pad(text),
        }
    }
}

impl FromStr for AnyCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(code) = text.parse() {
            return Ok(Self::Known(code));
        }
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric());
        match plain && (1..=LONGEST).contains(&text.len()) {
            true => Ok(Self::Unknown(text.into())),
            false => Err(format!("{text:?} is no reason code")),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found
            .copied()
            .ok_or_else(|| format!("unknown reason code {text:?}"))
    }
}

/// A reason: its code and one sentence with the details. With [`AnyCode`] it was read from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason<C = Code> {
    /// The stable code.
    pub code: C,
    /// One sentence for people, without a clock that ticks: a reason that does not change must not be written again.
    pub message: String,
}

impl Reason {
    /// A reason with its sentence, joined to one line and cut to at most [`MESSAGE_LIMIT`] characters, and to the bytes that an Event can
    /// hold.
    pub fn new(code: Code, message: impl AsRef<str>) -> Self {
        let line = line(message.as_ref());
        let start = quote::beginning(&line);
        let message = match start.len() < line.len() {
            true => format!("{start}…"),
            false => line,
        };
        Self { code, message }
    }

    /// A reason that quotes another program. Its message names the cause at the end, so a long one is shortened in the middle instead.
    pub fn quoting(code: Code, text: &str) -> Self {
        Self::new(code, quote::cut(&line(text)))
    }
}

/// `text` in one line.
pub fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<Code> for Reason {
    /// The reason with the code's general meaning as its sentence.
    fn from(code: Code) -> Self {
        Self::new(code, code.means())
    }
}

impl Reason {
    /// The reason as another program would read it.
    pub fn read(self) -> Reason<AnyCode> {
        Reason {
            code: self.code.into(),
            message: self.message,
        }
    }
}

impl PartialEq<Reason> for Reason<AnyCode> {
    fn eq(&self, other: &Reason) -> bool {
        self.code == other.code && self.message == other.message
    }
}

impl<C: fmt::Display> fmt::Display for Reason<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl<C: FromStr<Err = String>> FromStr for Reason<C> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (code, message) = text.split_once(": ").ok_or("expected `CODE: sentence`")?;
        Ok(Self {
            code: code.parse()?,
            message: message.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
