use super::*;

fn row(phase: Phase, out: bool, reason: &str) -> Row {
    Row {
        phase: Some(phase),
        since: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        version: "42.1".into(),
        out,
        reason: reason.into(),
    }
}

fn picture(colour: bool, width: usize) -> Vec<String> {
    let screen = Screen {
        origins: [("n1".into(), "ostree"), ("n2".into(), "container")].into(),
        start: Instant::now(),
        terminal: true,
        colour,
        drawn: 0,
        rows: BTreeMap::new(),
        title: String::new(),
    };
    let rows = [
        (
            "n1".into(),
            row(Phase::Draining, true, "Draining: web-1 stays"),
        ),
        ("n2".into(), row(Phase::Idle, false, "")),
        ("n3".into(), row(Phase::Failed, false, "RolledBack")),
    ];
    let budget = Budget {
        healthy: 3,
        desired: 2,
        lowest: 2,
    };
    let (elapsed, now) = (Duration::from_secs(7), "2026-01-01T00:00:12Z");
    let budgets = [("web".into(), budget)].into();
    screen.picture(&rows.into(), &budgets, elapsed, now.parse().unwrap(), width)
}

#[test]
fn the_table_has_a_line_for_each_node_and_fits_the_terminal() {
    let expected = [
        "NODE        ORIGIN     PHASE       SINCE   SERVICE     VERSION          REASON",
        "n1          ostree     draining    12 s    out         42.1             Draining: web-1 stays",
        "n2          container  idle        12 s    in service  42.1",
        "n3                     failed      12 s    in service  42.1             RolledBack",
        "7 s; web 3 healthy, at least 2",
    ];
    assert_eq!(picture(false, 120), expected);
    let narrow: Vec<_> = expected
        .iter()
        .map(|line| line.chars().take(79).collect::<String>())
        .collect();
    let narrow: Vec<_> = narrow.iter().map(|line| line.trim_end()).collect();
    assert_eq!(picture(false, 80), narrow);
}

#[test]
fn colours_tell_what_is_out_failed_or_at_rest() {
    let begins = |line: &String| line.split_once('m').map(|(begin, _)| begin.to_owned());
    let codes: Vec<_> = picture(true, 120).iter().map(begins).collect();
    let expected = [
        Some("\x1b[1"),
        Some("\x1b[33"),
        Some("\x1b[32"),
        Some("\x1b[31"),
    ];
    assert_eq!(codes[..4], expected.map(|code| code.map(str::to_owned)));
    assert!(!picture(true, 120)[4].contains('\x1b'));
}

#[test]
fn the_next_table_is_drawn_over_the_last_one() {
    let lines = ["a".to_owned(), "b".to_owned()];
    assert_eq!(redraw(0, &lines), b"\r\x1b[Ka\n\r\x1b[Kb\n");
    assert_eq!(redraw(2, &lines), b"\x1b[2A\r\x1b[Ka\n\r\x1b[Kb\n");
}
