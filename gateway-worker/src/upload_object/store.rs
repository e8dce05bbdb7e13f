//! An upload's own SQLite database: what it is, how far it is, the parts that R2 has, and the spool.
//!
//! Every function here runs without awaiting, and what a Durable Object writes between two awaits
//! is stored as one transaction: the offset can never disagree with the bytes.
//!
//! The spool holds what is short of a part. Its rows never enter wasm: they are JavaScript's bytes
//! on their way in and out.

use std::cell::Cell;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker::{
    Result, SqlStorage, SqlStorageValue,
    js_sys::{Array, ArrayBuffer, Uint8Array},
    wasm_bindgen::{JsCast, JsValue},
    worker_sys::types::SqlStorage as SqlStorageSys,
};

use super::record::{About, Progress};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS upload (
      one INTEGER PRIMARY KEY CHECK (one = 1), about TEXT NOT NULL, progress TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, etag TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS spool (
      start INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
";

/// The upload's tables.
pub(super) struct Store {
    sql: SqlStorage,
    open: Cell<bool>,
}

/// A part that R2 has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPart {
    /// Its number, from 1.
    pub(super) number: u16,
    /// R2's entity tag of it.
    pub(super) etag: String,
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

    /// The database was deleted: it has to be opened anew.
    pub(super) fn forget(&self) {
        self.open.set(false);
    }

    fn run(&self, sql: &str, values: Vec<SqlStorageValue>) -> Result<()> {
        self.sql.exec(sql, values).map(|_| ())
    }

    fn rows<T: DeserializeOwned>(&self, sql: &str, values: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.sql.exec(sql, values)?.to_array()
    }

    /// The upload, if it was created.
    pub(super) fn load(&self) -> Result<Option<(About, Progress)>> {
        #[derive(Deserialize)]
        struct Row {
            about: String,
            progress: String,
        }
        let rows: Vec<Row> = self.rows("SELECT about, progress FROM upload", vec![])?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        Ok(Some((serde_json::from_str(&row.about)?, serde_json::from_str(&row.progress)?)))
    }

    /// Stores a new upload.
    pub(super) fn insert(&self, about: &About, progress: &Progress) -> Result<()> {
        let values =
            vec![serde_json::to_string(about)?.into(), serde_json::to_string(progress)?.into()];
        self.run("INSERT INTO upload VALUES (1, ?, ?)", values)
    }

    /// Stores how far the upload is.
    pub(super) fn update(&self, progress: &Progress) -> Result<()> {
        self.run("UPDATE upload SET progress = ?", vec![serde_json::to_string(progress)?.into()])
    }

    /// Records a part; the last one that was sent under a number is the one that R2 has.
    pub(super) fn put_part(&self, part: &StoredPart) -> Result<()> {
        let values = vec![i64::from(part.number).into(), part.etag.as_str().into()];
        self.run("INSERT OR REPLACE INTO parts VALUES (?, ?)", values)
    }

    /// The parts, in order.
    pub(super) fn parts(&self) -> Result<Vec<StoredPart>> {
        self.rows("SELECT number, etag FROM parts ORDER BY number", vec![])
    }

    /// Puts bytes into the spool.
    pub(super) fn spool(&self, start: u64, bytes: &Uint8Array) -> Result<()> {
        let values = vec![number(start), bytes.into()];
        self.sql.exec_raw("INSERT OR REPLACE INTO spool VALUES (?, ?)", values).map(|_| ())
    }

    /// The bytes that were put into the spool at `start`.
    pub(super) fn spooled(&self, start: u64) -> Result<Option<Uint8Array>> {
        // The crate's cursor would copy them into wasm, so this asks JavaScript's own.
        let sql: &SqlStorageSys = self.sql.as_ref().unchecked_ref();
        let query = "SELECT bytes FROM spool WHERE start = ?";
        let cursor = sql.exec(query, Array::of1(&number(start)))?;
        let next = cursor.raw().next()?;
        if next.done() {
            return Ok(None);
        }
        let row: Array = next.value().dyn_into()?;
        let bytes: ArrayBuffer = row.get(0).dyn_into()?;
        Ok(Some(Uint8Array::new(&bytes)))
    }

    /// Drops what lies before `start` from the spool: R2 has it.
    pub(super) fn drop_before(&self, start: u64) -> Result<()> {
        self.sql.exec_raw("DELETE FROM spool WHERE start < ?", vec![number(start)]).map(|_| ())
    }

    /// Drops all bytes and parts.
    pub(super) fn clear(&self) -> Result<()> {
        self.drop_after(0, 0)
    }

    /// Drops what does not count: spooled bytes from `offset` on, and parts after number `parts`.
    pub(super) fn drop_after(&self, offset: u64, parts: u16) -> Result<()> {
        self.sql.exec_raw("DELETE FROM spool WHERE start >= ?", vec![number(offset)])?;
        self.run("DELETE FROM parts WHERE number > ?", vec![i64::from(parts).into()])
    }
}

/// An offset as SQLite takes it. Objects are far smaller than 2^53 bytes.
#[expect(clippy::cast_precision_loss, reason = "offsets are below 2^53")]
fn number(offset: u64) -> JsValue {
    JsValue::from_f64(offset as f64)
}
