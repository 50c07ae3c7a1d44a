//! `spec` of an `UpdatePool` as it is written; `docs/pools.md` prints the fields with what is said of them here.

use cuo_core::selector::Selector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// What an administrator asks for the nodes of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.approved) || size(self.approved) == 0 || (has(self.approval) && self.approval == 'Manual')",
    "message": "`approved` says something only with `approval: Manual`",
}, {
    "rule": "!has(self.release) || !has(self.target)",
    "message": "`target` limits what nodes find by themselves, so it says nothing beside `release`",
}]))]
pub struct PoolSpec {
    /// The nodes of this pool, by their labels other than CUO's own. Absent or empty selects all nodes.
    #[serde(default)]
    #[schemars(schema_with = "rules::node_selector")]
    pub node_selector: Selector,
    /// Most nodes of the pool that may be out of service when one more is granted: a number, or a share such as `10%`, which is rounded
    /// down to at least one node. `0` and `0%` grant nothing.
    #[serde(default)]
    #[schemars(schema_with = "rules::max_unavailable")]
    pub max_unavailable: IntOrText,
    /// Grants nothing new in this pool.
    #[serde(default)]
    pub paused: bool,
    /// Names of `UpdateGate`s that have to be open before nodes are granted. One that does not exist counts as closed.
    #[serde(default)]
    #[schemars(schema_with = "rules::gates")]
    pub gates: Vec<String>,
    /// When nodes may be granted. Without any, at any time.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub windows: Vec<WindowSpec>,
    /// Days on which nothing is granted, whatever the windows say.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub blackouts: Vec<BlackoutSpec>,
    /// Which node goes first.
    #[serde(default)]
    pub order: OrderSpec,
    /// Nodes that run an update for a while before the others may boot it.
    #[serde(default)]
    pub canary: Option<CanarySpec>,
    /// An update that failed on this many nodes, anywhere in the cluster, is no longer tried in this pool. A node that failed never
    /// tries the same update again.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_failures: u32,
    /// The only release that nodes of this pool may boot; any other is held.
    #[serde(default)]
    pub target: Option<ReleaseSpec>,
    /// What the nodes of this pool are to run, whatever they would find by themselves. Not beside `target`.
    #[serde(default)]
    pub release: Option<DeclaredSpec>,
    /// Whether each update has to be named in `approved` before anybody boots it.
    #[serde(default)]
    pub approval: Approval,
    /// What may be booted where `approval` is `Manual`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub approved: Vec<ReleaseSpec>,
    /// What has to hold before and after a reboot.
    #[serde(default)]
    pub checks: ChecksSpec,
    /// How nodes are drained.
    #[serde(default)]
    pub drain: DrainSpec,
    /// What is done about nodes that somebody else has cordoned. Where a node is in several pools, each has to say `Update`.
    #[serde(default)]
    pub cordoned: CordonedSpec,
    /// How long the pool is left alone after one of its nodes is done, such as `10m`. Checks after the reboot run meanwhile.
    #[serde(default)]
    #[schemars(schema_with = "rules::length_or_nothing")]
    pub settle: Option<String>,
}

fn one() -> u32 {
    1
}

/// What is done about nodes that somebody else has cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CordonedSpec {
    /// They are left alone, since whoever cordoned them may be at work there; the reason says who, and since when.
    #[default]
    Hold,
    /// They are updated like others, and stay cordoned.
    Update,
}

/// A number or a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrText {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl Default for IntOrText {
    fn default() -> Self {
        Self::Int(1)
    }
}

/// When reboots may be granted, week after week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowSpec {
    /// Days on which it opens. Without any, every day.
    #[serde(default)]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// When it opens, as `HH:MM` on the wall clock. Where the clock is put forward over it, it opens later by as much.
    #[schemars(schema_with = "rules::start")]
    pub start: String,
    /// How long it stays open, such as `4h`, also past midnight; at most `168h`.
    #[schemars(schema_with = "rules::length")]
    pub duration: String,
    /// IANA name of the clock's time zone, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(schema_with = "rules::time_zone")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "days are known")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Days on which nothing is granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.to) || self.to >= self.from",
    "message": "`to` is before `from`",
}]))]
pub struct BlackoutSpec {
    /// The first day, as `YYYY-MM-DD`; it begins at midnight.
    #[schemars(schema_with = "rules::date")]
    pub from: String,
    /// The last day. Without it, `from` is the only one.
    #[serde(default)]
    #[schemars(schema_with = "rules::date")]
    pub to: Option<String>,
    /// IANA name of the time zone in which the days are.
    #[serde(default = "utc")]
    #[schemars(schema_with = "rules::time_zone")]
    pub time_zone: String,
}

