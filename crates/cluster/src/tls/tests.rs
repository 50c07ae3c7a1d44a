//! Certificates and keys as they come from elsewhere, made and served by OpenSSL.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::credentials::CredentialsError;
use crate::double::PROGRAM;
use crate::node::{Keep, get_node};
use crate::{ApiError, ClientSource, Credentials};

/// A folder with certificates and keys: `NAME.crt` and `NAME.key`.
struct Made(tempfile::TempDir);

impl Made {
    /// Without OpenSSL there is none, and it is said.
    fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            eprintln!("SKIPPED: there is no openssl");
            return None;
        }
        let made = Self(tempfile::tempdir().unwrap());
        made.authority("ca", "P-256");
        Some(made)
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path());
        let output = command.args(arguments.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
    }

    /// A certificate that signed itself.
    fn authority(&self, name: &str, curve: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -noenc -keyout {name}.key -out {name}.crt -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
        ));
    }

    /// A certificate for this machine that `by` signed.
    fn signed(&self, name: &str, curve: &str, by: &str) {
        let extensions = "subjectAltName = IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n";
        std::fs::write(self.path().join("extensions"), extensions).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:{curve} -noenc -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.crt -CAkey {by}.key -CAcreateserial -out {name}.crt -extfile extensions"
        ));
    }

    /// The same in version 1: without a version and without extensions. Not every OpenSSL makes such, and nobody gets as far as to its
    /// signature.
    fn old(&self, name: &str) {
        self.signed(name, "P-256", "ca");
        self.openssl(&format!("x509 -in {name}.crt -outform DER -out der"));
        let der = std::fs::read(self.path().join("der")).unwrap();
        let (_, whole, _) = element(&der);
        let (_, mut fields, signature) = element(whole);
        let mut kept = Vec::new();
        while !fields.is_empty() {
            let (kind, content, rest) = element(fields);
            if ![0xa0, 0xa3].contains(&kind) {
                kept.extend(encoded(kind, content));
            }
            fields = rest;
        }
        let whole = [encoded(0x30, &kept), signature.to_vec()].concat();
        std::fs::write(self.path().join("der"), encoded(0x30, &whole)).unwrap();
        self.openssl(&format!("x509 -inform DER -in der -out {name}.crt"));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Has the Node asked for at this server by who has these.
    async fn ask(
        &self,
        server: &str,
        authority: &str,
        user: &str,
    ) -> (std::path::PathBuf, ApiError) {
        let path = self.path().join("kubeconfig");
        let text = format!(
            "current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: 'https://{server}', certificate-authority: {authority}.crt}}}}]
users: [{{name: u, user: {{{user}}}}}]
"
        );
        std::fs::write(&path, text).unwrap();
        let credentials = Credentials::File {
            path: path.clone(),
            root: "/".into(),
        };
        let source = ClientSource::start(credentials, PROGRAM).await;
        let error = get_node(&source, "n1", &Keep::default()).await.unwrap_err();
        (path, error)
    }
}

