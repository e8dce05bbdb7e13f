//! The gateway's processes under `wrangler dev`, as /proc shows them: workerd once as wrangler's own
//! proxy, and once with the gateway in it.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What workerd calls the isolate of `gateway-worker/wrangler.toml`.
const ISOLATE: &str = "core:user:reelmill";

/// The gateway's own workerd.
#[derive(Debug, Clone)]
pub(crate) struct Workerd {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it listens, past wrangler's proxy.
    pub(crate) url: String,
    /// The inspector of the gateway's isolate (a WebSocket).
    pub(crate) inspector: String,
}

impl Workerd {
    /// The one in the process group that is not the proxy, which listens on `port`.
    pub(crate) async fn find(group: u32, port: u16) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        for pid in members(group)? {
            let ports = listening(pid)?;
            if ports.contains(&port) {
                continue;
            }
            let (mut own, mut inspector) = (None, None);
            for port in ports {
                let url = format!("http://127.0.0.1:{port}");
                let get = async |path| client.get(format!("{url}{path}")).send().await.ok();
                if get("/health").await.is_some_and(|answer| answer.status().is_success()) {
                    own = Some(url);
                } else if let Some(answer) = get("/json").await
                    && let Ok(targets) = answer.json::<Value>().await
                    && targets[0]["id"] == ISOLATE
                {
                    inspector = targets[0]["webSocketDebuggerUrl"].as_str().map(str::to_owned);
                }
            }
            if let (Some(url), Some(inspector)) = (own, inspector) {
                return Ok(Self { pid, url, inspector });
            }
        }
        bail!("no workerd of the gateway's answers beside the proxy")
    }

    /// Its resident set in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kibibytes.parse::<u64>()? * 1024)
    }
}

/// The processes called workerd in a process group.
fn members(group: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends between the two looks is none of ours.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        // proc(5): after the name come state, parent, process group.
        let of_group = tail.split_whitespace().nth(2) == Some(group.to_string().as_str());
        if of_group && head.ends_with("(workerd") {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The TCP ports that a process listens on.
fn listening(pid: u32) -> Result<Vec<u16>> {
    let mut sockets = HashSet::new();
    for entry in fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"))? {
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        let inode = target.to_string_lossy();
        if let Some(inode) = inode.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'))
        {
            sockets.insert(inode.to_owned());
        }
    }
    let table = fs::read_to_string("/proc/net/tcp")?;
    let ports = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = columns.get(1)?.split_once(':')?;
        let listens = columns.get(3) == Some(&"0A") && sockets.contains(*columns.get(9)?);
        listens.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    });
    Ok(ports.collect())
}
