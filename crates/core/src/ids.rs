//! Identifiers: of releases, boots, machines, nodes, pools and grants.
//!
//! All are parsed once, where they enter the program, and are cheap to copy and compare afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} expected {expected}, found {found:?}")]
pub struct ParseNameError {
    what: &'static str,
    expected: &'static str,
    found: String,
}

impl ParseNameError {
    fn new(what: &'static str, expected: &'static str, found: &str) -> Self {
        let found = found.chars().take(80).collect();
        Self {
            what,
            expected,
            found,
        }
    }
}

/// `N` bytes from exactly `2 * N` lower-case hexadecimal digits; anything else is `None`.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value * 16
                + match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
        }
        *byte = value;
    }
    Some(out)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// What a deployment is: the manifest digest of a container image, or the base commit of a plain ostree branch.
///
/// On the wire a digest is `sha256:` and 64 hexadecimal digits, a commit the 64 digits alone. Client-side layered packages do not
/// change the release id: they differ from host to host, and `FinalizeDeployment` compares with the base commit too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReleaseId {
    /// Base commit of a plain ostree origin.
    Commit([u8; 32]),
    /// Manifest digest of a container origin.
    Image([u8; 32]),
}

impl ReleaseId {
    /// The first twelve digits, enough for people to tell versions apart.
    pub fn short(&self) -> String {
        let (Self::Commit(bytes) | Self::Image(bytes)) = self;
        bytes[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl ReleaseId {
    /// Every release id that occurs in `text`; at most [`MENTIONED`].
    pub fn mentioned(text: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut before = "";
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let image = before.eq_ignore_ascii_case("sha256");
            before = word;
            let Some(bytes) = unhex(&word.to_ascii_lowercase()) else {
                continue;
            };
            let identity = match image {
                true => Self::Image(bytes),
                false => Self::Commit(bytes),
            };
            if !found.contains(&identity) && found.len() < MENTIONED {
                found.push(identity);
            }
        }
        found
    }
}

/// The most release ids to look for in one text.
const MENTIONED: usize = 64;

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(bytes) => write_hex(bytes, f),
            Self::Image(bytes) => {
                f.write_str("sha256:")?;
                write_hex(bytes, f)
            }
        }
    }
}

impl FromStr for ReleaseId {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sha256:") {
            Some(digest) => unhex(digest).map(Self::Image),
            None => unhex(text).map(Self::Commit),
        }
        .ok_or_else(|| {
            let expected = "64 lower-case hexadecimal digits, with sha256: before a digest";
            ParseNameError::new("an identity", expected, text)
        })
    }
}

/// One boot of one kernel: the text of `/proc/sys/kernel/random/boot_id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootId([u8; 16]);

impl BootId {
    /// A boot id from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The first four bytes as a number, used to tell grants of different boots apart.
    pub fn salt(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for BootId {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 36 && [8, 13, 18, 23].iter().all(|&dash| bytes[dash] == b'-');
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        (if shaped { unhex(&digits) } else { None })
            .map(Self)
            .ok_or_else(|| ParseNameError::new("a boot id", "a lower-case UUID", text))
    }
}

/// One installation of a host: the text of `/etc/machine-id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId([u8; 16]);

impl MachineId {
    /// Its bytes.
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for MachineId {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unhex(text).map(Self).ok_or_else(|| {
            let expected = "32 lower-case hexadecimal digits";
            ParseNameError::new("a machine id", expected, text)
        })
    }
}

/// A Node's name: a DNS-1123 subdomain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A DNS-1123 subdomain, as the names of cluster-scoped objects are.
fn subdomain(text: &str, what: &'static str) -> Result<Arc<str>, ParseNameError> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let bytes = text.as_bytes();
    if bytes.len() <= 253
        && bytes.iter().all(|c| inner(*c))
        && edge(bytes.first())
        && edge(bytes.last())
    {
        Ok(text.into())
    } else {
        let expected = "a DNS-1123 subdomain (a-z, 0-9, '-' and '.')";
        Err(ParseNameError::new(what, expected, text))
    }
}

impl FromStr for NodeName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        subdomain(text, "a node name").map(Self)
    }
}

/// The name of an UpdatePool. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolName(Arc<str>);

impl PoolName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PoolName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        subdomain(text, "a pool name").map(Self)
    }
}

/// The name of one grant: a number from the ledger, and a salt from the boot it was made for.
///
/// The ledger's numbers only rise, so no two grants share one; the salt keeps ids apart even if somebody deletes the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId {
    /// The number that the ledger gave it.
    pub seq: u64,
    /// [`BootId::salt`] of the boot that the grant was made for.
    pub salt: u32,
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.seq, self.salt)
    }
}

impl FromStr for GrantId {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (seq, salt) = text.split_once('-')?;
            let digits = !seq.is_empty() && seq.bytes().all(|c| c.is_ascii_digit());
            Some(Self {
                seq: digits.then(|| seq.parse().ok())??,
                salt: u32::from_be_bytes(unhex(salt)?),
            })
        };
        parse().ok_or_else(|| {
            ParseNameError::new("a grant id", "a number, '-' and 8 hexadecimal digits", text)
        })
    }
}

/// Serde through the text of a type, as `Display` writes and `FromStr` reads it.
macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use serde_as_text;

/// Implements `Debug` as the text on the wire.
macro_rules! debug_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

debug_as_text!(ReleaseId, BootId, MachineId, NodeName, PoolName, GrantId);
serde_as_text!(ReleaseId, BootId, NodeName, PoolName, GrantId);

#[cfg(test)]
mod tests;
