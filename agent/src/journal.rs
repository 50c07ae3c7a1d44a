//! Journal entries that an administrator may look for: each event has an id that never changes, by which the journal's catalog explains it
//! (`journalctl -x`).

use std::fmt::Write;

macro_rules! events {
    ($($name:ident = $id:literal, $subject:literal, $means:literal, $remedy:literal;)*) => {
        /// An event that an administrator may look for. An id is never changed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $(#[doc = $means] $name,)*
        }

        impl Event {
            /// Every event, in the order of an update.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `MESSAGE_ID` in the journal.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// Its name, without a full stop.
            pub const fn subject(self) -> &'static str {
                match self { $(Self::$name => $subject,)* }
            }

            /// What it means.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }

            /// What a person can do.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

events! {
    Started = "41a53ffdffde44bb809d20b0b67ebedc", "The agent has started", "It continues from the state of the host and its Node; nothing is lost by a restart.", "Nothing.";
    Staged = "8612a5a2208f42ae9c0e2748e38a8326", "An update is staged", "rpm-ostree has downloaded and staged an update, locked: only a reboot that is granted boots it.", "Nothing.";
    RebootNeeded = "6522046315fc4a298768852840a5301e", "The node needs a reboot", "Another deployment than the booted one is the default, and the node asks for a grant to boot it.", "Nothing: the operator grants it when its turn comes. The Events of the Node say what it waits for.";
    Accepted = "008179782d6a425797f8bc72f05e25df", "A grant is accepted", "The operator allows one reboot into one release, and the agent acts on it.", "Nothing. To stop it, pause the node or take the annotation cuo.coreos.com/reboot-ok off it.";
    DrainBegun = "ef868af306b544a081b1db74b9f849e5", "The drain has begun", "The node is cordoned, and its pods are being evicted, unless the grant says that they stay.", "Nothing.";
    DrainWaits = "e482385a0d1e48e7b9ebab72f65e2834", "Something is in the way of the drain", "Pods or a program block it, or the deployments can't be read; it is retried until the drain's time-out.", "Look at what the message names: PodDisruptionBudgets and finalizers of pods, or `systemd-inhibit --list`.";
    DrainOver = "8de98297f4b44cb1af77ee522877a635", "The drain is over", "All pods that have to leave have left the node, or the pool's policy does not wait any longer; the reboot is next.", "Nothing.";
    DrainGaveUp = "9064e40304a84a97b60e094116c57e84", "The drain was given up", "It did not finish in time. The node is uncordoned if the agent had cordoned it, and the slot is given back; nothing rebooted.", "Look at the pods that the message names and at their PodDisruptionBudgets; the drain is retried automatically.";
    RebootAsked = "e2c3b8b4a13d49c589682a96066590de", "The reboot was asked for", "rpm-ostree finalizes the update and reboots the host, or logind reboots it.", "Nothing. The agent finds out after the next boot whether the host rebooted.";
    RollbackAsked = "f8378b68f9fd43708676f01e603fe598", "The host goes back to what it ran before", "It did not become healthy with an update, its configuration says `health.rollback`, and the reboot was granted. rpm-ostree makes the deployment that ran before the next one to boot.", "See why it was not healthy, with `journalctl -b -1 -u cuo-agent`. That version is no longer granted to any node; publish a fixed one.";
    Verifying = "767af61409c54ee4aaf02ffccc9f631f", "The node has booted and is being verified", "What runs is compared with what was granted. Then the boot has to be complete, the kubelet to have reported, the Node to be Ready and the units in `health.units` to be active, all of it for `health.settle`.", "Nothing, unless it stays so: the message names what is missing; see `systemctl status boot-complete.target` and the kubelet's journal.";
    Done = "118c2bf4a43a4456af075b335040d877", "The update is done", "The host runs what was granted, its boot is complete, the node has been healthy for `health.settle`, and the slot is given back.", "Nothing.";
    Refused = "93e818b4aa2b46858205114f1c99370f", "A grant was refused", "The grant does not fit how things are now, or something on the node holds. The slot is given back.", "Nothing, unless it repeats: then see the reason code in the protocol's documentation.";
    GivenUp = "08681c9b8bb846e787370c53e946e520", "A grant was given up", "It was accepted, but given up before the update was booted. The node is uncordoned if the agent had cordoned it, and the slot is given back.", "See the reason code in the protocol's documentation; the update is retried automatically.";
    Failed = "f397ba9fcc05469abc042775f4250930", "An update failed", "The host booted something else than what was granted, or could not write the update too often. This version is no longer granted to any node.", "See what the message quotes, and the boot that failed, with `journalctl -b -1`. Publish a fixed version, or run `cuo-agent forget` once the cause is gone.";
    TriesAgain = "59c0859f0cc440c08db6455d784f5478", "What failed is tried again", "An administrator asked for it: releases that failed on this node may be booted again, the pause is over, and updates are looked for.", "Nothing.";
    Held = "7dae671b622f4e79a94325984c06f603", "Something on this node holds", "The node is not granted a reboot, or no update is staged, until what the message names has ended.", "See the reason code in the protocol's documentation.";
    NeedsPerson = "dc36dc1327fd4e0ba5b82facb35863c3", "The node needs a person", "The reboot was asked for more than once, and the host is still up. It keeps its slot, since it may go down at any time.", "Look at `systemctl list-jobs`, and reboot the host by hand; the agent continues after the boot.";
    Unhealthy = "0267bc4b4184419bbc9452f37cfc930c", "The node did not become healthy", "After the boot something was missing for longer than `health.deadline`. The node keeps its slot; with `health.rollback` it gives it back, and asks for another to go back to what it ran before if that is there. No other node boots that version.", "Repair what the message names, or roll the node back; the agent continues by itself once the node is healthy.";
    CheckFailed = "4dc0752c07bd414796c5eee4a87061f8", "No update could be staged", "Looking for an update, downloading or staging it failed.", "The message quotes rpm-ostree; it is retried automatically.";
    NotStaged = "04b82367aa4d4689a12a328d2a5c695a", "rpm-ostree did not stage an update that it knows of", "It reported success and staged nothing, as it does where the origin is pinned to a commit or a digest.", "Run `rpm-ostree upgrade --check` and look at the origin in `rpm-ostree status`.";
    Unreachable = "c8e661be35f242d7971cebc3837ef90f", "The API server does not answer", "The host's Node can't be read or written. Nothing is drained and nothing reboots meanwhile.", "Nothing, unless it stays so: then look at the network and at the API server.";
    Rejected = "67089952dfee46ef8c9ad762eabde761", "There are no credentials that the API server accepts", "No kubeconfig was found or could be read, or the API server does not accept what is in it. New ones are taken as soon as they are there.", "Run `cuo-agent doctor`; see `systemctl status cuo-agent-credentials` and the kubelet's certificate.";
    Forbidden = "eb8814efba294e929c1671c65c22d324", "The API server forbids what the agent does", "The credential is valid, but lacks a right to the host's Node or its pods.", "Run `cuo-agent doctor`, which names the right; the credential has to be a node's.";
    OtherHost = "13e72004250ca999393c7826717f3f0b", "The Node belongs to another host", "The kubelet that reports for it runs in another boot and has another machine id than this host, so the credential or `node_name` belongs to another node. The agent leaves the Node to that host.", "Run `cuo-agent doctor`, and give this host a credential of its own node. Nothing if the host was just reinstalled: this ends once its own kubelet has reported.";
    Back = "ce8311db6bd04191b0f5d83fdb07f63a", "The API server answers again", "What could not be read or written can be now.", "Nothing.";
    ConfigInvalid = "6ec561dd10ca451b993e7da9ad0b26c8", "The configuration can't be used", "A file of the configuration can't be read, so the agent neither stages nor reboots.", "Correct the file and line that the message names, then `systemctl reload cuo-agent`.";
    StateUnusable = "031d8b05c6d0457f99287a5a4ad1347e", "The agent's state can't be used", "The file can't be read or written, or is of a newer version and about an update of this boot, so nothing new is started.", "The message names the file. If it can't be written, free some space: writing is retried every ten seconds. Otherwise upgrade the agent, or remove the file if no update of the node is in progress, and `systemctl reload cuo-agent` reads it again.";
    MetricsUnwritten = "2bdae040adaa424eb9c441123f240948", "The metrics can't be written", "The file that `metrics.textfile` of the configuration names can't be written. That is said once; the agent goes on as before, and the metrics stay as they are in the file.", "Give the user cuo-agent a folder that it can write, and name it in `ReadWritePaths=` of cuo-agent.service (`systemctl edit cuo-agent`), then `systemctl restart cuo-agent`. Writing is retried by itself, so only a change of the unit needs the restart.";
}

/// Where to report what the catalog does not answer.
const SUPPORT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");
/// The width of a classic terminal, less one column.
const WIDTH: usize = 79;

/// The catalog file, as `journalctl --update-catalog` takes it.
pub fn catalog() -> String {
    let mut text = "# Explains the agent's entries in the journal: journalctl -x -u cuo-agent\n\
                    # Printed by `cargo xtask codegen` from agent/src/journal.rs.\n"
        .to_owned();
    for event in Event::ALL {
        let (id, subject) = (event.id(), event.subject());
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "\n-- {id}\nSubject: {subject}\nDefined-By: cuo-agent\nSupport: {SUPPORT}\nDocumentation: man:cuo-agent(8)\n\n{}\n{}",
            wrapped(event.means()),
            wrapped(&format!("What to do: {}", event.remedy()))
        );
    }
    text
}

/// Wraps `text` to lines of at most [`WIDTH`] characters.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests;
