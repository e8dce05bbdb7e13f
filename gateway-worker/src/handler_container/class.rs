//! The Durable Object class as the runtime sees it.
#![expect(missing_docs, reason = "the methods that `durable_object` expands to have none")]

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

use super::Inner;
use crate::log::log;

/// The Durable Object class.
#[durable_object]
pub struct HandlerContainer {
    inner: Inner,
}

impl DurableObject for HandlerContainer {
    fn new(state: State, env: Env) -> Self {
        Self { inner: Inner::new(state, env) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        self.inner.pass_on(request).await
    }

    async fn alarm(&self) -> Result<Response> {
        // An alarm that keeps failing is dropped by the platform after six tries: log and go on.
        if let Err(error) = self.inner.look().await {
            log("container", &error.to_string());
        }
        Response::empty()
    }
}
