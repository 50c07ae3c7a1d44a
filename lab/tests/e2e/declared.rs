//! Releases that a pool declares.

use cuo_core::reason::Code;
use cuo_core::release::Source;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::Remote;

use crate::look::{node, settled, shows};
use crate::{V1, V2, V3, start};

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
