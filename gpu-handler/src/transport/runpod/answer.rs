//! What RunPod's answers mean, apart from how they came.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A job as RunPod hands it over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Message {
    /// RunPod's id of it.
    pub(super) id: String,
    /// What the caller of `/run` gave as `input`.
    pub(super) input: Option<Value>,
    /// Whatever else there is, now and in the future: `webhook`, `batchId`…
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// The answer to asking for a job.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// There is one.
    Job(Box<Message>),
    /// There is none: ask again at once.
    Nothing,
    /// Something that cannot be read: no job.
    Unreadable(&'static str),
    /// We ask too often.
    TooMany,
    /// The platform fails, or refuses.
    Failed(String),
}

/// The answer to a result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// It was taken.
    Done,
    /// It will never be taken: the platform does not know the job any more, or does not like it.
    Refused(u16),
    /// It did not get through.
    Failed(String),
}

/// Judges the answer of job-take. `content_type` is the header as it stands.
pub(super) fn taken(status: u16, content_type: &str, body: &[u8]) -> Taken {
    match status {
        // 400 is what a worker is told that FlashBoot has just woken.
        204 | 400 => Taken::Nothing,
        429 => Taken::TooMany,
        200..=299 if body.is_empty() => Taken::Nothing,
        200..=299 if !is_json(content_type) => Taken::Unreadable("not JSON by its content type"),
        200..=299 => match message(body) {
            Some(message) if is_id(&message.id) => Taken::Job(Box::new(message)),
            Some(_) => Taken::Unreadable("a job whose id is none"),
            None => Taken::Unreadable("neither a job nor anything like it"),
        },
        status => Taken::Failed(format!("status {status}")),
    }
}

/// Reads a message. Of one that is too deep or otherwise too strange it reads the id alone, so that
/// it can be answered: skipping has no limits.
fn message(body: &[u8]) -> Option<Message> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_slice(body).ok().or_else(|| {
        let Id { id } = serde_json::from_slice(body).ok()?;
        Some(Message { id, input: None, other: Map::new() })
    })
}

/// Judges the answer of job-stop: the ids of the jobs to stop, or how long to wait and why.
pub(super) fn stops(
    status: u16,
    content_type: &str,
    body: &[u8],
) -> Result<Vec<String>, (Pause, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stops {
        #[serde(default)]
        jobs_to_stop: Vec<Value>,
    }
    match status {
        204 => Ok(Vec::new()),
        429 => Err((Pause::Debounce, "status 429".to_owned())),
        200..=299 if is_json(content_type) => {
            let stops: Stops = serde_json::from_slice(body)
                .map_err(|_| (Pause::Short, "an unreadable answer".to_owned()))?;
            let ids = stops.jobs_to_stop.into_iter();
            Ok(ids.filter_map(|id| id.as_str().map(str::to_owned)).collect())
        }
        200..=299 => Ok(Vec::new()),
        status => Err((Pause::Short, format!("status {status}"))),
    }
}

/// Judges the answer to a result.
pub(super) fn posted(status: u16) -> Posted {
    match status {
        200..=299 => Posted::Done,
        // Of what it sent, the rest may change: a key that is being rotated, a lull in routing.
        400 | 404 | 409 | 410 | 413 | 422 => Posted::Refused(status),
        status => Posted::Failed(format!("status {status}")),
    }
}

/// How long to wait before asking the stop channel again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// As after an answer without ids.
    Short,
    /// As when asking too often.
    Debounce,
}

