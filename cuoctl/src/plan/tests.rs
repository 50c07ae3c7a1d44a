use clap::Parser;

use super::{Options, Output};
use crate::print::Screen;
use crate::testing::{cluster, waiting};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn options(arguments: &[&str]) -> Options {
    Line::parse_from(["plan"].iter().chain(arguments)).options
}

#[test]
fn a_plan_says_order_end_and_what_is_assumed() {
    let nodes = vec![waiting("n1", &[]), waiting("n2", &[])];
    let plan = options(&[]).foresee(cluster(nodes, "", &[])).unwrap();
    let expected = "\
NODE  BOOTS  GRANTED               DONE                  IN
n1    2      2026-10-01T21:00:00Z  2026-10-01T21:07:00Z  0s
n2    2      2026-10-01T21:07:00Z  2026-10-01T21:14:00Z  7m

All nodes are up to date at 2026-10-01T21:14:00Z, in 14m.

Assumed: a drain takes 2m, a reboot 5m, staging a release 5m; every update succeeds, checks pass at once, nobody changes anything, and no source brings a newer release.
";
    assert_eq!(plan.text(Output::Table, Screen::PLAIN), expected);
    assert!(!plan.never());
    let bars: Vec<_> = plan
        .text(Output::Gantt, Screen::PLAIN)
        .lines()
        .skip(1)
        .take(2)
        .map(|line| line.trim_end().to_owned())
        .collect();
    let bar = |number: usize| "▒".repeat(number);
    let expected = [
        format!("n1  2  {}{}", bar(13), "█".repeat(33)),
        format!("n2  2  {}{}{}", " ".repeat(46), bar(13), "█".repeat(34)),
    ];
    assert_eq!(bars, expected);
}

#[test]
fn a_window_that_is_too_short_is_said() {
    let nodes = vec![waiting("n1", &[]), waiting("n2", &[])];
    let flags = ["--window=22:00 10m"];
    let plan = options(&[]).foresee(cluster(nodes, "", &flags)).unwrap();
    let expected = ["built-in pool: 1 reboots are over up to 4m after their window has closed"];
    assert_eq!(plan.late, expected);
    let text = plan.text(Output::Table, Screen::PLAIN);
    assert!(text.contains(expected[0]), "{text}");
}

#[test]
fn a_node_that_never_goes_is_named_and_is_an_outcome_of_its_own() {
    let mut node = waiting("n1", &[]);
    node.ready = false;
    let plan = options(&[]).foresee(cluster(vec![node], "", &[])).unwrap();
    assert!(plan.never());
    let text = plan.text(Output::Table, Screen::PLAIN);
    assert!(
        text.contains("n1     somebody acts  NodeNotReady"),
        "{text}"
    );
}

#[test]
fn a_page_needs_nothing_else_and_quotes_what_it_shows() {
    let mut node = waiting("n1", &[]);
    let version = "<script>\"2\"&";
    node.annotations.insert(
        cuo_core::keys::REBOOT_NEEDED_VERSION.to_owned(),
        version.to_owned(),
    );
    let plan = options(&[]).foresee(cluster(vec![node], "", &[])).unwrap();
    let page = plan.text(Output::Html, Screen::PLAIN);
    assert!(page.contains("&lt;script&gt;&quot;2&quot;&amp;"), "{page}");
    for foreign in ["<script", "http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}: {page}");
    }
}

#[test]
fn lengths_of_time_are_as_people_write_them() {
    for (text, hours) in [("7d", 168), ("36h", 36), ("2w", 336)] {
        let found = options(&[&format!("--until={text}")]).until;
        assert_eq!(found, jiff::SignedDuration::from_hours(hours), "{text}");
    }
    for wrong in ["", "7", "-1d", "400d", "soon"] {
        assert!(
            Line::try_parse_from(["plan", &format!("--until={wrong}")]).is_err(),
            "{wrong}"
        );
    }
}
