use super::*;
use crate::testing::{Node, bare, id, node};

/// A pool as it goes on, and all that is told of it.
struct Story {
    told: Told,
    max_failures: usize,
    second: i64,
}

impl Story {
    fn new() -> Self {
        Self {
            told: Told::default(),
            max_failures: 1,
            second: 0,
        }
    }

    /// What is new when the nodes are these: kinds with release, nodes that run it and nodes that are to.
    fn then(&mut self, nodes: &[Node]) -> Vec<String> {
        let views: Vec<_> = nodes.iter().map(Node::view).collect();
        let versions = Versions::of(views.iter());
        let failures = failures(views.iter());
        let pool = Pool {
            name: "workers",
            members: views
                .iter()
                .filter(|node| !node.protocol.is_absent())
                .collect(),
            max_failures: self.max_failures,
            versions: &versions,
            failures: &failures,
        };
        self.second += 1;
        let (told, news) = pool.next(&self.told, Time::from_second(self.second));
        self.told = told;
        // What was told once is not told again.
        let (same, nothing) = pool.next(&self.told, Time::from_second(self.second));
        assert_eq!((&same, nothing), (&self.told, vec![]));
        news.iter().map(shown).collect()
    }
}

fn shown(draft: &Draft) -> String {
    let Progress { done, total } = draft.progress.unwrap();
    let release = draft.release.as_deref().unwrap();
    format!("{} {release} {done}/{total}", draft.kind)
}

fn nothing() -> Vec<String> {
    vec![]
}

#[test]
fn a_roll_out_begins_with_the_first_slot_and_ends_with_the_last_node() {
    let mut story = Story::new();
    let old = |name| node(name, "1");
    assert_eq!(story.then(&[old("a"), old("b"), bare("c")]), nothing());
    // That nodes wait is no roll-out: the pool may be paused, or need approval.
    let waits = |name| old(name).needs("2");
    assert_eq!(story.then(&[waits("a"), old("b"), bare("c")]), nothing());
    let goes = |name| waits(name).granted("2");
    assert_eq!(
        story.then(&[goes("a"), old("b"), bare("c")]),
        ["RolloutStarted 2 0/2"]
    );
    // It runs, and its slot is not free yet.
    let boots = |name| goes(name).runs("2");
    assert_eq!(
        story.then(&[boots("a"), old("b"), bare("c")]),
        ["RolloutProgress 2 1/2"]
    );
    // The second one learns of it hours later.
    let there = |name| boots(name).released();
    assert_eq!(story.then(&[there("a"), old("b"), bare("c")]), nothing());
    assert_eq!(story.then(&[there("a"), goes("b"), bare("c")]), nothing());
    assert_eq!(
        story.then(&[there("a"), boots("b"), bare("c")]),
        ["RolloutProgress 2 2/2"]
    );
    assert_eq!(
        story.then(&[there("a"), there("b"), bare("c")]),
        ["RolloutFinished 2 2/2"]
    );
    // One that comes late is no news.
    assert_eq!(story.then(&[there("a"), there("b"), goes("d")]), nothing());
    assert_eq!(story.told.ended, ["2"]);
}

#[test]
fn a_release_that_fails_ends_its_roll_out() {
    let mut story = Story::new();
    let waits = |name| node(name, "1").needs("2");
    let goes = || waits("a").granted("2");
    assert_eq!(story.then(&[goes(), waits("b")]), ["RolloutStarted 2 0/2"]);
    // Its slot is still in use.
    let failed = || goes().failed("2");
    assert_eq!(story.then(&[failed(), waits("b")]), nothing());
    let over = || failed().released();
    assert_eq!(story.then(&[over(), waits("b")]), ["RolloutFailed 2 0/2"]);
    assert_eq!(story.told, Told::default());
    // Somebody has it tried again.
    let again = || waits("b").granted("2");
    assert_eq!(
        story.then(&[node("a", "1"), again()]),
        ["RolloutStarted 2 0/2"]
    );
}

#[test]
fn a_roll_out_goes_on_where_the_pool_allows_the_failure() {
    let mut story = Story::new();
    story.max_failures = 2;
    let waits = |name| node(name, "1").needs("2");
    let goes = |name| waits(name).granted("2");
    assert_eq!(
        story.then(&[goes("a"), waits("b")]),
        ["RolloutStarted 2 0/2"]
    );
    let over = || goes("a").failed("2").released();
    assert_eq!(story.then(&[over(), waits("b")]), nothing());
    let there = || goes("b").runs("2").released();
    assert_eq!(story.then(&[over(), there()]), ["RolloutFailed 2 1/2"]);
}

