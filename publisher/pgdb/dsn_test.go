package pgdb_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher/pgdb"
)

func TestCheckDSN(t *testing.T) {
	for _, c := range []struct{ dsn, want string }{
		{"postgres://fabric:s3cret@db/shop", ""},
		{"postgresql://fabric@db1:5432,db2:5433/shop?target_session_attrs=read-write", ""},
		{"host=db user=fabric password=s3cret dbname=shop", ""},
		{"host=/var/run/postgresql dbname=shop", ""},
		{"", "the DSN is empty"},
		{"mysql://fabric:s3cret@db/shop", "the DSN is not understood"},
		{"postgres://fabric:s3cret@db:port/shop", "invalid port"},
		{"postgres://fabric:s3cret@db/shop?sslmode=verify", "failed to configure TLS"},
		{"postgres://fabric:s3cret@db/shop?sslrootcert=/no/such/file&sslmode=verify-ca", "/no/such/file"},
		{"postgres://fabric:s3cret@db/shop?target_session_attrs=primaryish", "primaryish"},
		{"postgres://fabric:s3cret@db1:1,db2:2,db3:3,db4/shop?port=1,2", "could not match"},
		{"postgres://fabric:s3cret@db/shop?connect_timeout=soon", "invalid connect_timeout"},
		{"postgres://fabric:s3#cret@db/shop", ""},
		{"postgres://fabric:s3?c:ret@db/shop", ""},
		// What ought to be written as %2F and so on.
		{"postgres://fabric:s3/cret@db/shop", "invalid port"},
		{"postgres://fabric:12/s3cret@db/shop", "%2F"},
		{"postgres://fabric:s3%cret@db/shop", "%25"},
		{"postgres://fabric:12@s3cret@db/shop", "%40"},
		{"host=db password=s3 cret dbname=shop", "the DSN is not understood"},
		{"host=db password='s3cret dbname=shop", "the DSN is not understood"},
	} {
		err := pgdb.CheckDSN(c.dsn)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.dsn, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.dsn, err, c.want)
		case err != nil && strings.Contains(err.Error(), "cret"):
			t.Errorf("%s: %v shows the password", c.dsn, err)
		}
	}
}

// No DSN makes an error that shows the password, however it was written.
func FuzzDSN(f *testing.F) {
	f.Add("postgres://fabric:", "@db/shop?sslmode=bad", true)
	f.Add("host=db port=x password=", " dbname=shop", false)
	f.Add("postgres://fabric:12#", "@db:5432/shop", false)
	f.Add("password='", "' port=70000 target_session_attrs=x", false)
	f.Add("postgres://u:a%", "@[::1]:x/", true)
	f.Fuzz(func(t *testing.T, before, after string, escaped bool) {
		const secret = "Pa55-w0rd-s3cret"
		password := secret
		if escaped {
			password = url.QueryEscape(secret)
		}
		if strings.Contains(after, "target_session_attrs") || strings.Contains(before, "=") && !strings.HasSuffix(strings.TrimRight(before, "' "), "password=") {
			return // then it is no password
		}
		if err := pgdb.CheckDSN(before + password + after); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", before+password+after, err)
		}
	})
}
