//! What RunPod's platform tells a serverless worker by its environment: URL templates, a key, an id.
//!
//! | variable | |
//! |---|---|
//! | `RUNPOD_WEBHOOK_GET_JOB` | where to take jobs; that it is set means "deployed on RunPod" |
//! | `RUNPOD_WEBHOOK_POST_OUTPUT` | where results go, with `$ID` for the job's id |
//! | `RUNPOD_WEBHOOK_PING`, `RUNPOD_PING_INTERVAL` | where the heartbeat goes, and how often (ms, 10000) |
//! | `RUNPOD_AI_API_KEY` | sent as it is in `Authorization` |
//! | `RUNPOD_POD_ID` | the worker's id; made up if missing, and then there is no heartbeat |
//! | `RUNPOD_GPU_TYPE_ID` | stands in templates, and in reports as `gpuType` |
//! | `REELMILL_REFRESH_WORKER` | `never`, `after-fault` (default) or `always`: when to ask for a new worker |
//! | `REELMILL_GRACE_SECONDS` | bounds the draining after SIGTERM; unset: running jobs are finished |

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reelmill_shared::secret::Secret;
use url::Url;
use uuid::Uuid;

use super::{ConfigError, Source, invalid};

/// What goes into a URL as it is: RFC 3986's unreserved characters, which ids are made of.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The segment of the job-take URL that is another one for the stop channel.
const TAKE: &str = "/job-take/";
const STOP: &str = "/job-stop/";

/// A worker of RunPod's, as its platform set it up.
#[derive(Debug, Clone)]
pub struct Runpod {
    /// The worker's id.
    pub worker: String,
    /// The id of its GPU's type, which decides the price.
    pub gpu: Option<String>,
    /// Sent raw, without `Bearer`, to every URL here.
    pub key: Option<Secret>,
    /// Where jobs are taken.
    pub take: Url,
    /// Where it is told which jobs to stop; nowhere, if the job-take URL is not of the known form.
    pub stop: Option<Url>,
    /// Where results go.
    pub output: JobUrl,
    /// Where the heartbeat goes; nowhere without an id and a key.
    pub ping: Option<Url>,
    /// From one heartbeat to the next.
    pub ping_interval: Duration,
    /// How long running jobs may go on after SIGTERM, if not to their end.
    pub grace: Option<Duration>,
    /// When to ask for a new worker.
    pub refresh: Refresh,
}

/// When the platform is asked to replace the worker once a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Never.
    Never,
    /// After a job that failed for a reason of the handler's own (`internal`): memory, disk, a crash.
    AfterFault,
    /// After each job.
    Always,
}

/// A URL that stands for many, one for each job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobUrl(String);

impl JobUrl {
    /// The URL of a job. An id cannot lead anywhere else: what is special in a URL is escaped.
    pub fn of(&self, job: &str) -> Url {
        let text = self.0.replace("$ID", &escape(job));
        Url::parse(&text).expect("with another id it was a URL, and an escaped id is like another")
    }
}

/// A URL with one more parameter, whether or not it has any.
pub fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair(name, value);
    url
}

impl Runpod {
    /// What the environment says, or `None` where this is no worker of RunPod's.
    ///
    /// # Errors
    /// [`ConfigError`], naming the variable.
    pub(super) fn read(source: &Source<'_>) -> Result<Option<Self>, ConfigError> {
        let lookup = source.lookup;
        let Some(take) = lookup(GET_JOB) else { return Ok(None) };
        let known = lookup("RUNPOD_POD_ID");
        let placed = known.is_some();
        let worker = known.unwrap_or_else(|| Uuid::now_v7().to_string());
        let gpu = lookup("RUNPOD_GPU_TYPE_ID").unwrap_or_default();
        // The platform's order. Values are escaped, so that none of them can bring in another.
        let fill = |template: &str| {
            template
                .replace("$RUNPOD_POD_ID", &escape(&worker))
                .replace("$RUNPOD_GPU_TYPE_ID", &escape(&gpu))
        };
        let own =
            |name, template: &str| url(name, &fill(template).replace("$ID", &escape(&worker)));
        let output = lookup(POST_OUTPUT).ok_or(invalid(POST_OUTPUT, URL))?;
        let output = JobUrl(fill(&output));
        // With an id that would show, were it to stand where it is not escaped.
        url(POST_OUTPUT, &output.0.replace("$ID", &escape("/")))?;
        let stop = take.contains(TAKE).then(|| take.replace(TAKE, STOP));
        let key = lookup("RUNPOD_AI_API_KEY").map(Secret::new);
        let ping = lookup(PING).filter(|_| placed && key.is_some());
        let interval = source.number("RUNPOD_PING_INTERVAL", 100..=600_000, 10_000)?;
        let grace = lookup("REELMILL_GRACE_SECONDS").is_some();
        let grace =
            source.seconds("REELMILL_GRACE_SECONDS", 0).map(|time| grace.then_some(time))?;
        let refresh = match lookup("REELMILL_REFRESH_WORKER").as_deref() {
            None | Some("after-fault") => Refresh::AfterFault,
            Some("never") => Refresh::Never,
            Some("always") => Refresh::Always,
            Some(_) => {
                return Err(invalid("REELMILL_REFRESH_WORKER", "never, after-fault or always"));
            }
        };
        Ok(Some(Self {
            take: own(GET_JOB, &take)?,
            stop: stop.map(|stop| own(GET_JOB, &stop)).transpose()?,
            ping: ping.map(|ping| own(PING, &ping)).transpose()?,
            worker,
            gpu: Some(gpu).filter(|gpu| !gpu.is_empty()),
            key,
            output,
            ping_interval: Duration::from_millis(interval),
            grace,
            refresh,
        }))
    }
}

