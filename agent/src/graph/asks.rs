//! What the server of an update graph is asked with.

use std::path::Path;

use cuo_core::ids::MachineId;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use sha2::Sha256;

use super::error::Error;
use crate::{config, facts};

/// The path of graphs on a server (Cincinnati's protocol, version 1).
const PATH: &str = "v1/graph";
/// The application id that Zincati makes its node ids with, so that a host keeps its place in roll-outs.
const APPLICATION: [u8; 16] = [
    0xde, 0x35, 0x10, 0x6b, 0x6e, 0xc2, 0x46, 0x88, 0xb6, 0x3a, 0xfd, 0xda, 0xa1, 0x56, 0x67, 0x9b,
];

/// What a server is told of the host, which decides what leads on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// The stream, such as `stable`.
    pub stream: String,
    /// The version that runs.
    pub version: String,
    /// What runs: a commit, or an image by its digest.
    pub checksum: String,
    /// The graph of images is asked for, and not that of branches.
    pub images: bool,
    /// The machine it runs on.
    pub platform: Platform,
}

/// What does not change while the host is up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platform {
    /// The architecture, such as `x86_64`.
    pub basearch: String,
    /// `ignition.platform.id` of the kernel's command line, such as `metal`; empty where it has none.
    pub name: String,
    /// The id of the host that Zincati would report; empty where it has no machine id.
    pub node_uuid: String,
}

impl Platform {
    /// Of the host below `root`.
    pub fn of(root: &Path) -> Self {
        let system = rustix::system::uname();
        let line = std::fs::read_to_string(root.join("proc/cmdline")).unwrap_or_default();
        let mut words = line.split_whitespace();
        let name = words.find_map(|word| word.strip_prefix("ignition.platform.id="));
        Self {
            basearch: system.machine().to_string_lossy().into_owned(),
            name: name.unwrap_or_default().to_owned(),
            node_uuid: facts::machine_id(root).map_or_else(String::new, node_uuid),
        }
    }
}

/// The id of the host with this machine id, as `systemd-id128 machine-id --app-specific` makes it: the machine id itself is not given away.
pub fn node_uuid(machine: MachineId) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(&machine.bytes()) else {
        // HMAC takes keys of any length.
        return String::new();
    };
    let digest = mac.chain_update(APPLICATION).finalize().into_bytes();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Asks {
    /// The address to ask, by what is configured.
    ///
    /// # Errors
    /// Where that is no address of a server or a file.
    pub fn url(&self, config: &config::Graph) -> Result<Url, Error> {
        let values = [
            ("${stream}", self.stream.as_str()),
            ("${basearch}", &self.platform.basearch),
            ("${group}", &config.group),
            ("${platform}", &self.platform.name),
        ];
        let base = values
            .iter()
            .fold(config.url.clone(), |base, (name, value)| {
                base.replace(name, value)
            });
        let wrong = |why: &str| Error::Config(format!("{base:?}: {why}"));
        let mut url: Url = base
            .parse()
            .map_err(|error: <Url as std::str::FromStr>::Err| wrong(&error.to_string()))?;
        match url.scheme() {
            "file" => return Ok(url),
            "http" | "https" => {}
            _ => return Err(wrong("it begins with none of https:, http: and file:")),
        }
        let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        self.queries(&mut url, config);
        Ok(url)
    }

    fn queries(&self, url: &mut Url, config: &config::Graph) {
        let uuid = config
            .node_uuid
            .as_ref()
            .unwrap_or(&self.platform.node_uuid);
        let mut pairs = url.query_pairs_mut();
        pairs
            .append_pair("basearch", &self.platform.basearch)
            .append_pair("stream", &self.stream)
            .append_pair("os_version", &self.version)
            .append_pair("os_checksum", &self.checksum)
            .append_pair("group", &config.group);
        for (name, value) in [("node_uuid", uuid), ("platform", &self.platform.name)] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        if self.images {
            pairs.append_pair("oci", "true");
        }
        if let Some(wariness) = config.rollout_wariness {
            // Six digits, as Zincati writes it.
            pairs.append_pair("rollout_wariness", &format!("{:.6}", wariness.0));
        }
    }
}

/// The address for people: without what is asked, and without credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    let plain = shown
        .set_username("")
        .and_then(|()| shown.set_password(None));
    plain.map_or_else(
        |()| url.origin().ascii_serialization(),
        |()| shown.to_string(),
    )
}
