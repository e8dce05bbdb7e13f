//! A media's own SQLite database.
//!
//! Every function here runs without awaiting, and what a Durable Object writes between two awaits
//! is stored as one transaction: state, outbox and messages can never disagree.

use std::cell::Cell;

use jiff::Timestamp;
use reelmill_shared::{
    id::{MediaId, UploadId},
    media::{Effect, LeftJob},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker::{Result, SqlStorage, SqlStorageValue};

use crate::view::Record;

/// How many events are kept for subscribers that reconnect.
pub(super) const EVENTS_KEPT: i64 = 256;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS media (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      record TEXT NOT NULL, fingerprint TEXT NOT NULL, revision INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (
      id INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL,
      due INTEGER NOT NULL, tries INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS upload_lock (
      one INTEGER PRIMARY KEY CHECK (one = 1), lock TEXT NOT NULL, until INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS attached_upload (
      one INTEGER PRIMARY KEY CHECK (one = 1), upload TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS events (
      id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, data TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS messages (
      id TEXT PRIMARY KEY, kind TEXT NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS deliveries (
      message TEXT NOT NULL, endpoint TEXT NOT NULL, state TEXT NOT NULL,
      failures INTEGER NOT NULL, due INTEGER, PRIMARY KEY (message, endpoint));
    CREATE TABLE IF NOT EXISTS delivery_attempts (
      message TEXT NOT NULL, endpoint TEXT NOT NULL, attempt TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS delivery_attempts_of ON delivery_attempts (message, endpoint);
";

/// Something to be done at the edge, kept until it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "task")]
pub(super) enum Task {
    /// What the state machine asks for.
    Effect {
        /// The effect. An announcement's message is already stored.
        effect: Effect,
    },
    /// Write the media's row of the catalogue.
    Index,
    /// Delete what was stored by requests that were under way when the media was deleted.
    Sweep,
    /// Remove what is left of a source whose media was never created.
    CleanUp {
        /// The media that would have been.
        media: MediaId,
        /// R2's id of the multipart upload, if one was begun.
        multipart: Option<String>,
    },
    /// Abort an upload straight into the bucket, or delete what it became.
    DropDirect {
        /// The media whose source it was to be.
        media: MediaId,
        /// The store's id of the multipart upload.
        upload: String,
        /// Whether it has become an object.
        stored: bool,
    },
    /// Ask the backend of an attempt's job what became of it.
    Look {
        /// The attempt.
        attempt: u8,
        /// Which offer of it.
        dispatch: u8,
    },
    /// Find out what a job cost that is over.
    Bill {
        /// The job.
        #[serde(flatten)]
        job: LeftJob,
        /// Since when it is over, or nobody waits for it any more.
        since: Timestamp,
    },
    /// End a resumable upload that nobody waits for any more.
    AbortUpload {
        /// The upload.
        upload: UploadId,
    },
}

/// A claimed row of the outbox.
#[derive(Debug)]
pub(super) struct Claimed {
    /// Its row.
    pub(super) id: i64,
    /// What to do.
    pub(super) task: Task,
    /// How often it was tried before.
    pub(super) tries: i64,
}

/// An event as subscribers get it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StoredEvent {
    /// Counts up within the media.
    pub(super) id: i64,
    /// The SSE event name.
    pub(super) kind: String,
    /// JSON.
    pub(super) data: String,
}

/// The media's tables.
pub(super) struct Store {
    sql: SqlStorage,
    open: Cell<bool>,
}

#[derive(Deserialize)]
struct Number {
    number: Option<i64>,
}

impl Store {
    /// The database behind `sql`; to be [opened](Self::open) before use.
    pub(super) fn new(sql: SqlStorage) -> Self {
        Self { sql, open: Cell::new(false) }
    }

    /// Makes the tables that are missing, once.
    pub(super) fn open(&self) -> Result<()> {
        if !self.open.get() {
            self.sql.exec(SCHEMA, None)?;
            self.open.set(true);
        }
        Ok(())
    }

    /// Runs a statement.
    pub(super) fn run(&self, sql: &str, values: Vec<SqlStorageValue>) -> Result<()> {
        self.sql.exec(sql, values).map(|_| ())
    }

    /// Runs a query.
    pub(super) fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: Vec<SqlStorageValue>,
    ) -> Result<Vec<T>> {
        self.sql.exec(sql, values)?.to_array()
    }

    fn number(&self, sql: &str, values: Vec<SqlStorageValue>) -> Result<Option<i64>> {
        Ok(self.rows::<Number>(sql, values)?.into_iter().next().and_then(|row| row.number))
    }

    /// The media, if it was created.
    pub(super) fn record(&self) -> Result<Option<Record>> {
        #[derive(Deserialize)]
        struct Row {
            record: String,
        }
        let rows: Vec<Row> = self.rows("SELECT record FROM media", vec![])?;
        rows.first().map(|row| serde_json::from_str(&row.record)).transpose().map_err(Into::into)
    }

    /// The digest of the request that created the media.
    pub(super) fn fingerprint(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Row {
            fingerprint: String,
        }
        let rows: Vec<Row> = self.rows("SELECT fingerprint FROM media", vec![])?;
        Ok(rows.into_iter().next().map(|row| row.fingerprint))
    }

    /// Number of the media's last change.
    pub(super) fn revision(&self) -> Result<i64> {
        Ok(self.number("SELECT revision AS number FROM media", vec![])?.unwrap_or(0))
    }

    /// Stores a new media.
    pub(super) fn insert(&self, record: &Record, fingerprint: &str) -> Result<()> {
        let json = serde_json::to_string(record)?;
        let values = vec![json.into(), fingerprint.into()];
        self.run("INSERT INTO media VALUES (1, ?, ?, 1)", values)
    }

    /// Stores a changed media.
    pub(super) fn update(&self, record: &Record) -> Result<()> {
        let json = serde_json::to_string(record)?;
        self.run("UPDATE media SET record = ?, revision = revision + 1", vec![json.into()])
    }

    /// Puts a task into the outbox, due at `due`.
    pub(super) fn enqueue(&self, task: &Task, due: Timestamp) -> Result<()> {
        let values = vec![serde_json::to_string(task)?.into(), millis(due)];
        self.run("INSERT INTO outbox (task, due, tries) VALUES (?, ?, 0)", values)
    }

    /// The first task that is due, put off until `until` so that it comes again if we die over it.
    pub(super) fn claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claimed>> {
        #[derive(Deserialize)]
        struct Row {
            id: i64,
            task: String,
            tries: i64,
        }
        let sql = "SELECT id, task, tries FROM outbox WHERE due <= ? ORDER BY id LIMIT 1";
        let Some(row) = self.rows::<Row>(sql, vec![millis(now)])?.into_iter().next() else {
            return Ok(None);
        };
        self.postpone(row.id, until)?;
        let task = serde_json::from_str(&row.task)?;
        Ok(Some(Claimed { id: row.id, task, tries: row.tries }))
    }

    /// Whether a task is in the outbox.
    pub(super) fn has(&self, task: &Task) -> Result<bool> {
        let sql = "SELECT count(*) AS number FROM outbox WHERE task = ?";
        Ok(self.number(sql, vec![serde_json::to_string(task)?.into()])?.is_some_and(|n| n > 0))
    }

    /// Removes a task that is done.
    pub(super) fn done(&self, id: i64) -> Result<()> {
        self.run("DELETE FROM outbox WHERE id = ?", vec![id.into()])
    }

    /// The media's reservation needs no cleaning up.
    pub(super) fn drop_reservation(&self) -> Result<()> {
        self.run("DELETE FROM outbox WHERE task ->> 'task' = 'cleanUp'", vec![])
    }

    /// Puts a task off.
    pub(super) fn postpone(&self, id: i64, until: Timestamp) -> Result<()> {
        let sql = "UPDATE outbox SET due = ?, tries = tries + 1 WHERE id = ?";
        self.run(sql, vec![millis(until), id.into()])
    }

    /// When the next task or delivery is due.
    pub(super) fn next_due(&self) -> Result<Option<Timestamp>> {
        let sql = "SELECT min(due) AS number FROM (SELECT due FROM outbox
                   UNION ALL SELECT due FROM deliveries WHERE due IS NOT NULL)";
        Ok(self.number(sql, vec![])?.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    }

    /// Appends an event, forgets the oldest beyond [`EVENTS_KEPT`], and returns its id.
    pub(super) fn append_event(&self, kind: &str, data: &str) -> Result<i64> {
        let sql = "INSERT INTO events (kind, data) VALUES (?, ?) RETURNING id AS number";
        let id = self.number(sql, vec![kind.into(), data.into()])?.unwrap_or(0);
        self.run("DELETE FROM events WHERE id <= ?", vec![(id - EVENTS_KEPT).into()])?;
        Ok(id)
    }

    /// Id of the last event, 0 if there was none.
    pub(super) fn last_event(&self) -> Result<i64> {
        Ok(self.number("SELECT max(id) AS number FROM events", vec![])?.unwrap_or(0))
    }

    /// The events after `id`, or `None` if some of them are forgotten or `id` never was.
    pub(super) fn events_after(&self, id: i64) -> Result<Option<Vec<StoredEvent>>> {
        let first = self.number("SELECT min(id) AS number FROM events", vec![])?.unwrap_or(1);
        if id < first - 1 || id > self.last_event()? {
            return Ok(None);
        }
        let sql = "SELECT id, kind, data FROM events WHERE id > ? ORDER BY id";
        self.rows(sql, vec![id.into()]).map(Some)
    }

    /// Who holds the upload lock at `now`.
    pub(super) fn lock_holder(&self, now: Timestamp) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Row {
            lock: String,
        }
        let sql = "SELECT lock FROM upload_lock WHERE until > ?";
        Ok(self.rows::<Row>(sql, vec![millis(now)])?.into_iter().next().map(|row| row.lock))
    }

    /// Gives the upload lock to `lock` until `until`.
    pub(super) fn lock(&self, lock: &str, until: Timestamp) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO upload_lock VALUES (1, ?, ?)",
            vec![lock.into(), millis(until)],
        )
    }

    /// The resumable upload that is to bring the source, or has brought it.
    pub(super) fn attached(&self) -> Result<Option<UploadId>> {
        #[derive(Deserialize)]
        struct Row {
            upload: UploadId,
        }
        let rows = self.rows::<Row>("SELECT upload FROM attached_upload", vec![])?;
        Ok(rows.into_iter().next().map(|row| row.upload))
    }

    /// Makes `upload` the one that is to bring the source.
    pub(super) fn attach(&self, upload: UploadId) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO attached_upload VALUES (1, ?)";
        self.run(sql, vec![upload.to_string().into()])
    }

    /// No upload is to bring the source.
    pub(super) fn detach(&self) -> Result<()> {
        self.run("DELETE FROM attached_upload", vec![])
    }

    /// Frees the upload lock.
    pub(super) fn unlock(&self) -> Result<()> {
        self.run("DELETE FROM upload_lock", vec![])
    }
}

/// A time as it is stored: milliseconds since 1970, which a JavaScript number holds exactly.
pub(super) fn millis(time: Timestamp) -> SqlStorageValue {
    SqlStorageValue::Integer(time.as_millisecond())
}
