//! Releases that a pool declares.

use cuo_core::reason::Code;
use cuo_core::release::Source;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::Remote;

use crate::look::{node, seen, settled, shows};
use crate::{PATIENCE, V1, V2, V3, start};

/// The repository that the lab's hosts follow.
const REPOSITORY: &str = "127.0.0.1:8972/fcos";

/// A pool of all nodes with this release.
async fn declare(bench: &Bench, release: &str) {
    let pool = format!(
        "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {{name: all}}\nspec: {{release: {release}}}\n"
    );
    bench.apply("all.yaml", &pool).await.unwrap();
}

async fn follows(bench: &Bench, name: &str, tag: &str) {
    let reference = format!("ostree-unverified-registry:{REPOSITORY}:{tag}");
    node(bench, name, &format!("to follow {tag}"), |node| {
        let following = node.agent.following.value();
        following.is_some_and(|following| {
            (following.source, &following.reference) == (Source::Cluster, &reference)
        })
    })
    .await;
}

/// By one `kubectl apply`, and back by another; what the hosts do not accept, they refuse with a reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_moved_to_another_image_and_back() {
    let site = |name| SiteSpec::worker(name, HostSpec::container(V1));
    let (_folder, bench) = start(vec![site("n1"), site("n2")]).await;
    for site in bench.sites() {
        let back = "[release]\nallow_downgrade = true\n";
        site.configure("60-back.toml", Some(back)).await.unwrap();
        let next = |remote: &mut Remote| remote.point(&format!("{REPOSITORY}:next"), V2);
        site.machine.lock().await.root().edit(next).unwrap();
    }
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;

    declare(&bench, &format!("{{image: '{REPOSITORY}:next'}}")).await;
    settled(&bench, V2).await;
    for name in ["n1", "n2"] {
        follows(&bench, name, "next").await;
    }
    // The head of the tag that they came from is nothing to them.
    bench.publish(V3).await.unwrap();

    // One node is to find out what the tag names.
    declare(&bench, "{image: 'quay.io/evil/os:1'}").await;
    shows(&bench, "n1", Phase::Idle, Some(Code::ReleaseRefused)).await;
    let digest = cuo_lab::machine::ostree::Release::new(V1).digest();
    declare(
        &bench,
        &format!("{{image: '{REPOSITORY}@{digest}', allowDowngrade: true}}"),
    )
    .await;
    settled(&bench, V1).await;
    let reboots: Vec<_> = bench.sites().map(|site| site.reboots()).collect();
    assert_eq!(reboots, [2, 2]);
    bench.judge(1).unwrap();
}

/// What the nodes of one pool found under a tag and run is declared for those of another by its digest, as from one cluster to the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_promoted_from_pool_to_pool_by_its_digest() {
    let site = |name| SiteSpec::worker(name, HostSpec::container(V1));
    let (_folder, bench) = start(vec![site("n1"), site("n2")]).await;
    for site in bench.sites() {
        let next = |remote: &mut Remote| remote.point(&format!("{REPOSITORY}:next"), V2);
        site.machine.lock().await.root().edit(next).unwrap();
    }
    let pool = async |name: &str, image: &str| {
        let pool = format!(
            "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {{name: {name}}}\nspec:\n  nodeSelector: {{matchLabels: {{pool: {name}}}}}\n  release: {{image: '{image}'}}\n"
        );
        let file = format!("{name}.yaml");
        bench.apply(&file, &pool).await.unwrap();
    };
    for (node, label) in [("n1", "pool=try"), ("n2", "pool=prod")] {
        let label = ["label", "node", node, label];
        bench.plane.kubectl(&label).await.unwrap();
    }
    let first = cuo_lab::machine::ostree::Release::new(V1).digest();
    pool("prod", &format!("{REPOSITORY}@{first}")).await;
    pool("try", &format!("{REPOSITORY}:next")).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    if let Err(error) = bench.settled_on(&["n1"], V2, PATIENCE).await {
        panic!("{error:#}");
    }
    let path = "jsonpath={.status.release.promoted.identities[*].identity}";
    let get = ["get", "updatepool", "try", "--output", path];
    let promoted = async || {
        let found = bench.plane.kubectl(&get).await?;
        Ok((!found.is_empty()).then_some(found))
    };
    let promoted = seen(&bench, "the tag's release to be promoted", promoted).await;
    let reboots = || bench.sites().map(|site| site.reboots()).collect::<Vec<_>>();
    assert_eq!(reboots(), [1, 0]);

    pool("prod", &format!("{REPOSITORY}@{promoted}")).await;
    settled(&bench, V2).await;
    assert_eq!(reboots(), [1, 1]);
    bench.judge(1).unwrap();
}
