//! SQS as a backend: moto's queues, which take whatever is signed anyhow, and an endpoint that checks
//! signatures as AWS documents them.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use e2e::{
    process::{Process, command},
    settings,
    stack::Stack,
    stand_in::{Signing, StandIn},
    wait::until,
};
use hmac::{Hmac, KeyInit, Mac};
use reelmill_shared::job::Job;
use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::FALLBACK;
use crate::{SOON, publish};

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-central-1";

/// A gateway whose jobs go to a queue, and then to a handler.
async fn over(queue: &str) -> Result<(Stack, StandIn)> {
    let stand_in = StandIn::start().await?;
    let stack = Stack::temporary(|options| {
        let backends = json!({"aws": {"kind": "sqs", "queueUrl": queue, "region": REGION}});
        options
            .stand_in(&stand_in.url)
            .gateway("BACKENDS", backends)
            .gateway(
                "BACKEND_KEYS",
                json!({"aws": {"accessKeyId": KEY_ID, "secretAccessKey": SECRET}}),
            )
            .gateway("DISPATCH", "video=aws,handler;audio=aws")
            .gateway("DISPATCH_FALLBACK_SECONDS", FALLBACK)
    })
    .await?;
    Ok((stack, stand_in))
}

/// An account at moto, which `scripts/setup test` installs.
struct Moto {
    _process: Process,
    _logs: tempfile::TempDir,
    endpoint: String,
    client: Client,
}

impl Moto {
    async fn start() -> Result<Self> {
        let program = settings::root().join(".tools/python/bin/moto_server");
        anyhow::ensure!(program.is_file(), "moto is not installed: run scripts/setup test");
        let logs = tempfile::tempdir()?;
        let mut moto = command(program);
        moto.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
        let mut process = Process::start(moto, logs.path().join("moto.log"))?;
        let endpoint = until("moto listens", SOON, async || {
            anyhow::ensure!(process.ended().is_none(), "it ended: {}", process.output());
            let output = process.output();
            let said = output.split_once("Running on ").and_then(|(_, rest)| rest.split_once('\n'));
            Ok(said.map(|(endpoint, _)| endpoint.trim().to_owned()))
        })
        .await?;
        Ok(Self { _process: process, _logs: logs, endpoint, client: Client::new() })
    }

    async fn call(&self, action: &str, body: Value) -> Result<Value> {
        let credential = format!("Credential=test/20260101/{REGION}/sqs/aws4_request");
        let request = self
            .client
            .post(&self.endpoint)
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"),
            )
            .body(body.to_string());
        let answer = request.send().await?.error_for_status()?;
        serde_json::from_slice(&answer.bytes().await?).context("moto's answer")
    }

    async fn queue(&self, name: &str, attributes: Value) -> Result<String> {
        let made =
            self.call("CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await?;
        Ok(made["QueueUrl"].as_str().context("a queue's URL")?.to_owned())
    }

    /// The next message, waited for.
    async fn message(&self, queue: &str) -> Result<Value> {
        let all = ["All"];
        let request =
            json!({"QueueUrl": queue, "MessageAttributeNames": all, "AttributeNames": all});
        until("a message comes", SOON, async || {
            let mut answer = self.call("ReceiveMessage", request.clone()).await?;
            Ok(answer.pointer_mut("/Messages/0").map(Value::take))
        })
        .await
    }
}

fn input(message: &Value) -> Result<Job> {
    let body: Value = serde_json::from_str(message["Body"].as_str().context("a body")?)?;
    Ok(Job::read(body["input"].clone())?)
}

#[tokio::test]
async fn a_job_becomes_a_message_and_goes_on_if_nobody_takes_it() -> Result<()> {
    let moto = Moto::start().await?;
    let queue = moto.queue("jobs", json!({})).await?;
    let (stack, handler) = over(&queue).await?;
    let api = stack.api();
    // Asked again where moto is slower than health waits for.
    let queue_says = until("the queue tells of itself", SOON, async || {
        let health = api.get("/health").await?.expect(200)?;
        Ok(Some(health["backends"]["aws"].clone()).filter(|aws| aws.get("error").is_none()))
    });
    let queue_says = queue_says.await?;
    assert_eq!((&queue_says["queue"], &queue_says["jobs"]["inQueue"]), (&json!("jobs"), &json!(0)));

    // A worker takes it.
    let song = api.upload("a.mp3", b"ID3\x04\0\0\0\0\0\0 a song".to_vec()).await?;
    let message = moto.message(&queue).await?;
    let job = input(&message)?;
    assert_eq!(
        (job.attempt().0.to_string(), job.attempt().1, job.dispatch()),
        (song.clone(), 1, 0)
    );
    let attribute = |name: &str| message["MessageAttributes"][name]["StringValue"].clone();
    assert_eq!((attribute("mediaId"), attribute("attempt")), (json!(song), json!("1")));
    let Job::Transcode(spec) = job else { anyhow::bail!("a job of another kind") };
    publish(&stack, &e2e::stand_in::Job::new(*spec)).await?;
    assert_eq!(api.media(&song).await?["status"], "ready");

    // Nobody takes it; a handler does it; the message that still lies there is nobody's any more.
    let video = api.upload("a.mp4", "a source").await?;
    let elsewhere = handler.job(1).await?;
    let message = moto.message(&queue).await?;
    let Job::Transcode(spec) = input(&message)? else { anyhow::bail!("a job of another kind") };
    assert_eq!(spec.media_id.to_string(), video);
    let late = e2e::stand_in::Job::new(*spec);
    let signing = Signing::now(&stack.secrets.webhook_secret);
    let claim = late.send_progress(&late.progress(0.0, false), &signing).await?;
    claim.expect_problem(409, "stale_attempt")?;
    publish(&stack, &elsewhere).await?;
    assert_eq!(api.media(&video).await?["attempts"], 1);
    Ok(())
}

