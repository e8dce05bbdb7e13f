//! What goes wrong behind the scenes, for the operator: lines of JSON in the Worker's log.

/// Says what went wrong, and where.
pub fn log(what: &str, message: &str) {
    worker::console_error!(
        "{}",
        serde_json::json!({"level": "error", "what": what, "message": message})
    );
}
