//! Messages: news in words, by templates.

use cuo_core::reason::line;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::memory::How;
use super::news::{Kind, News, Progress};
use crate::config::{Severity, Sink, Template};

/// The first line where a sink has no template for it.
const TITLE: &str = "{% if cluster %}[{{ cluster }}] {% endif %}{{ headline }}";
/// The rest where a sink has no template for it.
const TEXT: &str = "{{ text }}";
/// As many pieces of news one message lists.
const LISTED: usize = 30;

/// A message, ready for any service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// A name that stays the same when it is sent again.
    pub id: String,
    /// The first line.
    pub title: String,
    /// The rest, of any number of lines.
    pub text: String,
    /// How serious it is.
    pub severity: Severity,
    /// What it tells.
    pub news: Vec<News>,
}

/// What templates can use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts<'a> {
    cluster: &'a str,
    kind: &'static str,
    severity: &'static str,
    headline: String,
    text: &'a str,
    pools: Vec<&'a str>,
    node: &'a str,
    code: &'a str,
    release: &'a str,
    done: Option<usize>,
    total: Option<usize>,
    at: String,
}

/// Why a template can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template {which} of notifications ({sink}) can't be filled in for {kind}: {why}")]
pub struct TemplateError {
    sink: String,
    which: &'static str,
    kind: Kind,
    why: String,
}

/// The templates of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    sink: String,
    cluster: String,
    title: String,
    text: String,
}

impl Words {
    /// Those of `sink` in the cluster of this name.
    ///
    /// # Errors
    /// Where a template can't be filled in for some kind of news.
    pub fn of(sink: &Sink, cluster: Option<&str>) -> Result<Self, TemplateError> {
        let or = |own: &Option<Template>, usual: &str| {
            own.as_ref().map_or(usual, Template::as_str).to_owned()
        };
        let words = Self {
            sink: sink.name.to_string(),
            cluster: cluster.unwrap_or_default().to_owned(),
            title: or(&sink.title, TITLE),
            text: or(&sink.text, TEXT),
        };
        for kind in Kind::ALL {
            words.own(&News::example(*kind))?;
            words.own(&News::least(*kind))?;
        }
        Ok(words)
    }

    /// The message that tells what is sent so, and why it is not in the sink's own words if a template can't be filled in: what is to be
    /// told matters more than how.
    pub fn message(&self, how: &How) -> (Message, Option<TemplateError>) {
        match how {
            How::Post(news) | How::Change(_, news) => self.single(news),
            How::Digest(news, dropped) => self.digest(news, *dropped),
        }
    }

    fn single(&self, news: &News) -> (Message, Option<TemplateError>) {
        match self.own(news) {
            Ok(message) => (message, None),
            Err(error) => (self.usual(news), Some(error)),
        }
    }

    /// The message without templates: what [`TITLE`] and [`TEXT`] would make of it.
    fn usual(&self, news: &News) -> Message {
        let title = format!("{}{}", self.prefix(), news.headline());
        Self::of_news(news, &title, news.what.text.clone())
    }

    fn of_news(news: &News, title: &str, text: String) -> Message {
        Message {
            id: format!("cuo-{}-{}", news.at.timestamp().as_second(), news.id),
            // It may end up in a header.
            title: line(title),
            text,
            severity: news.what.kind.severity(),
            news: vec![news.clone()],
        }
    }

    /// A message that tells nothing, to try the service with.
    pub fn trial(&self) -> Message {
        let prefix = self.prefix();
        Message {
            id: format!("cuo-trial-{:08x}", fastrand::u32(..)),
            title: format!("{prefix}CUO's companion can send messages here"),
            text: "This is a message of trial, sent by `cuo-companion check --send`.".to_owned(),
            severity: Severity::Info,
            news: Vec::new(),
        }
    }

    /// The beginning of what has no template.
    fn prefix(&self) -> String {
        match self.cluster.is_empty() {
            true => String::new(),
            false => format!("[{}] ", self.cluster),
        }
    }

