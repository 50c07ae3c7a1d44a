use serde_json::json;

use super::*;
use crate::double::{Api, Reply};

fn asks(url: &str, more: serde_json::Value) -> Alerts {
    let mut asks = json!({ "prometheusURL": url });
    for (key, value) in more.as_object().unwrap() {
        asks[key] = value.clone();
    }
    serde_json::from_value(asks).unwrap()
}

fn alert(name: &str, state: &str, severity: &str) -> serde_json::Value {
    let labels = json!({
        "__name__": "ALERTS", "alertname": name, "alertstate": state, "severity": severity, "pod": "p",
    });
    json!({ "metric": labels, "value": [1_790_000_000.1, "1"] })
}

fn vector(result: Vec<serde_json::Value>) -> serde_json::Value {
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } })
}

#[test]
fn alerts_close_the_gate_as_the_configuration_says() {
    let firing = || {
        vec![
            alert("Watchdog", "firing", "none"),
            alert("NodeDown", "firing", "critical"),
            alert("NodeDown", "firing", "critical"),
            alert("Slow", "pending", "warning"),
        ]
    };
    let quiet = || vec![alert("Watchdog", "firing", "none")];
    let closed = |reason: &str| Verdict::seen(false, format!("alerts: {reason}"));
    let open = || Verdict::seen(true, "no alert counts".into());
    let all = "NodeDown (firing), Slow (pending), Watchdog (firing)";
    let ignore = json!({ "ignore": "^Watchdog$" });
    let many = (0..7)
        .map(|n| alert(&format!("A{n}"), "firing", ""))
        .collect();
    let table = [
        (vec![], json!({}), open()),
        (firing(), json!({}), closed(all)),
        (
            firing(),
            ignore.clone(),
            closed("NodeDown (firing), Slow (pending)"),
        ),
        (quiet(), ignore, open()),
        (
            firing(),
            json!({ "firingOnly": true }),
            closed("NodeDown (firing), Watchdog (firing)"),
        ),
        (
            firing(),
            json!({ "severity": ["warning"] }),
            closed("Slow (pending)"),
        ),
        (
            firing(),
            json!({ "severity": ["warning"], "firingOnly": true }),
            open(),
        ),
        (
            firing(),
            json!({ "only": "^Node" }),
            closed("NodeDown (firing)"),
        ),
        (
            firing(),
            json!({ "only": "^Node", "ignore": "Down" }),
            open(),
        ),
        (
            many,
            json!({}),
            closed("A0 (firing), A1 (firing), A2 (firing), A3 (firing), A4 (firing), and 2 more"),
        ),
    ];
    for (alerts, more, expected) in table {
        let alerts = parse(&vector(alerts).to_string()).unwrap();
        assert_eq!(
            of(&alerts, &asks("http://p", more.clone())),
            expected,
            "{more}"
        );
    }
}

