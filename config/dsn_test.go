package config_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher"
)

// load reads one source with this DSN from the environment.
func load(t *testing.T, kind, dsn string) config.Config {
	t.Helper()
	t.Setenv("FABRIC_PUBLISHER_SOURCES", fmt.Sprintf(`[{"name":"shop","kind":%q,%q:{"dsn":%q}}]`, kind, kind, dsn))
	c, _, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Of a DSN the password is hidden and the rest is shown, so that an operator
// sees where a publisher connects to.
func TestPasswordsInDSNs(t *testing.T) {
	const secret = "s3cr3t"
	tests := []struct{ dsn, want string }{
		{"postgres://publisher:s3cr3t@db.example:5432/shop?sslmode=verify-full", "postgres://publisher:(hidden)@db.example:5432/shop?sslmode=verify-full"},
		{"postgresql://publisher:s3cr3t@a:1,b:2/shop", "postgresql://publisher:(hidden)@a:1,b:2/shop"},
		{"postgres://publisher:@db/shop", "postgres://publisher:(hidden)@db/shop"},
		{"postgres://publisher:x@s3cr3t@db/shop", "postgres://publisher:(hidden)@db/shop"},
		{"postgres://publisher:%21s3cr3t@[::1]:5432/shop", "postgres://publisher:(hidden)@[::1]:5432/shop"},
		{"postgres://publisher@db/shop", "postgres://publisher@db/shop"},
		{"postgres://db/shop?user=publisher&password=s3cr3t&sslmode=require", "postgres://db/shop?user=publisher&password=(hidden)&sslmode=require"},
		{"postgres://db/shop?PassWord=s3cr3t", "postgres://db/shop?PassWord=(hidden)"},
		{"postgres://db/shop?p%61ssword=s3cr3t", "postgres://db/shop?p%61ssword=(hidden)"},
		{"postgres:///shop?host=/run/postgresql&sslpassword=s3cr3t", "postgres:///shop?host=/run/postgresql&sslpassword=(hidden)"},
		{"postgres://u:12/s3cr3t@db/shop", "(hidden)"},
		{"postgres://u:12#s3cr3t@db/shop", "(hidden)"},
		{"postgres://u:12?s3cr3t@db/shop", "(hidden)"},
		{"postgres://u:x@y/s3cr3t@db/shop", "(hidden)"},
		{"postgres://u:%zzs3cr3t@db/shop", "(hidden)"},

		{"host=db user=publisher password=s3cr3t dbname=shop", "host=db user=publisher password=(hidden) dbname=shop"},
		{"password = s3cr3t  host = db ", "password=(hidden) host=db"},
		{`password='a \' s3cr3t' host=db`, "password=(hidden) host=db"},
		{`password=a\ s3cr3t host=db`, "password=(hidden) host=db"},
		{`host='/run/my sockets' PASSWORD=s3cr3t`, `host='/run/my sockets' PASSWORD=(hidden)`},
		{"passfile=/run/secrets/pgpass host=db", "passfile=/run/secrets/pgpass host=db"},
		{"password='s3cr3t host=db", "(hidden)"},
		{"s3cr3t", "(hidden)"},
		{"host=db s3cr3t", "(hidden)"},
	}
	for _, kind := range []string{publisher.KindPostgres, publisher.KindOutbox} {
		for _, tt := range tests {
			t.Run(kind+"/"+tt.dsn, func(t *testing.T) {
				c := load(t, kind, tt.dsn)
				text := printed(t, c, nil)
				if !strings.Contains(text, "dsn: "+tt.want+"\n") && !strings.Contains(text, "dsn: '"+strings.ReplaceAll(tt.want, "'", "''")+"'\n") {
					t.Errorf("printed\n%s\nwant %q in it", text, tt.want)
				}
				for _, text := range []string{text, fmt.Sprintf("%v %#v", c, &c)} {
					if strings.Contains(text, secret) {
						t.Errorf("shows the password: %s", text)
					}
				}
				if got := c.Publisher.Sources[0]; got.Postgres.DSN+got.Outbox.DSN != tt.dsn {
					t.Errorf("printing changed the DSN to %q", got.Postgres.DSN+got.Outbox.DSN)
				}
			})
		}
	}
}

// The DSN may come from a variable of its own.
func TestDSNOfTheEnvironment(t *testing.T) {
	file := config.Options{File: write(t, `
publisher:
  sources:
  - { name: pet-shop, kind: postgres, postgres: { dsn: "postgres://publisher@db/shop", slot: other } }
  - { name: old, kind: outbox }
  - { name: local, kind: sqlite, sqlite: { path: shop.db } }
`)}
	t.Setenv("FABRIC_PUBLISHER_SOURCES_PET_SHOP_DSN", "postgres://publisher:s3cr3t@db/shop")
	t.Setenv("FABRIC_PUBLISHER_SOURCES_OLD_DSN", "host=old")
	c, origins, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []publisher.SourceConfig{
		{Name: "pet-shop", Kind: "postgres", Postgres: publisher.PostgresConfig{DSN: "postgres://publisher:s3cr3t@db/shop", Slot: "other"}},
		{Name: "old", Kind: "outbox", Outbox: publisher.OutboxConfig{DSN: "host=old"}},
		{Name: "local", Kind: "sqlite", SQLite: publisher.SQLiteConfig{Path: "shop.db"}},
	}
	if !slices.Equal(c.Publisher.Sources, want) {
		t.Errorf("sources = %+v", c.Publisher.Sources)
	}
	if text := printed(t, c, origins); !strings.Contains(text, "fabric.yaml:3, FABRIC_PUBLISHER_SOURCES_PET_SHOP_DSN, FABRIC_PUBLISHER_SOURCES_OLD_DSN") {
		t.Errorf("the origin is not told:\n%s", text)
	}
}

func TestDSNOfNoSource(t *testing.T) {
	t.Setenv("FABRIC_PUBLISHER_SOURCES_SHOPP_DSN", "postgres://publisher:s3cr3t@db/shop")
	for file, want := range map[string]string{
		`publisher: { sources: [{ name: shop, kind: outbox }] }`:                                   "known here: FABRIC_PUBLISHER_SOURCES_SHOP_DSN",
		`publisher: { sources: [{ name: shopp, kind: sqlite }] }`:                                  "no source takes a DSN",
		`publisher: { sources: [{ name: a.b, kind: outbox }, { name: a-b, kind: postgres }] }`:     "two sources would take their DSN from FABRIC_PUBLISHER_SOURCES_A_B_DSN; rename one",
		`publisher: { sources: [{ name: shopp, kind: outbox }, { name: SHOPP, kind: postgres }] }`: "two sources would take their DSN from FABRIC_PUBLISHER_SOURCES_SHOPP_DSN",
	} {
		_, _, err := config.Load(config.Options{File: write(t, file)})
		if _, ok := errors.AsType[*config.Error](err); !ok || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want %q in it", file, err, want)
		}
	}
}

