//! What a worker's requests have to look like, by what the platform's own SDK sends.
//!
//! Each function gives what is wrong with a request; nothing, if it is as it has to be.

use serde_json::{Map, Value};

use crate::traffic::Seen;

/// Of every request of a worker: the key as it is, without `Bearer`; and the parameters that its URL
/// template had (`template`), before any others.
pub fn worker(seen: &Seen, key: &str, template: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    match seen.headers.get("authorization").map(String::as_str) {
        Some(shown) if shown == key => {}
        Some(shown) if shown.starts_with("Bearer ") => wrong.push("the key is not raw".to_owned()),
        Some(_) => wrong.push("another key".to_owned()),
        None => wrong.push("no key".to_owned()),
    }
    if !seen.query.starts_with(template) {
        wrong.push(format!("the template's parameters are not there: {:?}", seen.query));
    }
    wrong
}

/// Of job-take.
pub fn take(seen: &Seen, template: usize) -> Vec<String> {
    match parameters(seen, template)[..] {
        [("job_in_progress", "0" | "1")] => Vec::new(),
        ref other => vec![format!("job-take with {other:?}")],
    }
}

/// Of job-stop.
pub fn stop(seen: &Seen, template: usize) -> Vec<String> {
    match parameters(seen, template)[..] {
        [] => Vec::new(),
        ref other => vec![format!("job-stop with {other:?}")],
    }
}

/// Of a ping.
pub fn ping(seen: &Seen, template: usize) -> Vec<String> {
    match parameters(seen, template)[..] {
        [("runpod_version", version)] if !version.is_empty() => Vec::new(),
        [("job_id", jobs), ("runpod_version", version)]
            if !version.is_empty() && jobs.split(',').all(|id| !id.is_empty()) =>
        {
            Vec::new()
        }
        [("status", "unhealthy"), ("check", _), ("reason", reason), ("runpod_version", _)]
            if reason.chars().count() <= 256 =>
        {
            Vec::new()
        }
        ref other => vec![format!("a ping with {other:?}")],
    }
}

/// What comes to job-done.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// How a job goes.
    Progress(Value),
    /// How it ended.
    Result {
        /// Its output.
        output: Option<Value>,
        /// Its error. One that is no string makes the job a completed one.
        error: Option<String>,
        /// Whether the worker is to be replaced.
        stop_pod: bool,
    },
    /// Nothing that can be read.
    Unreadable,
}

/// Of job-done, for this job. Reads the body, too.
pub fn done(seen: &Seen, template: usize, job: &str) -> (Done, Vec<String>) {
    let mut wrong = Vec::new();
    let header = |name: &str| seen.headers.get(name).map_or("", String::as_str);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("charset", "utf-8"),
        ("x-request-id", job),
    ];
    for (name, expected) in headers {
        if header(name) != expected {
            wrong.push(format!("{name}: {:?} instead of {expected:?}", header(name)));
        }
    }
    match parameters(seen, template)[..] {
        [("isStream", "false")] => {}
        ref other => wrong.push(format!("job-done with {other:?}")),
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&seen.body) else {
        wrong.push("the body is no JSON object".to_owned());
        return (Done::Unreadable, wrong);
    };
    (read(body, &mut wrong), wrong)
}

fn read(mut body: Map<String, Value>, wrong: &mut Vec<String>) -> Done {
    let (output, error) = (body.remove("output"), body.remove("error"));
    let done = match (body.remove("status"), error) {
        (Some(Value::String(status)), None) if status == "IN_PROGRESS" => {
            Done::Progress(output.unwrap_or_default())
        }
        (Some(other), _) => {
            wrong.push(format!("status {other}"));
            Done::Unreadable
        }
        (None, error) => {
            let error = match error {
                Some(Value::String(error)) => Some(error),
                Some(_) => {
                    wrong.push("error is no string".to_owned());
                    None
                }
                None => None,
            };
            if output.is_none() && error.is_none() {
                wrong.push("a result with neither output nor error".to_owned());
            }
            let stop_pod = body.remove("stopPod") == Some(Value::Bool(true));
            Done::Result { output, error, stop_pod }
        }
    };
    wrong.extend(body.keys().map(|name| format!("an unknown member {name}")));
    done
}

