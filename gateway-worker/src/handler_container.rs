//! A handler in a container of Cloudflare's, and the Durable Object that it belongs to.
//!
//! The object is the way to it: requests of the handler's API are passed on to the container's port,
//! the first job starts it, and it is stopped when it has had nothing to do for a while. It needs no
//! storage of its own: what is known of jobs, the handler knows.

mod class;

use std::{cell::Cell, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use worker::{
    Container, Delay, Env, Headers, Method, Request, RequestInit, Response, Result, State,
    js_sys::{Function, Object, Reflect},
    wasm_bindgen::{JsCast, JsValue},
};

use crate::{clock, config::Config};

pub use class::HandlerContainer;

/// Where the handler listens in its image (`docker/Dockerfile.cpu`).
const PORT: u16 = 8788;
/// How often the container is looked at. An object that is asked for nothing, and has no alarm, is put
/// away, and its container with it.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// How long it may be idle before it is stopped.
const IDLE: SignedDuration = SignedDuration::from_mins(5);
/// How often, and how long apart, a container that has just been started is called: for less than the
/// caller waits.
const CALLS: usize = 24;
const BETWEEN_CALLS: Duration = Duration::from_millis(250);
const SIGTERM: i32 = 15;

struct Inner {
    state: State,
    env: Env,
    /// Since when it has nothing to do, as far as this instance knows.
    idle_since: Cell<Option<Timestamp>>,
}

impl Inner {
    const fn new(state: State, env: Env) -> Self {
        Self { state, env, idle_since: Cell::new(None) }
    }

    fn container(&self) -> Result<Container> {
        self.state.container().ok_or_else(|| "this environment has no containers".into())
    }

    /// Passes a request on. Only a job starts the container: of one that sleeps nothing else is to be
    /// had.
    async fn pass_on(&self, mut request: Request) -> Result<Response> {
        let (container, path) = (self.container()?, request.path());
        if !container.running() {
            if path.ends_with("/health") {
                return Response::from_json(&serde_json::json!({"container": "asleep"}));
            }
            if !path.ends_with("/run") {
                return Response::error("no job is known", 404);
            }
            start(
                &container,
                &Config::of(&self.env).map_err(|error| error.to_string())?.container_environment(),
            )?;
        }
        self.idle_since.set(None);
        self.look_again().await?;
        let body = request.text().await?;
        let authorization = request.headers().get("authorization")?.unwrap_or_default();
        for _ in 0..CALLS {
            match call(&container, request.method(), &path, &authorization, &body).await {
                Ok(response) => return Ok(response),
                // It does not listen yet.
                Err(_) if container.running() => Delay::from(BETWEEN_CALLS).await,
                Err(_) => break,
            }
        }
        Response::error("the container is starting", 503)
    }

    /// Stops the container once it has been idle for long enough, and keeps an eye on it until then.
    async fn look(&self) -> Result<()> {
        let container = self.container()?;
        if !container.running() {
            return Ok(());
        }
        let now = clock::now();
        let since = match self.busy(&container).await {
            true => None,
            false => Some(self.idle_since.get().unwrap_or(now)),
        };
        self.idle_since.set(since);
        if since.is_some_and(|since| now.duration_since(since) >= IDLE) {
            // It finishes what it may have been given since, and says what it leaves.
            container.signal(SIGTERM)?;
        }
        self.look_again().await
    }

    /// Whether its handler has jobs. One that does not answer has none that would ever be done.
    async fn busy(&self, container: &Container) -> bool {
        #[derive(Deserialize)]
        struct Health {
            jobs: Jobs,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Jobs {
            in_queue: u64,
            in_progress: u64,
        }
        let asked = async {
            let key = Config::of(&self.env).ok()?.backends.container()?.authorization();
            let path = "/v2/local/health";
            let mut answer = call(container, Method::Get, path, &key, "").await.ok()?;
            answer.json::<Health>().await.ok()
        };
        asked.await.is_some_and(|Health { jobs }| jobs.in_queue + jobs.in_progress > 0)
    }

    async fn look_again(&self) -> Result<()> {
        let wait = i64::try_from(LOOK_EVERY.as_millis()).unwrap_or(i64::MAX);
        self.state.storage().set_alarm(wait).await
    }
}

/// Starts the container with these variables. Not by `worker`'s own options: its 0.8.7 hands the
/// variables over as a `Map`, of which the runtime sees no member.
fn start(container: &Container, variables: &[(&str, String)]) -> Result<()> {
    let (options, environment) = (Object::new(), Object::new());
    for (name, value) in variables {
        Reflect::set(&environment, &JsValue::from_str(name), &JsValue::from_str(value))?;
    }
    Reflect::set(&options, &JsValue::from_str("env"), &environment)?;
    Reflect::set(&options, &JsValue::from_str("enableInternet"), &JsValue::TRUE)?;
    let container: &JsValue = container.as_ref();
    let start: Function = Reflect::get(container, &JsValue::from_str("start"))?.unchecked_into();
    start.call1(container, &options)?;
    Ok(())
}

async fn call(
    container: &Container,
    method: Method,
    path: &str,
    authorization: &str,
    body: &str,
) -> Result<Response> {
    let headers = Headers::new();
    headers.set("authorization", authorization)?;
    headers.set("content-type", "application/json")?;
    let mut init = RequestInit::new();
    let body = (method == Method::Post).then(|| body.into());
    init.with_method(method).with_headers(headers).with_body(body);
    // The caller gives up by itself; what it no longer waits for is dropped with the request.
    let request = Request::new_with_init(&format!("http://container{path}"), &init)?;
    container.get_tcp_port(PORT)?.fetch_request(request).await?.try_into()
}