#[test]
fn a_newer_release_takes_the_place_of_the_older_one() {
    let mut story = Story::new();
    let waits = |name, version| node(name, "1").needs(version);
    assert_eq!(
        story.then(&[waits("a", "2").granted("2"), waits("b", "2")]),
        ["RolloutStarted 2 0/2"]
    );
    let there = || node("a", "2");
    let next = || waits("b", "3");
    assert_eq!(story.then(&[there(), next()]), ["RolloutProgress 2 1/2"]);
    assert_eq!(
        story.then(&[there(), next().granted("3")]),
        ["RolloutStarted 3 0/2", "RolloutSuperseded 2 1/2"]
    );
    assert_eq!(story.told.ended, ["2"]);
}

#[test]
fn nodes_that_follow_something_else_have_a_roll_out_of_their_own() {
    let mut story = Story::new();
    let next = |name, version| node(name, version).follows("next");
    let goes = node("a", "1").needs("2").granted("2");
    assert_eq!(
        story.then(&[goes, next("b", "9")]),
        ["RolloutStarted 2 0/1"]
    );
    let other = next("b", "9").needs("10").granted("10");
    let there = node("a", "2");
    assert_eq!(
        story.then(&[there, other]),
        ["RolloutStarted 10 0/1", "RolloutFinished 2 1/1"]
    );
}

#[test]
fn a_reboot_without_an_update_is_no_roll_out() {
    let mut story = Story::new();
    let wanted = serde_json::json!({"v": 1, "wanted": "requested by alice"});
    let reboots = node("a", "1").needs("1").granted("1");
    let reboots = reboots.with(cuo_core::keys::AGENT_REBOOT, wanted);
    assert_eq!(story.then(&[reboots]), nothing());
}

#[test]
fn what_a_node_says_of_something_that_it_was_not_granted_counts_for_no_other() {
    let liar = node("a", "1").failed("2").view();
    let honest = node("b", "1").granted("2").failed("2").view();
    let found = failures([&liar, &honest].into_iter());
    let b: BTreeSet<_> = [honest.name.clone()].into();
    assert_eq!(found, Failures::from([(id("2"), b)]));
}

#[test]
fn a_roll_out_that_is_about_no_node_any_more_ends_in_silence() {
    let mut story = Story::new();
    let goes = node("a", "1").needs("2").granted("2");
    assert_eq!(story.then(&[goes]), ["RolloutStarted 2 0/1"]);
    // It was told to follow something else.
    assert_eq!(story.then(&[node("a", "1").follows("next")]), nothing());
    assert_eq!(story.told, Told::default());
}

#[test]
fn a_release_that_is_given_up_for_one_architecture_goes_on_for_the_others() {
    let mut story = Story::new();
    let waits = |name: &str| node(name, "1").needs("2");
    // The same version has another id there.
    let other = |node: Node| node.with(cuo_core::keys::REBOOT_NEEDED, id("arm"));
    let goes = waits("a").granted("2");
    let arm = || other(waits("b"));
    assert_eq!(story.then(&[goes.clone(), arm()]), ["RolloutStarted 2 0/2"]);
    let failed = || goes.clone().failed("2").released();
    assert_eq!(story.then(&[failed(), arm()]), nothing());
    let there = node("b", "arm").with(
        cuo_core::keys::BOOTED,
        serde_json::json!({
            "v": 1, "identity": id("arm"), "version": "2", "boot": "07070707-0707-0707-0707-070707070707",
            "since": "2026-10-27T02:14:51Z",
        }),
    );
    assert_eq!(story.then(&[failed(), there]), ["RolloutFailed 2 1/2"]);
}

#[test]
fn a_version_is_kept_in_part_where_it_is_long() {
    let mut story = Story::new();
    let long = "2".repeat(100_000);
    let goes = node("a", "1").needs("2").granted("2").follows(&long);
    let goes = goes.with(cuo_core::keys::REBOOT_NEEDED_VERSION, &long);
    let told = story.then(&[goes]);
    let kept = serde_json::to_string(&story.told).unwrap();
    assert!(
        told.len() == 1 && kept.len() < 2000,
        "{} {}",
        told.len(),
        kept.len()
    );
}
