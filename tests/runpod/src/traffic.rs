//! The requests that came.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, Uri, request::Parts};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// A worker asks for a job.
    Take,
    /// A worker asks which jobs to stop.
    Stop,
    /// A worker sends a result.
    Result,
    /// A worker sends progress.
    Progress,
    /// A worker lives.
    Ping,
    /// A client hands in a job.
    Run,
    /// A client asks after a job.
    Status,
    /// A client takes a job back.
    Cancel,
    /// A client wants a job tried again.
    Retry,
    /// A client asks after the endpoint.
    Health,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it is for.
    pub route: Route,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// Its parameters, in order, decoded.
    pub query: Vec<(String, String)>,
    /// Its headers, decoded as far as they are text.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What is alike in two requests of two workers that speak the same protocol: everything but ids,
/// values and what a library adds of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// What it is for.
    pub route: Route,
    /// Its method.
    pub method: String,
    /// Its path, with the worker's and the job's id as `{}`.
    pub path: String,
    /// The names of its parameters, in order.
    pub query: Vec<String>,
    /// Those headers that the platform reads, with the ids as `{}`.
    pub headers: BTreeMap<String, String>,
    /// The names of the body's members, if it is a JSON object.
    pub members: BTreeSet<String>,
}

/// The headers that the platform reads.
const HEADERS: &[&str] = &["authorization", "content-type", "charset", "x-request-id"];

impl Seen {
    /// A request as it came.
    pub fn new(route: Route, parts: &Parts, body: &[u8]) -> Self {
        let headers = parts.headers.iter().map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Self {
            route,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: query(&parts.uri),
            headers: headers.collect(),
            body: body.to_vec(),
        }
    }

    /// A parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What of it is the protocol's.
    pub fn shape(&self, ids: &[&str]) -> Shape {
        let blank =
            |text: &str| ids.iter().fold(text.to_owned(), |text, id| text.replace(id, "{}"));
        let headers = self.headers.iter().filter(|(name, _)| HEADERS.contains(&name.as_str()));
        let members = match serde_json::from_slice(&self.body) {
            Ok(serde_json::Value::Object(body)) => body.into_iter().map(|(name, _)| name).collect(),
            _ => BTreeSet::new(),
        };
        Shape {
            route: self.route,
            method: self.method.to_string(),
            path: blank(&self.path),
            query: self.query.iter().map(|(name, _)| name.clone()).collect(),
            headers: headers.map(|(name, value)| (name.clone(), blank(value))).collect(),
            members,
        }
    }
}

/// The parameters of a URL.
pub fn query(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).into_owned().collect()
}
