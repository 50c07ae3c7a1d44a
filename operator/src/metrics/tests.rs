use super::*;

#[test]
fn pools_are_told_by_name_and_forgotten() {
    let metrics = Metrics::new(1, 0);
    let report = |name: Option<&str>, members| PoolReport {
        name: name.map(|name| name.parse().unwrap()),
        members,
        budget: 2,
        used: 1,
        open: true,
        ..PoolReport::default()
    };
    let shown = |metrics: &Metrics| -> Vec<_> {
        let text = metrics.text();
        let lines = text.lines().filter(|line| line.starts_with("cuo_pool_"));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.retain(|line| line.contains("\"all\"") || !line.contains("state="));
        lines.sort();
        lines
    };
    metrics.pool(&report(None, 3));
    metrics.pool(&report(Some("edge"), 5));
    let expected = [
        "cuo_pool_budget_max{pool=\"(built-in)\"} 2",
        "cuo_pool_budget_max{pool=\"edge\"} 2",
        "cuo_pool_budget_used{pool=\"(built-in)\"} 1",
        "cuo_pool_budget_used{pool=\"edge\"} 1",
        "cuo_pool_nodes{pool=\"(built-in)\",state=\"all\"} 3",
        "cuo_pool_nodes{pool=\"edge\",state=\"all\"} 5",
        "cuo_pool_window_open{pool=\"(built-in)\"} 1",
        "cuo_pool_window_open{pool=\"edge\"} 1",
    ];
    assert_eq!(shown(&metrics), expected);
    metrics.led(false);
    assert_eq!(shown(&metrics), Vec::<String>::new());
}