/// The variable that tells a worker of RunPod's.
pub(super) const GET_JOB: &str = "RUNPOD_WEBHOOK_GET_JOB";
const POST_OUTPUT: &str = "RUNPOD_WEBHOOK_POST_OUTPUT";
const PING: &str = "RUNPOD_WEBHOOK_PING";
const URL: &str = "the http(s) URL that RunPod sets";

fn escape(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

fn url(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|_| invalid(name, URL))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(invalid(name, URL)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Runpod>, ConfigError> {
        let lookup = |name: &str| {
            let found = pairs.iter().rev().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Runpod::read(&Source { lookup: &lookup })
    }

    const DEPLOYED: [(&str, &str); 6] = [
        (GET_JOB, "https://api.example/v2/ep/job-take/$RUNPOD_POD_ID?gpu=$RUNPOD_GPU_TYPE_ID"),
        (
            POST_OUTPUT,
            "https://api.example/v2/ep/job-done/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID",
        ),
        (PING, "https://api.example/v2/ep/ping/$RUNPOD_POD_ID?gpu=$RUNPOD_GPU_TYPE_ID"),
        ("RUNPOD_AI_API_KEY", "hunter2"),
        ("RUNPOD_POD_ID", "pod-1"),
        ("RUNPOD_GPU_TYPE_ID", "NVIDIA L4"),
    ];

    fn deployed(change: &[(&str, &str)]) -> Runpod {
        let pairs: Vec<_> = DEPLOYED.iter().chain(change).copied().collect();
        read(&pairs).expect("a configuration").expect("deployed")
    }

    #[test]
    fn elsewhere_there_is_none() {
        assert!(read(&DEPLOYED[1..]).expect("no error").is_none());
    }

    #[test]
    fn fills_templates() {
        let runpod = deployed(&[]);
        assert_eq!(
            runpod.take.as_str(),
            "https://api.example/v2/ep/job-take/pod-1?gpu=NVIDIA%20L4"
        );
        let stop = runpod.stop.expect("of the known form");
        assert_eq!(stop.as_str(), "https://api.example/v2/ep/job-stop/pod-1?gpu=NVIDIA%20L4");
        let done = runpod.output.of("job-1-u1");
        assert_eq!(
            done.as_str(),
            "https://api.example/v2/ep/job-done/pod-1/job-1-u1?gpu=NVIDIA%20L4"
        );
        assert_eq!(runpod.ping.expect("pings").path(), "/v2/ep/ping/pod-1");
        assert_eq!((runpod.ping_interval, runpod.grace), (Duration::from_secs(10), None));
    }

    /// `$ID` is the worker's where jobs are taken, and the job's where results go.
    #[test]
    fn an_id_is_the_workers_or_the_jobs() {
        let runpod = deployed(&[
            (GET_JOB, "https://api.example/job-take/$ID"),
            (POST_OUTPUT, "https://api.example/job-done/$ID"),
        ]);
        assert_eq!(runpod.take.as_str(), "https://api.example/job-take/pod-1");
        assert_eq!(runpod.output.of("j").as_str(), "https://api.example/job-done/j");
    }

    #[test]
    fn a_value_brings_in_nothing_else() {
        let runpod = deployed(&[("RUNPOD_POD_ID", "$ID&x=1"), ("RUNPOD_GPU_TYPE_ID", "$ID#")]);
        assert_eq!(runpod.output.of("a").path(), "/v2/ep/job-done/%24ID%26x%3D1/a");
        assert_eq!(
            runpod.output.of("../b?c#d").path(),
            "/v2/ep/job-done/%24ID%26x%3D1/..%2Fb%3Fc%23d"
        );
        assert_eq!(runpod.output.of("a").query(), Some("gpu=%24ID%23"));
    }

    #[rstest]
    #[case("https://a.example/x", "https://a.example/x?n=a%2Cb")]
    #[case("https://a.example/x?", "https://a.example/x?n=a%2Cb")]
    #[case("https://a.example/x?y=%20z", "https://a.example/x?y=%20z&n=a%2Cb")]
    fn adds_a_parameter(#[case] url: &str, #[case] expected: &str) {
        let url = Url::parse(url).expect("a URL");
        assert_eq!(with_parameter(&url, "n", "a,b").as_str(), expected);
    }

    #[test]
    fn without_an_id_one_is_made_up_and_not_pinged() {
        let pairs: Vec<_> =
            DEPLOYED.iter().filter(|(name, _)| *name != "RUNPOD_POD_ID").copied().collect();
        let runpod = read(&pairs).expect("a configuration").expect("deployed");
        assert!(runpod.worker.parse::<Uuid>().is_ok() && runpod.ping.is_none());
        assert!(runpod.take.path().ends_with(&runpod.worker));
    }

    #[test]
    fn without_the_known_form_there_is_no_stop_channel() {
        assert_eq!(deployed(&[(GET_JOB, "https://api.example/take")]).stop, None);
    }

    #[rstest]
    #[case(GET_JOB, "job-take")]
    #[case(GET_JOB, "ftp://api.example/job-take/x")]
    #[case(POST_OUTPUT, "$ID")]
    #[case(POST_OUTPUT, "https://$ID.example/")]
    #[case(PING, "PING_NOT_SET")]
    #[case("RUNPOD_PING_INTERVAL", "often")]
    #[case("RUNPOD_PING_INTERVAL", "0")]
    #[case("REELMILL_REFRESH_WORKER", "sometimes")]
    fn refuses_and_names_the_variable(#[case] name: &str, #[case] value: &str) {
        let pairs: Vec<_> = DEPLOYED.iter().chain(&[(name, value)]).copied().collect();
        let message = read(&pairs).expect_err("refused").to_string();
        assert!(message.contains(name), "{message}");
    }
}
