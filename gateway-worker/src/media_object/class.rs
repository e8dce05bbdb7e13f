//! The Durable Object class as the runtime sees it.
#![expect(missing_docs, reason = "the methods that `durable_object` expands to have none")]

use std::rc::Rc;

use worker::{
    DurableObject,
    Env,
    Request,
    Response,
    Result,
    State,
    durable_object,
    // Named by what `durable_object` expands to.
    wasm_bindgen,
};

use super::{Inner, command, log};

/// The Durable Object class.
#[durable_object]
pub struct MediaObject {
    inner: Rc<Inner>,
}

impl DurableObject for MediaObject {
    fn new(state: State, env: Env) -> Self {
        Self { inner: Rc::new(Inner::new(state, env)) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        self.inner.store.open()?;
        let outcome = if request.path() == "/events" {
            let last = request.headers().get("last-event-id")?;
            match self.inner.open_events(last.as_deref()) {
                Ok(stream) => return Ok(stream),
                Err(error) => Err(error),
            }
        } else {
            let command = serde_json::from_str(&request.text().await?)?;
            self.inner.execute(command).await
        };
        command::encode_reply(outcome)
    }

    async fn alarm(&self) -> Result<Response> {
        self.inner.armed.set(None);
        self.inner.store.open()?;
        // An alarm that keeps failing is dropped by the platform after six tries: log and go on.
        if let Err(error) = self.inner.meet_deadline().await {
            log("deadline", &error.problem().detail);
        }
        self.inner.after_change().await;
        Response::empty()
    }
}
