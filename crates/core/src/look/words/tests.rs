use super::*;
use crate::reason::Code::{
    DiskFull, LayeringConflict, NetworkFailed, OlderVersion, OriginUnusable, SignatureRefused,
    StageFailed,
};

/// Errors of hosts that follow a branch. Texts of rpm-ostree 2026.2 and of public reports, with names replaced; so below.
const BRANCH: &[(Code, &str)] = &[
    (
        NetworkFailed,
        "While pulling fedora/x86_64/coreos/stable: While fetching http://h/summary.sig: [7] Could not connect to server",
    ),
    (
        NetworkFailed,
        "While pulling b: While fetching http://h/summary.sig: Server returned HTTP 500",
    ),
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/summary.sig: Server returned HTTP 503",
    ),
    (
        SignatureRefused,
        "While pulling b: While fetching https://h/summary.sig: Server returned HTTP 401",
    ),
    (SignatureRefused, "Server returned HTTP 401"),
    // What a remote without a word for strangers, or with an entitlement that ran out, says of the first thing that has to be there.
    (
        SignatureRefused,
        "While pulling b: While fetching https://h/refs/heads/b: Server returned HTTP 403",
    ),
    (
        OriginUnusable,
        "While pulling b: While fetching https://h/refs/heads/b: Server returned HTTP 404",
    ),
    (
        OriginUnusable,
        "While pulling b: While fetching https://h/refs/heads/b: Server returned HTTP 410",
    ),
    (
        OriginUnusable,
        "While pulling b: While fetching https://h/config: Server returned HTTP 404",
    ),
    // A remote that is being written to, or a mirror that lags.
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/objects/b0/acc6.filez: Server returned HTTP 404",
    ),
    (NetworkFailed, "While pulling b: Server returned HTTP 404"),
    (
        NetworkFailed,
        "While fetching http://h/config: [6] Could not resolve host: h",
    ),
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/summary: [28] Timeout was reached",
    ),
    (NetworkFailed, "[28] Timeout was reached"),
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/summary: [35] TLS connect error: error:0A000126:SSL routines::unexpected eof while reading",
    ),
    (
        NetworkFailed,
        "Error performing TLS handshake: An unexpected TLS packet was received.",
    ),
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/summary: [56] CONNECT tunnel failed, response 403",
    ),
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/summary: [60] SSL peer certificate or SSH remote key was not OK",
    ),
    (
        NetworkFailed,
        "While pulling b: While fetching https://h/objects/aa.filez: [92] Stream error in the HTTP/2 framing layer",
    ),
    (
        NetworkFailed,
        "While pulling b: Failure when receiving data from the peer",
    ),
    (
        NetworkFailed,
        "Error resolving 'h': Name or service not known",
    ),
    (
        NetworkFailed,
        "While pulling b: No valid mirrors were found in mirrorlist 'https://h/mirrorlist'",
    ),
    (
        NetworkFailed,
        "Importing GPG keys: While fetching https://h/keys: [7] Could not connect to server",
    ),
    (
        SignatureRefused,
        "While pulling b: Commit 1e39: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)",
    ),
    (
        SignatureRefused,
        "While pulling b: Commit 1e39: Can't check signature: public key not found",
    ),
    (
        SignatureRefused,
        "GPG signatures found, but none are in trusted keyring",
    ),
    (
        SignatureRefused,
        "No detached metadata found for commit 1e39",
    ),
    (
        DiskFull,
        "min-free-space-percent '3%' would be exceeded, at least 12.3 MB requested",
    ),
    (DiskFull, "While pulling b: No space left on device"),
    (
        DiskFull,
        "While pulling b: Writing content object: min-free-space-size 921600MB would be exceeded, at least 36.9 kB requested",
    ),
    (
        DiskFull,
        "Installing kernel: regfile copy: No space left on device",
    ),
    (
        DiskFull,
        "While pulling b: Writing content object: Disk quota exceeded",
    ),
    (
        OlderVersion,
        "While pulling b: Upgrade target revision '92f8' with timestamp 'Sun' is chronologically older than current revision '9b3b' with timestamp 'Mon'; use --allow-downgrade to permit",
    ),
    (
        OriginUnusable,
        "origin unconfigured-state: set up a subscription first",
    ),
    (
        OriginUnusable,
        "Cannot look up version while pinned to commit",
    ),
    (
        OriginUnusable,
        "While pulling b: No such branch 'b' in repository summary",
    ),
    (OriginUnusable, "Checksum aaaa not found in fedora:b"),
    // What `remote-error` of a deployment says, too.
    (OriginUnusable, "Remote \"fedora\" not found"),
    (StageFailed, "While pulling b: Operation was cancelled"),
    (StageFailed, "While pulling b: Not normal form"),
    (
        StageFailed,
        "Staging deployment: Cleaning deployments: Removing d.0: unlinkat(registries.conf): Operation not permitted",
    ),
    (StageFailed, "Something that nobody has seen yet"),
];

