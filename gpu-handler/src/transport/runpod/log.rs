//! The log as RunPod collects it: one JSON object in a line, with the id of the job that it is about.
//!
//! `{"requestId": "…" | null, "message": "…", "level": "INFO"}`, which is what its console filters by.
//! The id is the field `requestId` of the event or of a span around it.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use serde::Serialize;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    fmt::MakeWriter,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

const REQUEST_ID: &str = "requestId";

/// Writes the log in RunPod's form.
#[derive(Debug)]
pub struct Lines<W> {
    writer: W,
}

impl<W> Lines<W> {
    /// Writes to what `writer` makes.
    pub const fn new(writer: W) -> Self {
        Self { writer }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    request_id: Option<&'a str>,
    message: &'a str,
    level: &'static str,
}

/// What an event or a span says: its message, then its other fields as `name=value`.
#[derive(Debug, Default)]
struct Said {
    request_id: Option<String>,
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == REQUEST_ID {
            self.request_id = Some(value.to_owned());
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        written.expect("a string takes all that is written to it");
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let spans = context.event_scope(event).into_iter().flatten();
        let request_id = said.request_id.or_else(|| spans.filter_map(request_id).next());
        let message = said.message + &said.fields;
        let level = match *event.metadata().level() {
            Level::TRACE => "TRACE",
            Level::DEBUG => "DEBUG",
            Level::INFO => "INFO",
            Level::WARN => "WARN",
            Level::ERROR => "ERROR",
        };
        let line = Line { request_id: request_id.as_deref(), message: message.trim_start(), level };
        let mut line = serde_json::to_vec(&line).expect("a line is plain data");
        line.push(b'\n');
        // In one piece, so that no other thread gets in between; there is nobody to tell of failure.
        let _ = self.writer.make_writer().write_all(&line);
    }
}

fn request_id<'a, S: LookupSpan<'a>>(span: SpanRef<'a, S>) -> Option<String> {
    span.extensions().get::<Said>()?.request_id.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_have_the_id_of_the_job_around_them() {
        let written = Written::default();
        let writer = written.clone();
        let lines = Lines::new(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::info!("ready");
            let job = tracing::info_span!("job", requestId = "a-u1", other = 1);
            let inner = tracing::info_span!(parent: &job, "inner");
            inner.in_scope(|| tracing::warn!(code = 7, text = "x\ny", "it \"failed\""));
            tracing::error!(requestId = "b-u1", "taken back");
        });
        let bytes = written.0.lock().expect("a lock").clone();
        let lines: Vec<Value> = String::from_utf8(bytes)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("json"))
            .collect();
        let expected = [
            json!({"requestId": null, "message": "ready", "level": "INFO"}),
            json!({"requestId": "a-u1", "message": "it \"failed\" code=7 text=\"x\\ny\"",
                "level": "WARN"}),
            json!({"requestId": "b-u1", "message": "taken back", "level": "ERROR"}),
        ];
        assert_eq!(lines, expected);
    }
}