/// How patient a worker is, and with what. The defaults are those of the platform's own SDK, except
/// that it neither backs off nor tries a result for longer than three times.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a long poll may take, for jobs and for stops.
    pub poll: Duration,
    /// The shortest time from one job-take to the next, however quickly it is answered.
    pub floor: Duration,
    /// The wait after 429.
    pub debounce: Duration,
    /// The wait after an answer that cannot be read, and between two polls of the stop channel.
    pub pause: Duration,
    /// The shortest and the longest wait after failures; they double from one to the other.
    pub backoff: (Duration, Duration),
    /// How long a result is tried.
    pub result: Duration,
    /// The shortest time from one message of progress to the next.
    pub progress: Duration,
    /// How long any other request may take.
    pub request: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(90),
            floor: Duration::from_millis(50),
            debounce: Duration::from_secs(5),
            pause: Duration::from_secs(1),
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            // RunPod keeps results for half an hour; whoever has not got one by then has asked the
            // gateway, which knows better.
            result: Duration::from_secs(15 * 60),
            progress: Duration::from_secs(5),
            request: Duration::from_secs(30),
        }
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Whether it can be sent back, in a URL and a header. A dot segment would change the URL's path.
fn is_id(id: &str) -> bool {
    (1..=256).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic())
        && !matches!(id, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const JSON: &str = "application/json; charset=utf-8";

    #[rstest]
    #[case::nothing(204, "", "", Taken::Nothing)]
    #[case::flash_boot(400, JSON, r#"{"id":"a","input":{}}"#, Taken::Nothing)]
    #[case::too_many(429, "", "", Taken::TooMany)]
    #[case::empty(200, JSON, "", Taken::Nothing)]
    #[case::a_page(200, "text/html", "<p>", Taken::Unreadable("not JSON by its content type"))]
    #[case::no_json(200, JSON, "{", Taken::Unreadable("neither a job nor anything like it"))]
    #[case::a_list(200, JSON, "[]", Taken::Unreadable("neither a job nor anything like it"))]
    #[case::no_id(
        200,
        JSON,
        r#"{"input":{}}"#,
        Taken::Unreadable("neither a job nor anything like it")
    )]
    #[case::a_bad_id(
        200,
        JSON,
        r#"{"id":"..","input":{}}"#,
        Taken::Unreadable("a job whose id is none")
    )]
    #[case::a_long_id(200, JSON, &format!(r#"{{"id":"{}"}}"#, "x".repeat(257)), Taken::Unreadable("a job whose id is none"))]
    #[case::moved(302, JSON, "", Taken::Failed("status 302".into()))]
    #[case::wrong_key(401, JSON, "", Taken::Failed("status 401".into()))]
    #[case::down(500, JSON, "", Taken::Failed("status 500".into()))]
    fn judges_takes(
        #[case] status: u16,
        #[case] content_type: &str,
        #[case] body: &str,
        #[case] expected: Taken,
    ) {
        assert_eq!(taken(status, content_type, body.as_bytes()), expected);
    }

    #[test]
    fn a_job_keeps_what_is_not_known() {
        let body = br#"{"id":"a-u1","input":null,"webhook":"https://x.example","batchId":"b","new":{"er":1}}"#;
        let Taken::Job(message) = taken(200, JSON, body) else { panic!("no job") };
        assert_eq!((message.id.as_str(), &message.input), ("a-u1", &None));
        let other = json!({"webhook": "https://x.example", "batchId": "b", "new": {"er": 1}});
        assert_eq!(Value::Object(message.other), other);
    }

    /// What cannot be kept can at least be answered.
    #[rstest]
    #[case::deep(format!(r#"{{"input":{}1{},"id":"a"}}"#, "[".repeat(100_000), "]".repeat(100_000)))]
    #[case::half_a_character(r#"{"id":"a","input":{"title":"\ud800"}}"#.to_owned())]
    fn of_a_strange_job_the_id_is_read(#[case] body: String) {
        let Taken::Job(message) = taken(200, JSON, body.as_bytes()) else { panic!("no job") };
        assert_eq!((message.id.as_str(), message.input), ("a", None));
    }

    #[rstest]
    #[case(204, JSON, "", Ok(vec![]))]
    #[case(200, JSON, r#"{"jobsToStop":["a",7,"b"]}"#, Ok(vec!["a".into(), "b".into()]))]
    #[case(200, JSON, "{}", Ok(vec![]))]
    #[case(200, "text/plain", r#"{"jobsToStop":["a"]}"#, Ok(vec![]))]
    #[case(200, JSON, r#"{"jobsToStop":"a"}"#, Err(Pause::Short))]
    #[case(429, JSON, "", Err(Pause::Debounce))]
    #[case(404, JSON, "", Err(Pause::Short))]
    fn judges_stops(
        #[case] status: u16,
        #[case] content_type: &str,
        #[case] body: &str,
        #[case] expected: Result<Vec<String>, Pause>,
    ) {
        let judged = stops(status, content_type, body.as_bytes()).map_err(|(pause, _)| pause);
        assert_eq!(judged, expected);
    }

    #[rstest]
    #[case(200, Posted::Done)]
    #[case(404, Posted::Refused(404))]
    #[case(413, Posted::Refused(413))]
    #[case(401, Posted::Failed("status 401".into()))]
    #[case(429, Posted::Failed("status 429".into()))]
    #[case(500, Posted::Failed("status 500".into()))]
    fn judges_results(#[case] status: u16, #[case] expected: Posted) {
        assert_eq!(posted(status), expected);
    }
}
