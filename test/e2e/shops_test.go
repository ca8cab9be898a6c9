package e2e_test

import (
	"testing"

	"github.com/petpro/fabric/test/shoptest"
)

var (
	// databases are the shops for tests of what depends on where rows come from.
	databases = []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Outbox}
	// everywhere adds the other ways to reach the same databases.
	everywhere = append(databases[:len(databases):len(databases)], shoptest.Postgres17, shoptest.OutboxPooled)
)

// eachShop runs a test on each kind of shop, all at once.
func eachShop(t *testing.T, kinds []shoptest.Kind, test func(t *testing.T, shop option)) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, on(kind))
		})
	}
}
