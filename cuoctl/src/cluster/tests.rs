use super::{Cluster, Settings};
use crate::testing::{cluster, pool, waiting};

#[test]
fn a_file_holds_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.json");
    let known = cluster(
        vec![waiting("n1", &[("zone", "a")])],
        &pool("all", "{nodeSelector: {}}"),
        &["--paused"],
    );
    known.write(&path).unwrap();
    assert_eq!(Cluster::read(&path).unwrap(), known);
}

#[test]
fn what_is_no_file_of_a_cluster_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.json");
    let mut newer = cluster(vec![], "", &[]);
    newer.format = 2;
    newer.write(&path).unwrap();
    let texts = [
        (
            std::fs::read_to_string(&path).unwrap(),
            "it has format 2, and this cuoctl knows 1",
        ),
        ("{".to_owned(), "line 1"),
        ("{\"format\": 1}".to_owned(), "missing field"),
    ];
    for (text, expected) in texts {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", Cluster::read(&path).unwrap_err());
        assert!(
            error.contains("cluster.json") && error.contains(expected),
            "{error}"
        );
    }
    let missing = folder.path().join("missing.json");
    let error = format!("{:#}", Cluster::read(&missing).unwrap_err());
    assert!(error.contains("missing.json: No such file"), "{error}");
}

#[test]
fn a_policy_takes_the_place_of_the_one_of_its_name() {
    let mut cluster = cluster(vec![], &pool("all", "{nodeSelector: {}}"), &[]);
    let paused = "{nodeSelector: {}, paused: true}";
    cluster
        .apply(&(pool("all", paused) + &pool("other", paused)))
        .unwrap();
    let names: Vec<_> = cluster
        .pools()
        .unwrap()
        .into_iter()
        .map(|pool| pool.name.to_string())
        .collect();
    assert_eq!(names, ["all", "other"]);
    let seen = cluster.seen().unwrap();
    let paused = seen.pools.iter().all(|pool| match pool {
        cuo_core::pool::FoundPool::Valid(pool) => pool.paused,
        cuo_core::pool::FoundPool::Invalid { .. } => false,
    });
    assert!(paused, "{:?}", seen.pools);
}

#[test]
fn a_policy_is_an_update_pool_with_a_name() {
    let mut cluster = cluster(vec![], "", &[]);
    for (text, expected) in [
        (
            "kind: ConfigMap\nmetadata: {name: x}",
            "it has no UpdatePool",
        ),
        ("kind: UpdatePool\nspec: {}", "an UpdatePool without a name"),
    ] {
        let error = cluster.apply(text).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
}

#[test]
fn the_operators_environment_counts_unless_a_flag_is_given() {
    let settings = Settings {
        arguments: vec!["--max-unavailable".to_owned(), "2".to_owned()],
        environment: [
            ("CUO_MAX_UNAVAILABLE", "5"),
            ("CUO_PAUSED", "true"),
            ("CUO_WINDOW", "Mon 01:00 1h;Tue 01:00 1h"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..Settings::default()
    };
    let config = settings.config().unwrap();
    assert_eq!(
        (config.max_unavailable, config.paused, config.windows.len()),
        (2, true, 2)
    );
    let wrong = Settings {
        arguments: vec!["--max-unavailable=x".to_owned()],
        ..Settings::default()
    };
    let error = format!("{:#}", wrong.config().unwrap_err());
    assert!(error.contains("--max-unavailable"), "{error}");
}
