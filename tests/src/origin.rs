//! A server that a source is fetched from, and that holds back the end of it until a test lets go.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What all connections share.
#[derive(Clone)]
struct Shelf {
    bytes: Arc<Vec<u8>>,
    /// So many bytes may be sent of the file.
    limit: watch::Receiver<usize>,
    requests: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

/// The server. It stops listening when it is dropped.
pub struct Origin {
    /// Where the source is.
    pub url: String,
    limit: watch::Sender<usize>,
    shelf: Shelf,
    listener: JoinHandle<()>,
}

impl Origin {
    /// Serves `bytes`, at first only the first `limit` of them.
    pub async fn start(bytes: Vec<u8>, limit: usize) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/film.mp4", listener.local_addr()?);
        let (limit, limits) = watch::channel(limit);
        let (requests, open) = (Arc::default(), Arc::default());
        let shelf = Shelf { bytes: Arc::new(bytes), limit: limits, requests, open };
        let each = shelf.clone();
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shelf = each.clone();
                tokio::spawn(async move {
                    shelf.open.fetch_add(1, Ordering::SeqCst);
                    // A client that goes away is none of the server's worries.
                    let _ = shelf.serve(client).await;
                    shelf.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { url, limit, shelf, listener })
    }

    /// Holds nothing back any more.
    pub fn let_go(&self) {
        self.limit.send_replace(usize::MAX);
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.shelf.requests.load(Ordering::SeqCst)
    }

    /// How many clients are there.
    pub fn open(&self) -> usize {
        self.shelf.open.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shelf {
    async fn serve(&self, mut client: TcpStream) -> Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let size = self.bytes.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nContent-Type: text/plain\r\n\
             Connection: close\r\n\r\n"
        );
        client.write_all(answer.as_bytes()).await?;
        let (mut sent, mut limit) = (0, self.limit.clone());
        let (mut reader, mut writer) = client.split();
        let sending = async {
            while sent < size {
                let until = size.min(*limit.wait_for(|limit| *limit > sent).await?);
                writer.write_all(&self.bytes[sent..until]).await?;
                sent = until;
            }
            Ok(writer.shutdown().await?)
        };
        tokio::select! {
            outcome = sending => outcome,
            // Nothing more is to come from the client but its end.
            _ = reader.read_u8() => Ok(()),
        }
    }
}
