//! What a command that runs beside a system ([`crate::stack`]) may do to it, over HTTP on loopback:
//!
//! * `POST /gateway/kill`: kills the gateway, as a crash would.
//! * `POST /gateway/start`: starts it again, where it was and with what it had stored; answers once
//!   the gateway does.
//! * `GET /gateway`: `{"pid": …}`, the leader of the gateway's process group.
//! * `GET /jobs/{media}`: the media's first job, once the handler's stand-in has been given it.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use reelmill_shared::id::MediaId;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{stack::Stack, stand_in::StandIn};

/// What may be asked of whoever owns the system.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Kill,
    Start,
    Look,
}

type Asked = (Wish, oneshot::Sender<Result<Value>>);
/// An answer, or what went wrong as text.
type Reply = Result<Json<Value>, (StatusCode, String)>;

/// The server. It stops listening when it is dropped.
pub struct Control {
    /// Its base URL.
    pub url: String,
    asked: mpsc::Receiver<Asked>,
    server: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Listens on a free port. `handler` plays the handler, if somebody does.
    pub async fn start(handler: Option<Arc<StandIn>>) -> Result<Self> {
        let (wishes, asked) = mpsc::channel::<Asked>(1);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let wish = |wish| {
            let wishes = wishes.clone();
            move || ask(wishes.clone(), wish)
        };
        let app = Router::new()
            .route("/gateway", get(wish(Wish::Look)))
            .route("/gateway/kill", post(wish(Wish::Kill)))
            .route("/gateway/start", post(wish(Wish::Start)))
            .route("/jobs/{media}", get(job))
            .with_state(handler);
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("axum serves until it is dropped");
        });
        Ok(Self { url, asked, server })
    }

    /// Does to `stack` what is asked for, for ever.
    pub async fn serve(&mut self, stack: &mut Stack) {
        while let Some((wish, answer)) = self.asked.recv().await {
            let outcome = match wish {
                Wish::Look => Ok(json!({ "pid": stack.gateway_id() })),
                Wish::Kill => {
                    stack.kill_gateway();
                    Ok(Value::Null)
                }
                Wish::Start => stack.restart_gateway().await.map(|()| Value::Null),
            };
            // Nobody listens if the command has ended meanwhile.
            let _ = answer.send(outcome);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn ask(wishes: mpsc::Sender<Asked>, wish: Wish) -> Reply {
    let (answer, answered) = oneshot::channel();
    let outcome = async {
        wishes.send((wish, answer)).await.context("the system is going down")?;
        answered.await.context("the system went down")?
    };
    outcome.await.map(Json).map_err(failed)
}

async fn job(State(handler): State<Option<Arc<StandIn>>>, Path(media): Path<MediaId>) -> Reply {
    let outcome = async {
        let handler = handler.context("the real handler tells nothing of its jobs")?;
        Ok(serde_json::to_value(handler.job_of(media).await?)?)
    };
    outcome.await.map(Json).map_err(failed)
}

fn failed(error: anyhow::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}
