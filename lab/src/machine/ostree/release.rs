//! What a remote or a registry offers, and how its names follow from a version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zbus::Variant;

use super::files::LabFile;
use super::origin::Origin;

/// One version of the operating system. Commit and digest follow from the version, so they are the same on every host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// `version` of the commit or of the image label.
    pub version: String,
    /// Commit time, seconds since 1970.
    pub timestamp: u64,
}

impl Release {
    /// A release whose time follows from its version: a component of eight digits is its day, otherwise the numbers in it count.
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            timestamp: timestamp(version),
        }
    }

    /// Commit on a plain ostree branch, 64 hexadecimal digits.
    pub fn commit(&self) -> String {
        sha256(&format!("commit {}", self.version))
    }

    /// Manifest digest of the container image, with `sha256:`.
    pub fn digest(&self) -> String {
        format!("sha256:{}", sha256(&format!("image {}", self.version)))
    }

    /// Digest of the list that has the image of each architecture: it can be asked for, and no host shows it. A host shows the digest of
    /// the image of its own architecture (skopeo 1.22, `GetManifest` of its proxy).
    pub fn list_digest(&self) -> String {
        format!("sha256:{}", sha256(&format!("list {}", self.version)))
    }

    /// The local commit that an import of the image makes; it is not the commit inside the image.
    pub fn merge_commit(&self) -> String {
        sha256(&format!("merge {}", self.version))
    }

    /// Whether the commit inside the image is signed: Fedora CoreOS has not done that since its release 43
    /// (coreos/fedora-coreos-tracker 2029).
    pub fn has_signed_commit(&self) -> bool {
        let major = self.version.split('.').next();
        let major = major.and_then(|major| major.parse::<u32>().ok());
        major.is_none_or(|major| major < 43)
    }
}

/// Lower-case hexadecimal SHA-256 of a text.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut out, byte| {
            // Writing to a String can't fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

fn timestamp(version: &str) -> u64 {
    const START: u64 = 1_704_103_200; // 2024-01-01 10:00 UTC
    let day = version
        .split('.')
        .find(|part| part.len() == 8)
        .and_then(|part| jiff::civil::Date::strptime("%Y%m%d", part).ok())
        .and_then(|date| date.at(10, 0, 0, 0).in_tz("UTC").ok())
        .and_then(|time| u64::try_from(time.timestamp().as_second()).ok());
    day.unwrap_or_else(|| {
        let numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse::<u64>().ok());
        numbers
            .zip([86_400, 3_600, 60])
            .fold(START, |sum, (number, weight)| {
                sum + number % 10_000 * weight
            })
    })
}

/// What the other end answers: `lab/remote.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Everything that can be fetched by commit, version or digest.
    pub releases: Vec<Release>,
    /// Version that branches and tags point at.
    pub newest: String,
    /// Branches and tags that point at another version, or that do not exist, by [`Origin::name`].
    #[serde(default)]
    pub heads: BTreeMap<String, Option<String>>,
    /// Versions that are had in some places alone: branches, by [`Origin::name`], and repositories, by [`Origin::repository`].
    #[serde(default)]
    pub places: BTreeMap<String, BTreeSet<String>>,
    /// Packages of versions, each with its epoch, version and release; those that are alike everywhere are not listed.
    #[serde(default)]
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
    /// Versions whose images have no signature.
    #[serde(default)]
    pub unsigned: BTreeSet<String>,
    /// Set while the other end can't be used.
    pub trouble: Option<Trouble>,
    /// Set while layered packages can't be had.
    pub layers: Option<Layers>,
}

/// A package that differs: its name, what became of it, and the package before and after (`build_diff_variant`, v2026.2).
pub(super) type PackageDiff = (String, u32, HashMap<String, Variant<'static>>);

/// Why nothing can be fetched. The texts are those of rpm-ostree 2026.2, see [`super::texts::trouble`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// Nobody listens.
    Down,
    /// The server answers everything with this status.
    Status(u16),
    /// The branch or tag does not exist.
    NoSuchBranch,
    /// GPG verification is on, the commit has no signature.
    Unsigned,
    /// The disk of the host is full.
    DiskFull,
    /// The disk of the host is as full as ostree lets it be.
    DiskReserved,
}

impl Trouble {
    /// Whether it is the host's own disk.
    pub(super) fn is_of_the_disk(self) -> bool {
        matches!(self, Self::DiskFull | Self::DiskReserved)
    }
}