/// Which node goes first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.by) && self.by == 'Zone') == has(self.topologyKey)",
    "message": "`by: Zone` needs a `topologyKey`, and nothing else takes one",
}]))]
pub struct OrderSpec {
    /// What nodes are sorted by; equal ones go by name.
    #[serde(default)]
    pub by: OrderBySpec,
    /// The label that holds a node's zone, such as `topology.kubernetes.io/zone`.
    #[serde(default)]
    #[schemars(schema_with = "rules::label")]
    pub topology_key: Option<String>,
    /// When nodes of the control plane go. They always go one at a time in the whole cluster.
    #[serde(default)]
    pub control_plane: ControlPlaneSpec,
}

/// What nodes are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OrderBySpec {
    /// By name.
    #[default]
    Name,
    /// Zone by zone, as `topologyKey` tells them; with more than one node at a time, the last of one and the first of the next may meet.
    Zone,
    /// The oldest booted version first.
    OldestVersion,
}

/// When nodes of the control plane go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ControlPlaneSpec {
    /// After the workers.
    #[default]
    Last,
    /// Before the workers in line; while one waits for another, workers go if there is room.
    First,
}

/// Nodes that run an update for a while before the others may boot it: either `count` or `nodeSelector`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.count) != has(self.nodeSelector)",
    "message": "expected either `count` or `nodeSelector`",
}]))]
pub struct CanarySpec {
    /// This many nodes, those first whose last update is the oldest. Each runs an update for the `soak` before it takes the next.
    #[serde(default)]
    #[schemars(schema_with = "rules::count")]
    pub count: Option<u32>,
    /// All nodes of the pool with these labels.
    #[serde(default)]
    #[schemars(schema_with = "rules::node_selector")]
    pub node_selector: Option<Selector>,
    /// How long they have to run it, such as `24h`.
    #[serde(default)]
    #[schemars(schema_with = "rules::length_or_nothing")]
    pub soak: Option<String>,
}

/// Something that can be booted: either `identity` or `version`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.identity) != has(self.version)",
    "message": "expected either `identity` or `version`",
}]))]
pub struct ReleaseSpec {
    /// The digest of an image (`sha256:…`) or the checksum of a commit, as the annotations `cuo.coreos.com/reboot-needed` and
    /// `cuo.coreos.com/booted` show it.
    #[serde(default)]
    #[schemars(schema_with = "rules::identity")]
    pub identity: Option<String>,
    /// The version, as rpm-ostree shows it.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253))]
    pub version: Option<String>,
}

/// What nodes are to run: either `image`, `version` or `commit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.image) ? 1 : 0) + (has(self.version) ? 1 : 0) + (has(self.commit) ? 1 : 0) == 1",
    "message": "expected either `image`, `version` or `commit`",
}]))]
pub struct DeclaredSpec {
    /// An image as `HOST/PATH@sha256:DIGEST`, or as `HOST/PATH:TAG`: then a node finds out what the tag names, and that becomes the
    /// candidate. Hosts take only images that their own configuration allows.
    #[serde(default)]
    #[schemars(schema_with = "rules::image")]
    pub image: Option<String>,
    /// The release of this version, where nodes follow an update graph or a branch.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253))]
    pub version: Option<String>,
    /// The checksum of a commit, where nodes follow a branch.
    #[serde(default)]
    #[schemars(schema_with = "rules::commit")]
    pub commit: Option<String>,
    /// It may be older than what nodes run. Hosts have to allow that, too.
    #[serde(default)]
    pub allow_downgrade: bool,
}

/// Whether updates have to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// They need not.
    #[default]
    Automatic,
    /// Only those in `approved` are booted.
    Manual,
}

/// What has to hold before and after a reboot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChecksSpec {
    /// Annotations that have to be `true` on the Node before it is granted. Whatever sets them runs on nodes with the label
    /// `cuo.coreos.com/before-reboot=true`.
    #[serde(default)]
    #[schemars(schema_with = "rules::checks")]
    pub before: Vec<String>,
    /// Annotations that have to be `true` on the Node after the reboot, before its slot is free. Whatever sets them runs on nodes with
    /// the label `cuo.coreos.com/after-reboot=true`.
    #[serde(default)]
    #[schemars(schema_with = "rules::checks")]
    pub after: Vec<String>,
    /// While a pod that matches any of these runs on the node, it does not act on a grant.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub blocking_pods: Vec<PodMatchSpec>,
    /// After the reboot, the pods of DaemonSets on the node have to be Ready before its slot is free.
    #[serde(default)]
    pub daemon_sets_ready: bool,
}

