//! What every route has at hand: bindings, configuration, time, and the request's body.
//!
//! Bodies stay JavaScript streams on their way through: a source or a segment is handed from the
//! runtime to R2 and back without its bytes ever being copied into wasm. So axum sees requests
//! without a body, and a streamed answer travels as [`RawResponse`] beside an empty one.

use std::{cell::RefCell, rc::Rc};

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use futures_channel::oneshot;
use http::{StatusCode, header, request::Parts};
use jiff::Timestamp;
use reelmill_shared::{
    id::{MediaId, UploadId},
    problem::ProblemCode,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use url::Url;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};
use worker::{
    Bucket, Context, D1Database, Env, Fetcher,
    js_sys::{Reflect, Uint8Array},
    send::SendWrapper,
    wasm_bindgen::{JsCast, JsValue},
    wasm_bindgen_futures::JsFuture,
};

use crate::{
    config::Config,
    error::{ApiError, ApiResult},
    media_object::MediaStub,
    upload_object::UploadStub,
};

/// Largest JSON body of a caller, in bytes.
pub const MAX_JSON: usize = 64 * 1024;

/// One request's surroundings. Cheap to clone.
#[derive(Clone)]
pub struct App(SendWrapper<Rc<Inner>>);

struct Inner {
    env: Env,
    context: Context,
    config: Rc<Config>,
    now: Timestamp,
    origin: Url,
    body: RefCell<Option<ReadableStream>>,
}

/// An answer whose body is a JavaScript stream; sent in place of the response that carries it.
#[derive(Clone)]
pub struct RawResponse(pub SendWrapper<web_sys::Response>);

impl App {
    /// The surroundings of a request to `url` with `body`.
    pub fn new(
        env: Env,
        context: Context,
        config: Rc<Config>,
        url: &Url,
        body: Option<ReadableStream>,
    ) -> Self {
        let origin = config.public_url.clone().unwrap_or_else(|| {
            let mut origin = url.clone();
            origin.set_path("/");
            origin.set_query(None);
            origin.set_fragment(None);
            origin
        });
        let now = crate::clock::now();
        let body = RefCell::new(body);
        Self(SendWrapper::new(Rc::new(Inner { env, context, config, now, origin, body })))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// When the request arrived.
    pub fn now(&self) -> Timestamp {
        self.0.now
    }

    /// The origin of URLs to hand out, ending in `/`.
    pub fn origin(&self) -> &Url {
        &self.0.origin
    }

    /// Every byte.
    pub fn bucket(&self) -> ApiResult<Bucket> {
        Ok(self.0.env.bucket("BUCKET")?)
    }

    /// The index of media, the keys and the webhook endpoints.
    pub fn database(&self) -> ApiResult<D1Database> {
        Ok(self.0.env.d1("CATALOGUE")?)
    }

    /// The console's files.
    pub fn assets(&self) -> ApiResult<Fetcher> {
        Ok(self.0.env.assets("ASSETS")?)
    }

    /// The object that holds a resumable upload.
    pub fn upload(&self, id: UploadId) -> ApiResult<UploadStub> {
        UploadStub::new(&self.0.env, id)
    }

    /// The object that holds a media's state.
    pub fn media(&self, id: MediaId) -> ApiResult<MediaStub> {
        MediaStub::new(&self.0.env, id)
    }

    /// Goes on with `work` after the answer, and after the caller has gone away.
    pub fn wait_until(&self, work: impl Future<Output = ()> + 'static) {
        self.0.context.wait_until(work);
    }

    /// Does `work` to its end even if the caller goes away meanwhile, and waits for it.
    pub async fn to_the_end<T: 'static>(
        &self,
        work: impl Future<Output = ApiResult<T>> + 'static,
    ) -> ApiResult<T> {
        let (sender, receiver) = oneshot::channel();
        self.wait_until(async move {
            // Nobody listens if the caller went away.
            let _ = sender.send(work.await);
        });
        receiver.await.map_err(ApiError::internal)?
    }

    /// The request's body, once.
    pub fn take_body(&self) -> Option<ReadableStream> {
        self.0.body.borrow_mut().take()
    }

    /// The whole body, if it has at most `limit` bytes.
    pub async fn bytes(&self, limit: usize) -> ApiResult<Vec<u8>> {
        let mut bytes = Vec::new();
        let Some(stream) = self.take_body() else { return Ok(bytes) };
        let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
        while let Some(chunk) = read_chunk(&reader).await? {
            if bytes.len() + chunk.length() as usize > limit {
                return Err(ApiError::new(
                    ProblemCode::BodyTooLarge,
                    format!("The body may have at most {limit} bytes."),
                ));
            }
            bytes.extend(chunk.to_vec());
        }
        Ok(bytes)
    }

    /// The body as JSON of at most [`MAX_JSON`] bytes; an empty body reads as `{}`.
    pub async fn json<T: DeserializeOwned>(&self) -> ApiResult<T> {
        let bytes = self.bytes(MAX_JSON).await?;
        let text = if bytes.is_empty() { b"{}".as_slice() } else { &bytes };
        serde_json::from_slice(text).map(|Object(value)| value).map_err(|error| {
            ApiError::invalid(format!("The body is not what it should be: {error}."))
        })
    }
}

impl<S: Sync> FromRequestParts<S> for App {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts.extensions.get().cloned().ok_or_else(|| ApiError::internal("a request without App"))
    }
}

/// Reads a JSON object; what is derived would take an array of the fields as well.
pub fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    let fields = serde_json::Map::deserialize(from)?;
    serde_json::from_value(fields.into()).map_err(D::Error::custom)
}

/// What is read from a JSON [`object`].
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        object(from).map(Self)
    }
}

/// The next chunk of a byte stream, or `None` at its end. Fails when the sender goes away.
pub async fn read_chunk(
    reader: &ReadableStreamDefaultReader,
) -> Result<Option<Uint8Array>, worker::Error> {
    let result = JsFuture::from(reader.read()).await?;
    let done = Reflect::get(&result, &JsValue::from_str("done"))?;
    if done.is_truthy() {
        return Ok(None);
    }
    Ok(Some(Reflect::get(&result, &JsValue::from_str("value"))?.dyn_into()?))
}

/// An answer in JSON. It is about one moment, so nobody may keep it.
pub fn json(status: StatusCode, value: &impl Serialize) -> ApiResult {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((status, headers, body).into_response())
}

/// An answer whose body is a JavaScript stream.
pub fn raw(response: web_sys::Response) -> Response {
    let mut carrier = Response::new(Body::empty());
    carrier.extensions_mut().insert(RawResponse(SendWrapper::new(response)));
    carrier
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelmill_shared::job::Pipeline;

    #[test]
    fn an_object_is_an_object_and_nothing_behind_it() {
        let read = |text| serde_json::from_str::<Object<Pipeline>>(text);
        assert!(read(r#"{"segmentFormat": "ts"}"#).is_ok());
        for wrong in ["[]", r#"["ts"]"#, r#"{} {}"#, "null", r#"{"segmentFormat": "x"}"#] {
            assert!(read(wrong).is_err(), "{wrong} was taken");
        }
    }
}
