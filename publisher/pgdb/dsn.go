package pgdb

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errDSN says what a DSN looks like, and nothing of what it was: what cannot be
// parsed may have its password anywhere.
var errDSN = errors.New("the DSN is not understood: it must be postgres://user:password@host:port/database?sslmode=verify-full " +
	"or key=value pairs; in the first form write @ / % of the password as %40 %2F %25")

// CheckDSN complains of a DSN that cannot be used, without showing it.
func CheckDSN(dsn string) error {
	_, err := parse(dsn)
	return err
}

func parse(dsn string) (*pgx.ConnConfig, error) {
	if dsn == "" {
		// pgx would take it from PGHOST and the like.
		return nil, errors.New("the DSN is empty, must be for example postgres://fabric:password@127.0.0.1:5432/shop")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, parseError(err)
	}
	// A / or @ in the password ends it early, as in libpq: what follows would be
	// looked up, and shown, as a host or database.
	for _, name := range append(addresses(&config.Config), config.Database) {
		if strings.Contains(name, "@") {
			return nil, errDSN
		}
	}
	if config.ValidateConnect == nil && len(addresses(&config.Config)) > 1 {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // a standby is of no use to us
	}
	return config, nil
}

// addresses lists where config leads, each once: "db1:5432", "db2:5432".
func addresses(config *pgconn.Config) []string {
	all := []string{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	for _, f := range config.Fallbacks {
		if a := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// telling are complaints of pgx that concern one setting and quote nothing else.
var telling = []string{
	"invalid port", "could not match", "failed to configure TLS", "invalid connect_timeout", "invalid sslcertmode",
	"unknown target_session_attrs", "failed to read service", "invalid min_protocol_version", "invalid max_protocol_version",
	"invalid channel_binding", "invalid require_auth",
}

func parseError(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	for _, t := range telling {
		if strings.HasPrefix(text, t) {
			return errors.New("the DSN: " + text)
		}
	}
	return errDSN
}
