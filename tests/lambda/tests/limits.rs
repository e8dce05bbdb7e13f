//! The emulator itself, at the wire: what it promises to enforce, it enforces. The functions are
//! scripts, each of which does one thing, or does it wrong.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use jiff::Timestamp;
use lambda_emulator::{Invoked, Lambda, Options, Refused};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A runtime's beginnings: calls to the API.
const CALLS: &str = r#"#!/usr/bin/env python3
import json, os, signal, subprocess, sys, threading, time, urllib.error, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
runtime = api + "/2018-06-01/runtime"
def call(url, body=None, headers={}):
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read() or b"null")
def extension():
    headers = {"Lambda-Extension-Name": "x", "Content-Type": "application/json"}
    _, answered, _ = call(api + "/2020-01-01/extension/register", {"events": []}, headers)
    shown = {"Lambda-Extension-Identifier": answered["Lambda-Extension-Identifier"]}
    threading.Thread(target=call, daemon=True,
        args=(api + "/2020-01-01/extension/event/next", None, shown)).start()
"#;

/// Asks for events for ever, and answers them by `handle`.
const LOOP: &str = r#"
while True:
    _, headers, event = call(runtime + "/invocation/next")
    id = headers["Lambda-Runtime-Aws-Request-Id"]
    call(runtime + "/invocation/" + id + "/response", handle(event, headers))
"#;

struct Bench {
    lambda: Lambda,
    _directory: TempDir,
}

impl Bench {
    /// A function of this script.
    fn script(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("bootstrap");
        std::fs::write(&program, format!("{CALLS}{script}")).expect("written");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
        let (timeout, memory_mb) = (Duration::from_secs(3), 512);
        let options = Options { program, environment: Vec::new(), timeout, memory_mb };
        Self { lambda: Lambda::new(options), _directory: directory }
    }

    /// A function that answers with what `handle` returns.
    fn answering(handle: &str) -> Self {
        Self::script(&format!("def handle(event, headers):\n    {handle}\n{LOOP}"))
    }

    async fn invoke(&self, payload: Value) -> Invoked {
        let invoked = self.lambda.invoke(payload.to_string().as_bytes()).await;
        invoked.expect("a machine").expect("an invocation")
    }

    async fn answer(&self) -> Value {
        match self.invoke(json!({})).await {
            Invoked::Answer(answer) => answer,
            Invoked::Error(error) => panic!("{error}\n{}", self.lambda.log()),
        }
    }

    async fn error_type(&self) -> String {
        let invoked = self.invoke(json!({})).await;
        invoked.error_type().unwrap_or_else(|| panic!("{invoked:?}")).to_owned()
    }
}

#[tokio::test]
async fn a_deadline_is_a_time_of_the_calendar() {
    let bench = Bench::answering("return headers['Lambda-Runtime-Deadline-Ms']");
    let before = Timestamp::now().as_millisecond();
    let deadline: i64 = bench.answer().await.as_str().expect("text").parse().expect("a number");
    let after = Timestamp::now().as_millisecond();
    assert!((before + 3000..=after + 3000).contains(&deadline), "{deadline}");
    bench.lambda.check().await;
}

#[tokio::test]
async fn environments_are_used_again_and_frozen_in_between() {
    let bench = Bench::answering("return os.getpid()");
    let pid = bench.answer().await;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    assert!(stat.contains(") T "), "{stat}");
    assert_eq!(bench.answer().await, pid);
    assert_eq!(bench.lambda.warm().await, 1);
    bench.lambda.check().await;
}

#[tokio::test]
async fn payloads_are_limited_both_ways() {
    let bench = Bench::answering("return 'x' * event");
    assert_eq!(bench.invoke(json!((6 << 20) - 2)).await.error_type(), None);
    let too_much = bench.invoke(json!((6 << 20) + 200)).await;
    assert_eq!(too_much.error_type(), Some("Function.ResponseSizeTooLarge"));
    let payload = json!("x".repeat(6 << 20)).to_string();
    let refused = bench.lambda.invoke(payload.as_bytes()).await.expect("a machine");
    assert_eq!(refused, Err(Refused::TooLarge));
    let refused = bench.lambda.invoke(b"{").await.expect("a machine");
    assert_eq!(refused, Err(Refused::NotJson));
}

#[tokio::test]
async fn a_function_is_cut_off_at_its_deadline() {
    let bench = Bench::answering("time.sleep(3600)");
    assert_eq!(bench.error_type().await, "Sandbox.Timedout");
    assert_eq!(bench.lambda.warm().await, 0);
}

#[rstest]
#[case::in_mid_event("def handle(event, headers): sys.exit(3)", "Runtime.ExitError")]
#[case::before_any("sys.exit(3)", "Runtime.ExitError")]
#[tokio::test]
async fn a_process_that_ends_is_an_error(#[case] script: &str, #[case] kind: &str) {
    let bench = Bench::script(&format!("{script}\n{LOOP}"));
    assert_eq!(bench.error_type().await, kind);
}

#[tokio::test]
async fn why_it_cannot_start_is_told() {
    let error = "call(runtime + '/init/error', {'errorType': 'A.B', 'errorMessage': 'c'}, \
                 {'Lambda-Runtime-Function-Error-Type': 'A.B'})\nsys.exit(1)";
    let bench = Bench::script(error);
    let expected = Invoked::Error(json!({"errorType": "A.B", "errorMessage": "c"}));
    assert_eq!(bench.invoke(json!({})).await, expected);
    bench.lambda.check().await;
}

/// Without an extension there is no SIGTERM; with one, half a second.
#[rstest]
#[case::nobody_to_tell("", "signal: 9 (SIGKILL)")]
#[case::told(
    "extension()\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(7))",
    "exit status: 7"
)]
#[case::deaf("extension()\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)", "signal: 9 (SIGKILL)")]
#[tokio::test]
async fn only_extensions_are_asked_to_end(#[case] script: &str, #[case] ending: &str) {
    let bench = Bench::script(&format!("{script}\ndef handle(*_): return 1\n{LOOP}"));
    assert_eq!(bench.answer().await, 1);
    assert_eq!(bench.lambda.shut_down().await.expect("a machine"), [ending]);
    bench.lambda.check().await;
}

/// Whatever a function does that Lambda does not expect is noted.
#[rstest]
#[case::a_process_left("subprocess.Popen(['sleep', '60'])")]
#[case::another_answer("call(runtime + '/invocation/other/response', 1)")]
#[case::a_second_question(
    "threading.Thread(target=call, args=(runtime + '/invocation/next',)).run()"
)]
#[tokio::test]
async fn violations_are_noted(#[case] deed: &str) {
    let bench = Bench::answering(&format!("{deed}; return 1"));
    assert_eq!(bench.answer().await, 1);
    let checked = tokio::spawn(async move { bench.lambda.check().await }).await;
    assert!(checked.is_err(), "it is noted");
}