/// What comes before the cause on hosts that follow an image: that of 2026.2, the doubled one of 2025, and the one before.
const OPEN: [&str; 3] = [
    "Preparing import: Fetching manifest: failed to invoke method OpenImage: ",
    "Creating importer: failed to invoke method OpenImage: failed to invoke method OpenImage: ",
    "Creating importer: Failed to invoke skopeo proxy method OpenImage: remote error: ",
];

/// Causes that follow [`OPEN`].
const REGISTRY: &[(Code, &str)] = &[
    (
        NetworkFailed,
        "pinging container registry h: Get \"http://h/v2/\": dial tcp h: connect: connection refused",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": dial tcp 192.0.2.1:443: i/o timeout",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": dial tcp: lookup h: no such host",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": dial tcp: lookup h on 127.0.0.53:53: server misbehaving",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": dial tcp: lookup h: Temporary failure in name resolution",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": dial tcp 192.0.2.1:443: connect: no route to host",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": dial tcp [2001:db8::1]:443: connect: network is unreachable",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": read tcp 192.0.2.9:4321->192.0.2.1:443: read: connection reset by peer",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": net/http: TLS handshake timeout",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": x509: certificate has expired or is not yet valid: current time is before",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": proxyconnect tcp: dial tcp 192.0.2.2:3128: connect: connection refused",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": Proxy Authentication Required",
    ),
    (
        NetworkFailed,
        "pinging container registry h: Get \"https://h/v2/\": context deadline exceeded",
    ),
    (
        NetworkFailed,
        "Get \"https://pkg-containers.example.com/ghcr1/blobs/sha256:e550?sig=P%2B\": net/http: TLS handshake timeout",
    ),
    (
        NetworkFailed,
        "Get \"https://h/v2/fcos/manifests/stable\": EOF",
    ),
    (
        NetworkFailed,
        "reading manifest stable in h/fcos: received unexpected HTTP status: 500 Internal Server Error",
    ),
    (
        NetworkFailed,
        "pinging container registry h: received unexpected HTTP status: 502 Bad Gateway",
    ),
    (
        NetworkFailed,
        "pinging container registry h: StatusCode: 503, \"\"",
    ),
    (
        NetworkFailed,
        "Requesting bearer token: invalid status code from registry 503 (Service Unavailable)",
    ),
    (
        NetworkFailed,
        "reading manifest latest in docker.io/a/os: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
    ),
    (
        NetworkFailed,
        "reading manifest latest in docker.io/a/os: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
    ),
    (
        NetworkFailed,
        "pinging container registry h: StatusCode: 429, \"Too Many Requests\"",
    ),
    (
        NetworkFailed,
        "reading signatures: Get \"https://h/sigstore/fcos@sha256=1e39/signature-1\": dial tcp: lookup h: no such host",
    ),
    (
        NetworkFailed,
        "reading signature from https://h/sigstore/fcos@sha256=1e39/signature-1: received unexpected HTTP status: 503 Service Unavailable",
    ),
    (
        SignatureRefused,
        "reading manifest stable in registry.example.com/acme/os: StatusCode: 403 (Forbidden)",
    ),
    (
        SignatureRefused,
        "pinging container registry h: StatusCode: 403, \"\"",
    ),
    (
        SignatureRefused,
        "Requesting bearer token: invalid status code from registry 403 (Forbidden)",
    ),
    (
        SignatureRefused,
        "pinging container registry h: received unexpected HTTP status: 403 Forbidden",
    ),
    (
        SignatureRefused,
        "reading manifest stable in h/fcos: authentication required",
    ),
    (
        SignatureRefused,
        "pinging container registry h: StatusCode: 401, \"\"",
    ),
    (
        SignatureRefused,
        "reading manifest v2 in quay.io/a/coreos: unauthorized: access to the requested resource is not authorized",
    ),
    (
        SignatureRefused,
        "unable to retrieve auth token: invalid username/password: unauthorized",
    ),
    (
        SignatureRefused,
        "(Mirrors also failed: [ghcr.io/a/os:stable: unable to retrieve auth token: invalid username/password: unauthorized]): ghcr.io/a/os:stable: unable to retrieve auth token: invalid username/password: unauthorized",
    ),
    (
        SignatureRefused,
        "reading manifest testing in docker.io/a/os: requested access to the resource is denied",
    ),
    (
        SignatureRefused,
        "reading manifest testing in docker.io/a/os: errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n",
    ),
    (
        SignatureRefused,
        "reading manifest latest in ghcr.io/a/os: denied",
    ),
    (
        SignatureRefused,
        "reading manifest latest in ghcr.io/a/os: denied: denied",
    ),
    (
        SignatureRefused,
        "reading manifest latest in 1.dkr.ecr.example.com/os: denied: Your authorization token has expired. Reauthenticate and try again.",
    ),
    (
        SignatureRefused,
        "getting username and password: 1 error occurred:\n\t* reading JSON file \"/etc/ostree/auth.json\": open /etc/ostree/auth.json: permission denied",
    ),
    (
        SignatureRefused,
        "A signature was required, but no signature exists",
    ),
    (
        SignatureRefused,
        "cryptographic signature verification failed: invalid signature when validating ASN.1 encoded signature",
    ),
    (
        SignatureRefused,
        "Source image rejected: Running image docker://ghcr.io/a/os:latest is rejected by policy.",
    ),
    (
        SignatureRefused,
        "open /etc/pki/containers/acme.pub: no such file or directory",
    ),
    (
        SignatureRefused,
        "open /etc/containers/policy.json: no such file or directory",
    ),
    (
        SignatureRefused,
        "invalid policy in \"/etc/containers/policy.json\": Unknown policy requirement type \"sigstore\"",
    ),
    (
        OriginUnusable,
        "reading manifest stable in h/fcos: manifest unknown",
    ),
    (
        OriginUnusable,
        "reading manifest sha256:aaaa in h/fcos: manifest unknown: Tag stable was deleted or has expired. To pull, revive via time machine",
    ),
    (
        OriginUnusable,
        "reading manifest stable in h/fcos: name unknown: repository name not known to registry",
    ),
    (
        OriginUnusable,
        "reading manifest stable in h/fcos: StatusCode: 404, \"404 page not found\"",
    ),
    (
        OriginUnusable,
        "pinging container registry h: received unexpected HTTP status: 404 Not Found",
    ),
    (
        OriginUnusable,
        "Requesting bearer token: invalid status code from registry 404 (Not Found)",
    ),
    (OriginUnusable, "invalid reference format"),
    (
        OriginUnusable,
        "choosing image instance: no image found in manifest list for architecture \"arm64\", variant \"v8\", OS \"linux\"",
    ),
    (
        OriginUnusable,
        "open /var/lib/os.oci/index.json: no such file or directory",
    ),
    (
        StageFailed,
        "something of which nobody has heard, in h/gnutls-tls-gpg-signature-os",
    ),
];

