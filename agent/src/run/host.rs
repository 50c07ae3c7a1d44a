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

use crate::answer::{Answer, LookState};
use crate::config;
use crate::facts;
use crate::journal::Event;
use crate::look::{self, Follows};
use crate::rpmostree::{Client, Error, Overview, Ready};

/// Pause before a busy rpm-ostree is asked again.
const BUSY: Duration = Duration::from_secs(20);
/// Pauses before an rpm-ostree that did not answer is asked again: each question starts it, which costs a lot on a host where it can't run.
const SILENT: Retry = Retry {
    first: SignedDuration::from_secs(20),
    cap: SignedDuration::from_mins(5),
};

/// How long a run may take before it is reported.
const LASTING: Duration = Duration::from_secs(5);

/// What is known about the host, and when to look again.
pub struct HostSide {
    root: PathBuf,
    client: Client,
    /// For the one call that may follow the last look at the Node.
    ready: Option<Ready>,
    known: Result<Host, String>,
    /// rpm-ostree was busy when it was last asked.
    busy: bool,
    outdated: bool,
    retry_at: Option<Instant>,
    /// How many times in a row rpm-ostree did not answer.
    silences: u32,
    /// When rpm-ostree is asked again after that.
    asks_again: Option<Time>,
    /// The labels, as far as they are known.
    named: Named,
    /// What the host follows.
    follows: Option<Follows>,
    /// Where its releases come from, since the last look.
    following: Option<Following>,
    next_check: Instant,
    /// A person asked for the next look.
    asked: bool,
    /// When the current run began.
    staging: Option<Instant>,
    progress: Option<String>,
    looks: Looks,
    /// Since when rpm-ostree was busy at each look.
    kept_off: Option<Time>,
    /// Bytes that were free for updates when the last run began.
    free: Option<u64>,
    check: LookState,
}

impl HostSide {
    /// A host of which nothing is read yet. `earlier` is the history of looks of another process since the boot; its result is reported
    /// until the next look, which may be hours away.
    pub fn new(
        root: &Path,
        client: Client,
        check: &config::Check,
        earlier: Option<Answer>,
    ) -> Self {
        let now = Time::from(Timestamp::now());
        let earlier = earlier.map(|answer| (answer.check, answer.looks));
        let (earlier, looks) = earlier.unwrap_or_default();
        // An agent that is restarted again and again does not look each time.
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
            check: LookState {
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

    /// How long the host has been up, in whole seconds, the resolution of decisions.
    pub fn uptime(&self) -> Option<SignedDuration> {
        facts::uptime(&self.root).map(|up| SignedDuration::from_secs(up.as_secs()))
    }

    /// Whether rpm-ostree was busy when it was last asked; when it is done, it is asked again.
    pub fn busy(&self) -> bool {
        self.busy
    }

    /// The labels that the Node should have. Those that are not known yet stay as on the Node.
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
    pub fn check(&self) -> &LookState {
        &self.check
    }

    /// The history of looks for updates.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// The reason to report about looks for updates, if any.
    pub fn looked(&self) -> Option<&Reason> {
        self.looks.reported()
    }

    /// Notes that something may have changed, so that the next decision reads again.
    pub fn outdated(&mut self) {
        self.outdated = true;
        self.retry_at = None;
    }

    /// Handles a signal of rpm-ostreed. While it does not answer, the signal may have been caused by the last question.
    pub fn heard(&mut self) {
        if self.silences == 0 {
            self.outdated();
        }
    }

    /// When an rpm-ostree that did not answer is asked again.
    pub fn asks_again(&self) -> Option<Time> {
        self.asks_again
    }

    /// Notes that a person asked for a look.
    pub fn check_asked(&mut self) {
        self.asked = true;
        self.check_now();
    }

    /// Whether a look is due that no person asked for.
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

    /// When something has to be read at the latest.
    pub fn wake(&self) -> Option<Instant> {
        // A look that is overdue but not allowed begins when it is allowed.
        let idle = self.staging.is_none();
        let check = (idle && !self.check_due()).then_some(self.next_check);
        let reported = self
            .staging
            .filter(|_| self.staging() == Staging::Begun)
            .map(|since| since + LASTING);
        let retry = self.retry_at.filter(|_| idle);
        [check, reported, retry].into_iter().flatten().min()
    }

    /// Reads the deployments if they may have changed. During a run of the agent's own nobody else can change them, and what it stages
    /// shows before it is done, so the end of the run is waited for.
    pub async fn refresh(&mut self) {
        let retry = self.retry_at.is_some_and(|at| Instant::now() >= at);
        if self.staging.is_some() || !self.outdated && !retry {
            return;
        }
        let found = self.client.overview().await;
        self.learn(found);
    }

    /// Reads the deployments in any case, and prepares the call that leads to the reboot: rpm-ostreed may take minutes to answer, and a
    /// grant that is withdrawn meanwhile has to be noticed.
    pub async fn make_ready(&mut self) {
        let ready = self.client.ready().await;
        let found = ready.as_ref().map_err(Clone::clone);
        self.learn(found.and_then(Ready::overview));
        self.ready = ready.ok();
    }

    /// The result of [`HostSide::make_ready`], for one use.
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
                // The end is signalled, unless rpm-ostreed crashed in it.
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

    /// Records the end of a look: the reason to report although nothing failed, or the error.
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
                "no update could be staged; the next try is in {again}: {error}"
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
                // The space before the run: by now rpm-ostree has removed what did not fit.
                if let Some(free) = self.free {
                    text += &format!("; {} MB were free below /ostree before", free / 1_000_000);
                }
            }
            _ => {}
        }
        (code, text)
    }

    /// Notes that a possible cause of failed looks has changed.
    pub fn cause_changed(&mut self) {
        if self.looks.failed() {
            info!("what may have been in the way of updates changed");
            self.check_now();
        }
    }
}

/// A pause for people, in whole seconds.
fn spoken(pause: SignedDuration) -> String {
    format!("{:#}", SignedDuration::from_secs(pause.as_secs()))
}

/// The Node's labels, as far as they are known; the inner `None` means no label.
#[derive(Debug, Default)]
struct Named {
    /// `ID` of os-release.
    id: Option<Option<String>>,
    /// Version and update stream of the running release.
    runs: Option<(Option<String>, Option<String>)>,
    /// The last error with os-release that was logged.
    reported: Option<String>,
}

impl Named {
    /// Reads os-release, which does not change before the next boot. If that fails, it is retried with the next look at the host.
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
