//! Gateway and handler: started, killed, started again.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    api::Api,
    process::{Process, command},
    settings::{self, Secrets},
    wait::until,
};

/// How long gateway or handler may take to come up on a busy machine.
const STARTUP: Duration = Duration::from_secs(90);

/// How a [`Stack`] is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// State, secrets and logs.
    pub data: PathBuf,
    /// The gateway's port; 0 for a free one.
    pub port: u16,
    /// The root API key, instead of the data directory's own.
    pub api_key: Option<String>,
    /// Variables of the gateway beyond those that every stack needs.
    pub gateway: Vec<(String, String)>,
    /// Variables of the handler beyond those that every stack needs.
    pub handler: Vec<(String, String)>,
    /// Variables of wrangler itself, which the gateway does not see.
    pub wrangler: Vec<(String, String)>,
    /// The base URL of somebody else who plays the handler; then none is started.
    pub stand_in: Option<String>,
}

impl Options {
    /// The defaults over a data directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        // Webhooks to this very machine: there is nowhere else to try them from here.
        let gateway = vec![("ALLOW_PRIVATE_WEBHOOKS".to_owned(), "true".to_owned())];
        Self {
            data,
            port: 0,
            api_key: None,
            gateway,
            handler: Vec::new(),
            wrangler: Vec::new(),
            stand_in: None,
        }
    }

    /// With one more variable of the gateway.
    #[must_use]
    pub fn gateway(mut self, name: &str, value: impl ToString) -> Self {
        self.gateway.push((name.to_owned(), value.to_string()));
        self
    }

    /// With one more variable of wrangler itself.
    #[must_use]
    pub fn wrangler(mut self, name: &str, value: impl ToString) -> Self {
        self.wrangler.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a [`StandIn`](crate::stand_in::StandIn) or the like in place of the handler.
    #[must_use]
    pub fn stand_in(mut self, url: &str) -> Self {
        self.stand_in = Some(url.to_owned());
        self
    }

    /// With one more variable of the handler.
    #[must_use]
    pub fn handler(mut self, name: &str, value: impl ToString) -> Self {
        self.handler.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A running gateway and a running handler. Dropping it stops both.
pub struct Stack {
    options: Options,
    /// The secrets that both run with.
    pub secrets: Secrets,
    handler_url: String,
    gateway: Process,
    handler: Option<Process>,
    // These last, so that they go after the processes that write to the directory.
    _lock: fs::File,
    _temporary: Option<tempfile::TempDir>,
}

impl Stack {
    /// Starts both and waits until they answer.
    pub async fn start(mut options: Options) -> Result<Self> {
        fs::create_dir_all(options.data.join("logs"))
            .with_context(|| format!("cannot create {}", options.data.display()))?;
        options.data = fs::canonicalize(&options.data)?;
        let lock = lock(&options.data)?;
        let mut secrets = Secrets::of(&options.data)?;
        if let Some(key) = &options.api_key {
            secrets.api_key.clone_from(key);
        }
        options.port = claim_port(options.port)?;
        migrate(&options.data)?;

        let (handler, handler_url) = match options.stand_in.clone() {
            Some(url) => (None, url),
            None => {
                let mut handler = start_handler(&options, &secrets, 0)?;
                let port = listening_port(&mut handler).await?;
                (Some(handler), format!("http://127.0.0.1:{port}"))
            }
        };
        let gateway = start_gateway(&options, &secrets, &handler_url)?;
        let (_lock, _temporary) = (lock, None);
        let mut stack = Self { options, secrets, handler_url, gateway, handler, _lock, _temporary };
        stack.gateway_answers().await?;
        Ok(stack)
    }

    /// Starts both over a directory that goes with the stack.
    pub async fn temporary(configure: impl FnOnce(Options) -> Options) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("reelmill-").tempdir()?;
        let mut stack = Self::start(configure(Options::new(directory.path()))).await?;
        stack._temporary = Some(directory);
        Ok(stack)
    }

    /// The gateway's base URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.port)
    }

    /// The gateway's port.
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// The handler's base URL, without a slash at its end.
    pub fn handler_url(&self) -> &str {
        &self.handler_url
    }

    /// A client with the root API key.
    pub fn api(&self) -> Api {
        Api::new(self.url(), Some(self.secrets.api_key.clone()))
    }

    /// Where state, secrets and logs lie.
    pub fn data(&self) -> &Path {
        &self.options.data
    }

    /// Kills the handler and its FFmpeg, as a crash would.
    pub fn kill_handler(&mut self) {
        if let Some(handler) = &mut self.handler {
            handler.kill();
        }
    }

    /// Starts the handler again, where it was.
    pub async fn restart_handler(&mut self) -> Result<()> {
        let port = self.handler_url.rsplit(':').next().unwrap_or_default().parse()?;
        let handler = self.handler.insert(start_handler(&self.options, &self.secrets, port)?);
        until("the handler listens again", STARTUP, async || {
            Ok(handler.output().contains(LISTENING).then_some(()))
        })
        .await
    }

    /// The gateway's process, which leads the group of all that belongs to it.
    pub fn gateway_id(&self) -> u32 {
        self.gateway.id()
    }

    /// Kills the gateway, as a crash would.
    pub fn kill_gateway(&mut self) {
        self.gateway.kill();
    }

    /// Starts the gateway again, where it was and with what it had stored.
    pub async fn restart_gateway(&mut self) -> Result<()> {
        self.gateway = start_gateway(&self.options, &self.secrets, &self.handler_url)?;
        self.gateway_answers().await
    }

    /// The size in bytes of every object that the gateway's local R2 keeps, parts of uploads included.
    pub fn stored(&self) -> Result<Vec<u64>> {
        let buckets = self.options.data.join("state/v3/r2");
        let mut sizes = Vec::new();
        for bucket in fs::read_dir(buckets)? {
            let Ok(blobs) = fs::read_dir(bucket?.path().join("blobs")) else { continue };
            // One that is deleted between the two looks is not there any more.
            sizes.extend(blobs.filter_map(|blob| Some(blob.ok()?.metadata().ok()?.len())));
        }
        Ok(sizes)
    }

    /// Which of the two has ended by itself, with the end of its log.
    pub fn casualty(&mut self) -> Option<String> {
        let gateway = Some(("gateway", &mut self.gateway));
        let handler = self.handler.as_mut().map(|handler| ("handler", handler));
        gateway.into_iter().chain(handler).find_map(|(name, process)| {
            let status = process.ended()?;
            Some(format!("the {name} ended with {status}:\n{}", tail(&process.output())))
        })
    }

    async fn gateway_answers(&mut self) -> Result<()> {
        let health = format!("{}/health", self.url());
        let client = reqwest::Client::new();
        let gateway = &mut self.gateway;
        let answered = until("the gateway answers", STARTUP, async || {
            if let Some(status) = gateway.ended() {
                bail!("it ended with {status}");
            }
            Ok(client.get(&health).send().await.ok().filter(|answer| answer.status().is_success()))
        })
        .await;
        answered.map(drop).with_context(|| {
            format!("the gateway did not come up:\n{}", tail(&self.gateway.output()))
        })
    }
}

