//! `gpu-handler health` as a container host asks it: by exit code.
#![expect(clippy::disallowed_methods, reason = "the binary itself is what is tried")]

use std::process::{Command, Output};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use handler_harness::Server;
use tokio::task::spawn_blocking;

/// A place that answers as a handler does to those who have the key.
async fn handler() -> Server {
    let answer = |headers: HeaderMap| async move {
        match headers.get("authorization").map(|value| value.as_bytes()) {
            Some(b"Bearer the-key") => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        }
    };
    Server::start(Router::new().route("/v2/local/health", get(answer))).await
}

async fn ask(environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-handler"));
    command.arg("health").env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.envs(environment.iter().copied());
    spawn_blocking(move || command.output()).await.expect("not cut off").expect("ended")
}

#[tokio::test]
async fn a_handler_that_answers_is_well() {
    let server = handler().await;
    // It listens on every address, and is asked on this machine's own.
    let listen = format!("0.0.0.0:{}", server.url("/").port().expect("a port"));
    let place = ("REELMILL_HANDLER_LISTEN", listen.as_str());
    let well = ask(&[place, ("HANDLER_API_KEY", "the-key")]).await;
    assert_eq!(well.status.code(), Some(0), "{}", String::from_utf8_lossy(&well.stderr));
    let other = ask(&[place, ("HANDLER_API_KEY", "another-key")]).await;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(1), "{said}");
    assert!(said.contains("401") && !said.contains("another-key"), "{said}");
}

#[tokio::test]
async fn a_handler_that_is_not_there_is_unwell() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let silent = ask(&[("REELMILL_HANDLER_LISTEN", &free), ("HANDLER_API_KEY", "the-key")]).await;
    assert_eq!(silent.status.code(), Some(1));
}

/// On a queue it listens nowhere: that the process runs is all there is.
#[tokio::test]
async fn where_nothing_is_served_there_is_nothing_to_ask() {
    let take = ("RUNPOD_WEBHOOK_GET_JOB", "http://127.0.0.1:1/job-take/$ID");
    let output = ("RUNPOD_WEBHOOK_POST_OUTPUT", "http://127.0.0.1:1/job-done/$ID");
    let worker = ask(&[take, output, ("HANDLER_API_KEY", "the-key")]).await;
    assert_eq!(worker.status.code(), Some(0), "{}", String::from_utf8_lossy(&worker.stderr));
    assert_eq!(ask(&[]).await.status.code(), Some(0));
}
