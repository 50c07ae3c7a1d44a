//! The operator as a cluster runs it: from its image's tree, as the image's user, with what the manifest gives its container.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::cluster::controlplane::ControlPlane;
use crate::cluster::kubelet::{Container, Kubelet};
use crate::image::{Program, USER};
use crate::process::bound;

/// What the image has in it.
const PROGRAM: &str = Program::Operator.name();

/// Where the manifest puts everything that has a namespace.
pub const NAMESPACE: &str = "cuo-system";
/// Where a pod finds its service account.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// The image's tree for one cluster, in which the operator's pods run.
#[derive(Debug)]
pub struct OperatorImage {
    /// Of the API server.
    address: String,
    tree: PathBuf,
    log: PathBuf,
}

impl OperatorImage {
    /// Copies the image's tree (see [`crate::image::rootfs`]) to below `folder`, which everybody may enter from then on, and mounts the
    /// service account of the deployed manifest, as it were.
    ///
    /// # Errors
    /// When a file can't be written, or the service account isn't there.
    pub async fn unpack(plane: &ControlPlane, folder: &Path, tree: &Path) -> Result<Arc<Self>> {
        let image = Self {
            address: plane.server(),
            tree: folder.join("tree"),
            log: folder.join("operator-pods.log"),
        };
        let account = image.tree.join(ACCOUNT);
        fs::create_dir_all(&account).context("create the tree")?;
        fs::copy(tree.join(PROGRAM), image.tree.join(PROGRAM)).context("copy the program")?;
        let token = plane.token(NAMESPACE, "cuo-operator").await?;
        let files = [
            ("token", token),
            ("ca.crt", plane.ca_pem()),
            ("namespace", NAMESPACE.into()),
        ];
        for (name, text) in files {
            fs::write(account.join(name), text).with_context(|| format!("write {name}"))?;
        }
        // Everybody's, for it is another user who runs in there.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder, open).context("open the folder")?;
        Ok(Arc::new(image))
    }

    /// Lets `kubelet` run the operator's pods that it starts from now on.
    pub fn run_on(self: &Arc<Self>, kubelet: &Kubelet) {
        let image = Arc::clone(self);
        kubelet.on_pod(
            |pod| pod.metadata.namespace.as_deref() == Some(NAMESPACE),
            move |container| Arc::clone(&image).run(container),
        );
    }

    /// The file of what all of its pods said.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Runs the container of a pod with the pod's own command line, variables and probe.
    async fn run(self: Arc<Self>, container: Container) -> Result<()> {
        let pod = serde_json::to_value(&container.pod)?;
        let spec = &pod["spec"]["containers"][0];
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (host, port) = self
            .address
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once(':'))
            .context("an address with a port")?;
        let mut command = confined(&self.tree);
        command
            .args(strings(&spec["args"]))
            .env_clear()
            .envs(variables(&container.pod, spec)?)
            .env("KUBERNETES_SERVICE_HOST", host)
            .env("KUBERNETES_SERVICE_PORT", port)
            // Pods have an address each; here they share one.
            .env("CUO_LISTEN", listen.to_string());
        let path = spec["readinessProbe"]["httpGet"]["path"]
            .as_str()
            .context("a readiness probe")?
            .to_owned();
        let address = listen.to_string();
        let probe = || async { is_ok(&address, &path).await.unwrap_or(false) };
        container.run(&mut command, &self.log, probe).await
    }
}

/// The program as the image's user, with nothing but the tree. A user namespace lets everybody change the root directory.
fn confined(tree: &Path) -> Command {
    let user = USER.to_string();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = bound("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        // Changing the user takes back that it dies with the bench, so it is asked for again.
        command.args(["--no-new-privs", "--pdeathsig", "KILL", "--", "unshare"]);
        command
    } else {
        bound("unshare")
    };
    command
        .args(["--user", "--map-user", &user, "--map-group", &user])
        .arg(format!("--root={}", tree.display()))
        .arg(format!("/{PROGRAM}"));
    command
}

fn strings(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The variables of a container, with those that are taken from the pod.
fn variables(pod: &Pod, container: &Value) -> Result<Vec<(String, String)>> {
    let pod = json!(pod);
    let all = container["env"].as_array().into_iter().flatten();
    let resolved = all.map(|variable| {
        let name = variable["name"].as_str().context("a name")?;
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some(path) => pod.pointer(&format!("/{}", path.replace('.', "/"))),
            None => variable.get("value"),
        };
        let value = value.and_then(Value::as_str);
        let value = value.with_context(|| format!("no value of {name}"))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    resolved.collect()
}

/// Whether a GET is answered with 200.
async fn is_ok(address: &str, path: &str) -> Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "))
}
