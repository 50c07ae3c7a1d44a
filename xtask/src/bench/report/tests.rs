use super::*;

fn size(nodes: usize, rss: u64, requests: f64) -> Size {
    let rate = |requests| Rate {
        requests,
        bytes: 100.0,
    };
    Size {
        nodes,
        rss,
        grant_p99: 100.0,
        takeover_term: 200.0,
        per_reboot: [("patch nodes".into(), rate(requests))].into(),
        per_idle_hour: [
            ("update leases".into(), rate(700.0)),
            ("watch nodes".into(), rate(0.0)),
        ]
        .into(),
        ..Size::default()
    }
}

fn missed(sizes: Vec<Size>) -> Vec<String> {
    let mut report = Report {
        sizes,
        ..Report::default()
    };
    report.judge();
    let shown = report.to_string();
    let missed: Vec<_> = report.goals.iter().filter(|goal| !goal.met).collect();
    assert_eq!(shown.matches("MISSED").count(), missed.len(), "{shown}");
    missed.iter().map(|goal| goal.what.clone()).collect()
}

#[test]
fn each_missed_goal_is_named() {
    let good = || {
        vec![
            size(100, 20_000, 8.0),
            size(1000, 22_000, 8.1),
            size(5000, 30_000, 8.0),
        ]
    };
    assert_eq!(missed(good()), Vec::<String>::new());

    let mut slow = good();
    slow[1].grant_p99 = 251.0;
    slow[2].grant_p99 = 1001.0;
    slow[2].takeover_term = 301.0;
    slow[2].cpu_idle_percent = 0.6;
    let expected = [
        "grant, p99, ms with 1000 nodes",
        "grant, p99, ms with 5000 nodes",
        "take-over after SIGTERM, ms with 5000 nodes",
        "CPU while idle, % with 5000 nodes",
    ];
    assert_eq!(missed(slow), expected);

    let mut dear = good();
    dear[1].rss = 41_000;
    dear[2].rss = 41_000 + 4001 * 4;
    let write = Rate {
        requests: 1.0,
        bytes: 1.0,
    };
    dear[0].per_idle_hour.insert("patch nodes".into(), write);
    dear[2].per_reboot.insert(
        "get nodes".into(),
        Rate {
            requests: 5.0,
            ..write
        },
    );
    let expected = [
        "writes in an idle hour with 100 nodes",
        "memory, KiB with 1000 nodes",
        "memory, KiB a node from 100 to 1000 nodes",
        "memory, KiB a node from 1000 to 5000 nodes",
        "requests a reboot, times from 1000 to 5000 nodes",
    ];
    assert_eq!(missed(dear), expected);
}