    /// The message in the sink's own words.
    fn own(&self, news: &News) -> Result<Message, TemplateError> {
        let what = &news.what;
        let progress = what.progress;
        let text = |field: &'_ Option<String>| field.clone().unwrap_or_default();
        let (node, code, release) = (text(&what.node), text(&what.code), text(&what.release));
        let facts = Value::from(Serde(Facts {
            cluster: &self.cluster,
            kind: what.kind.as_str(),
            severity: what.kind.severity().as_str(),
            headline: news.headline(),
            text: &what.text,
            pools: what.pools.iter().map(String::as_str).collect(),
            node: &node,
            code: &code,
            release: &release,
            done: progress.map(|progress| progress.done),
            total: progress.map(|progress| progress.total),
            at: news.at.to_string(),
        }));
        let wrong = |which, error: minijinja::Error| TemplateError {
            sink: self.sink.clone(),
            which,
            kind: what.kind,
            why: line(&error.to_string()),
        };
        let title = fill(&self.title, &facts).map_err(|error| wrong("title", error))?;
        let text = fill(&self.text, &facts).map_err(|error| wrong("text", error))?;
        Ok(Self::of_news(news, &title, text))
    }

    /// All of `news` as one message, each by the template of the first line.
    fn digest(&self, news: &[News], dropped: usize) -> (Message, Option<TemplateError>) {
        let (mut lines, mut unfilled) = (Vec::new(), None);
        for one in news.iter().take(LISTED) {
            let (message, error) = self.single(one);
            lines.push(format!("- {}", message.title));
            unfilled = unfilled.or(error);
        }
        let more = news.len().saturating_sub(LISTED) + dropped;
        if more > 0 {
            lines.push(format!("- and {more} more, which are not listed"));
        }
        let count = news.len() + dropped;
        let prefix = self.prefix();
        let severities = news.iter().map(|one| one.what.kind.severity());
        let id = news.last().map_or(0, |last| last.id);
        let at = news
            .last()
            .map_or(0, |last| last.at.timestamp().as_second());
        let message = Message {
            id: format!("cuo-{at}-{id}-{count}"),
            title: format!("{prefix}{count} pieces of news about updates"),
            text: lines.join("\n"),
            severity: severities.max().unwrap_or_default(),
            news: news.to_vec(),
        };
        (message, unfilled)
    }
}

fn fill(template: &str, facts: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // A name that is misspelt is found when the configuration is read, and not when a message matters.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.render_str(template, facts)
}

impl News {
    /// One of this kind with no more than each of its kind has.
    pub fn least(kind: Kind) -> Self {
        let all = Self::example(kind);
        let mut what = super::news::Draft::new(kind, all.what.text);
        match kind {
            Kind::RolloutStarted
            | Kind::RolloutProgress
            | Kind::RolloutFinished
            | Kind::RolloutFailed
            | Kind::RolloutSuperseded => {
                what.pools = all.what.pools;
                what.release = all.what.release;
                what.progress = all.what.progress;
            }
            Kind::ReleaseGivenUp => {
                what.pools = all.what.pools;
                what.release = all.what.release;
            }
            Kind::UpdateFailed
            | Kind::UpdateAborted
            | Kind::NodeNeedsPerson
            | Kind::NodeRecovered => {
                what.pools = all.what.pools;
                what.node = all.what.node;
            }
            Kind::Paused | Kind::Resumed => {}
        }
        Self { what, ..all }
    }

    /// One of this kind with everything that it can have.
    pub fn example(kind: Kind) -> Self {
        let mut what = super::news::Draft::new(kind, "This is a message of trial.".to_owned());
        what.pools.insert("workers".to_owned());
        what.node = Some("n1".to_owned());
        what.code = Some("DrainBlocked".to_owned());
        what.release = Some("43.20261020.3.0".to_owned());
        what.progress = Some(Progress { done: 1, total: 3 });
        Self {
            id: 0,
            at: cuo_core::time::Time::EPOCH,
            what,
        }
    }
}

#[cfg(test)]
mod tests;
