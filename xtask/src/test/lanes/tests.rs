//! Which part is next, and what becomes of one that runs.

use super::super::parts::{Task, When};
use super::*;
use Effort::{Computes, Waits};

fn part(name: &'static str, effort: Effort, arguments: &'static [&'static str]) -> Part {
    Part {
        name,
        when: When::Always,
        effort,
        task: Task::Cargo(arguments),
    }
}

/// The order in which parts begin on two cores, if those that run end in the order in which they began.
fn order(efforts: &[Effort]) -> Vec<Vec<Effort>> {
    let mut to_do: Vec<_> = efforts
        .iter()
        .map(|one| part("a part", *one, &[]))
        .collect();
    let (mut taken, mut running, mut seen) = (Taken::default(), Vec::new(), Vec::new());
    loop {
        while let Some(next) = next(&to_do, &taken, 200) {
            let part = to_do.remove(next);
            taken.add(part.effort);
            running.push(part.effort);
        }
        if running.is_empty() {
            return seen;
        }
        seen.push(running.clone());
        taken.remove(running.remove(0));
    }
}

#[test]
fn one_computes_beside_as_many_as_fit_and_wait() {
    let efforts = [Waits(120), Computes, Waits(90), Waits(60), Computes];
    let expected = [
        vec![Waits(120), Computes, Waits(60)],
        vec![Computes, Waits(60), Waits(90)],
        vec![Waits(60), Waits(90), Computes],
        vec![Waits(90), Computes],
        vec![Computes],
    ];
    assert_eq!(order(&efforts), expected);
}

#[test]
fn one_that_is_more_than_the_machine_runs_alone() {
    assert_eq!(
        order(&[Waits(500), Waits(10)]),
        [vec![Waits(500)], vec![Waits(10)]]
    );
}

#[tokio::test]
async fn the_first_that_fails_is_told_with_the_end_of_its_log() {
    let good = part("test of a good part", Computes, &["--version"]);
    let bad = part("test of a bad part", Waits(10), &["no-such-command"]);
    let spent = run(&[good], 200).await.unwrap();
    let names: Vec<_> = spent.iter().map(|one| one.name).collect();
    assert_eq!(names, [good.name]);
    let error = run(&[good, bad], 200).await.unwrap_err().to_string();
    assert!(
        error.starts_with("test of a bad part failed") && error.contains("no such command"),
        "{error}"
    );
}

/// Numbers that are all 0 would tell nobody what to run beside what.
#[tokio::test]
async fn what_a_part_costs_the_processor_is_told() {
    let before = processor_time().unwrap();
    let work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    let mut shell = tokio::process::Command::new("sh");
    assert!(shell.args(["-c", work]).status().await.unwrap().success());
    assert!(processor_time().unwrap() > before);
}
