//! Reelmill's gateway: a Cloudflare Worker that takes uploads, keeps each media's state, serves
//! playback and tells the world.
//!
//! It decides little: states, tokens, signatures and keys are `reelmill-shared`'s. Read it so:
//!
//! * [`routes`]: the table of routes, one file for each group; [`app`] is what they have at hand.
//! * [`media_object`]: one Durable Object a media, with state, outbox, alarm and subscribers.
//! * [`dispatch`]: the client of the handler's API; [`outgoing`]: every request that we send.
//! * [`handler_container`]: a handler in a container beside the Worker.
//! * [`upload_object`]: one Durable Object a resumable upload.
//! * [`inline`]: sources that come with the request that creates their media.
//! * [`objects`] and [`store_stream`]: bytes out of and into R2.
//! * [`catalogue`] and [`endpoints`]: what is in D1. [`auth`]: who may.
//! * [`size`]: what is too large, and where else it can go.
//! * [`s3`]: the bucket as those see it who put and fetch sources past the Worker.
//! * [`config`], [`error`], [`log`], [`view`]: the environment, the problems, the log, the public JSON.

pub mod app;
pub mod auth;
pub mod catalogue;
pub mod checksum;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod endpoints;
pub mod entry;
pub mod error;
pub mod handler_container;
pub mod hex;
pub mod inline;
pub mod log;
pub mod media_object;
pub mod objects;
pub mod outgoing;
pub mod range;
pub mod retry_after;
pub mod routes;
pub mod s3;
pub mod size;
pub mod store_stream;
pub mod upload_object;
pub mod view;
pub mod webhook_url;

use worker::{Context, Env, Result, event};

/// Every request that is not for an asset with an immutable name.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    entry::answer(request, env, context).await
}