/// What the handler prints once it listens.
const LISTENING: &str = "listening on http://127.0.0.1:";

/// Where free ports are looked for: below those that the kernel gives to connections (32768 and up by
/// default), any of which could take a port between our finding it free and wrangler's taking it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The port to use: `wanted`, if it is free, or a free one for 0.
pub fn claim_port(wanted: u16) -> Result<u16> {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if wanted != 0 {
        free(wanted).with_context(|| {
            format!("port {wanted} is taken; choose another with REELMILL_PORT=<port>")
        })?;
        return Ok(wanted);
    }
    let random = settings::random()?;
    // Systems that start at the same time begin to look at different places.
    let first = u16::from_le_bytes([random[0], random[1]]) % (PORTS.end - PORTS.start);
    let mut ports = (PORTS.start + first..PORTS.end).chain(PORTS.start..PORTS.start + first);
    ports.find(|port| free(*port).is_ok()).context("no port is free")
}

/// Keeps a second system from a directory in use: both would write to one database, and the first
/// would send its jobs to the second's handler.
fn lock(data: &Path) -> Result<fs::File> {
    let path = data.join("lock");
    let file =
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock().with_context(|| {
        format!("{} is in use; choose another with REELMILL_DATA_DIR=<directory>", data.display())
    })?;
    Ok(file)
}

