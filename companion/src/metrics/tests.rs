use super::*;

#[test]
fn what_is_counted_is_served() {
    let metrics = Metrics::new();
    metrics.leads(true);
    metrics.api_error();
    metrics.gate("quiet", true);
    metrics.gate_unknown("quiet");
    metrics.messages("chat", Fate::Sent, 1);
    metrics.messages("chat", Fate::Dropped, 3);
    metrics.waiting("chat", 2);
    metrics.hook_jobs("failed", 1);
    let text = metrics.text();
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut found = samples[1..].to_vec();
    found.sort_unstable();
    let expected = [
        "cuo_companion_api_errors_total 1",
        r#"cuo_companion_gate_open{gate="quiet"} 1"#,
        r#"cuo_companion_gate_unknown_total{gate="quiet"} 1"#,
        r#"cuo_companion_hook_jobs{state="failed"} 1"#,
        "cuo_companion_leader 1",
        r#"cuo_companion_messages_total{sink="chat",outcome="dropped"} 3"#,
        r#"cuo_companion_messages_total{sink="chat",outcome="sent"} 1"#,
        r#"cuo_companion_news_waiting{sink="chat"} 2"#,
    ];
    assert_eq!(found, expected, "{text}");
}

#[test]
fn who_does_not_act_shows_nothing_that_only_others_know() {
    let metrics = Metrics::new();
    metrics.leads(true);
    metrics.gate("quiet", true);
    metrics.waiting("chat", 2);
    metrics.hook_jobs("failed", 1);
    metrics.messages("chat", Fate::Sent, 1);
    metrics.leads(false);
    let text = metrics.text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let found: Vec<_> = samples.skip(1).collect();
    let expected = [
        "cuo_companion_leader 0",
        "cuo_companion_api_errors_total 0",
        r#"cuo_companion_messages_total{sink="chat",outcome="sent"} 1"#,
    ];
    assert_eq!(found, expected, "{text}");
}
