package pgdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
)

// ReadCatalog reads what the database says of the tables that m needs, in two
// round trips, three if a table is missing. A name without a schema is looked
// for in the search_path, then in public. It works on a connection or in a
// transaction of any kind. Its errors are translated.
func ReadCatalog(ctx context.Context, db DB, m publisher.Mapping) (*Catalog, error) {
	c := &Catalog{Tables: map[string]*Table{}}
	needs := m.Needs()
	if err := c.readTables(ctx, db, m, slices.Sorted(maps.Keys(needs))); err != nil {
		return nil, Translate(fmt.Errorf("read the catalog: %w", err))
	}
	if err := c.readDetails(ctx, db); err != nil {
		return nil, Translate(fmt.Errorf("read the catalog: %w", err))
	}
	if len(c.Tables) < len(needs) {
		if err := c.readKnown(ctx, db); err != nil {
			return nil, Translate(fmt.Errorf("read the catalog: %w", err))
		}
	}
	return c, nil
}

// identityColumns of the relation c, as Identity.Columns has them. A primary key
// that is deferrable identifies nothing (CREATE TABLE, "DEFERRABLE").
const identityColumns = `
CASE WHEN c.relreplident = 'f'
     THEN ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
     ELSE ARRAY(SELECT a.attname::text
                FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, n)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                WHERE i.indrelid = c.oid AND k.n <= i.indnkeyatts AND i.indisvalid AND i.indimmediate
                  AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)
                ORDER BY k.n)
END`

const tablesQuery = `
SELECT w.mapped, current_user::text, n.nspname::text, c.relname::text, c.oid, c.relkind::text, o.rolname::text,
       c.relpersistence = 'u', c.relpersistence = 't', c.relispartition, c.relreplident::text, ` + identityColumns + `,
       coalesce((SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), ''),
       row_security_active(c.oid), has_schema_privilege(n.oid, 'USAGE'),
       coalesce(has_table_privilege(c.oid, 'TRIGGER'), false), pg_has_role(c.relowner, 'USAGE')
FROM unnest($1::text[], $2::text[], $3::text[]) w(mapped, nsp, rel)
JOIN pg_class c ON c.relname = w.rel::name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles o ON o.oid = c.relowner
WHERE n.nspname = w.nsp::name OR w.nsp = '' AND (n.nspname = 'public' OR n.nspname = ANY (current_schemas(false)))
ORDER BY w.mapped, array_position(current_schemas(false), n.nspname)`

// readTables finds the tables by their names; the first in the order of the
// search_path counts.
func (c *Catalog) readTables(ctx context.Context, db DB, m publisher.Mapping, mapped []string) error {
	schemas, names := make([]string, len(mapped)), make([]string, len(mapped))
	for i, table := range mapped {
		schemas[i], names[i] = splitName(m.Relation(table))
	}
	rows, err := db.Query(ctx, tablesQuery, mapped, schemas, names)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t Table
		var name, kind, identity string
		err := rows.Scan(&name, &c.Role, &t.Schema, &t.Name.Name, &t.OID, &kind, &t.Owner,
			&t.Unlogged, &t.Temporary, &t.IsPartition, &identity, &t.Identity.Columns, &t.Identity.Index,
			&t.RowSecurity, &t.SchemaUsage, &t.Trigger, &t.Owned)
		if err != nil {
			return err
		}
		t.Kind, t.Identity.Kind = Kind(kind[0]), identity[0]
		if first, ok := c.Tables[name]; ok {
			first.AlsoIn = append(first.AlsoIn, t.Schema)
			continue
		}
		c.Tables[name] = &t
	}
	return rows.Err()
}

// splitName cuts "sales.bookings" at its first dot; the schema is "" without one.
func splitName(relation string) (schema, name string) {
	if schema, name, ok := strings.Cut(relation, "."); ok {
		return schema, name
	}
	return "", relation
}

