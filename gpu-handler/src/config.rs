//! Configuration from the environment; nothing else in this crate reads it.

pub mod aws;
pub mod gpu;
pub mod lambda;
pub mod runpod;
pub mod s3;
mod source;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use reelmill_shared::{
    secret::Secret,
    webhook::{InvalidSecret, WebhookSecrets},
};

use aws::{LedgerTable, Sqs};
use gpu::Gpu;
use lambda::Lambda;
use runpod::Runpod;
use s3::S3;
use source::{Source, invalid};

/// Everything that can be configured. Secrets never print.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of `serve`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bearer key that callers of `serve` must show.
    pub api_key: Option<Secret>,
    /// Secrets that progress and reports are signed with.
    pub webhook_secrets: Option<WebhookSecrets>,
    /// Where a job's directory is made.
    pub work_dir: PathBuf,
    /// Jobs that run at the same time.
    pub concurrency: usize,
    /// Sources that are brought from their URLs at the same time, beside the jobs.
    pub ingests: usize,
    /// Jobs that may wait beyond those that run.
    pub queue: usize,
    /// How long running jobs may go on after SIGTERM.
    pub grace: Duration,
    /// Whether sources may be fetched from private addresses: for local development alone.
    pub allow_private_sources: bool,
    /// How tools are run.
    pub tools: Tools,
    /// What of a GPU may be used, and what must.
    pub gpu: Gpu,
    /// Preset of x264.
    pub x264_preset: String,
    /// What a job may use.
    pub limits: JobLimits,
    /// Object storage that jobs may name by `s3:` URLs, if any.
    pub s3: Option<S3>,
    /// Set where this is a worker of RunPod's.
    pub runpod: Option<Runpod>,
    /// The queue of SQS's that jobs come from, where one is named.
    pub sqs: Option<Sqs>,
    /// The table in which workers tell each other who is at what.
    pub ledger: Option<LedgerTable>,
    /// Set where this is a function of AWS Lambda's.
    pub lambda: Option<Lambda>,
}

/// How FFmpeg and ffprobe are run.
#[derive(Debug, Clone)]
pub struct Tools {
    /// This binary, whose `sandbox` command starts the tools.
    pub launcher: PathBuf,
    /// FFmpeg, as an absolute path.
    pub ffmpeg: PathBuf,
    /// ffprobe, as an absolute path.
    pub ffprobe: PathBuf,
    /// Refuse to work without every layer of the sandbox.
    pub sandbox_required: bool,
}

/// What one job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// Largest source, in bytes.
    pub source_bytes: u64,
    /// Wall-clock time of bringing a source from its URL.
    pub ingest: Duration,
    /// Wall-clock time of one FFmpeg run.
    pub wall: Duration,
    /// How long FFmpeg may show no progress.
    pub stall: Duration,
    /// CPU seconds of one FFmpeg run.
    pub cpu_seconds: u64,
    /// FFmpeg's private memory, in bytes.
    pub memory_bytes: u64,
    /// Bytes of all outputs together.
    pub output_bytes: u64,
}

