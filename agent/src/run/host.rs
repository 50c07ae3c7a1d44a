//! The host as the loop knows it: deployments, labels, and looking for updates.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cuo_core::agent::Staging;
use cuo_core::agent::state::Retry;
use cuo_core::host::Host;
use cuo_core::look::{Looks, first, resumed, spread};
use cuo_core::node::{NodeView, SystemLabels};
use cuo_core::reason::{Code, Reason, line};
use cuo_core::release::Following;
use cuo_core::time::Time;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::answer::{Answer, Check};
use crate::config;
use crate::facts;
use crate::journal::Event;
use crate::look::{self, Follows};
use crate::rpmostree::{Client, Error, Overview, Ready};

/// Pause before rpm-ostree is asked again that was at work.
const BUSY: Duration = Duration::from_secs(20);
/// Pauses before it is asked again after it did not answer: each question starts it, which is much to do for a host where it can't run.
const SILENT: Retry = Retry {
    first: SignedDuration::from_secs(20),
    cap: SignedDuration::from_mins(5),
};

/// How long a run may take before it is worth telling.
const LASTING: Duration = Duration::from_secs(5);

/// What is known of the host, and when to find out more.
pub struct HostSide {
    root: PathBuf,
    client: Client,
    /// For the one call that may follow the last look at the Node.
    ready: Option<Ready>,
    known: Result<Host, String>,
    /// rpm-ostree was at work when it was asked last.
    busy: bool,
    outdated: bool,
    retry_at: Option<Instant>,
    /// How often in a row it did not answer.
    silences: u32,
    /// When it is asked again after that.
    asks_again: Option<Time>,
    /// What is known of what the labels shall say.
    named: Named,
    /// What the host follows.
    follows: Option<Follows>,
    /// Where its releases come from, since the last look.
    following: Option<Following>,
    next_check: Instant,
    /// A person asked for the next look.
    asked: bool,
    /// Since when a run is going on.
    staging: Option<Instant>,
    progress: Option<String>,
    looks: Looks,
    /// Since when rpm-ostree was busy at each look.
    kept_off: Option<Time>,
    /// Bytes that were free for updates when the last run began.
    free: Option<u64>,
    check: Check,
}

