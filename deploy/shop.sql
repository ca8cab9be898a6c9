-- The shop's tables in SQLite, the source that the publisher reads. Any SQLite
-- client may write to them; nothing but the columns in the mapping is published.

PRAGMA journal_mode = wal;

CREATE TABLE IF NOT EXISTS users (
  id            TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  email         TEXT NOT NULL UNIQUE,
  password_hash TEXT
);

CREATE TABLE IF NOT EXISTS services (
  id          TEXT PRIMARY KEY,
  provider_id TEXT NOT NULL REFERENCES users (id),
  name        TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS bookings (
  id          TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL REFERENCES users (id),
  service_id  TEXT NOT NULL REFERENCES services (id),
  status      TEXT NOT NULL DEFAULT 'pending',
  starts_at   TEXT,
  staff_notes TEXT,
  created_at  TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at  TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  deleted_at  TEXT
);

CREATE TABLE IF NOT EXISTS notifications (
  id         INTEGER PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id),
  type       TEXT NOT NULL,
  title      TEXT NOT NULL,
  message    TEXT NOT NULL,
  data       TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

INSERT OR IGNORE INTO users (id, name, email) VALUES
  ('u_7', 'Ana', 'ana@example.com'),
  ('u_9', 'Ben, groomer', 'ben@example.com');
INSERT OR IGNORE INTO services (id, provider_id, name) VALUES ('s_1', 'u_9', 'Grooming');
INSERT OR IGNORE INTO bookings (id, user_id, service_id) VALUES ('42', 'u_7', 's_1'), ('43', 'u_7', 's_1');