fn start_handler(options: &Options, secrets: &Secrets, port: u16) -> Result<Process> {
    let binary = settings::handler_binary();
    ensure!(binary.is_file(), "{} is missing: run scripts/build", binary.display());
    let work = options.data.join("work");
    fs::create_dir_all(&work)?;
    let mut command = command(binary);
    command
        .arg("serve")
        .env("REELMILL_HANDLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("REELMILL_WORK_DIR", work)
        .env("HANDLER_API_KEY", &secrets.handler_key)
        .env("HANDLER_WEBHOOK_SECRET", &secrets.webhook_secret)
        .envs(options.handler.iter().cloned());
    Process::start(command, options.data.join("logs/handler.log"))
}

async fn listening_port(handler: &mut Process) -> Result<u16> {
    let found = until("the handler listens", STARTUP, async || {
        if let Some(status) = handler.ended() {
            bail!("it ended with {status}");
        }
        let output = handler.output();
        let Some((_, rest)) = output.rsplit_once(LISTENING) else { return Ok(None) };
        let Some((line, _)) = rest.split_once('\n') else { return Ok(None) };
        Ok(Some(line.trim().parse().context("the handler's port")?))
    })
    .await;
    found.with_context(|| format!("the handler did not come up:\n{}", tail(&handler.output())))
}

fn start_gateway(options: &Options, secrets: &Secrets, handler_url: &str) -> Result<Process> {
    ensure!(
        settings::root().join("gateway-worker/build").is_dir(),
        "gateway-worker/build is missing: run scripts/build"
    );
    // A file and not arguments: those are readable for everybody on the machine.
    let variables = options.data.join("gateway.env");
    let handler_url = format!("{handler_url}/v2/local");
    let text: String = [
        ("HANDLER_URL", handler_url.as_str()),
        ("HANDLER_API_KEY", &secrets.handler_key),
        ("HANDLER_WEBHOOK_SECRET", &secrets.webhook_secret),
        ("TOKEN_KEYS", &secrets.token_keys),
        ("ROOT_KEY_SHA256", &secrets.api_key_hash()),
    ]
    .into_iter()
    .chain(options.gateway.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    // JSON has quotes of its own.
    .map(|(name, value)| format!("{name}='{value}'\n"))
    .collect();
    settings::write_private(&variables, text.as_bytes())?;

    let mut command = wrangler(&options.data);
    command
        .args([
            "dev",
            "--local",
            "--log-level",
            "warn",
            "--ip",
            "127.0.0.1",
            "--inspector-port",
            "0",
        ])
        .args(["--show-interactive-dev-session=false", "--port", &options.port.to_string()])
        .arg("--persist-to")
        .arg(options.data.join("state"))
        .arg("--env-file")
        .arg(variables)
        .envs(options.wrangler.iter().cloned());
    Process::start(command, options.data.join("logs/gateway.log"))
}

/// Brings the local catalogue to the newest schema, if it is not there already.
fn migrate(data: &Path) -> Result<()> {
    let stamp = data.join("migrated");
    let mut names: Vec<_> = fs::read_dir(settings::root().join("gateway-worker/migrations"))
        .context("gateway-worker/migrations")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort_unstable();
    let names = names.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|applied| applied == names) {
        return Ok(());
    }
    let output = wrangler(data)
        .args(["d1", "migrations", "apply", "CATALOGUE", "--local", "--persist-to"])
        .arg(data.join("state"))
        .output()
        .context("cannot start wrangler")?;
    ensure!(
        output.status.success(),
        "the catalogue's migrations failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::write(&stamp, names)?;
    Ok(())
}

/// Wrangler on the Node that stands beside it in `gateway-worker/node_modules`.
pub fn wrangler(data: &Path) -> Command {
    let directory = settings::root().join("gateway-worker");
    let mut command = command(directory.join("node_modules/.bin/node"));
    command
        .arg(directory.join("node_modules/wrangler/bin/wrangler.js"))
        .current_dir(directory)
        .env("CI", "1")
        .env("NO_COLOR", "1")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_SEND_ERROR_REPORTS", "false")
        .env("WRANGLER_LOG_PATH", data.join("logs/wrangler"))
        .env("MINIFLARE_REGISTRY_PATH", data.join("registry"));
    command
}

fn tail(text: &str) -> &str {
    text.char_indices().nth_back(4000).map_or(text, |(at, _)| &text[at..])
}