/// A server of TLS; its output is read as long as it lives, or it would wait for that.
struct Server {
    child: Child,
    address: String,
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(made: &Made, name: &str) -> Self {
        let mut command = Command::new("openssl");
        command.current_dir(made.path());
        command.args(["s_server", "-naccept", "1", "-accept", "127.0.0.1:0"]);
        command.args([
            "-cert",
            &format!("{name}.crt"),
            "-key",
            &format!("{name}.key"),
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let address = line.trim_start_matches("ACCEPT ").trim().to_owned();
        Self {
            child,
            address,
            _output: output,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first element of DER: its kind, its content, and what follows it.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, head) = match der[1] {
        0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        0x81 => (usize::from(der[2]), 3),
        short => (usize::from(short), 2),
    };
    let (content, rest) = der[head..].split_at(length);
    (der[0], content, rest)
}

fn encoded(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..128 => vec![kind, low],
        128..256 => vec![kind, 0x81, low],
        _ => vec![kind, 0x82, high, low],
    };
    [&head, content].concat()
}

#[tokio::test]
async fn what_does_not_work_of_a_servers_certificate_is_said_in_a_sentence() {
    let Some(made) = Made::new() else { return };
    made.old("old");
    made.signed("p521", "P-521", "ca");
    made.authority("ca521", "P-521");
    made.signed("by521", "P-256", "ca521");
    let kinds = "supported are RSA of 2048 to 4096 bits, ECDSA on P-256 and P-384, and Ed25519";
    let failed = "(client error (Connect): ";
    let invalid = format!("{failed}invalid peer certificate: ");
    for (name, authority, expected) in [
        (
            "old",
            "ca",
            format!(
                "its certificate is X.509 version 1, and only version 3 is supported; have it issued again with the extension subjectAltName {invalid}Other(OtherError(UnsupportedCertVersion)))"
            ),
        ),
        (
            "ca",
            "ca",
            format!(
                "its certificate is a CA's own, which is not accepted for a server; have the CA issue one with basicConstraints = CA:FALSE {invalid}Other(OtherError(CaUsedAsEndEntity)))"
            ),
        ),
        (
            "p521",
            "ca",
            format!(
                "it shares no signature algorithm with this program, as happens when its key is on the curve P-521; {kinds}: have its certificate issued with such a key {failed}received fatal alert: HandshakeFailure)"
            ),
        ),
        (
            "by521",
            "ca521",
            format!(
                "its certificate is signed with an unsupported kind of key, such as one on the curve P-521; {kinds}: have it issued by a CA with such a key {invalid}UnsupportedSignatureAlgorithmForPublicKeyContext {{ signature_algorithm_id: [6, 8, 42, 134, 72, 206, 61, 4, 3, 2], public_key_algorithm_id: [6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 5, 43, 129, 4, 0, 35] }})"
            ),
        ),
        // What needs no words of ours keeps its own.
        (
            "by521",
            "ca",
            "client error (Connect): invalid peer certificate: UnknownIssuer".to_owned(),
        ),
    ] {
        let server = Server::start(&made, name);
        let (_, error) = made.ask(&server.address, authority, "").await;
        let expected = ApiError::Unreachable { message: expected };
        assert_eq!(error, expected, "{name}");
    }
}

#[tokio::test]
async fn what_does_not_work_of_ones_own_certificate_is_said_in_a_sentence() {
    let Some(made) = Made::new() else { return };
    made.signed("own", "P-256", "ca");
    made.old("old");
    made.signed("p521", "P-521", "ca");
    made.openssl("pkey -in own.key -aes256 -passout pass:x -out pkcs8.key");
    made.openssl("ec -in own.key -aes128 -passout pass:x -out sec1.key");
    made.openssl("genrsa -out small.key 1024");
    let failed = "(rustls tls error: invalid private key: ";
    let encrypted = "user \"u\": client-key is encrypted, and nobody is there to type a password; store it without one, by `openssl pkey -in KEY -out NEW`";
    let unknown = format!(
        "client-key is of an unsupported kind, such as one on the curve P-521; supported are RSA of 2048 to 4096 bits, ECDSA on P-256 and P-384, and Ed25519: have key and certificate issued again {failed}unexpected error: failed to parse private key as RSA, ECDSA, or EdDSA)"
    );
    for (certificate, key, expected) in [
        ("own", "pkcs8", encrypted.to_owned()),
        ("own", "sec1", encrypted.to_owned()),
        (
            "own",
            "old",
            format!(
                "client-key does not belong to client-certificate; use the key that the certificate was issued for {failed}keys may not be consistent: KeyMismatch)"
            ),
        ),
        (
            "old",
            "old",
            format!(
                "client-certificate is X.509 version 1, and only version 3 is supported; have it issued again with an extension, such as extendedKeyUsage = clientAuth {failed}invalid peer certificate: Other(OtherError(UnsupportedCertVersion)))"
            ),
        ),
        ("p521", "p521", unknown.clone()),
        ("own", "small", unknown),
    ] {
        let user = format!("client-certificate: {certificate}.crt, client-key: {key}.key");
        let (path, error) = made.ask("127.0.0.1:1", "ca", &user).await;
        let expected = CredentialsError::Malformed {
            path,
            message: expected,
        };
        assert_eq!(error, ApiError::Credentials(expected), "{key}");
    }
}
