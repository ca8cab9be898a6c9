-- The shop's tables, with the columns of PetPro's migrations that the mapping
-- names, and a few that it must never publish (staff_notes, password_hash).
-- What the publisher needs besides comes from `fabric publisher setup`.

CREATE TYPE enum_booking_status AS ENUM (
  'pending', 'confirmed', 'in_progress', 'completed', 'cancelled', 'no_show'
);

CREATE TABLE users (
  id            text PRIMARY KEY,
  name          text NOT NULL,
  email         text NOT NULL UNIQUE,
  password_hash text
);

CREATE TABLE services (
  id          text PRIMARY KEY,
  provider_id text NOT NULL REFERENCES users (id),
  name        text NOT NULL
);

CREATE TABLE bookings (
  id          text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  user_id     text NOT NULL REFERENCES users (id),
  service_id  text NOT NULL REFERENCES services (id),
  status      enum_booking_status NOT NULL DEFAULT 'pending',
  starts_at   timestamptz,
  staff_notes text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  deleted_at  timestamptz
);
CREATE INDEX bookings_user ON bookings (user_id);
CREATE INDEX bookings_service ON bookings (service_id);

CREATE TABLE notifications (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id    text NOT NULL REFERENCES users (id),
  type       text NOT NULL,
  title      text NOT NULL,
  message    text NOT NULL,
  data       jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notifications_user ON notifications (user_id, created_at);

INSERT INTO users (id, name, email) VALUES
  ('u_7', 'Ana', 'ana@example.com'),
  ('u_9', 'Ben, groomer', 'ben@example.com');
INSERT INTO services (id, provider_id, name) VALUES ('s_1', 'u_9', 'Grooming');
INSERT INTO bookings (id, user_id, service_id) VALUES ('42', 'u_7', 's_1'), ('43', 'u_7', 's_1');