/// Why the configuration is refused; it names the variable and never shows its value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value cannot be read.
    #[error("{name} must be {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it must look like.
        expected: &'static str,
    },
    /// A tool is not installed.
    #[error("{name}: no such program: install it, or set {name} to its path")]
    ProgramMissing {
        /// The variable that names it.
        name: &'static str,
    },
    /// The webhook secret cannot be read.
    #[error("HANDLER_WEBHOOK_SECRET: {0}")]
    Secret(#[from] InvalidSecret),
    /// The path of this binary is unknown.
    #[error("the path of this binary is unknown: {0}")]
    Launcher(std::io::Error),
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`].
    #[expect(clippy::disallowed_methods, reason = "here is where the environment is read")]
    pub fn from_env() -> Result<Self, ConfigError> {
        let launcher = std::env::current_exe().map_err(ConfigError::Launcher)?;
        Self::read(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), launcher)
    }

    /// Reads the variables that `lookup` gives; `launcher` is this binary.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(
        lookup: &dyn Fn(&str) -> Option<String>,
        launcher: PathBuf,
    ) -> Result<Self, ConfigError> {
        let source = Source { lookup };
        let lambda = Lambda::read(&source)?;
        let sandbox_required = match lookup("REELMILL_SANDBOX").as_deref() {
            None | Some("best-effort") => false,
            Some("required") => true,
            Some(_) => return Err(invalid("REELMILL_SANDBOX", "required or best-effort")),
        };
        Ok(Self {
            listen: source.parse(
                "REELMILL_HANDLER_LISTEN",
                "an address and port such as 127.0.0.1:8788",
                SocketAddr::from(([127, 0, 0, 1], 8788)),
            )?,
            api_key: lookup("HANDLER_API_KEY").map(Secret::new),
            webhook_secrets: lookup("HANDLER_WEBHOOK_SECRET")
                .map(|text| WebhookSecrets::parse(&text))
                .transpose()?,
            work_dir: lookup("REELMILL_WORK_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
            concurrency: source.number("REELMILL_CONCURRENCY", 1..=64, 1)? as usize,
            ingests: source.number("REELMILL_INGESTS", 1..=64, 4)? as usize,
            queue: source.number("REELMILL_QUEUE", 0..=100_000, 100)? as usize,
            grace: source.seconds("REELMILL_GRACE_SECONDS", 5)?,
            allow_private_sources: source.parse(
                "REELMILL_ALLOW_PRIVATE_SOURCES",
                "`true` or `false`",
                false,
            )?,
            tools: Tools {
                launcher,
                ffmpeg: source.program("FFMPEG", "ffmpeg")?,
                ffprobe: source.program("FFPROBE", "ffprobe")?,
                sandbox_required,
            },
            gpu: Gpu::read(&source)?,
            x264_preset: source.preset()?,
            limits: JobLimits {
                source_bytes: source.number("REELMILL_MAX_SOURCE_BYTES", 1..=1 << 44, 64 << 30)?,
                ingest: source.seconds("REELMILL_MAX_INGEST_SECONDS", 6 * 3600)?,
                wall: source.seconds("REELMILL_MAX_ENCODE_SECONDS", 6 * 3600)?,
                stall: source.seconds("REELMILL_MAX_STALL_SECONDS", 60)?,
                cpu_seconds: source.number("REELMILL_MAX_CPU_SECONDS", 1..=1 << 32, 48 * 3600)?,
                memory_bytes: source.number(
                    "REELMILL_MAX_MEMORY_BYTES",
                    256 << 20..=1 << 44,
                    lambda.as_ref().map_or(8 << 30, Lambda::for_tools).min(8 << 30),
                )?,
                output_bytes: source.number("REELMILL_MAX_OUTPUT_BYTES", 1..=1 << 44, 64 << 30)?,
            },
            s3: S3::read(&source)?,
            runpod: Runpod::read(&source)?,
            sqs: Sqs::read(&source)?,
            ledger: LedgerTable::read(&source)?,
            lambda,
        })
    }
}

/// Where the handler was started, as far as that tells how it is to be given jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// RunPod's serverless platform.
    Runpod,
    /// Anywhere, with a queue of SQS's to take jobs from.
    Sqs,
    /// AWS Lambda.
    Lambda,
    /// A box of one's own, where callers of `serve` have a key.
    Box,
}

impl Home {
    /// What the process's environment says, if anything.
    #[expect(clippy::disallowed_methods, reason = "here is where the environment is read")]
    pub fn from_env() -> Option<Self> {
        Self::read(&|name| std::env::var(name).is_ok_and(|value| !value.is_empty()))
    }

    fn read(is_set: &dyn Fn(&str) -> bool) -> Option<Self> {
        let signs = [
            (runpod::GET_JOB, Self::Runpod),
            (lambda::RUNTIME_API, Self::Lambda),
            (aws::QUEUE, Self::Sqs),
            ("HANDLER_API_KEY", Self::Box),
        ];
        signs.into_iter().find(|(name, _)| is_set(name)).map(|(_, home)| home)
    }
}

/// The form of this process's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// Lines for people, on stderr.
    Plain,
    /// JSON lines on stderr, as Lambda wants them.
    Json,
    /// JSON lines on stdout, as RunPod wants them.
    Runpod,
}

#[expect(clippy::disallowed_methods, reason = "here is where the environment is read")]
impl LogForm {
    /// RunPod's, where it collects the log.
    pub fn of_runpod() -> Self {
        let collects = std::env::var("RUNPOD_ENDPOINT_ID").is_ok_and(|id| !id.is_empty());
        if collects { Self::Runpod } else { Self::Plain }
    }

    /// What Lambda's function is configured to.
    pub fn of_lambda() -> Self {
        let json = std::env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|form| form == "JSON");
        if json { Self::Json } else { Self::Plain }
    }
}

/// Environment variables that FFmpeg's libraries need to find a GPU and themselves.
const PASSED_ON: &[&str] = &["LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"];

/// The variables that a tool inherits: the few that it needs, and none of ours.
#[expect(clippy::disallowed_methods, reason = "here is where the environment is read")]
pub fn tool_environment() -> Vec<(&'static str, String)> {
    PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let lookup = |name: &str| {
            let set = pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            // Any file will do as a tool.
            set.or(name.starts_with("FF").then_some("/proc/self/exe")).map(str::to_owned)
        };
        Config::read(&lookup, PathBuf::from("/handler"))
    }

    #[test]
    fn everything_has_a_default() {
        let config = read(&[]).expect("a configuration");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8788");
        assert_eq!((config.concurrency, config.grace), (1, Duration::from_secs(5)));
        assert_eq!(config.x264_preset, "veryfast");
        assert!(!config.tools.sandbox_required && !config.allow_private_sources);
    }

    #[rstest]
    #[case("REELMILL_HANDLER_LISTEN", "localhost")]
    #[case("REELMILL_CONCURRENCY", "0")]
    #[case("REELMILL_CONCURRENCY", "many")]
    #[case("REELMILL_INGESTS", "0")]
    #[case("REELMILL_ALLOW_PRIVATE_SOURCES", "1")]
    #[case("REELMILL_SANDBOX", "off")]
    #[case("REELMILL_X264_PRESET", "veryfast -f hls")]
    #[case("HANDLER_WEBHOOK_SECRET", "hunter2-hunter2")]
    #[case("FFMPEG", "/nowhere/ffmpeg")]
    fn refuses_and_names_the_variable(#[case] name: &str, #[case] value: &str) {
        let message = read(&[(name, value)]).expect_err("refused").to_string();
        assert!(message.contains(name), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn an_environment_tells_where_it_is() {
        let home = |set: &[&str]| Home::read(&|name| set.contains(&name));
        assert_eq!(home(&["HANDLER_API_KEY", runpod::GET_JOB]), Some(Home::Runpod));
        assert_eq!(home(&["HANDLER_API_KEY", aws::QUEUE]), Some(Home::Sqs));
        assert_eq!(home(&["HANDLER_API_KEY"]), Some(Home::Box));
        assert_eq!(home(&["HANDLER_API_KEY", lambda::RUNTIME_API]), Some(Home::Lambda));
        assert_eq!(home(&["RUNPOD_POD_ID"]), None);
    }

    #[test]
    fn secrets_do_not_print() {
        let config = read(&[("HANDLER_API_KEY", "hunter2")]).expect("a configuration");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