/// What else is reported of images.
const IMAGE: &[(Code, &str)] = &[
    (
        StageFailed,
        "Creating importer: Failed to spawn skopeo: No such file or directory (os error 2)",
    ),
    (
        StageFailed,
        "Preparing import: Fetching manifest: Failed to spawn skopeo: No such file or directory (os error 2)",
    ),
    (
        StageFailed,
        "Creating importer: skopeo proxy unexpectedly exited during request method Initialize: exit status: 127\nsetpriv: landlock_create_ruleset failed: No message of desired type",
    ),
    (
        SignatureRefused,
        "Preparing import: Fetching manifest: containers-policy.json specifies a default of `insecureAcceptAnything`; refusing usage",
    ),
    (
        OriginUnusable,
        "Preparing import: Fetching manifest: Target image does not have ostree.bootable label",
    ),
    (
        OlderVersion,
        "While checking against deployment timestamp: Upgrade target revision '92f8' with timestamp 'Sun' is chronologically older than current revision '9b3b' with timestamp 'Mon'; use --allow-downgrade to permit",
    ),
    (
        NetworkFailed,
        "Importing: Unencapsulating base: failed to invoke method GetBlob: Get \"https://h/v2/os/blobs/sha256:40db\": net/http: TLS handshake timeout",
    ),
    (
        DiskFull,
        "Importing: Unencapsulating base: Layer sha256:58f6: Importing objects: Importing object 08/971f.file: Processing content object 08971f: Importing regfile small: Writing content object: min-free-space-percent '3%' would be exceeded, at least 20,5 KB requested",
    ),
    (
        DiskFull,
        "Importing: Parsing layer blob sha256:7c5c: Failed to commit tar: ExitStatus(unix_wait_status(256)): error: ostree-tar: Writing content object: No space left on device (os error 28)",
    ),
    (
        StageFailed,
        "Importing: Unencapsulating base: Layer sha256:52d3: Importing objects: Importing object a4/ff2d.file: Processing content object a4ff2d: fstatat(a4/ff2d.file): Permission denied",
    ),
];