impl HostSide {
    /// What the host is, is found out later; `earlier` is how far another process since the boot had got with looking for updates. What
    /// that found is reported until the next look, which may be hours away.
    pub fn new(
        root: &Path,
        client: Client,
        check: &config::Check,
        earlier: Option<Answer>,
    ) -> Self {
        let now = Time::from(Timestamp::now());
        let earlier = earlier.map(|answer| (answer.check, answer.looks));
        let (earlier, looks) = earlier.unwrap_or_default();
        // An agent that is started over and over does not look over and over.
        let longest = spread(check.period.0, check.jitter.0, 1.0);
        let left = earlier.next.and_then(|next| resumed(next, now, longest));
        let wait =
            left.unwrap_or_else(|| first(check.start.0, facts::uptime(root), fastrand::f64()));
        Self {
            root: root.to_owned(),
            client,
            ready: None,
            known: Err("not asked yet".into()),
            busy: false,
            outdated: true,
            retry_at: None,
            silences: 0,
            asks_again: None,
            named: Named::default(),
            follows: None,
            following: None,
            next_check: Instant::now() + wait.unsigned_abs(),
            asked: false,
            staging: None,
            progress: None,
            looks,
            kept_off: None,
            free: None,
            check: Check {
                next: Some(now.later(wait)),
                ..earlier
            },
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the host follows, once that is known.
    pub fn follows(&self) -> Option<&Follows> {
        self.follows.as_ref()
    }

    /// Where releases come from, as the last look found it.
    pub fn following(&self) -> Option<&Following> {
        self.following.as_ref()
    }

    /// Takes that in.
    pub fn follow(&mut self, following: Following) {
        self.following = Some(following);
    }

    pub fn known(&self) -> &Result<Host, String> {
        &self.known
    }

    /// How long the host has been up, in whole seconds: no finer than what is decided by it.
    pub fn uptime(&self) -> Option<SignedDuration> {
        facts::uptime(&self.root).map(|up| SignedDuration::from_secs(up.as_secs()))
    }

    /// rpm-ostree was at work when it was asked last; that it no longer is makes it be asked again.
    pub fn busy(&self) -> bool {
        self.busy
    }

    /// What the labels shall say. What is not known yet stays as the Node shows it.
    pub fn labels(&self, node: Option<&NodeView>) -> SystemLabels {
        let shown = node.map(|node| &node.agent.system).cloned();
        let mut labels = shown.unwrap_or_default();
        if let Some(id) = &self.named.id {
            labels.id.clone_from(id);
        }
        if let Some((version, group)) = &self.named.runs {
            labels.version.clone_from(version);
            labels.group.clone_from(group);
        }
        labels
    }

    pub fn staging(&self) -> Staging {
        match self.staging {
            None => Staging::Idle,
            Some(since) if since.elapsed() < LASTING => Staging::Begun,
            Some(_) => Staging::Lasting,
        }
    }

    pub fn progress(&self) -> Option<&str> {
        self.progress.as_deref()
    }

    /// The last look for an update, and when the next one is due.
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// How the looks for updates went.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// What is to be reported of the looks for updates.
    pub fn looked(&self) -> Option<&Reason> {
        self.looks.reported()
    }

    /// Something changed, or may have: read before the next decision.
    pub fn outdated(&mut self) {
        self.outdated = true;
        self.retry_at = None;
    }

    /// rpm-ostreed tells of a change, or that it is there. While it does not answer, that is what the last question made of it.
    pub fn heard(&mut self) {
        if self.silences == 0 {
            self.outdated();
        }
    }

    /// When rpm-ostree is asked again, if it did not answer.
    pub fn asks_again(&self) -> Option<Time> {
        self.asks_again
    }

    /// Takes a person's wish to look now.
    pub fn check_asked(&mut self) {
        self.asked = true;
        self.check_now();
    }

    /// A look is due, and no person asked for it.
    pub fn check_by_itself(&self) -> bool {
        self.check_due() && !self.asked
    }

    fn check_now(&mut self) {
        self.next_check = Instant::now();
        self.check.next = Some(Time::from(Timestamp::now()));
        self.outdated();
    }

    pub fn check_due(&self) -> bool {
        Instant::now() >= self.next_check
    }

    /// When something is to be looked at here, at the latest.
    pub fn wake(&self) -> Option<Instant> {
        // A check that is overdue but not allowed now comes with whatever allows it.
        let idle = self.staging.is_none();
        let check = (idle && !self.check_due()).then_some(self.next_check);
        let reported = self
            .staging
            .filter(|_| self.staging() == Staging::Begun)
            .map(|since| since + LASTING);
        let retry = self.retry_at.filter(|_| idle);
        [check, reported, retry].into_iter().flatten().min()
    }

    /// Reads the deployments if they may have changed. While a run of the agent's own is on nobody else can change them, and what it stages
    /// itself shows before it is done with it: its end tells.
    pub async fn refresh(&mut self) {
        let retry = self.retry_at.is_some_and(|at| Instant::now() >= at);
        if self.staging.is_some() || !self.outdated && !retry {
            return;
        }
        let found = self.client.overview().await;
        self.learn(found);
    }

    /// Reads them in any case, and leaves nothing to be asked of rpm-ostreed before the call that leads to the reboot: it may take minutes
    /// to answer, and who takes the node back meanwhile is to be heard.
    pub async fn make_ready(&mut self) {
        let ready = self.client.ready().await;
        let found = ready.as_ref().map_err(Clone::clone);
        self.learn(found.and_then(Ready::overview));
        self.ready = ready.ok();
    }

    /// What [`HostSide::make_ready`] came to, for one use.
    pub fn take_ready(&mut self) -> Option<Ready> {
        self.ready.take()
    }

    fn learn(&mut self, found: Result<Overview, Error>) {
        self.outdated = false;
        self.retry_at = None;
        match found {
            Ok(Overview {
                host,
                origin,
                stream,
                busy,
            }) => {
                let version = label_value(&host.booted.version);
                let group = origin.stream().and_then(label_value);
                self.named.runs = Some((version, group));
                self.follows = Some(Follows { origin, stream });
                self.named.read(&self.root);
                self.known = Ok(host);
                self.busy = busy;
                (self.silences, self.asks_again) = (0, None);
                // Its end is signalled, unless rpm-ostreed died of it.
                self.retry_at = busy.then(|| Instant::now() + BUSY);
            }
            Err(error) => {
                self.busy = false;
                let text = error.to_string();
                self.known = Err(text);
                self.silences = self.silences.saturating_add(1);
                let pause = SILENT.pause(self.silences);
                self.retry_at = Some(Instant::now() + pause.unsigned_abs());
                self.asks_again = Some(Time::from(Timestamp::now()).later(pause));
            }
        }
    }

    pub fn stage_started(&mut self) {
        self.staging = Some(Instant::now());
        self.progress = None;
        self.free = facts::free(&self.root.join("ostree/repo"));
    }

    pub fn stage_progress(&mut self, line: String) {
        self.progress = Some(line);
    }

    /// Takes the end of a look in: what is to be reported though nothing failed, or what failed.
    pub fn look_ended(
        &mut self,
        result: Result<Option<Reason>, look::Error>,
        config: &config::Check,
        retry: &Retry,
    ) {
        self.staging = None;
        self.asked = false;
        self.progress = None;
        self.outdated();
        let result = result.map_err(|error| self.failure(&error));
        if !matches!(&result, Err((Code::RpmOstreeBusy, _))) {
            self.kept_off = None;
        }
        self.check.error = result.as_ref().err().map(|(_, text)| text.clone());
        let result = result.map_err(|(code, text)| Reason::quoting(code, &text));
        let period = spread(config.period.0, config.jitter.0, fastrand::f64());
        let pause = self.looks.ended(result, retry, period);
        if let Some(error) = &self.check.error {
            let again = spoken(pause);
            warn!(
                message_id = Event::CheckFailed.id(),
                "no update could be staged, which is tried again in {again}: {error}"
            );
        }
        self.next_check = Instant::now() + pause.unsigned_abs();
        let now = Time::from(Timestamp::now());
        self.check.last = Some(now);
        self.check.next = Some(now.later(pause));
    }

    /// What failed, in one line with every word of it, and with what is known of it here.
    fn failure(&mut self, error: &look::Error) -> (Code, String) {
        let (code, mut text) = (error.code(), line(&error.to_string()));
        match code {
            Code::RpmOstreeBusy => {
                let since = *self
                    .kept_off
                    .get_or_insert_with(|| Time::from(Timestamp::now()));
                text += &format!(", and was so each time since {since}");
            }
            Code::DiskFull => {
                // Not what is free now: rpm-ostree has removed by then what did not fit.
                if let Some(free) = self.free {
                    text += &format!("; {} MB were free below /ostree before", free / 1_000_000);
                }
            }
            _ => {}
        }
        (code, text)
    }

    /// What may have been in the way of looking for updates changed.
    pub fn cause_changed(&mut self) {
        if self.looks.failed() {
            info!("what may have been in the way of updates changed");
            self.check_now();
        }
    }
}

/// A pause as people say it, in whole seconds.
fn spoken(pause: SignedDuration) -> String {
    format!("{:#}", SignedDuration::from_secs(pause.as_secs()))
}

/// What the labels of the Node shall say, as far as it is known; inside, `None` is no label.
#[derive(Debug, Default)]
struct Named {
    /// From os-release.
    id: Option<Option<String>>,
    /// Of what runs: its version, and the stream that it follows.
    runs: Option<(Option<String>, Option<String>)>,
    /// What was reported of os-release.
    reported: Option<String>,
}

impl Named {
    /// Reads os-release, which does not change before the next boot. Where that fails it is tried again with the next look at the host.
    fn read(&mut self, root: &Path) {
        if self.id.is_some() {
            return;
        }
        match facts::os_release(root) {
            Ok(release) => self.id = Some(label_value(&release.id)),
            Err(error) => {
                let why = error.to_string();
                if self.reported.as_ref() != Some(&why) {
                    warn!("the label for the operating system stays as it is: {why}");
                    self.reported = Some(why);
                }
            }
        }
    }
}

/// `text` as a label's value: at most 63 of the characters that Kubernetes allows, the others replaced.
fn label_value(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let value: String = text
        .chars()
        .take(63)
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    let value = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
