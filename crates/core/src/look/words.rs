//! Classifies failures by rpm-ostree's error messages, because it has neither codes nor names for what goes wrong in a transaction.
//!
//! The words are ostree's, those of skopeo and its libraries for images, and libdnf's and librepo's for packages that are layered. Each
//! is in a text of the tests. Names of packages, files and hosts are among the words as well, so none of these is a word that a name may
//! have in it.

use crate::reason::Code;

/// The class of a failure. An unknown message is [`Code::StageFailed`], whose reason quotes it.
pub fn class(text: &str) -> Code {
    let text = line(text);
    let found = CLASSES
        .iter()
        .find(|(_, words)| words.iter().any(|word| has(&text, word)));
    found.map_or(Code::StageFailed, |(code, _)| *code)
}

/// `text` as one line in lower case. It begins with a space, which some patterns need to tell a word from part of a name.
fn line(text: &str) -> String {
    let words = text.split_whitespace();
    words.fold(String::new(), |line, word| {
        line + " " + &word.to_lowercase()
    })
}

/// `text` has all parts of `words`, in their order; they are divided by '…'.
fn has(text: &str, words: &str) -> bool {
    let mut rest = Some(text);
    words.split('…').all(|part| {
        rest = rest.and_then(|text| text.split_once(part).map(|(_, after)| after));
        rest.is_some()
    })
}

/// In this order, for what can't be fetched quotes much else.
pub(super) const CLASSES: &[(Code, &[&str])] = &[
    // Nobody was reached, so nothing was refused, whatever was to be fetched: keys and signatures come over the network too. A certificate
    // that is not believed is mostly a proxy's, or that of a clock which is wrong.
    (
        Code::NetworkFailed,
        &[
            "connect to server",
            "connection refused",
            "connection reset",
            "connection timed out",
            "i/o timeout",
            "timeout was reached",
            "context deadline exceeded",
            "resolve host",
            "error resolving",
            "no such host",
            "server misbehaving",
            "no route to host",
            "network is unreachable",
            "temporary failure",
            "tls handshake",
            "tls connect error",
            "x509: certificate",
            "ssl peer certificate",
            "proxyconnect",
            "proxy authentication required",
            "connect tunnel failed",
            "failure when receiving data",
            "failed sending data",
        ],
    ),
    // Somebody was, who can't answer now, or not so often.
    (
        Code::NetworkFailed,
        &[
            "returned http 5",
            "http status: 5",
            "statuscode: 5",
            "status code: 5",
            "from registry 5",
            "url returned error: 5",
            "statuscode: 429",
            "too many requests",
            "toomanyrequests",
        ],
    ),
    (
        Code::DiskFull,
        &[
            "min-free-space",
            "no space left on device",
            "disk quota exceeded",
            "disk is full",
            "more space on the",
            "more space needed on the",
        ],
    ),
    (
        Code::OlderVersion,
        &[
            "chronologically older",
            "while checking against deployment timestamp",
        ],
    ),
    (
        Code::LayeringConflict,
        &[
            "could not depsolve",
            "base packages would be",
            "packages not found",
            "no enabled repositories",
            "while applying overrides",
            "locklayering",
        ],
    ),
    // The key of a package repository: deleted, not accessible to this host, missing on it, or not reachable now.
    (
        Code::OriginUnusable,
        &[
            "failed to download gpg key…url returned error: 404",
            "failed to download gpg key…url returned error: 410",
        ],
    ),
    (
        Code::SignatureRefused,
        &[
            "failed to download gpg key…url returned error: 401",
            "failed to download gpg key…url returned error: 403",
            "failed to download gpg key…file://",
        ],
    ),
    (Code::NetworkFailed, &["failed to download gpg key"]),
    // Anything else of such a repository. It may be there again at any time, on another mirror or with the next metadata, unless this host
    // has to prove that it may fetch it, or the server says that there will be no such repository any more.
    (
        Code::SignatureRefused,
        &["status code: 401", "status code: 403"],
    ),
    (
        Code::OriginUnusable,
        &["cannot download repomd.xml…status code: 410"],
    ),
    (
        Code::NetworkFailed,
        &[
            "status code: 404 for",
            "all mirrors were",
            "internal mirrorlist",
        ],
    ),
    // An image in a folder of the host: its absence is no missing key.
    (
        Code::OriginUnusable,
        &["open /…index.json: no such file or directory"],
    ),
    (
        Code::SignatureRefused,
        &[
            " gpg ",
            " signature",
            "public key not found",
            "failed to parse public key",
            "no detached metadata",
            "refusing usage",
            "rejected by policy",
            "/policy.json",
            // Keys that the policy names.
            "openimage: open /…no such file or directory",
            "remote error: open /…no such file or directory",
            "getting username and password",
            "unauthorized",
            "authentication required",
            "access to the resource is denied",
            ": denied",
            "returned http 401",
            "returned http 403",
            "http status: 403",
            "statuscode: 401",
            "statuscode: 403",
            "from registry 403",
        ],
    ),
    (
        Code::OriginUnusable,
        &[
            "unconfigured-state",
            "pinned to commit",
            "no such branch",
            "/refs/heads/…returned http 404",
            "/refs/heads/…returned http 410",
            "/config: server returned http 404",
            "manifest unknown",
            "name unknown",
            "statuscode: 404",
            "http status: 404",
            "from registry 404",
            "no image found in",
            "ostree.bootable label",
            "invalid reference format",
            "not found in ",
            "\" not found",
        ],
    ),
    (
        Code::NetworkFailed,
        &[
            "returned http",
            "http status",
            "while fetching",
            "get \"http",
            "pinging container registry",
            "no valid mirrors",
        ],
    ),
];

#[cfg(test)]
mod tests;
