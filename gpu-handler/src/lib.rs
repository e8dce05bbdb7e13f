//! Reelmill's handler, as a library under its one binary. A guided tour, in the order of a job:
//!
//! * [`config`]: the environment, read once.
//! * [`host`]: what this machine can do, found out by trying.
//! * [`stop`], [`tracker`]: how a job is told to stop, and what it tells of itself.
//! * [`transport`]: how jobs come in; [`jobs`]: what waits, runs and has ended.
//! * [`ledger`]: which worker is at which attempt, where there are many; [`aws`]: how it is reached.
//! * [`engine`]: one job from source to report.
//! * [`ingest`]: a source comes from its own URL, and goes to the gateway.
//! * [`fetch`]: the source comes in.
//! * [`ffmpeg`]: the only module that starts processes, each in a [`sandbox`].
//! * [`storage`]: where outputs go, as one small trait.
//! * [`s3`]: object storage that the handler reaches with credentials of its own, for both.
//! * [`reporter`]: progress and the one report go back to the gateway.
//! * [`workplace`]: the directories that all this happens in; [`client`]: the one HTTP client.

pub mod aws;
pub mod client;
pub mod config;
pub mod engine;
pub mod fetch;
pub mod ffmpeg;
pub mod host;
pub mod ingest;
pub mod jobs;
pub mod ledger;
pub mod publish;
pub mod reporter;
pub mod s3;
pub mod sandbox;
pub mod stop;
pub mod storage;
pub mod tracker;
pub mod transport;
pub mod workplace;
