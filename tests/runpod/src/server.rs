//! Serving a router so that an answer can be lost: the connection breaks instead.

use std::io;

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
    response::IntoResponse,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// Marks an answer that is not to arrive.
#[derive(Debug, Clone, Copy)]
struct Lost;

/// An answer that is not to arrive.
pub(crate) fn lost() -> axum::response::Response {
    let mut response = ().into_response();
    response.extensions_mut().insert(Lost);
    response
}

/// Serves for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    loop {
        // Who has gone before it was accepted is no reason to end.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(stream, app.clone()));
    }
}

async fn connection(stream: TcpStream, app: Router) {
    let service = service_fn(move |request: Request<Incoming>| answer(app.clone(), request));
    // An error here is a broken connection, ours or theirs.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(app: Router, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let response = app.oneshot(request).await.unwrap_or_else(|never| match never {});
    match response.extensions().get::<Lost>() {
        Some(Lost) => Err(io::ErrorKind::ConnectionAborted.into()),
        None => Ok(response),
    }
}
