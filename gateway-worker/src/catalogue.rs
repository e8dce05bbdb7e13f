//! The D1 index of all media: for listing, never the truth.

use reelmill_shared::{id::MediaId, media::State};
use serde::Deserialize;
use worker::{D1Database, D1Type, Result};

use crate::view::Record;

/// Where a page of the list begins: after the media that was created at `created_at`
/// (milliseconds since 1970) under `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    created_at: i64,
    id: MediaId,
}

impl Cursor {
    /// The cursor behind `record`.
    pub fn after(record: &Record) -> Self {
        Self { created_at: record.media.created_at.as_millisecond(), id: record.media.id }
    }

    /// Reads what [`Display`](std::fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once('.')?;
        Some(Self { created_at: created_at.parse().ok()?, id: id.parse().ok()? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.created_at, self.id)
    }
}

/// Writes a media's row, unless a newer revision is there. A deleted media's row stays as a
/// tombstone, so that a late write cannot bring it back, until [`remove`].
pub async fn write(database: &D1Database, record: &Record, revision: i64) -> Result<()> {
    let media = &record.media;
    let json = match media.state {
        State::Deleted { .. } => "{}".to_owned(),
        _ => serde_json::to_string(record)?,
    };
    let id = media.id.to_string();
    database
        .prepare(
            "INSERT INTO media (id, status, created_at, revision, record)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET status = ?2, revision = ?4, record = ?5
             WHERE revision < ?4",
        )
        .bind_refs(&[
            D1Type::Text(&id),
            D1Type::Text(media.state.name()),
            D1Type::Real(number(media.created_at.as_millisecond())),
            D1Type::Real(number(revision)),
            D1Type::Text(&json),
        ])?
        .run()
        .await
        .map(|_| ())
}

/// Forgets a deleted media.
pub async fn remove(database: &D1Database, id: MediaId) -> Result<()> {
    let id = id.to_string();
    database
        .prepare("DELETE FROM media WHERE id = ?1 AND status = 'deleted'")
        .bind_refs(&[D1Type::Text(&id)])?
        .run()
        .await
        .map(|_| ())
}

/// At most `limit` media, newest first, with a given status or any.
pub async fn list(
    database: &D1Database,
    status: Option<&str>,
    cursor: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Record>> {
    #[derive(Deserialize)]
    struct Row {
        record: String,
    }
    let id = cursor.map(|cursor| cursor.id.to_string());
    let mut sql = String::from("SELECT record FROM media WHERE ");
    let mut values = vec![D1Type::Real(f64::from(limit))];
    match status {
        Some(status) => {
            values.push(D1Type::Text(status));
            sql.push_str("status = ?2");
        }
        None => sql.push_str("status <> 'deleted'"),
    }
    if let (Some(cursor), Some(id)) = (cursor, &id) {
        let first = values.len() + 1;
        values.extend([D1Type::Real(number(cursor.created_at)), D1Type::Text(id)]);
        sql.push_str(&format!(" AND (created_at, id) < (?{first}, ?{})", first + 1));
    }
    sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT ?1");
    let rows: Vec<Row> = database.prepare(sql).bind_refs(&values)?.all().await?.results()?;
    rows.iter().map(|row| Ok(serde_json::from_str(&row.record)?)).collect()
}

/// An integer as D1 takes it: a JavaScript number, exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "times and counters stay far below 2^53")]
pub fn number(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_what_it_wrote() {
        let text = "1800000000000.med_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
        assert_eq!(Cursor::parse(text).expect("a cursor").to_string(), text);
        for bad in ["", "x", "1.", "1.med_x", "'; DROP TABLE media; --"] {
            assert_eq!(Cursor::parse(bad), None);
        }
    }
}
