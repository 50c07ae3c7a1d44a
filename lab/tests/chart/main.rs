//! The chart by the real Helm, on a real API server: without values it is `deploy/operator.yaml`, and what must not be lost outlives it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::{ControlPlane, Options, assets};
use cuo_lab::process::bound;
use serde_json::{Value, json};
use tokio::time::timeout;

const NAMESPACE: &str = "cuo-system";
const CHART: &str = "charts/cuo";
const DEFINITIONS: [&str; 3] = ["updategates", "updatepauses", "updatepools"];
/// What Helm is told about objects that it must not delete; the manifest has no use for it.
const KEEP: &str = "helm.sh/resource-policy";
/// For one command on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
const POOL: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {nodeSelector: {}}
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Helm, with its files in a folder of the test's own.
struct Helm {
    program: PathBuf,
    folder: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    async fn find(folder: &Path) -> Result<Self> {
        Ok(Self {
            program: assets::helm(|line| eprintln!("{line}")).await?,
            folder: folder.to_owned(),
            kubeconfig: None,
        })
    }

    async fn run(&self, arguments: &str) -> Result<String> {
        let mut helm = bound(&self.program);
        helm.args(arguments.split(' ')).current_dir(repository());
        for (variable, name) in [
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_DATA_HOME", "data"),
        ] {
            helm.env(variable, self.folder.join(name));
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            helm.env("KUBECONFIG", kubeconfig);
        }
        let output = timeout(DEADLINE, helm.output()).await??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        ensure!(output.status.success(), "helm {arguments}: {error}{said}");
        Ok(said)
    }
}

/// The objects of a manifest by kind, namespace and name.
fn objects(manifest: &str) -> Result<BTreeMap<String, Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifest)?;
    let mut objects = BTreeMap::new();
    for mut object in documents.into_iter().filter(|object| !object.is_null()) {
        let metadata = object["metadata"].as_object_mut().context("no metadata")?;
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(KEEP);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        let metadata = &object["metadata"];
        let name = format!(
            "{} {} {}",
            object["kind"], metadata["namespace"], metadata["name"]
        );
        ensure!(
            objects.insert(name.clone(), object).is_none(),
            "twice: {name}"
        );
    }
    Ok(objects)
}

#[tokio::test]
async fn without_values_it_is_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let helm = Helm::find(folder.path()).await.unwrap();
    let lint = format!("lint --strict {CHART} -n {NAMESPACE}");
    helm.run(&lint).await.unwrap();
    let manifest = std::fs::read_to_string(repository().join("deploy/operator.yaml")).unwrap();
    let template = format!("template cuo {CHART} -n {NAMESPACE}");
    let rendered = helm.run(&template).await.unwrap();
    assert_eq!(objects(&rendered).unwrap(), objects(&manifest).unwrap());

    let identity = repository().join("deploy/agent-identity.yaml");
    let identity = std::fs::read_to_string(identity).unwrap();
    let mut both = objects(&manifest).unwrap();
    both.extend(objects(&identity).unwrap());
    let more = format!("{template} --set agentIdentity.enabled=true");
    assert_eq!(objects(&helm.run(&more).await.unwrap()).unwrap(), both);
}

#[tokio::test]
async fn flags_are_passed_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let helm = Helm::find(folder.path()).await.unwrap();
    let render = async |values: &str| {
        let base =
            format!("template cuo {CHART} -n {NAMESPACE} --show-only templates/deployment.yaml");
        helm.run(&format!("{base} {values}")).await
    };
    let set = "--set flags.paused=true,flags.maxUnavailable=2,flags.drainTimeout=5m,flags.metricsPerNode=0";
    let rendered = objects(&render(set).await.unwrap()).unwrap();
    let deployment = rendered.values().next().unwrap();
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let expected = [
        "--drain-timeout=5m",
        "--max-unavailable=2",
        "--metrics-per-node=0",
        "--paused",
    ];
    assert_eq!(*arguments, json!(expected));
    for wrong in [
        "--set flags.noSuchFlag=1",
        "--set flags.maxUnavailable=some",
        "--set image.digest=latest",
        "--set replica=1",
    ] {
        let error = render(wrong).await.unwrap_err().to_string();
        assert!(error.contains("schema"), "{wrong}: {error}");
    }
}

/// One control plane serves all steps, one after the other.
#[tokio::test]
async fn it_is_installed_upgraded_and_removed_and_pools_outlive_it() {
    let folder = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(folder.path(), Options::default())
        .await
        .unwrap();
    let mut helm = Helm::find(folder.path()).await.unwrap();
    helm.kubeconfig = Some(plane.admin_kubeconfig().to_owned());
    let manifest = repository().join("deploy/operator.yaml");
    let manifest = manifest.to_str().unwrap();

    let install = format!("install cuo {CHART} -n {NAMESPACE} --create-namespace");
    helm.run(&install).await.unwrap();
    // It exits with 1 where anything differs.
    plane.kubectl(&["diff", "-f", manifest]).await.unwrap();
    let pool = folder.path().join("pool.yaml");
    std::fs::write(&pool, POOL).unwrap();
    let pool = pool.to_str().unwrap();
    plane.kubectl(&["apply", "-f", pool]).await.unwrap();

    let upgrade = format!("upgrade cuo {CHART} -n {NAMESPACE}");
    let paused = format!("{upgrade} --set flags.paused=true");
    helm.run(&paused).await.unwrap();
    let arguments = [
        "-n",
        NAMESPACE,
        "get",
        "deployment",
        "cuo-operator",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].args}",
    ];
    let found = plane.kubectl(&arguments).await.unwrap();
    assert_eq!(found, r#"["--paused"]"#);
    let back = format!("{upgrade} --reset-values");
    helm.run(&back).await.unwrap();
    plane.kubectl(&["diff", "-f", manifest]).await.unwrap();

    helm.run(&format!("uninstall cuo -n {NAMESPACE} --wait"))
        .await
        .unwrap();
    let namespace = format!("namespace/{NAMESPACE}");
    plane.kubectl(&["get", &namespace]).await.unwrap();
    let pools = ["get", "updatepools", "-o", "name"];
    let pools = plane.kubectl(&pools).await.unwrap();
    assert_eq!(pools.trim(), "updatepool.cuo.coreos.com/all");
    let definitions = plane.kubectl(&["get", "crd", "-o", "name"]).await.unwrap();
    for name in DEFINITIONS {
        assert!(definitions.contains(name), "{definitions}");
    }
    let deployments = ["get", "deployments", "-A", "-o", "name"];
    assert_eq!(plane.kubectl(&deployments).await.unwrap().trim(), "");
}

/// What people and their tools compare with the cluster is what they applied.
#[tokio::test]
async fn the_manifest_differs_from_nothing_once_it_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(folder.path(), Options::default())
        .await
        .unwrap();
    for name in ["operator.yaml", "agent-identity.yaml"] {
        let manifest = repository().join("deploy").join(name);
        let manifest = manifest.to_str().unwrap();
        for way in [&[][..], &["--server-side", "--force-conflicts"]] {
            let apply = [&["apply", "-f", manifest][..], way].concat();
            plane.kubectl(&apply).await.unwrap();
            let diff = [&["diff", "-f", manifest][..], way].concat();
            plane.kubectl(&diff).await.unwrap();
        }
    }
}
