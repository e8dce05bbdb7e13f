//! Requests to the queue, and what is made of its answers.

use rstest::rstest;

use super::*;

fn queue(name: &str) -> Sqs {
    let queue = format!("https://sqs.eu-central-1.amazonaws.com/123456789012/{name}");
    let key = AwsKey::new(
        "AKIDEXAMPLE".into(),
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        Some("a-session".into()),
    );
    Sqs::new(queue.parse().expect("a URL"), "eu-central-1".into(), key)
}

fn job(filler: usize) -> Job {
    let url = |path: &str| format!("https://gateway.example/api/handler/{path}");
    Job::read(json!({
        "version": 1, "mediaId": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "attempt": 1,
        "input": {"url": url(&"x".repeat(filler)), "size": 7},
        "output": {"baseUrl": url("outputs/AQ/")},
        "callback": {"reportUrl": url("report?dispatch=3"), "progressUrl": url("progress?dispatch=3"),
            "leaseSeconds": 60},
    }))
    .expect("a job")
}

#[test]
fn a_message_is_the_body_of_a_run() {
    let request = queue("jobs").message(&job(1)).expect("a message");
    let body: Value =
        serde_json::from_str(request["MessageBody"].as_str().expect("text")).expect("JSON");
    assert_eq!(Job::read(body["input"].clone()).expect("a job"), job(1));
    assert_eq!(
        request["MessageAttributes"],
        json!({
            "mediaId": {"DataType": "String", "StringValue": "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5"},
            "attempt": {"DataType": "Number", "StringValue": "1"},
        })
    );
    assert!(request.get("MessageGroupId").is_none());
}

#[test]
fn a_fifo_queue_is_told_what_is_the_same() {
    let request = queue("jobs.fifo").message(&job(1)).expect("a message");
    assert_eq!(request["MessageGroupId"], "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5");
    let same = "med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5-1-3";
    assert_eq!(request["MessageDeduplicationId"], same);
}

#[test]
fn a_job_that_is_too_large_is_not_sent() {
    assert!(queue("jobs").message(&job(1_000_000)).is_ok());
    let refusal = queue("jobs").message(&job(MAX_MESSAGE)).expect_err("too large");
    assert!(refusal.contains("more than a message of SQS may have"), "{refusal}");
}

/// The expected header was computed by botocore 1.44's `SigV4Auth` from the same request at the same time.
#[test]
fn a_signature_is_botocores() {
    let queue = queue("jobs");
    let endpoint = queue.queue.join("/").expect("a URL");
    let headers = [
        ("content-type", "application/x-amz-json-1.0".to_owned()),
        ("x-amz-target", "AmazonSQS.SendMessage".to_owned()),
    ];
    let body = r#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"}"#;
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let signed = queue.signature(&endpoint, &headers, body, now).expect("a signature");
    let header = |wanted: &str| {
        let found = signed.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(header("x-amz-date"), Some("20270115T080000Z"));
    assert_eq!(header("x-amz-security-token"), Some("a-session"));
    assert_eq!(header("authorization"), Some(include_str!("botocore.txt").trim_end()));
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?}", queue("jobs"));
    assert!(!shown.contains("wJalr") && !shown.contains("a-session"), "{shown}");
}

#[rstest]
#[case("https://sqs.eu-west-3.amazonaws.com/1/q", Some("eu-west-3"))]
#[case("https://sqs.cn-north-1.amazonaws.com.cn/1/q", Some("cn-north-1"))]
#[case("http://127.0.0.1:5000/1/q", None)]
#[case("https://queue.example.com/1/q", None)]
fn tells_the_region(#[case] url: &str, #[case] region: Option<&str>) {
    assert_eq!(Sqs::region_of(&url.parse().expect("a URL")), region);
}

fn refused(message: &str) -> Trouble {
    Trouble::Refused(message.into())
}

fn passing(message: &str) -> Trouble {
    Trouble::Passing(message.into())
}

#[rstest]
#[case(400, "com.amazonaws.sqs#QueueDoesNotExist", refused("The queue does not exist."))]
#[case(400, "AWS.SimpleQueueService.NonExistentQueue", refused("The queue does not exist."))]
#[case(404, "", refused("The queue refused the job (status 404)."))]
#[case(403, "com.amazon.coral.service#AccessDeniedException", Trouble::NotAllowed)]
#[case(
    403,
    "com.amazon.coral.service#InvalidClientTokenId",
    refused("The queue refuses its key (InvalidClientTokenId).")
)]
#[case(
    403,
    "InvalidSignatureException",
    refused("The queue refuses its key (InvalidSignatureException).")
)]
#[case(
    400,
    "com.amazonaws.sqs#RequestThrottled",
    passing("The queue is too busy (RequestThrottled).")
)]
#[case(400, "com.amazonaws.sqs#KmsThrottled", passing("The queue is too busy (KmsThrottled)."))]
#[case(
    400,
    "com.amazonaws.sqs#InvalidMessageContents",
    refused("The queue refused the job (InvalidMessageContents).")
)]
#[case(400, "<script>#<b>", refused("The queue refused the job (b)."))]
#[case(503, "", passing("The queue answered with status 503."))]
#[case(302, "", refused("The queue refused the job (status 302)."))]
fn judges(#[case] status: u16, #[case] kind: &str, #[case] expected: Trouble) {
    let body = match kind {
        "" => String::new(),
        kind => json!({"__type": kind, "message": "hunter2"}).to_string(),
    };
    let answer = Answer { status, body: body.into(), ..Answer::default() };
    assert_eq!(judge(&answer), Err(expected));
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_again() {
    let answer = Answer { status: 200, body: b"{\"Mess".to_vec(), ..Answer::default() };
    assert_eq!(judge(&answer), Err(passing("The queue's answer is no JSON.")));
}
