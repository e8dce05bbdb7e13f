-- The catalogue: an index for listing, never the truth (that is in each media's Durable Object).
CREATE TABLE media (
  id TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  -- Milliseconds since 1970.
  created_at INTEGER NOT NULL,
  -- Counts the media's changes, so that a late write cannot overwrite a newer one.
  revision INTEGER NOT NULL,
  -- The media as its Durable Object stores it.
  record TEXT NOT NULL
) STRICT;
CREATE INDEX media_by_age ON media (created_at DESC, id DESC);
CREATE INDEX media_by_status ON media (status, created_at DESC, id DESC);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  -- SHA-256 of the whole key, lower-case hexadecimal. The key has 256 random bits: no salt needed.
  sha256 TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE webhook_endpoints (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  description TEXT NOT NULL,
  -- JSON array of event types; empty for all of them.
  events TEXT NOT NULL,
  secret TEXT NOT NULL,
  -- Still signs, beside `secret`, until `previous_until` (milliseconds since 1970).
  previous_secret TEXT,
  previous_until INTEGER,
  -- Why nothing is sent to it any more; NULL while it is in use.
  disabled TEXT,
  created_at INTEGER NOT NULL
) STRICT;