// No password survives, however a DSN is written, also where it should have been
// escaped and was not.
func FuzzRedactDSN(f *testing.F) {
	for _, seed := range []string{"s3cr3tword", "12/s3cr3t", "12#s3cr3t", "12?s3cr3t=1", "x@y/s3cr3t", "%zzs3cr3t", `quote'back\slash`, "[s3cr3t]", "spaces in it", "1234567@db"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, password string) {
		const around = "postgres://u:(hidden)@db:5432/shop?user=u&password=(hidden)&sslmode=disable host=db password=(hidden) user=u"
		if len(password) < 6 || strings.Contains(around, password) {
			return
		}
		quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)
		for _, dsn := range []string{
			"postgres://" + url.UserPassword("u", password).String() + "@db:5432/shop",
			"postgres://u:" + password + "@db:5432/shop",
			"postgres://db:5432/shop?user=u&password=" + url.QueryEscape(password) + "&sslmode=disable",
			"host=db password='" + quoted + "' user=u",
		} {
			got := config.RedactDSN(dsn)
			for _, secret := range []string{password, url.QueryEscape(password), quoted} {
				if len(secret) >= 6 && strings.Contains(got, secret) && !strings.Contains(around, secret) {
					t.Errorf("RedactDSN(%q) = %q, shows %q", dsn, got, secret)
				}
			}
		}
	})
}
