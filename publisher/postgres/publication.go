package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher/pgdb"
)

// publication is what the server sends of our tables.
type publication struct {
	name      string
	allTables bool
	// publishes lists the operations: insert, update, delete, truncate.
	publishes []string
	// viaRoot: rows of partitions are sent as rows of their root.
	viaRoot bool
	// tables that are sent, by OID; partitions only without viaRoot.
	tables map[uint32]publishedTable
	// comment is where setup notes what it changed.
	comment string
}

// publishedTable is one of them.
type publishedTable struct {
	// columns is nil if all are sent; then new ones, too. PostgreSQL 15 and newer.
	columns []string
	// filter is the condition of rows that are sent, "" for all.
	filter string
}

// operations that must be published: without one, changes are missing without a
// word.
var operations = []string{"insert", "update", "delete", "truncate"}

const publicationQuery = `
SELECT p.oid, p.puballtables,
       array_remove(ARRAY[CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                          CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END], NULL),
       p.pubviaroot, coalesce(obj_description(p.oid, 'pg_publication'), '')
FROM pg_catalog.pg_publication p WHERE p.pubname = $1`

// publishedQuery lists tables however they came to be in the publication: by
// name, by schema, as one of all, as a partition.
const publishedQuery = `
SELECT c.oid, ARRAY[]::text[], ''
FROM pg_catalog.pg_publication_tables t
JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
WHERE t.pubname = $1`

// publishedQuery15 knows of column lists and filters.
const publishedQuery15 = `
SELECT c.oid,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs)), ARRAY[]::text[]),
       coalesce(t.rowfilter, '')
FROM pg_catalog.pg_publication_tables t
JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
LEFT JOIN pg_catalog.pg_publication p ON p.pubname = t.pubname
LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE t.pubname = $1`

// errNoPublication is returned by readPublication.
var errNoPublication = errors.New("no such publication")

func readPublication(ctx context.Context, conn *pgx.Conn, name string, version int) (*publication, error) {
	p := &publication{name: name, tables: map[uint32]publishedTable{}}
	var oid uint32
	err := conn.QueryRow(ctx, publicationQuery, name).Scan(&oid, &p.allTables, &p.publishes, &p.viaRoot, &p.comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoPublication
	}
	if err != nil {
		return nil, pgdb.Translate(fmt.Errorf("read publication %s: %w", name, err))
	}
	query := publishedQuery15
	if version < columnListVersion {
		query = publishedQuery
	}
	rows, err := conn.Query(ctx, query, name)
	if err != nil {
		return nil, pgdb.Translate(fmt.Errorf("read publication %s: %w", name, err))
	}
	defer rows.Close()
	for rows.Next() {
		var oid uint32
		var t publishedTable
		if err := rows.Scan(&oid, &t.columns, &t.filter); err != nil {
			return nil, err
		}
		p.tables[oid] = t
	}
	if err := rows.Err(); err != nil {
		return nil, pgdb.Translate(fmt.Errorf("read publication %s: %w", name, err))
	}
	return p, nil
}

// columnListVersion is the first that knows column lists and row filters.
const columnListVersion = 150000

// complete says whether all operations are published.
func (p *publication) complete() bool {
	return !slices.ContainsFunc(operations, func(o string) bool { return !slices.Contains(p.publishes, o) })
}

// lacks are those of the columns that a column list leaves out.
func (t publishedTable) lacks(columns []string) []string {
	if len(t.columns) == 0 {
		return nil
	}
	var lacks []string
	for _, c := range columns {
		if !slices.Contains(t.columns, c) {
			lacks = append(lacks, c)
		}
	}
	return lacks
}
