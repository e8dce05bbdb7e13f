//! A Worker of a few lines in the same workerd, to compare the gateway with.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{process::Process, stack, wait::until};

/// A running Worker. Dropping it stops it.
pub struct PlainWorker {
    /// Its base URL, without a slash at its end.
    pub url: String,
    /// Its process.
    pub process: Process,
}

impl PlainWorker {
    /// Starts the Worker of a `wrangler.toml` over a data directory, wrangler with some more
    /// variables in its environment.
    pub async fn start(config: &Path, data: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let port = stack::claim_port(0)?;
        let mut command = stack::wrangler(data);
        command
            .args(["dev", "--local", "--log-level", "warn", "--ip", "127.0.0.1"])
            .args(["--inspector-port", "0", "--show-interactive-dev-session=false"])
            .args(["--port", &port.to_string(), "--config"])
            .arg(config)
            .arg("--persist-to")
            .arg(data.join("state"))
            .envs(environment.iter().copied());
        let process = Process::start(command, data.join("plain.log"))?;
        let url = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::new();
        until("the plain Worker answers", Duration::from_secs(60), async || {
            Ok(client.get(&url).send().await.is_ok().then_some(()))
        })
        .await
        .with_context(|| process.output())?;
        Ok(Self { url, process })
    }
}