/// Pods by namespace and labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodMatchSpec {
    /// Their namespace. Without it, any.
    #[serde(default)]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Their labels. Absent or empty matches all.
    #[serde(default)]
    #[schemars(schema_with = "rules::selector")]
    pub label_selector: Selector,
}

/// How nodes are drained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.mode) || self.mode != 'None' || ((!has(self.emptyDir) || self.emptyDir != 'Block') && (!has(self.unmanaged) || self.unmanaged != 'Block'))",
    "message": "with `mode: None` no pod leaves, so `emptyDir: Block` and `unmanaged: Block` say nothing",
}]))]
pub struct DrainSpec {
    /// Whether pods have to leave before the reboot.
    #[serde(default)]
    pub mode: DrainModeSpec,
    /// What happens if the API server says before the drain that it would refuse evictions.
    #[serde(default)]
    pub preflight: PreflightSpec,
    /// How long a drain may take, such as `10m`, which is the default.
    #[serde(default)]
    #[schemars(schema_with = "rules::length")]
    pub timeout: Option<String>,
    /// How long each pod has to end, whatever it asks for itself.
    #[serde(default)]
    #[schemars(schema_with = "rules::length_or_nothing")]
    pub grace_period: Option<String>,
    /// What happens when the drain did not finish in time.
    #[serde(default)]
    pub on_timeout: OnTimeoutSpec,
    /// Pods with an emptyDir volume, whose content is lost.
    #[serde(default)]
    pub empty_dir: TreatmentSpec,
    /// Pods without a controller, which nobody recreates.
    #[serde(default)]
    pub unmanaged: TreatmentSpec,
    /// Only pods with these labels have to leave; the others stay until the reboot.
    #[serde(default)]
    #[schemars(schema_with = "rules::selector")]
    pub pod_selector: Selector,
    /// Pods in these namespaces stay until the reboot.
    #[serde(default)]
    #[schemars(schema_with = "rules::namespaces")]
    pub skip_namespaces: Vec<String>,
    /// Whether volumes of the pods that left have to be released before the reboot.
    #[serde(default = "yes")]
    pub wait_for_volumes: bool,
    /// How long to wait between the end of the drain and the reboot.
    #[serde(default)]
    #[schemars(schema_with = "rules::length_or_nothing")]
    pub delay: Option<String>,
}

/// What happens when a drain did not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnTimeoutSpec {
    /// The node is uncordoned and tried again later.
    #[default]
    Abort,
    /// Pods that are left are deleted, whatever their disruption budgets say; if that takes as long once more, as `Abort`.
    Delete,
    /// As `Delete`, and if pods are still there then, they are deleted without any grace and the node reboots.
    Force,
}

/// Whether pods have to leave before the reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DrainModeSpec {
    /// They are evicted.
    #[default]
    Evict,
    /// The node is cordoned and rebooted with its pods, which the kubelet's graceful shutdown ends: for clusters that have nowhere else for
    /// them.
    None,
}

/// What happens if refusals are known before the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PreflightSpec {
    /// They are reported, and the drain begins: budgets may have room once the node is cordoned, and webhooks act on real evictions alone.
    #[default]
    Inform,
    /// The node is not cordoned before all its pods would be evicted.
    Require,
}

/// What is done about a pod that loses something by leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TreatmentSpec {
    /// It is evicted like any other.
    #[default]
    Evict,
    /// It is left alone, and the node is not drained while it is there.
    Block,
}

fn yes() -> bool {
    true
}

impl Default for DrainSpec {
    fn default() -> Self {
        Self {
            mode: DrainModeSpec::default(),
            preflight: PreflightSpec::default(),
            timeout: None,
            grace_period: None,
            on_timeout: OnTimeoutSpec::default(),
            empty_dir: TreatmentSpec::default(),
            unmanaged: TreatmentSpec::default(),
            pod_selector: Selector::default(),
            skip_namespaces: Vec::new(),
            wait_for_volumes: true,
            delay: None,
        }
    }
}