/// What is reported where packages are layered, whatever is below them.
const LAYERED: &[(Code, &str)] = &[
    (LayeringConflict, "No enabled repositories"),
    (LayeringConflict, "Packages not found: lab-layer"),
    (
        LayeringConflict,
        "Could not depsolve transaction; 1 problem detected:\n Problem: conflicting requests",
    ),
    (
        LayeringConflict,
        "Could not depsolve transaction; 1 problem detected:\n Problem: package gpgme-1.24.x86_64 from updates requires gnutls >= 3.8, but none of the providers can be installed",
    ),
    (
        LayeringConflict,
        "Could not depsolve transaction; 6 problems detected:\n Problem 1: The operation would result in removing the following protected packages: systemd, systemd-udev",
    ),
    (
        LayeringConflict,
        "Some base packages would be replaced: foo-1-1.noarch",
    ),
    (
        LayeringConflict,
        "Base packages would be removed: foo-1-1.noarch",
    ),
    (
        LayeringConflict,
        "While applying overrides for pkg foo: Could not find package",
    ),
    (
        LayeringConflict,
        "Cannot operate; `LockLayering=true` in configuration.",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'copr-acme': cannot download repomd.xml: Status code: 404 for https://copr.example.com/acme/repodata/repomd.xml",
    ),
    (
        SignatureRefused,
        "Updating rpm-md repo 'acme': cannot update repo 'acme': Cannot download repomd.xml: Status code: 401",
    ),
    (
        SignatureRefused,
        "Updating rpm-md repo 'acme': cannot update repo 'acme': Cannot download repomd.xml: Status code: 403",
    ),
    (
        OriginUnusable,
        "Updating rpm-md repo 'acme': cannot update repo 'acme': Cannot download repomd.xml: Status code: 410",
    ),
    (
        OriginUnusable,
        "Updating rpm-md repo 'acme': cannot update repo 'acme': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried; Last error: Status code: 410 for https://h/repodata/repomd.xml (IP: 192.0.2.3)",
    ),
    (
        NetworkFailed,
        "Cannot download Packages/g/gone-1.x86_64.rpm: All mirrors were tried; Last error: Status code: 410 for https://h/gone.rpm",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'lab': cannot update repo 'lab': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried; Last error: Status code: 404 for https://h/repodata/repomd.xml (IP: 192.0.2.3)",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'terra': cannot update repo 'terra': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried; Last error: Curl error (60): SSL peer certificate or SSH remote key was not OK for https://h/repomd.xml [SSL: no alternative certificate subject name matches target hostname 'h']",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'c': cannot update repo 'c': Cannot prepare internal mirrorlist: Curl error (6): Couldn't resolve host name for https://mirrors.example.com/metalink?repo=c [Could not resolve host: mirrors.example.com]",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'c': cannot update repo 'c': Cannot prepare internal mirrorlist: No URLs in mirrorlist",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'fedora': cannot update repo 'fedora': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried; Last error: Downloading successful, but checksum doesn't match. Calculated: 2030a4",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'updates': cannot update repo 'updates': Yum repo downloading error: Downloading error(s): repodata/364a-primary.xml.zck - Download failed: Curl error (23): Failed writing received data to disk/application for http://h/364a-primary.xml.zck [Failure writing output to destination, passed 196 returned 0]; repodata/fa2c-updateinfo.xml.zck - Cannot download, all mirrors were already tried without success; Last error: Status code: 416 for https://h/fa2c",
    ),
    (
        NetworkFailed,
        "Cannot download Packages/r/runc-1.1.8-1.fc40.x86_64.rpm: All mirrors were tried; Last error: Curl error (6): Couldn't resolve host name for http://h/runc.rpm [Could not resolve host: h]",
    ),
    (
        NetworkFailed,
        "Cannot download Packages/g/gpgme-1.24.x86_64.rpm: All mirrors were tried; Last error: Status code: 404 for https://h/gpgme.rpm",
    ),
    (
        NetworkFailed,
        "Downloading from 'updates': Curl error (55): Failed sending data to the peer for https://h/x.rpm []",
    ),
    (
        NetworkFailed,
        "Error downloading packages:\n  Curl error (28): Timeout was reached for https://h/x.rpm [Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds]",
    ),
    (
        SignatureRefused,
        "Updating rpm-md repo 'updates-archive': cannot update repo 'updates-archive': Yum repo downloading error: Downloading error(s): repodata/2e7d-filelists.xml.zck - Cannot download, all mirrors were already tried without success; Last error: Status code: 403 for https://h/2e7d (IP: 192.0.2.4)",
    ),
    (
        SignatureRefused,
        "Updating rpm-md repo 'acme': cannot update repo 'acme': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried; Last error: Status code: 401 for https://h/repomd.xml",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'acme': cannot update repo 'acme': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried; Last error: Status code: 503 for https://h/repomd.xml",
    ),
    (
        OriginUnusable,
        "Failed to download gpg key for repo 'copr-acme': Curl error (22): HTTP response code said error for https://copr.example.com/acme/pubkey.gpg [The requested URL returned error: 404]",
    ),
    (
        SignatureRefused,
        "Failed to download gpg key for repo 'acme': Curl error (22): HTTP response code said error for https://h/pubkey.gpg [The requested URL returned error: 403]",
    ),
    (
        SignatureRefused,
        "Failed to download gpg key for repo 'acme': Curl error (22): HTTP response code said error for https://h/pubkey.gpg [The requested URL returned error: 401]",
    ),
    (
        OriginUnusable,
        "Failed to download gpg key for repo 'acme': Curl error (22): HTTP response code said error for https://h/pubkey.gpg [The requested URL returned error: 410]",
    ),
    (
        NetworkFailed,
        "Failed to download gpg key for repo 'acme': Curl error (22): HTTP response code said error for https://h/pubkey.gpg [The requested URL returned error: 503]",
    ),
    (
        NetworkFailed,
        "Updating rpm-md repo 'acme': Failed to download gpg key for repo 'acme': Curl error (6): Couldn't resolve host name for https://h/key [Could not resolve host: h]",
    ),
    (
        NetworkFailed,
        "Failed to download gpg key for repo 'acme': Curl error (28): Timeout was reached for https://h/pubkey.gpg [Connection timed out after 30001 milliseconds]",
    ),
    (
        SignatureRefused,
        "Updating rpm-md repo 'nv': Failed to download gpg key for repo 'nv': Curl error (37): Couldn't read a file:// file for file:///usr/share/keys/nv [Couldn't open file /usr/share/keys/nv]",
    ),
    (
        SignatureRefused,
        "Updating rpm-md repo '1password': cannot update repo '1password': repomd.xml GPG signature verification error: Signing key not found",
    ),
    (
        SignatureRefused,
        "package cuda-9.0.176-1.x86_64 cannot be verified and repo cuda is GPG enabled: failed to lookup digest in keyring for /var/cache/cuda.rpm",
    ),
    (
        SignatureRefused,
        "failed to parse public key for /var/cache/rpm-ostree/repomd/keybase-35-x86_64/code_signing_key.asc",
    ),
    (
        DiskFull,
        "Unpacking gpgme-1.24-1.x86_64: fallocate: No space left on device",
    ),
    (
        DiskFull,
        "installing package kernel-6.9.2-200.fc40.x86_64 needs 12MB more space on the / filesystem",
    ),
    (
        DiskFull,
        "At least 40MB more space needed on the / filesystem.",
    ),
    (
        DiskFull,
        "Writing rpmdb: sqlite failure: INSERT INTO 'Packages': database or disk is full",
    ),
    (
        StageFailed,
        "Running %posttrans for gnutls-3.8.6-1.fc40.x86_64: bwrap(/bin/sh): Child process killed by signal 1",
    ),
    (
        StageFailed,
        "Checkout perl-Digest-Signature-1.2: Hardlinking 3f/1a.file to gpg.1.gz: File exists",
    ),
    (
        StageFailed,
        "Importing package 'gpgme-1.24': Permission denied",
    ),
];

/// All of the above.
fn table() -> Vec<(Code, String)> {
    let rows = |rows: &[(Code, &str)], before: &str| -> Vec<_> {
        let rows = rows.iter();
        rows.map(|(code, text)| (*code, format!("{before}{text}")))
            .collect()
    };
    let mut table = rows(&[BRANCH, IMAGE, LAYERED].concat(), "");
    for before in OPEN {
        table.extend(rows(REGISTRY, before));
    }
    table
}

#[test]
fn failures_are_told_apart_by_their_words() {
    let table = table();
    let wrong = table.iter().filter(|(code, text)| class(text) != *code);
    let wrong = wrong.map(|(code, text)| format!("{code}, not {}: {text}", class(text)));
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_word_is_that_of_a_known_text() {
    let texts: Vec<_> = table().into_iter().map(|(_, text)| line(&text)).collect();
    let words = CLASSES.iter().flat_map(|(_, words)| words.iter());
    let idle: Vec<_> = words
        .filter(|words| !texts.iter().any(|text| has(text, words)))
        .collect();
    assert_eq!(idle, Vec::<&&str>::new());
}