#[test]
fn what_is_no_answer_of_prometheus_is_not_an_absence_of_alerts() {
    let scalar = json!({ "status": "success", "data": { "resultType": "scalar", "result": [] } });
    let error = json!({ "status": "error", "errorType": "timeout", "error": "query timed out" });
    let table = [
        (
            "<html>",
            "the answer is not Prometheus' (expected value at line 1 column 1)",
        ),
        (&scalar.to_string(), "the answer is no vector"),
        (r#"{"status":"success"}"#, "the answer is no vector"),
        (
            &error.to_string(),
            "the query ended as error: query timed out",
        ),
    ];
    for (text, why) in table {
        assert_eq!(parse(text), Err(why.to_owned()), "{text}");
    }
    // An answer may be one of success, and empty because what has the alerts did not answer.
    let amiss = |more: (&str, serde_json::Value)| {
        let mut answer = vector(vec![]);
        answer[more.0] = more.1;
        parse(&answer.to_string())
    };
    let incomplete = |why: &str| Err(format!("the answer is incomplete: {why}"));
    let table = [
        (
            ("warnings", json!(["store 10.0.0.7 is\ndown", "b"])),
            incomplete("store 10.0.0.7 is down"),
        ),
        (
            ("isPartial", json!(true)),
            incomplete("the server says that it is partial"),
        ),
        (("warnings", json!([])), Ok(vec![])),
        (("warnings", json!(null)), Ok(vec![])),
        (("isPartial", json!(false)), Ok(vec![])),
        // How the query could be written better.
        (("infos", json!(["PromQL info"])), Ok(vec![])),
    ];
    for (more, expected) in table {
        assert_eq!(amiss(more.clone()), expected, "{more:?}");
    }
    // A proxy that serves the series under another name has no alerts to say of.
    let unnamed = vector(vec![json!({ "metric": { "alertname": "A" } })]);
    assert!(
        parse(&unnamed.to_string())
            .unwrap_err()
            .contains("missing field `alertstate`")
    );
}

#[tokio::test]
async fn the_server_is_asked_as_it_is_configured() {
    let api = Api::start(|_| Reply::json(200, vector(vec![alert("A", "firing", "")]))).await;
    let web = Web::new(&crate::web::authorities(None).unwrap()).unwrap();
    let url = format!("http://{}/prom/", api.address);
    let verdict = judge(&web, &asks(&url, json!({ "token": "t0" }))).await;
    assert_eq!(verdict, Verdict::seen(false, "alerts: A (firing)".into()));
    judge(&web, &asks(&url, json!({ "firingOnly": true }))).await;
    let seen = api.seen();
    let asked: Vec<_> = seen
        .iter()
        .map(|request| (request.line.as_str(), request.header("authorization")))
        .collect();
    let by = "GET /prom/api/v1/query?query=count+by+%28alertname%2C+alertstate%2C+severity%29+";
    let all = format!("{by}%28ALERTS%29");
    let firing = format!("{by}%28ALERTS%7Balertstate%3D%22firing%22%7D%29");
    assert_eq!(asked, [(all.as_str(), "Bearer t0"), (firing.as_str(), "")]);
}

#[tokio::test]
async fn a_server_that_can_not_be_asked_closes_the_gate_unless_said_otherwise() {
    let web = Web::new(&crate::web::authorities(None).unwrap()).unwrap();
    let refusing = Api::start(|_| Reply::text(503, "overloaded\n")).await;
    let url = format!("http://{}", refusing.address);
    let why = "the server answered 503: overloaded";
    let text = format!("the alerts at {url} are not known: {why}");
    let table = [(json!({}), false), (json!({ "unreachable": "Open" }), true)];
    for (more, open) in table {
        let verdict = judge(&web, &asks(&url, more)).await;
        assert_eq!(verdict, Verdict::unseen(open, text.clone()));
    }
    drop(refusing);

    // A server that answers was asked, whatever it says.
    let error = json!({ "status": "error", "error": "no" });
    let mut partial = vector(vec![]);
    partial["isPartial"] = json!(true);
    let table = [
        (401, "who?".to_owned(), "the server answered 401: who?"),
        (403, "no".to_owned(), "the server answered 403: no"),
        (429, "slow".to_owned(), "the server answered 429: slow"),
        (200, error.to_string(), "the query ended as error: no"),
        (200, "{}".to_owned(), "the answer is not Prometheus'"),
        (200, partial.to_string(), "the answer is incomplete: "),
    ];
    for (status, body, why) in table {
        let answering = Api::start(move |_| Reply::text(status, &body)).await;
        let url = format!("http://{}", answering.address);
        let verdict = judge(&web, &asks(&url, json!({ "unreachable": "Open" }))).await;
        assert!(
            verdict.unknown && !verdict.open && verdict.reason.contains(why),
            "{why} {verdict:?}"
        );
    }
    let away = judge(&web, &asks(&url, json!({}))).await;
    let expected = format!("the alerts at {url} are not known: the server can't be reached: ");
    assert!(
        away.unknown && !away.open && away.reason.starts_with(&expected),
        "{away:?}"
    );

    let no_token = json!({ "token": { "file": "/nonexistent/token" }, "unreachable": "Open" });
    let verdict = judge(&web, &asks(&url, no_token)).await;
    assert!(
        !verdict.open && verdict.reason.contains("/nonexistent/token can't be read"),
        "{verdict:?}"
    );
}
