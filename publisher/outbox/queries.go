package outbox

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/petpro/fabric/publisher/pgdb"
)

// A batch is what is moved at once and held in memory: so many rows, or those
// that bring their records to so many bytes.
const (
	batchRows  = 1000
	batchBytes = 512 << 10
)

// queries are the statements on our own tables, for one schema.
type queries struct {
	schema string
	// channel of NOTIFY, and the two keys of the advisory lock that a reader
	// holds while it sleeps.
	channel          string
	lockOf, lockName int32

	move, start, touch, layouts, meta, followed, waiting string
	discard, mark                                        string
	prune, stats                                         string
	acquire, release                                     string
}

func newQueries(schema string) queries {
	q := queries{schema: schema, channel: schema, lockOf: hash("fabric outbox"), lockName: hash(schema)}
	prepare := func(text string) string {
		text = strings.ReplaceAll(text, "@rows", strconv.Itoa(batchRows))
		text = strings.ReplaceAll(text, "@bytes", strconv.Itoa(batchBytes))
		return strings.ReplaceAll(strings.TrimSpace(text), "@", pgdb.Quote(schema)+".")
	}
	q.move, q.start, q.touch, q.layouts = prepare(moveQuery), prepare(startQuery), prepare(touchQuery), prepare(layoutsQuery)
	q.meta = prepare(`SELECT name, value FROM @meta`)
	q.followed, q.waiting = prepare(followedQuery), prepare(waitingQuery)
	q.discard, q.mark = prepare(discardQuery), prepare(markQuery)
	q.prune, q.stats = prepare(pruneQuery), prepare(statsQuery)
	q.acquire, q.release = prepare(acquireQuery), prepare(releaseQuery)
	return q
}

// hash makes a key of an advisory lock.
func hash(s string) int32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return int32(h.Sum32())
}

func quote(name string) string { return pgdb.Quote(name) }

// batchColumns are those of a batch that is read.
const batchColumns = `n, tag, prior_tag, discarded, ahead, seen, layout, op, at, named, old, new`

// The kinds of rows, for moveQuery.
const (
	plainRow = iota
	// touchingRow is a change of a followed row, which has touches.
	touchingRow
	// unknownRow is of a trigger that was made after the last look.
	unknownRow
)

// moveQuery returns batch $1 if it is there, and makes it if it is to be the
// newest: of the rows with the lowest ids of those that are visible, which are
// taken out of the outbox by the same statement. Its one row begins with the
// number of the newest batch before, and with the kind of the first row of the
// outbox: plainRow, touchingRow or unknownRow; the batch ends before a row whose
// kind is above $6. Then come what horizon needs: the lowest and highest id
// moved, the oldest transaction that runs, and our own.
//
//	$1 n, $2 tag, $3 tag and $4 rows of the batch before, $5 layouts whose rows
//	have touches, $6 the highest kind, $7 layouts of followed tables, $8 all
//	layouts that are known, $9 the id above which rows are (see horizon), $10 the
//	id up to which touches may have told of rows, $11 whether they will of all
//	these (see batch.seen)
//
// What must not happen is that the batch is emitted and then lost with a crash:
// so the commit waits for the disk even where the database does not otherwise.
const moveQuery = `
WITH pick AS MATERIALIZED (
  SELECT id, size, CASE WHEN layout = ANY ($5::int[]) THEN 1 WHEN layout = ANY ($8::int[]) THEN 0 ELSE 2 END AS kind FROM @outbox
  WHERE id > $9::bigint AND NOT EXISTS (SELECT FROM @batches WHERE n >= $1::bigint)
  ORDER BY id LIMIT @rows),
fit AS MATERIALIZED (
  SELECT id FROM (
    SELECT id, sum(size) OVER w - size AS before, max(kind) OVER w AS kind
    FROM pick WINDOW w AS (ORDER BY id ROWS UNBOUNDED PRECEDING)) p
  WHERE before < @bytes AND kind <= $6::int),
moved AS (
  DELETE FROM @outbox WHERE id = ANY (ARRAY(SELECT id FROM fit))
  RETURNING id, layout, op, at, named, old, new),
made AS (
  INSERT INTO @batches (n, tag, prior_tag, prior_rows, rows, follows, discarded, ahead, seen, layout, op, at, named, old, new)
  SELECT $1::bigint, $2::text, $3::text, $4::int, count(*), bool_or(layout = ANY ($7::int[])), 0,
         $10::bigint, count(*) FILTER (WHERE $11::bool OR id <= $10::bigint),
         array_agg(layout), string_agg(op::text, ''), array_agg(at), array_agg(named), array_agg(old), array_agg(new)
  FROM (SELECT * FROM moved ORDER BY id) m HAVING count(*) > 0
  RETURNING ` + batchColumns + `)
SELECT (SELECT max(n) FROM @batches), coalesce((SELECT kind FROM pick ORDER BY id LIMIT 1), 0),
       (SELECT min(id) FROM moved), (SELECT max(id) FROM moved),
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_current_xact_id_if_assigned()::text::bigint, ` + syncCommit + `, b.*
FROM (SELECT) one LEFT JOIN (
  SELECT * FROM made UNION ALL SELECT ` + batchColumns + ` FROM @batches WHERE n = $1::bigint) b ON true`

