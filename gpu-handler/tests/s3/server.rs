//! The server: signatures are verified, and keys may be wrong or expired.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::Body,
    error_handling::HandleError,
    extract::{Request, State as Extract},
    http::{Method, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use handler_harness::Server;
use s3s::{
    HttpError, S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
    service::S3ServiceBuilder,
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use url::Url;

use crate::strict::{State, Strict};

/// The key that opens everything.
pub(crate) const KEY: (&str, &str) = ("worker", "the-secret-of-the-worker");
/// A key whose time is over.
pub(crate) const EXPIRED: (&str, &str) = ("of-yesterday", "the-secret-of-yesterday");

/// Object storage with the buckets `sources` and `outputs`.
pub(crate) struct Storehouse {
    pub(crate) root: TempDir,
    pub(crate) state: Arc<State>,
    /// The last byte of the next body with one becomes another on its way.
    pub(crate) corrupt: Arc<AtomicBool>,
    server: Server,
}

impl Storehouse {
    pub(crate) async fn start(state: State) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for bucket in ["sources", "outputs"] {
            std::fs::create_dir(root.path().join(bucket)).expect("a directory");
        }
        let state = Arc::new(state);
        let files = FileSystem::new(root.path()).expect("buckets");
        let path = root.path().to_owned();
        let strict = Strict { files, root: path, state: state.clone() };
        let mut builder = S3ServiceBuilder::new(strict);
        builder.set_auth(Keys);
        let failed = async |error: HttpError| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the server failed: {error:?}"))
        };
        let corrupt = Arc::<AtomicBool>::default();
        let app = Router::new()
            .fallback_service(HandleError::new(builder.build(), failed))
            .layer(from_fn_with_state(corrupt.clone(), spoil));
        let server = Server::start(app).await;
        Self { root, state, corrupt, server }
    }

    pub(crate) fn endpoint(&self) -> Url {
        self.server.url("/")
    }

    /// Puts an object where it can be got.
    pub(crate) fn place(&self, bucket: &str, key: &str, body: &[u8]) {
        let path = self.root.path().join(bucket).join(key);
        std::fs::create_dir_all(path.parent().expect("a bucket")).expect("a directory");
        std::fs::write(path, body).expect("written");
    }

    pub(crate) fn remove_bucket(&self, bucket: &str) {
        std::fs::remove_dir_all(self.root.path().join(bucket)).expect("removed");
    }

    /// How often an operation was begun.
    pub(crate) fn count(&self, operation: &str) -> usize {
        let log = self.state.log.lock().expect("a lock");
        log.iter().filter(|(name, _)| *name == operation).count()
    }

    /// What of uploads is left that nobody completed: the server's list, and files.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let open = self.state.open.lock().expect("a lock").keys().cloned().collect::<Vec<_>>();
        let files = std::fs::read_dir(self.root.path()).expect("listed");
        let names =
            files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
        open.into_iter().chain(names.filter(|name| name.starts_with(".upload"))).collect()
    }
}

struct Keys;

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        match id {
            id if id == KEY.0 => Ok(KEY.1.into()),
            id if id == EXPIRED.0 => Err(s3_error!(ExpiredToken)),
            _ => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

/// What a broken wire does.
async fn spoil(
    Extract(corrupt): Extract<Arc<AtomicBool>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::PUT || !corrupt.swap(false, Ordering::Relaxed) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let mut body = axum::body::to_bytes(body, usize::MAX).await.expect("a body").to_vec();
    *body.last_mut().expect("a byte") ^= 1;
    next.run(Request::from_parts(head, Body::from(body))).await
}