#[tokio::test]
async fn a_fifo_queue_takes_a_job_once() -> Result<()> {
    let moto = Moto::start().await?;
    let queue = moto.queue("jobs.fifo", json!({"FifoQueue": "true"})).await?;
    let (stack, _handler) = over(&queue).await?;
    let song = stack.api().upload("a.mp3", b"ID3\x04\0\0\0\0\0\0 a song".to_vec()).await?;
    let message = moto.message(&queue).await?;
    assert_eq!(message["Attributes"]["MessageGroupId"], song);
    assert_eq!(message["Attributes"]["MessageDeduplicationId"], format!("{song}-1-0"));
    Ok(())
}

#[tokio::test]
async fn a_queue_that_is_gone_fails_the_attempt_at_once() -> Result<()> {
    let moto = Moto::start().await?;
    let (stack, _handler) = over(&format!("{}/123456789012/gone", moto.endpoint)).await?;
    let api = stack.api();
    let song = api.upload("a.mp3", b"ID3\x04\0\0\0\0\0\0 a song".to_vec()).await?;
    let failed = api.wait_status(&song, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "dispatch_failed");
    assert_eq!(failed["error"]["message"], "The queue does not exist.");
    Ok(())
}

/// What an endpoint answers messages with, and how many it has seen that were well signed.
type Endpoint = Arc<Mutex<(Vec<(u16, Value)>, usize)>>;

async fn endpoint(script: Vec<(u16, Value)>) -> Result<(String, Endpoint)> {
    let state: Endpoint = Arc::new(Mutex::new((script, 0)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let queue = format!("http://{}/123456789012/jobs", listener.local_addr()?);
    let app = Router::new().route("/", post(send_message)).with_state(state.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((queue, state))
}

async fn send_message(
    State(state): State<Endpoint>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    if let Err(error) = check_signature(&headers, &body) {
        let wrong = json!({"__type": "com.amazon.coral.service#InvalidSignatureException", "message": error.to_string()});
        return (StatusCode::FORBIDDEN, Json(wrong));
    }
    if headers["x-amz-target"] != "AmazonSQS.SendMessage" {
        return (StatusCode::OK, Json(json!({"Attributes": {}})));
    }
    let (script, seen) = &mut *state.lock().expect("a lock");
    *seen += 1;
    let sent = (200, json!({"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274"}));
    let (status, answer) = if script.is_empty() { sent } else { script.remove(0) };
    (StatusCode::from_u16(status).expect("a status"), Json(answer))
}

/// "Create a signed AWS API request", AWS IAM user guide: every step of it, from what arrived.
fn check_signature(headers: &HeaderMap, body: &[u8]) -> Result<()> {
    let header = |name: &str| {
        headers.get(name).context(name.to_owned())?.to_str().map_err(anyhow::Error::from)
    };
    let authorization =
        header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ").context("an algorithm")?;
    let field = |name: &str| {
        let mut fields = authorization.split(", ");
        fields
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
            .context(name.to_owned())
    };
    let (signed, time) = (field("SignedHeaders")?, header("x-amz-date")?);
    for needed in ["host", "x-amz-date", "x-amz-target"] {
        anyhow::ensure!(signed.split(';').any(|name| name == needed), "{needed} is not signed");
    }
    let scope = format!("{}/{REGION}/sqs/aws4_request", &time[..8]);
    anyhow::ensure!(field("Credential")? == format!("{KEY_ID}/{scope}"), "another key");
    let hash = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    let mut canonical = "POST\n/\n\n".to_owned();
    for name in signed.split(';') {
        canonical += &format!("{name}:{}\n", header(name)?.trim());
    }
    canonical += &format!("\n{signed}\n{}", hash(body));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    anyhow::ensure!(field("Signature")? == hex(&key), "another signature than {}", hex(&key));
    let age = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", time)?.to_datetime()?;
    let age =
        jiff::Timestamp::now().duration_since(age.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp());
    anyhow::ensure!(age.as_secs().abs() < 300, "an old signature");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn requests_are_signed_as_aws_wants_them_and_tried_again_where_that_helps() -> Result<()> {
    let busy = (400, json!({"__type": "com.amazonaws.sqs#RequestThrottled"}));
    let (queue, state) = endpoint(vec![busy, (503, json!({}))]).await?;
    let (stack, _handler) = over(&queue).await?;
    let song = stack.api().upload("a.mp3", b"ID3\x04\0\0\0\0\0\0 a song".to_vec()).await?;
    until("the third request is taken", SOON, async || {
        Ok((state.lock().expect("a lock").1 == 3).then_some(()))
    })
    .await?;
    assert_eq!(stack.api().media(&song).await?["status"], "transcoding");
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_refused_is_no_way_and_no_secret() -> Result<()> {
    let wrong =
        json!({"__type": "com.amazon.coral.service#InvalidClientTokenId", "message": SECRET});
    let (queue, _state) = endpoint(vec![(403, wrong.clone()), (403, wrong)]).await?;
    let (stack, handler) = over(&queue).await?;
    let api = stack.api();
    // With somewhere else to go, and without.
    api.upload("a.mp4", "a source").await?;
    publish(&stack, &handler.job(1).await?).await?;
    let song = api.upload("a.mp3", b"ID3\x04\0\0\0\0\0\0 a song".to_vec()).await?;
    let failed = api.wait_status(&song, "failed", SOON).await?;
    assert_eq!(failed["error"]["code"], "dispatch_failed");
    assert_eq!(failed["error"]["message"], "The queue refuses its key (InvalidClientTokenId).");
    Ok(())
}