const syncCommit = `set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)`

// startQuery looks at batch $1, at the one behind it, and at the newest.
const startQuery = `
SELECT (SELECT max(n) FROM @batches), coalesce((SELECT ahead FROM @batches ORDER BY n DESC LIMIT 1), 0), b.tag, b.rows, a.prior_tag, a.prior_rows
FROM (SELECT) one
LEFT JOIN @batches b ON b.n = $1::bigint
LEFT JOIN @batches a ON a.n = $1::bigint + 1`

// touchQuery makes a batch of touches; what is in the outbox now is what they
// may have told of already. $11 is what former ones had.
const touchQuery = `
INSERT INTO @batches (n, tag, prior_tag, prior_rows, rows, follows, discarded, ahead, seen, layout, op, at, named, old, new)
SELECT $1::bigint, $2::text, $3::text, $4::int, cardinality($5::int[]), false, 0,
       greatest($11::bigint, (SELECT max(id) FROM @outbox)), cardinality($5::int[]), $5::int[], $6::text, $7::timestamptz[], $8::text[], $9::text[], $10::text[]`

const layoutsQuery = `SELECT id, tbl, relation, columns, numbers, bools FROM @layouts`

// followedQuery reads the batches from $1 on that change followed tables.
const followedQuery = `
SELECT ` + batchColumns + ` FROM @batches WHERE n >= $1::bigint AND (follows OR discarded > 0) ORDER BY n`

// waitingQuery reads the changes of followed tables that are not moved yet.
const waitingQuery = `
SELECT layout, op::text, at, named, old, new FROM @outbox WHERE layout = ANY ($1::int[]) ORDER BY id`

// discardQuery takes out what is visible, as it is part of the snapshot.
const discardQuery = `DELETE FROM @outbox`

// markQuery makes a batch without rows behind the newest, as the place of a
// snapshot; $2 rows were taken out of the outbox for it.
const markQuery = `
INSERT INTO @batches (n, tag, prior_tag, prior_rows, rows, follows, discarded, ahead, seen, layout, op, at, named, old, new)
SELECT coalesce(max(n), 0) + 1, $1::text,
       coalesce((SELECT tag FROM @batches ORDER BY n DESC LIMIT 1), ''), coalesce((SELECT rows FROM @batches ORDER BY n DESC LIMIT 1), 0),
       0, false, $2::bigint, 0, 0, '{}', '', '{}', '{}', '{}', '{}'
FROM @batches RETURNING n`

// pruneQuery deletes some of the batches before $1.
const pruneQuery = `
DELETE FROM @batches WHERE n IN (SELECT n FROM @batches WHERE n >= $2::bigint AND n < $1::bigint ORDER BY n LIMIT 50)`

// statsQuery counts what waits above the id $1, up to a bound that keeps it
// cheap.
const statsQuery = `
SELECT (SELECT count(*) FROM (SELECT FROM @outbox WHERE id > $1::bigint LIMIT 100000) w),
       coalesce((SELECT extract(epoch FROM clock_timestamp() - at)::float8 FROM @outbox WHERE id > $1::bigint ORDER BY id LIMIT 1), 0),
       (SELECT coalesce(max(n) - min(n) + 1, 0) FROM @batches)`

// acquireQuery takes or renews the lease, if nobody else has it, for $2
// seconds, and says who has it.
const acquireQuery = `
WITH taken AS (
  UPDATE @lease SET holder = $1::text, until = clock_timestamp() + $2::float8 * interval '1 second'
  WHERE holder = $1::text OR until <= clock_timestamp()
  RETURNING holder)
SELECT coalesce((SELECT holder FROM taken), (SELECT holder FROM @lease), '')`

const releaseQuery = `UPDATE @lease SET until = '-infinity' WHERE holder = $1::text`
