//! What hosts let in of images, with the words of ostree-ext 0.15.3 and skopeo, as people have reported them.

use cuo_lab::machine::ostree::{Release, Remote};
use cuo_lab::machine::{HostSpec, Reboot};

use super::client::{Client, Host, Options, V1, V2, options};

const POLICY: &str = "etc/containers/policy.json";
const MASK: &str = "etc/systemd/system/rpm-ostreed.service.d/coreos-containers-policy.conf";
const FCOS: &str = "quay.io/fedora/fedora-coreos:stable";
const REFUSED: &str = "Finished false Preparing import: Fetching manifest: containers-policy.json specifies a default of \
                       `insecureAcceptAnything`; refusing usage";
const OPEN: &str =
    "Finished false Preparing import: Fetching manifest: failed to invoke method OpenImage";

async fn upgrade(client: &Client) -> String {
    let outcome = client.outcome("Upgrade", &(Options::new(),)).await;
    client.wait_free().await;
    outcome
}

async fn host(spec: HostSpec) -> Host {
    let host = Host::new(spec).await;
    host.machine.publish(V2).unwrap();
    host
}

#[tokio::test]
async fn a_signed_image_needs_a_policy_that_verifies() {
    let host = host(HostSpec::fcos_image(V1)).await;
    let client = host.client().await;
    // Without the policy that Fedora CoreOS gives to rpm-ostreed alone, there is one that lets in anything.
    host.machine.root().write(MASK, "").unwrap();
    assert_eq!(upgrade(&client).await, REFUSED);
    let digest = options([("set-revision", Release::new(V2).digest().into())]);
    let digest = (digest, Options::new());
    assert_eq!(client.outcome("UpdateDeployment", &digest).await, REFUSED);
    client.wait_free().await;
    // An administrator's own counts then.
    let reject = r#"{"default": [{"type": "reject"}]}"#;
    host.machine.root().write(POLICY, reject).unwrap();
    let rejected = format!("{OPEN}: Running image docker://{FCOS} is rejected by policy.");
    assert_eq!(upgrade(&client).await, rejected);
    host.machine.root().remove(POLICY).unwrap();
    let missing = "Finished false Creating importer: failed to invoke method Initialize: open /etc/containers/policy.json: no such file \
                   or directory";
    assert_eq!(upgrade(&client).await, missing);
    assert_eq!(host.machine.sysroot().unwrap().staged(), None);
    host.machine.root().remove(MASK).unwrap();
    assert_eq!(upgrade(&client).await, "Finished true");
}

#[tokio::test]
async fn an_image_without_a_signature_is_refused_where_one_is_demanded() {
    const NEW: &str = "42.20251012.3.0";
    let unsigned = |remote: &mut Remote| {
        remote.publish(NEW);
        remote.unsigned.insert(NEW.to_owned());
    };
    let unverified = format!("ostree-unverified-registry:{FCOS}");
    for (spec, refused) in [
        (HostSpec::fcos_image(V1), true),
        // Who claims nothing is held to the policy as well, if it is there.
        (HostSpec::following(&unverified, "42.20251001.3.0"), true),
        (HostSpec::following(&unverified, V1), false),
        (HostSpec::container(V1), false),
    ] {
        let what = format!("{spec:?}");
        let host = Host::new(spec).await;
        host.machine.root().edit(unsigned).unwrap();
        let client = host.client().await;
        let expected = match refused {
            true => format!("{OPEN}: A signature was required, but no signature exists"),
            false => "Finished true".to_owned(),
        };
        assert_eq!(upgrade(&client).await, expected, "{what}");
    }
}

#[tokio::test]
async fn the_commit_inside_is_no_longer_signed() {
    let spec = HostSpec::following(
        "ostree-remote-image:fedora:docker://quay.io/fedora/fedora-coreos:stable",
        "42.20251001.3.0",
    );
    let host = Host::new(spec).await;
    host.machine.publish("42.20251012.3.0").unwrap();
    let client = host.client().await;
    assert_eq!(upgrade(&client).await, "Finished true");
    host.machine.publish("43.20251110.3.0").unwrap();
    let unsigned = "Finished false Importing: Unencapsulating base: Using remote fedora for verification; Expected commitmeta object, not \
                    DirMeta";
    assert_eq!(upgrade(&client).await, unsigned);
    // As a signed image it is let in.
    let signed = format!("ostree-image-signed:docker://{FCOS}");
    let rebase = options([("set-refspec", signed.into())]);
    let rebase = (rebase, Options::new());
    let outcome = client.outcome("UpdateDeployment", &rebase).await;
    assert_eq!(outcome, "Finished true");
}

/// The policy comes with the release that boots, so a host has to be on the way for a while before it can be verified.
#[tokio::test]
async fn a_release_brings_the_policy_with_it() {
    let spec = HostSpec::following(
        "ostree-remote-image:fedora:docker://quay.io/fedora/fedora-coreos:stable",
        "42.20250901.3.0",
    );
    let mut host = Host::new(spec).await;
    host.machine.publish("42.20251012.3.0").unwrap();
    let signed = format!("ostree-image-signed:docker://{FCOS}");
    let rebase = options([("set-refspec", signed.into())]);
    let rebase = (rebase, Options::new());
    let client = host.client().await;
    assert_eq!(client.outcome("UpdateDeployment", &rebase).await, REFUSED);
    client.wait_free().await;
    assert_eq!(upgrade(&client).await, "Finished true");
    host.machine.reboot(Reboot::Clean).await.unwrap();
    let client = host.client().await;
    let outcome = client.outcome("UpdateDeployment", &rebase).await;
    assert_eq!(outcome, "Finished true");
}
