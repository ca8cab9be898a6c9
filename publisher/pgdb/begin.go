package pgdb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pooledSettings are for a transaction what sessionParams are for a session. The
// time limit of a transaction that is idle is left alone: one of ours that hangs
// must not keep a server connection from the shop.
var pooledSettings = setLocal(slices.Concat([]Form{
	{"statement_timeout", "0"},
	{"lock_timeout", lockTimeout},
	{"row_security", "off"},
}, Forms))

// pooledKey marks connections with Options.Pooled in their CustomData.
const pooledKey = "pgdb.pooled"

// Begin begins a transaction (READ COMMITTED unless opts say otherwise) in
// which text forms and time limits are as on a direct connection, in one round
// trip. It works on connections of every kind.
func Begin(ctx context.Context, conn *pgx.Conn, opts pgx.TxOptions) (pgx.Tx, error) {
	opts.BeginQuery = cmp.Or(opts.BeginQuery, beginQuery(opts))
	if _, pooled := conn.PgConn().CustomData()[pooledKey]; pooled {
		opts.BeginQuery += "; " + pooledSettings
	}
	tx, err := conn.BeginTx(ctx, opts)
	if err != nil {
		return nil, Translate(fmt.Errorf("begin a transaction: %w", err))
	}
	return tx, nil
}

func beginQuery(opts pgx.TxOptions) string {
	modes := []string{"BEGIN ISOLATION LEVEL", string(cmp.Or(opts.IsoLevel, pgx.ReadCommitted)), string(opts.AccessMode), string(opts.DeferrableMode)}
	return strings.Join(slices.DeleteFunc(modes, func(m string) bool { return m == "" }), " ")
}
