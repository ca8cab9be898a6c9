package main

// schemaSQL makes tables like PetPro's. Ids have defaults, so that a row can
// be added by hand with what matters alone; updated_at has no type, because
// SQLite keeps dates in any form (text, julian day, unix seconds) and the
// publisher must take them all. status is free text.
const schemaSQL = `
CREATE TABLE users (
	id   TEXT PRIMARY KEY NOT NULL,
	name TEXT NOT NULL
);
CREATE TABLE services (
	id          TEXT PRIMARY KEY NOT NULL,
	provider_id TEXT NOT NULL,
	name        TEXT
);
CREATE TABLE bookings (
	id          TEXT PRIMARY KEY NOT NULL DEFAULT ('bk-' || lower(hex(randomblob(6)))),
	user_id     TEXT,
	service_id  TEXT,
	status      TEXT NOT NULL DEFAULT 'pending',
	updated_at  DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
	deleted_at,
	staff_notes TEXT
);
CREATE INDEX bookings_service ON bookings (service_id);
CREATE TABLE notifications (
	id         TEXT PRIMARY KEY NOT NULL DEFAULT (lower(hex(randomblob(8)))),
	user_id    TEXT NOT NULL,
	type       TEXT,
	title      TEXT,
	message    TEXT,
	data       TEXT,
	created_at DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
`

// seedSQL fills the shop. Seven bookings are the customer's with the vendor,
// the stranger takes part in none.
const seedSQL = `
INSERT INTO users (id, name) VALUES
	('u_vendor',   'Vera''s pet care'),
	('u_customer', 'Carl Customer'),
	('u_stranger', 'Sam Stranger'),
	('u_ann',      'Ann Other'),
	('u_groomer',  'Greta''s grooming');
INSERT INTO services (id, provider_id, name) VALUES
	('s_walk',  'u_vendor',  'Walk in the park'),
	('s_sit',   'u_vendor',  'Cat sitting'),
	('s_bath',  'u_vendor',  'Bath and brush'),
	('s_groom', 'u_groomer', 'Full grooming');
INSERT INTO bookings (id, user_id, service_id, updated_at, staff_notes) VALUES
	('bk-1001', 'u_customer', 's_walk',  strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour'), 'pulls on the leash'),
	('bk-1002', 'u_customer', 's_sit',   datetime('now', '-2 hours'), 'hides behind the sofa'),
	('bk-1003', 'u_customer', 's_bath',  strftime('%Y-%m-%dT%H:%M', 'now', '-3 hours'), NULL),
	('bk-1004', 'u_customer', 's_walk',  unixepoch('now', '-4 hours'), NULL),
	('bk-1005', 'u_customer', 's_sit',   julianday('now', '-5 hours'), 'key under the mat'),
	('bk-1006', 'u_customer', 's_bath',  date('now', '-1 day'), NULL),
	('bk-1007', 'u_customer', 's_walk',  strftime('%Y-%m-%d %H:%M:%f+00:00', 'now', '-7 hours'), NULL),
	('bk-1008', 'u_ann',      's_walk',  datetime('now', '-8 hours'), NULL),
	('bk-1009', 'u_ann',      's_sit',   strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-9 hours'), 'ring twice'),
	('bk-1010', 'u_customer', 's_groom', unixepoch('now', '-10 hours'), NULL),
	('bk-1011', 'u_ann',      's_groom', datetime('now', '-11 hours'), NULL),
	('bk-1012', 'u_ann',      's_bath',  julianday('now', '-12 hours'), NULL);
`
