//! Gates that are closed while alerts fire: Prometheus' own series of them, which all that speaks its API has.

use std::collections::BTreeSet;

use cuo_core::reason::line;
use serde::Deserialize;

use super::write::Verdict;
use crate::config::{Alerts, Otherwise, Secret};
use crate::web::{self, Web, WebError};

/// The path of instant queries.
const QUERY: &str = "api/v1/query";
/// All alerts that are pending or firing. Only labels that matter are asked for: an alert of each pod is one line, and an answer stays
/// short in a storm of them.
const ALL: &str = "count by (alertname, alertstate, severity) (ALERTS)";
/// Of them, those that fire.
const FIRING: &str = r#"count by (alertname, alertstate, severity) (ALERTS{alertstate="firing"})"#;
/// As many alerts are named.
const NAMED: usize = 5;

/// Asks the server, and judges what it says.
pub async fn judge(web: &Web, asks: &Alerts) -> Verdict {
    match ask(web, asks).await {
        Ok(alerts) => of(&alerts, asks),
        Err(Unknown { unasked, why }) => Verdict::unseen(
            unasked && asks.unreachable == Otherwise::Open,
            format!("the alerts at {} are not known: {why}", asks.prometheus_url),
        ),
    }
}

/// Why the alerts are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unknown {
    /// The server could not be asked, rather than that it refused or that its answer does not help.
    unasked: bool,
    /// In one line.
    why: String,
}

impl Unknown {
    fn asked(why: impl ToString) -> Self {
        Self {
            unasked: false,
            why: why.to_string(),
        }
    }
}

impl From<WebError> for Unknown {
    fn from(error: WebError) -> Self {
        Self {
            unasked: error.unasked(),
            why: error.to_string(),
        }
    }
}

async fn ask(web: &Web, asks: &Alerts) -> Result<Vec<Alert>, Unknown> {
    let token = asks.token.as_ref().map(Secret::read).transpose();
    let token = token.map_err(Unknown::asked)?;
    let query = if asks.firing_only { FIRING } else { ALL };
    let mut url = asks.prometheus_url.below(QUERY);
    url.query_pairs_mut().append_pair("query", query);
    let mut request = web.client().get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    parse(&web::send(request).await?).map_err(Unknown::asked)
}

/// The labels of an alert that matter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Alert {
    alertname: String,
    alertstate: String,
    #[serde(default)]
    severity: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
    /// What is amiss with an answer of success: a remote store that did not answer (Prometheus), or a partial response (Thanos).
    warnings: Option<Vec<String>>,
    /// Not all storage nodes answered (VictoriaMetrics).
    is_partial: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: Alert,
}

/// The alerts in the answer to a query.
fn parse(answer: &str) -> Result<Vec<Alert>, String> {
    let answer: Answer = serde_json::from_str(answer)
        .map_err(|error| format!("the answer is not Prometheus' ({error})"))?;
    match (answer.status.as_str(), answer.data) {
        ("success", Some(data)) if data.result_type == "vector" => {
            if let Some(missing) = incomplete(answer.warnings, answer.is_partial) {
                return Err(format!("the answer is incomplete: {missing}"));
            }
            Ok(data.result.into_iter().map(|one| one.metric).collect())
        }
        ("success", _) => Err("the answer is no vector".to_owned()),
        (status, _) => {
            let error = answer.error.unwrap_or_default();
            Err(format!("the query ended as {status}: {error}"))
        }
    }
}

/// What an answer of success lacks, if anything: alerts may be in the part that is missing.
fn incomplete(warnings: Option<Vec<String>>, partial: Option<bool>) -> Option<String> {
    match warnings.unwrap_or_default().first() {
        Some(warning) => Some(line(warning)),
        None => (partial == Some(true)).then(|| "the server says that it is partial".to_owned()),
    }
}

/// Open unless an alert counts.
fn of(alerts: &[Alert], asks: &Alerts) -> Verdict {
    let counting = alerts.iter().filter(|alert| counts(alert, asks));
    // One alert has many series, and each pod may have its own.
    let names: BTreeSet<_> = counting
        .map(|alert| (alert.alertname.as_str(), alert.alertstate.as_str()))
        .collect();
    if names.is_empty() {
        return Verdict::seen(true, "no alert counts".to_owned());
    }
    let named = names.iter().take(NAMED);
    let mut named: Vec<_> = named
        .map(|(name, state)| format!("{name} ({state})"))
        .collect();
    if let Some(more) = names.len().checked_sub(NAMED + 1) {
        named.push(format!("and {} more", more + 1));
    }
    Verdict::seen(false, format!("alerts: {}", named.join(", ")))
}

fn counts(alert: &Alert, asks: &Alerts) -> bool {
    let named = |pattern: &crate::config::Pattern| pattern.matches(&alert.alertname);
    let firing = alert.alertstate == "firing" || !asks.firing_only;
    let serious = asks.severity.is_empty() || asks.severity.contains(&alert.severity);
    firing
        && serious
        && !asks.ignore.as_ref().is_some_and(named)
        && asks.only.as_ref().is_none_or(named)
}

#[cfg(test)]
mod tests;
