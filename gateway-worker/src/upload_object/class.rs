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

use super::{Chunk, Inner, command::PATCH_HEADER, log};
use crate::{error::ApiResult, media_object::encode_reply};

/// The Durable Object class.
#[durable_object]
pub struct UploadObject {
    inner: Rc<Inner>,
}

impl DurableObject for UploadObject {
    fn new(state: State, env: Env) -> Self {
        Self { inner: Rc::new(Inner::new(state, env)) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        encode_reply(answer(&self.inner, request).await)
    }

    async fn alarm(&self) -> Result<Response> {
        // An alarm that keeps failing is dropped by the platform after six tries: log and go on.
        if let Err(error) = Rc::clone(&self.inner).wake().await {
            log("upload alarm", &error.problem().detail);
        }
        Response::empty()
    }
}

async fn answer(inner: &Rc<Inner>, mut request: Request) -> ApiResult<serde_json::Value> {
    inner.open()?;
    match request.headers().get(PATCH_HEADER)? {
        Some(patch) => {
            let patch = serde_json::from_str(&patch).map_err(crate::error::ApiError::internal)?;
            let body = request.inner().body();
            Rc::clone(inner).append(Chunk { patch, body }).await
        }
        None => {
            let command = serde_json::from_str(&request.text().await?)
                .map_err(crate::error::ApiError::internal)?;
            Rc::clone(inner).execute(command).await
        }
    }
}
