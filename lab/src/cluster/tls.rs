//! Servers that the API server and its clients trust.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::cluster::controlplane::ControlPlane;

/// Connections with the cluster's own TLS.
pub(crate) struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// A port of loopback.
    pub(crate) async fn listen(plane: &ControlPlane) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let acceptor = plane.acceptor()?;
        Ok(Self { listener, acceptor })
    }
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // As the API server itself does: without it, small answers wait 40 ms for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    // Who does not finish the handshake is gone again.
                    if let Ok(stream) = self.acceptor.accept(stream).await {
                        return (stream, address);
                    }
                }
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
