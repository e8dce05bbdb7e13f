//! `lambda-emulator`: a function of Lambda's on this machine, to be invoked by AWS's command line
//! (`aws lambda invoke --endpoint-url http://127.0.0.1:9001 …`) or by curl.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Parser;
use lambda_emulator::{Invoked, Lambda, Options, Refused};
use serde_json::json;
use tokio::net::TcpListener;

/// Lambda on this machine: takes invocations, and runs a function's binary for them.
#[derive(Debug, Parser)]
struct Arguments {
    /// The function's binary.
    program: PathBuf,
    /// Where to take invocations.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// A variable of the function's; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Seconds that an invocation may take.
    #[arg(long, default_value_t = 900)]
    timeout: u64,
    /// The function's memory in MB.
    #[arg(long, default_value_t = 3008)]
    memory: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let pair = |pair: &String| {
        let (name, value) = pair.split_once('=').context("--env takes NAME=VALUE")?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let lambda = Arc::new(Lambda::new(Options {
        program: arguments.program,
        environment: arguments.environment.iter().map(pair).collect::<Result<_>>()?,
        timeout: Duration::from_secs(arguments.timeout),
        memory_mb: arguments.memory,
    }));
    let app = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::disable())
        .with_state(lambda.clone());
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("POST http://{}/2015-03-31/functions/any/invocations", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        signal = tokio::signal::ctrl_c() => signal?,
    }
    for ending in lambda.shut_down().await? {
        println!("an environment was shut down: {ending}");
    }
    Ok(())
}

async fn invoke(State(lambda): State<Arc<Lambda>>, headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get("X-Amz-Invocation-Type").and_then(|kind| kind.to_str().ok());
    if kind == Some("Event") {
        // An asynchronous one is tried three times in all; here without the minutes in between.
        tokio::spawn(async move {
            for _ in 0..3 {
                let invoked = lambda.invoke(&body).await;
                if !matches!(invoked, Ok(Ok(Invoked::Error(_)))) {
                    return;
                }
            }
        });
        return StatusCode::ACCEPTED.into_response();
    }
    let refuse = |status: StatusCode, kind: &str| {
        (status, Json(json!({"Type": "User", "message": kind}))).into_response()
    };
    match lambda.invoke(&body).await {
        Ok(Ok(Invoked::Answer(answer))) => Json(answer).into_response(),
        Ok(Ok(Invoked::Error(error))) => {
            ([("X-Amz-Function-Error", "Unhandled")], Json(error)).into_response()
        }
        Ok(Err(Refused::TooLarge)) => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException")
        }
        Ok(Err(Refused::NotJson)) => {
            refuse(StatusCode::BAD_REQUEST, "InvalidRequestContentException")
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
