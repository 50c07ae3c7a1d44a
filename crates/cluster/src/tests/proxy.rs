//! The API server behind a proxy that a kubeconfig names: the only way to it, because its name is known to the proxy alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::double::{Api, PROGRAM, Reply, kubeconfig, node};
use crate::node::{Keep, get_node};
use crate::{ApiError, ClientSource, Credentials};

const NAME: &str = "api.behind.invalid";

/// Takes every connection to the API server at `api`, after the talk that `greet` has with who connects.
struct Proxy {
    address: SocketAddr,
    /// What was asked for, one line for each connection.
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    async fn start<F>(api: SocketAddr, greet: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = (String, TcpStream)> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remember = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (line, mut stream) = greet(stream).await;
                remember.lock().unwrap().push(line);
                let mut server = TcpStream::connect(api).await.unwrap();
                tokio::spawn(async move {
                    // It ends when either side does.
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }
}

/// An HTTP proxy's side of CONNECT: gives what was asked for and with which authorization.
async fn connect(mut stream: TcpStream) -> (String, TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let head = String::from_utf8(head).unwrap();
    let kept = |line: &&str| !line.starts_with("Host:") && !line.is_empty();
    let lines: Vec<_> = head.split("\r\n").filter(kept).collect();
    (lines.join(", "), stream)
}

/// A SOCKS proxy's side of RFC 1928: no authentication, connect to a name.
async fn socks(mut stream: TcpStream) -> (String, TcpStream) {
    let mut hello = [0; 3];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello, [5, 1, 0]);
    stream.write_all(&[5, 0]).await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..4], [5, 1, 0, 3]);
    let mut name = vec![0; head[4].into()];
    stream.read_exact(&mut name).await.unwrap();
    let port = stream.read_u16().await.unwrap();
    stream
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let name = String::from_utf8(name).unwrap();
    (format!("{name}:{port}"), stream)
}

/// Has the Node asked for through the proxy `url`.
async fn ask(server: &str, url: &str) -> Result<bool, ApiError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let mut text: Value = serde_json::from_str(&kubeconfig(server)).unwrap();
    text["clusters"][0]["cluster"]["proxy-url"] = url.into();
    std::fs::write(&path, text.to_string()).unwrap();
    let root = "/".into();
    let source = ClientSource::start(Credentials::File { path, root }, PROGRAM).await;
    let found = get_node(&source, "n1", &Keep::default()).await?;
    Ok(found.is_some())
}

#[tokio::test]
async fn the_api_server_is_reached_through_an_http_proxy() {
    let api = Api::start(|_| Reply::json(200, node("n1", "1"))).await;
    let proxy = Proxy::start(api.address, connect).await;
    let server = format!("http://{NAME}:6443");
    let plain = format!("http://{}", proxy.address);
    assert_eq!(ask(&server, &plain).await, Ok(true));
    let with_user = format!("http://u:p%40ss@{}", proxy.address);
    assert_eq!(ask(&server, &with_user).await, Ok(true));
    let asked = format!("CONNECT {NAME}:6443 HTTP/1.1");
    // The user and the password as they are, in base64.
    let known = format!("{asked}, Proxy-Authorization: Basic dTpwQHNz");
    assert_eq!(*proxy.asked.lock().unwrap(), [asked, known]);
    assert_eq!(api.seen().len(), 2);
}

#[tokio::test]
async fn the_api_server_is_reached_through_a_socks_proxy() {
    let api = Api::start(|_| Reply::json(200, node("n1", "1"))).await;
    let proxy = Proxy::start(api.address, socks).await;
    let server = format!("http://{NAME}:6443");
    let url = format!("socks5://{}", proxy.address);
    assert_eq!(ask(&server, &url).await, Ok(true));
    assert_eq!(*proxy.asked.lock().unwrap(), [format!("{NAME}:6443")]);
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_refused_in_a_sentence() {
    let error = ask("http://192.0.2.1", "ftp://192.0.2.2").await;
    let said = error.unwrap_err().to_string();
    let expected = "/kubeconfig: cluster \"c\": proxy-url \"ftp://192.0.2.2\" has a scheme that is none of http, https, socks5";
    assert!(said.ends_with(expected), "{said}");
}