/// What is wrong with the repository of layered packages; only hosts that have some notice. The texts are in [`super::texts::layers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layers {
    /// Its metadata is not there.
    NoMetadata,
    /// It does not have the packages any more.
    NoPackages,
}

impl LabFile for Remote {
    const NAME: &'static str = "remote.json";
}

impl Remote {
    /// A remote at `newest` that offers nothing else.
    pub fn new(newest: &str) -> Self {
        Self {
            releases: vec![Release::new(newest)],
            newest: newest.to_owned(),
            heads: BTreeMap::new(),
            places: BTreeMap::new(),
            packages: BTreeMap::new(),
            unsigned: BTreeSet::new(),
            trouble: None,
            layers: None,
        }
    }

    /// Offers `version`, so that it can be fetched by commit, version or digest; no branch and no tag moves.
    pub fn offer(&mut self, version: &str) {
        if self.find(|release| release.version == version).is_none() {
            self.releases.push(Release::new(version));
        }
    }

    /// Offers `version` and points at it whatever does not point elsewhere ([`Remote::point`]).
    pub fn publish(&mut self, version: &str) {
        self.offer(version);
        version.clone_into(&mut self.newest);
    }

    /// Offers `version` and points the branch or tag of this name at it, and nothing else: from then on it moves alone.
    pub fn point(&mut self, name: &str, version: &str) {
        self.offer(version);
        self.heads.insert(name.to_owned(), Some(version.to_owned()));
    }

    /// Removes the branch or tag of this name. What it pointed at can still be fetched.
    pub fn retire(&mut self, name: &str) {
        self.heads.insert(name.to_owned(), None);
    }

    /// Offers `version` in these branches and repositories alone; with none of them, a commit can still be fetched by its checksum.
    pub fn confine(&mut self, version: &str, places: &[&str]) {
        self.offer(version);
        let places = places.iter().map(|place| (*place).to_owned());
        self.places.insert(version.to_owned(), places.collect());
    }

    /// Gives `version` a package.
    pub fn pack(&mut self, version: &str, package: &str, evr: &str) {
        let packages = self.packages.entry(version.to_owned()).or_default();
        packages.insert(package.to_owned(), evr.to_owned());
    }

    /// What differs between the packages of two versions.
    pub(super) fn differ(&self, from: &str, to: &str) -> Vec<PackageDiff> {
        let none = BTreeMap::new();
        let [from, to] = [from, to].map(|version| self.packages.get(version).unwrap_or(&none));
        let names: BTreeSet<_> = from.keys().chain(to.keys()).collect();
        let differ = names
            .into_iter()
            .filter(|name| from.get(*name) != to.get(*name));
        let package = |name: &String, evr: &String| {
            Variant::from((name.clone(), evr.clone(), "x86_64".to_owned()))
        };
        let diff = differ.map(|name| {
            let (old, new) = (from.get(name), to.get(name));
            // As `RpmOstreePackageDiff` numbers them; which of two versions is newer is not looked at.
            let kind = match (old, new) {
                (None, _) => 0,
                (_, None) => 1,
                (Some(_), Some(_)) => 2,
            };
            let sides = [("PreviousPackage", old), ("NewPackage", new)];
            let sides = sides
                .into_iter()
                .filter_map(|(side, evr)| Some((side.to_owned(), package(name, evr?))));
            (name.clone(), kind, sides.collect())
        });
        diff.collect()
    }

    /// The first release that fits.
    pub fn find(&self, fits: impl Fn(&Release) -> bool) -> Option<&Release> {
        self.releases.iter().find(|release| fits(release))
    }

    /// What branches and tags point at that do not point elsewhere.
    pub fn head(&self) -> Option<&Release> {
        self.find(|release| release.version == self.newest)
    }

    /// What this branch or tag points at.
    pub fn head_of(&self, origin: &Origin) -> Option<&Release> {
        let version = match self.heads.get(origin.name()) {
            Some(elsewhere) => elsewhere.as_ref()?,
            None => &self.newest,
        };
        self.find_in(origin, |release| release.version == *version)
    }

    /// The first release that fits among those of the branch or repository.
    pub(super) fn find_in(
        &self,
        origin: &Origin,
        fits: impl Fn(&Release) -> bool,
    ) -> Option<&Release> {
        let place = origin.repository();
        self.find(|release| {
            let places = self.places.get(&release.version);
            places.is_none_or(|places| places.contains(place)) && fits(release)
        })
    }
}
