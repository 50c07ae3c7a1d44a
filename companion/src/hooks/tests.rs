use serde_json::json;

use super::*;
use crate::double::{Api, Reply};

#[test]
fn only_the_job_that_was_seen_is_deleted() {
    let request = delete("j", "u").unwrap();
    assert_eq!(
        (request.method().as_str(), request.uri().path()),
        ("DELETE", "/apis/batch/v1/namespaces/cuo-hooks/jobs/j")
    );
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let expected = json!({ "propagationPolicy": "Background", "preconditions": { "uid": "u" } });
    assert_eq!(body, expected);
}

#[test]
fn a_job_in_the_way_is_told_of_once_while_it_is() {
    let mut told = Told::default();
    let foreign = |name: &str| Act::Foreign(0, name.to_owned());
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    for seen in [vec!["a", "b"], vec!["b"], vec![]] {
        let acts: Vec<_> = seen.iter().map(|name| foreign(name)).collect();
        told.foreign(&[], &acts);
        let expected: BTreeSet<String> = names(&seen);
        assert_eq!(told.foreign, expected);
    }
}

#[tokio::test]
async fn jobs_of_somebody_else_are_not_counted() {
    let api = Api::start(|_| Reply::failure(405, "MethodNotAllowed", "no")).await;
    let hooks = Hooks {
        source: api.source().await,
        metrics: Arc::new(Metrics::new()),
    };
    let job = |name: &str, purpose| Job {
        name: name.to_owned(),
        uid: name.to_owned(),
        state: State::Complete,
        deleting: false,
        purpose,
    };
    let purpose = job::Purpose {
        hook: "h".into(),
        at: crate::config::Moment::BeforeDrain,
        node: "n1".into(),
        grant: "17-07070707".into(),
    };
    let jobs = [job("ours", Some(purpose)), job("foreign", None)];
    let known = Known {
        nodes: Some(BTreeMap::new()),
        jobs: Some(jobs.map(|job| (job.name.clone(), job)).into()),
    };
    let look = hooks
        .act(&[], &known, &Keep::default(), &mut Told::default())
        .await;
    assert_eq!(look, None);
    let text = hooks.metrics.text();
    assert!(
        text.contains("cuo_companion_hook_jobs{state=\"complete\"} 1\n"),
        "{text}"
    );
}