const columnsQuery = `
SELECT a.attrelid, a.attname::text, a.attnum, a.atttypid,
       (WITH RECURSIVE base(oid) AS (
          SELECT a.atttypid UNION ALL SELECT t.typbasetype FROM base JOIN pg_type t USING (oid) WHERE t.typtype = 'd')
        SELECT oid FROM base JOIN pg_type t USING (oid) WHERE t.typtype <> 'd'),
       format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
       coalesce(has_column_privilege(a.attrelid, a.attnum, 'SELECT'), false)
FROM pg_attribute a
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

const indexesQuery = `
SELECT i.indrelid, c.relname::text, m.amname::text, i.indisprimary, i.indisunique, i.indisvalid, i.indimmediate, i.indpred IS NOT NULL,
       ARRAY(SELECT coalesce(a.attname::text, '')
             FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n)
             LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.n <= i.indnkeyatts ORDER BY k.n)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = ANY ($1::oid[])
ORDER BY i.indrelid, c.relname`

const childrenQuery = `
WITH RECURSIVE tree(root, oid) AS (
  SELECT inhparent, inhrelid FROM pg_inherits WHERE inhparent = ANY ($1::oid[])
  UNION SELECT tree.root, i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid)
SELECT tree.root, n.nspname::text, c.relname::text, c.oid, c.relkind::text, c.relispartition, c.relpersistence = 'u',
       c.relreplident::text, ` + identityColumns + `,
       coalesce((SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), '')
FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY tree.root, n.nspname, c.relname`

// readDetails reads what belongs to the tables, by their object ids.
func (c *Catalog) readDetails(ctx context.Context, db DB) error {
	if len(c.Tables) == 0 {
		return nil
	}
	byOID := map[uint32][]*Table{}
	for _, t := range c.Tables {
		byOID[t.OID] = append(byOID[t.OID], t)
	}
	oids := oidArray(slices.Sorted(maps.Keys(byOID)))
	batch := &pgx.Batch{}
	each := func(query string, scan func(pgx.Rows) (oid uint32, add func(*Table), err error)) {
		batch.Queue(query, oids).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				oid, add, err := scan(rows)
				if err != nil {
					return err
				}
				for _, t := range byOID[oid] {
					add(t)
				}
			}
			return rows.Err()
		})
	}
	each(columnsQuery, scanColumn)
	each(indexesQuery, scanIndex)
	each(childrenQuery, scanChild)
	return db.SendBatch(ctx, batch).Close()
}

// oidArray writes "{1,2}": as text it goes through any protocol mode.
func oidArray(oids []uint32) string {
	b := []byte{'{'}
	for i, oid := range oids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(oid), 10)
	}
	return string(append(b, '}'))
}

func scanColumn(rows pgx.Rows) (oid uint32, add func(*Table), err error) {
	var c Column
	err = rows.Scan(&oid, &c.Name, &c.Number, &c.TypeOID, &c.BaseOID, &c.Type, &c.NotNull, &c.Generated, &c.Select)
	return oid, func(t *Table) { t.Columns = append(t.Columns, c) }, err
}

func scanIndex(rows pgx.Rows) (oid uint32, add func(*Table), err error) {
	var i Index
	err = rows.Scan(&oid, &i.Name, &i.Method, &i.Primary, &i.Unique, &i.Valid, &i.Immediate, &i.Partial, &i.Columns)
	return oid, func(t *Table) { t.Indexes = append(t.Indexes, i) }, err
}

func scanChild(rows pgx.Rows) (oid uint32, add func(*Table), err error) {
	var c Child
	var kind, identity string
	err = rows.Scan(&oid, &c.Schema, &c.Name.Name, &c.OID, &kind, &c.Partition, &c.Unlogged, &identity, &c.Identity.Columns, &c.Identity.Index)
	if err == nil {
		c.Kind, c.Identity.Kind = Kind(kind[0]), identity[0]
	}
	return oid, func(t *Table) { t.Children = append(t.Children, c) }, err
}

// knownMax bounds what is read to guess what a missing name meant.
const knownMax = 5000

const knownQuery = `
SELECT n.nspname::text, c.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
ORDER BY 1, 2 LIMIT $1::int`

func (c *Catalog) readKnown(ctx context.Context, db DB) error {
	rows, err := db.Query(ctx, knownQuery, knownMax)
	if err != nil {
		return err
	}
	c.Known, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Name, err error) {
		return n, row.Scan(&n.Schema, &n.Name)
	})
	return err
}