/// The parameters that a worker added to those of the template.
fn parameters(seen: &Seen, template: usize) -> Vec<(&str, &str)> {
    let added = seen.query.iter().skip(template);
    added.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Route;
    use axum::http::Request;
    use rstest::rstest;
    use serde_json::json;

    fn seen(url: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        let request = headers
            .iter()
            .fold(Request::get(url), |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        Seen::new(Route::Take, &parts, body.as_bytes())
    }

    #[rstest]
    #[case(Some("key"), "/x?gpu=L4&a=1", 0)]
    #[case(Some("key"), "/x?a=1&gpu=L4", 1)]
    #[case(Some("Bearer key"), "/x?gpu=L4", 1)]
    #[case(Some("kex"), "/x?gpu=L4", 1)]
    #[case(None, "/x", 2)]
    fn a_worker_shows_its_key_raw(
        #[case] shown: Option<&str>,
        #[case] url: &str,
        #[case] wrong: usize,
    ) {
        let headers: Vec<_> = shown.map(|key| ("authorization", key)).into_iter().collect();
        let template = [("gpu".to_owned(), "L4".to_owned())];
        assert_eq!(worker(&seen(url, &headers, ""), "key", &template).len(), wrong);
    }

    #[rstest]
    #[case(take, "/t?gpu=x&job_in_progress=0", true)]
    #[case(take, "/t?gpu=x&job_in_progress=true", false)]
    #[case(take, "/t?gpu=x", false)]
    #[case(stop, "/t?gpu=x", true)]
    #[case(stop, "/t?gpu=x&job_in_progress=0", false)]
    #[case(ping, "/t?gpu=x&runpod_version=1", true)]
    #[case(ping, "/t?gpu=x&job_id=a%2Cb&runpod_version=1", true)]
    #[case(ping, "/t?gpu=x&job_id=&runpod_version=1", false)]
    #[case(ping, "/t?gpu=x&job_id=a", false)]
    #[case(ping, "/t?gpu=x&status=unhealthy&check=a&reason=b&runpod_version=1", true)]
    fn parameters_are_exact(
        #[case] rule: fn(&Seen, usize) -> Vec<String>,
        #[case] url: &str,
        #[case] right: bool,
    ) {
        assert_eq!(rule(&seen(url, &[], ""), 1).is_empty(), right);
    }

    #[rstest]
    #[case(r#"{"output": 1}"#, Some((Some(json!(1)), None)), 0)]
    #[case(r#"{"error": "no"}"#, Some((None, Some("no"))), 0)]
    #[case(r#"{"error": {"code": "no"}, "output": 1}"#, Some((Some(json!(1)), None)), 1)]
    #[case(r#"{}"#, Some((None, None)), 1)]
    #[case(r#"{"output": 1, "more": 2}"#, Some((Some(json!(1)), None)), 1)]
    #[case(r#"{"status": "IN_PROGRESS", "output": 1}"#, None, 0)]
    #[case(r#"{"status": "COMPLETED", "output": 1}"#, None, 1)]
    #[case(r#"output=1"#, None, 1)]
    fn a_result_is_an_output_or_a_text(
        #[case] body: &str,
        #[case] result: Option<(Option<Value>, Option<&str>)>,
        #[case] wrong: usize,
    ) {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("charset", "utf-8"),
            ("x-request-id", "a"),
        ];
        let (done, found) = done(&seen("/d?isStream=false", &headers, body), 0, "a");
        let read = match done {
            Done::Result { output, error, .. } => Some((output, error)),
            Done::Progress(_) | Done::Unreadable => None,
        };
        let result = result.map(|(output, error)| (output, error.map(str::to_owned)));
        assert_eq!((read, found.len()), (result, wrong), "{found:?}");
    }

    #[test]
    fn a_result_has_its_headers() {
        let (_, wrong) = done(&seen("/d?isStream=true", &[], r#"{"output": 1}"#), 0, "a");
        assert_eq!(wrong.len(), 4, "{wrong:?}");
    }
}
