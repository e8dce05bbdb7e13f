//! The binary against the Runtime API of somebody else's: cargo-lambda's, out of PyPI.
#![expect(clippy::disallowed_methods, reason = "another emulator is started, and the binary")]

use std::{
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use gpu_handler::client::patient_client;
use handler_harness::{Gateway, SECRET, Worker, clips};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Where `scripts/setup test` puts it.
const EMULATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/python/bin/cargo-lambda");

/// The emulator's process, which does not outlive its test.
struct Emulator {
    child: Child,
    address: String,
}

impl Emulator {
    async fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port().to_string();
        drop(free);
        let mut command = Command::new(EMULATOR);
        command.args(["lambda", "watch", "--only-lambda-apis", "-A", "127.0.0.1", "-P", &port]);
        // It wants to be at a package, though it builds none.
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().expect("started");
        let address = format!("127.0.0.1:{port}");
        let reached = async { while TcpStream::connect(&address).await.is_err() {} };
        tokio::time::timeout(handler_harness::PATIENCE, reached).await.expect("it listens");
        Self { child, address }
    }

    async fn invoke(&self, payload: &Value) -> Value {
        let url = format!("http://{}/2015-03-31/functions/_/invocations", self.address);
        let request = patient_client().expect("a client").post(url).body(payload.to_string());
        let answer = request.send().await.expect("an answer").bytes().await.expect("a body");
        serde_json::from_slice(&answer).expect("json")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_works_with_cargo_lambda() {
    if !Path::new(EMULATOR).exists() {
        println!("skipped: cargo-lambda is not installed (scripts/setup test)");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::start(clips::short(directory.path())).await;
    let emulator = Emulator::start().await;
    let api = format!("http://{}/.rt", emulator.address);
    let work = directory.path().to_string_lossy().into_owned();
    let environment = [
        ("AWS_LAMBDA_RUNTIME_API", api.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "_"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008"),
        ("HANDLER_WEBHOOK_SECRET", SECRET),
        ("REELMILL_WORK_DIR", &work),
    ];
    let program = Path::new(env!("CARGO_BIN_EXE_gpu-handler"));
    let _worker = Worker::start(program, environment);
    let job = gateway.job(1);
    let answer = emulator.invoke(&json!({"input": job})).await;
    assert_eq!(answer["status"], "completed", "{answer}");
    assert_eq!(gateway.reports(1).await[0].body["status"], "completed");
    let error = emulator.invoke(&json!({"input": {"version": 2}})).await;
    assert_eq!(error["errorType"], "unsupported_job", "{error}");
    let record = json!({"messageId": "m-1", "eventSource": "aws:sqs", "body": job.to_string()});
    let answer = emulator.invoke(&json!({"Records": [record]})).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(gateway.record().fetched, 1, "known already");
}
