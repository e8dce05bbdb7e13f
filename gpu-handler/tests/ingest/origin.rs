//! A source's server that does what a test says, byte by byte.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use crate::ingesting::{SIZE, content};

/// What is written to a connection.
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// The same bytes again and again, with a pause after each.
    Forever(Vec<u8>, Duration),
    /// Nothing, and the connection stays.
    Silence,
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// How many came before it.
    pub(crate) number: usize,
    /// Its head, in lower case.
    pub(crate) head: String,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Where the range begins that is asked for.
    pub(crate) fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

type Script = dyn Fn(&Request) -> Vec<Piece> + Send + Sync;

/// The server. It keeps what it was asked.
pub(crate) struct Origin {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    _task: AbortOnDropHandle<()>,
}

impl Origin {
    /// Answers every request with what `script` says, and closes the connection.
    pub(crate) async fn start(
        script: impl Fn(&Request) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// The same at an address; port 0 takes a free one.
    pub(crate) async fn start_at(
        address: SocketAddr,
        script: impl Fn(&Request) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let listener = TcpListener::bind(address).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let heard = requests.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, heard.clone(), script.clone()));
            }
        }));
        Self { port, requests, _task: task }
    }

    /// A URL of it, by an address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("a lock").clone()
    }
}

async fn serve(mut stream: TcpStream, requests: Arc<Mutex<Vec<Request>>>, script: Arc<Script>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let request = {
        let mut requests = requests.lock().expect("a lock");
        let head = String::from_utf8(head).expect("text").to_lowercase().replace("\r\n", "\n");
        let number = requests.len();
        requests.push(Request { number, head });
        requests.last().expect("just pushed").clone()
    };
    for piece in script(&request) {
        match piece {
            Piece::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Piece::Forever(bytes, pause) => {
                while stream.write_all(&bytes).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
                return;
            }
            Piece::Silence => {
                // Until the other side goes.
                let _ = stream.read_u8().await;
            }
        }
    }
    let _ = stream.shutdown().await;
}

/// A head with a status and headers.
pub(crate) fn head(status: &str, headers: &[(&str, &str)]) -> Piece {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    Piece::Bytes((text + "\r\n").into_bytes())
}

/// A whole answer with its length.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Piece> {
    let length = body.len().to_string();
    let headers = [headers, &[("content-length", &length)]].concat();
    vec![head(status, &headers), Piece::Bytes(body.to_vec())]
}

/// An honest server: ranges for who names the version, everything for others.
pub(crate) fn honest(request: &Request, headers: &[(&str, &str)]) -> Vec<Piece> {
    let content = content();
    let same = request.header("if-range") == Some("\"v1\"");
    match request.range().filter(|_| same) {
        Some(first) => {
            let range = format!("bytes {first}-{}/{SIZE}", SIZE - 1);
            let headers = [headers, &[("content-range", range.as_str())]].concat();
            answer("206 Partial Content", &headers, &content[first..])
        }
        None => answer("200 OK", headers, &content),
    }
}
