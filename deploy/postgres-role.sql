-- The publisher's role, for psql. It may log in and replicate; which tables it may
-- read is for `fabric publisher setup` to grant. REPLICATION lets a role read
-- everything that is published from this server: keep its password as one keeps
-- the owner's.
\getenv password POSTGRES_PUBLISHER_PASSWORD
CREATE ROLE fabric_publisher LOGIN REPLICATION PASSWORD :'password';
