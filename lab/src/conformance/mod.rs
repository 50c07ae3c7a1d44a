//! The contract of rpm-ostreed: what the agent relies on, as cases that are run against the lab's double and against real daemons.
//!
//! A case does something on a new host and says what it saw, in lines. What it expects is what a real daemon was seen to do, which is kept in a
//! file ([`record`]). Names and numbers of one host are replaced by words before lines are compared, so that the lines of all hosts are the
//! same.
//!
//! The test target `doubles` runs all cases against the double. `cargo xtask conformance --root TREE` runs them against the daemon of a tree
//! as well, and prints where the two differ.

mod cases;
mod client;
mod double;
mod known;
mod real;
pub mod record;
mod report;
mod subject;
mod words;

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::LocalBoxFuture;
use serde::Serialize;
use tokio::time::timeout;
use zbus::zvariant::Type;

pub use cases::all;
pub use double::Double;
pub use known::{KNOWN, Known, known};
pub use real::{Fixture, REGISTRY, Real, Tree};
pub use report::{Report, Row};
pub use subject::Subject;

use crate::machine::OriginKind;
use client::Client;
use words::{Names, worded};

/// Three releases, the oldest first. Hosts run the first one.
const VERSIONS: [&str; 3] = [V1, V2, V3];
const V1: &str = "40.20240101.3.0";
const V2: &str = "40.20240201.3.0";
const V3: &str = "40.20240301.3.0";
/// What hosts follow that follow a branch.
const BRANCH: &str = "fedora/stable/x86_64/iot";
const STATEROOT: &str = "fedora-coreos";
/// For one case. Those that wait for a daemon to give up on them take half a minute.
const DEADLINE: Duration = Duration::from_secs(180);

type Look = for<'a> fn(&'a mut Seen) -> LocalBoxFuture<'a, Result<()>>;

/// Something that the agent relies on.
#[derive(Debug)]
pub struct Case {
    /// What holds, in a few words. No two are the same.
    pub name: &'static str,
    /// What of the agent relies on it.
    pub why: &'static str,
    /// What the host follows.
    pub origin: OriginKind,
    look: Look,
}

impl Case {
    /// What a real daemon was seen to do ([`record`]), a line for each thing; none where that was not seen yet.
    pub fn expected(&self) -> Vec<&'static str> {
        record::expected(self.name)
    }
}

/// What a case sees of its host.
#[derive(Debug)]
struct Seen {
    host: Subject,
    client: Client,
    lines: Vec<String>,
}

impl Seen {
    fn say(&mut self, line: impl Into<String>) {
        let line = line.into().replace('\n', "\\n");
        self.lines.push(line.trim_end().to_owned());
    }

    fn say_all(&mut self, lines: impl IntoIterator<Item = String>) {
        lines.into_iter().for_each(|line| self.say(line));
    }

    /// Says all of [`Client::run`].
    async fn ran<B: Serialize + Type>(&mut self, method: &str, body: &B) -> Result<()> {
        let said = self.client.run(&self.host, method, body).await?;
        self.say_all(said);
        Ok(())
    }

    /// Says how it ended, and nothing else of it.
    async fn ended<B: Serialize + Type>(&mut self, method: &str, body: &B) -> Result<()> {
        let end = self.client.outcome(&self.host, method, body).await?;
        self.say(end);
        Ok(())
    }

    /// Says all of a check.
    async fn checked(&mut self) -> Result<()> {
        let said = self.client.check(&self.host).await?;
        self.say_all(said);
        Ok(())
    }

    /// Says [`Client::values`].
    async fn shows(&mut self, name: &str, keys: &[&str]) -> Result<()> {
        let shown = self.client.values(name, keys).await?;
        self.say_all(shown);
        Ok(())
    }
}

/// Runs a case on a host that is new, and returns what was seen, in words.
///
/// # Errors
/// When the host can't do what the case is about, or something takes too long.
async fn run(case: &Case, host: Subject) -> (Subject, Result<Vec<String>>) {
    let client = match Client::connect(&host).await {
        Ok(client) => client,
        Err(error) => return (host, Err(error)),
    };
    let mut seen = Seen {
        host,
        client,
        lines: Vec::new(),
    };
    let looked = timeout(DEADLINE, (case.look)(&mut seen)).await;
    let looked = looked.with_context(|| format!("not within {DEADLINE:?}"));
    let names = names(&seen);
    let said: Vec<_> = seen.lines.iter().map(|line| worded(line, &names)).collect();
    let result = match looked {
        Ok(Ok(())) => Ok(said),
        Ok(Err(error)) | Err(error) => Err(error.context(format!("after {}", said.join(" | ")))),
    };
    (seen.host, result)
}

/// What is of this host and of this run, longer values first where one contains another.
fn names(seen: &Seen) -> Names {
    let mut names = Names::new();
    for (number, version) in (1..).zip(VERSIONS) {
        // A host on a branch has no digests, and one on a tag shows no commits.
        if let Ok(digest) = seen.host.digest(version) {
            names.push((digest, format!("<digest {number}>")));
        }
        if let Ok(commit) = seen.host.commit(version) {
            names.push((commit, format!("<commit {number}>")));
        }
    }
    names.extend(seen.host.names());
    if let Some(name) = seen.client.bus.unique_name() {
        names.push((name.to_string(), "<client>".to_owned()));
    }
    names
}

/// Runs a case against the lab's double.
///
/// # Errors
/// As for any host.
pub async fn on_double(case: &Case) -> Result<Vec<String>> {
    let double = Double::start(case.origin).await?;
    let (_, seen) = run(case, Subject::Double(Box::new(double))).await;
    seen
}

/// Runs a case against the daemon of a fixture's tree, and gives the fixture back.
///
/// # Errors
/// The outer one when the fixture can't be used any more, the inner one as for any host.
pub async fn on_real(case: &Case, fixture: Fixture) -> Result<(Fixture, Result<Vec<String>>)> {
    let real = Real::start(fixture, case.origin).await?;
    let (host, seen) = run(case, Subject::Real(Box::new(real))).await;
    match host {
        Subject::Real(real) => {
            let seen = seen.map_err(|error| real.explained(error));
            Ok((real.end().await?, seen))
        }
        Subject::Double(_) => anyhow::bail!("a real host became a double"),
    }
}
