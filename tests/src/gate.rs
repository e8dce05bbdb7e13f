//! A network that stops after so many bytes: a proxy that holds back what a client sends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// How much is read at a time; so much may be under way beyond the limit.
const CHUNK: usize = 16 * 1024;

#[derive(Clone)]
struct Meter {
    passed: Arc<AtomicU64>,
    limit: watch::Receiver<u64>,
    full: Arc<watch::Sender<bool>>,
    cut: watch::Receiver<u64>,
}

/// The proxy. It stops listening when it is dropped.
pub struct Gate {
    /// Its base URL.
    pub url: String,
    meter: Meter,
    limit: watch::Sender<u64>,
    cut: watch::Sender<u64>,
    listener: JoinHandle<()>,
}

impl Gate {
    /// Lets `limit` bytes pass to a local port, over all connections, and holds the rest back.
    pub async fn start(port: u16, limit: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (limit, limits) = watch::channel(limit);
        let (cut, cuts) = watch::channel(0);
        let full = Arc::new(watch::channel(false).0);
        let meter = Meter { passed: Arc::default(), limit: limits, full, cut: cuts };
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let each = meter.clone();
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(each.clone().connection(client, to));
            }
        });
        Ok(Self { url, meter, limit, cut, listener })
    }

    /// How many bytes clients have sent through it.
    pub fn passed(&self) -> u64 {
        self.meter.passed.load(Ordering::Relaxed)
    }

    /// Waits until the limit is used up.
    pub async fn full(&self) -> Result<()> {
        self.meter.full.subscribe().wait_for(|full| *full).await?;
        Ok(())
    }

    /// Breaks every connection, then lets `more` bytes pass.
    pub fn cut_and_allow(&self, more: u64) {
        self.cut.send_modify(|cuts| *cuts += 1);
        self.meter.full.send_replace(false);
        self.limit.send_replace(self.passed().saturating_add(more));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Meter {
    async fn connection(self, client: TcpStream, to: SocketAddr) {
        let mut cut = self.cut.clone();
        cut.mark_unchanged();
        let Ok(server) = TcpStream::connect(to).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::select! {
            // A connection that is cut has no share in what may pass afterwards.
            biased;
            _ = cut.changed() => {}
            // However a direction ends, the connection is over.
            _ = async {
                tokio::join!(
                    self.forward(&mut from_client, &mut to_server),
                    tokio::io::copy(&mut from_server, &mut to_client),
                )
            } => {}
        }
    }

    async fn forward(
        &self,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
    ) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let mut limit = self.limit.clone();
            let passed = self.passed.load(Ordering::Relaxed);
            if passed >= *limit.borrow() {
                self.full.send_replace(true);
                limit.wait_for(|limit| passed < *limit).await?;
            }
            let length = from.read(&mut chunk).await?;
            if length == 0 {
                return Ok(to.shutdown().await?);
            }
            self.passed.fetch_add(length as u64, Ordering::Relaxed);
            to.write_all(&chunk[..length]).await?;
        }
    }
}
