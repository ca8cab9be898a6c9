package pgdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher"
)

// State is the SQLSTATE of an error of the server, "" of any other
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func State(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Translate says what an error of a connection means. The result wraps err and
// one of
//
//   - publisher.ErrAway: temporary, to be tried again;
//   - publisher.ErrLost: the slot, or the log that it needs, is gone;
//   - a publisher.Problem: what the operator has to mend, and how.
//
// What is none of them, or was translated before, is returned as it is, and so
// are the errors of an ended context.
func Translate(err error) error { return translate(err, who{}) }

// who was connected, or tried to be, as far as that is known.
type who struct{ role, database string }

// named is the role for a sentence.
func (w who) named() string {
	if w.role == "" {
		return "the role of the DSN"
	}
	return "role " + Quote(w.role)
}

// sql is the role for SQL to be pasted.
func (w who) sql() string {
	if w.role == "" {
		return "<the role of the DSN>"
	}
	return Quote(w.role)
}

// translated is an error with its meaning.
type translated struct {
	means error // ErrAway, ErrLost or a Problem
	hint  string
	err   error
}

func (e *translated) Error() string {
	if p, ok := e.means.(publisher.Problem); ok {
		return fmt.Sprintf("%s (%s)", p.Error(), flat(e.err))
	}
	text := e.means.Error() + ": " + flat(e.err)
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

func (e *translated) Unwrap() []error { return []error{e.means, e.err} }

// flat puts an error on one line: pgx lists hosts on several.
func flat(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), " ")
}

func translate(err error, w who) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || isTranslated(err) {
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if means, hint := byState(e, w); means != nil {
			return &translated{means, hint, err}
		}
		return err
	}
	if problem, ok := byTLS(err); ok {
		return &translated{problem, "", err}
	}
	if unreachable(err) {
		return &translated{publisher.ErrAway, "", err}
	}
	return err
}

func isTranslated(err error) bool {
	if _, ok := errors.AsType[publisher.Problem](err); ok {
		return true
	}
	return errors.Is(err, publisher.ErrAway) || errors.Is(err, publisher.ErrLost) || errors.Is(err, publisher.ErrHalt)
}

// unreachable says whether err is one of the network between us and the server.
func unreachable(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok { // also *net.OpError, *net.DNSError
		return true
	}
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed, pgconn.ErrReadOnlyConnection,
		pgconn.ErrStandbyConnection, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// refusedTLS is how pgx says it; there is no sentinel.
const refusedTLS = "server refused TLS connection"

func byTLS(err error) (publisher.Problem, bool) {
	if strings.Contains(err.Error(), refusedTLS) {
		return publisher.Problem{
			What: "the server does not speak TLS, which the DSN demands",
			Mend: "ALTER SYSTEM SET ssl = on (with ssl_cert_file and ssl_key_file), or sslmode=disable in the DSN on a network that nobody else can read",
		}, true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return publisher.Problem{
			What: "the server's certificate is not made out to the host of the DSN",
			Mend: "use the host name of the certificate in the DSN, or sslmode=verify-ca",
		}, true
	}
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	if unverified || unknown || invalid {
		return publisher.Problem{
			What: "the server's certificate is not trusted",
			Mend: "sslrootcert=<file with the certificate of its authority> in the DSN",
		}, true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return publisher.Problem{
			What: "the server refused the TLS handshake",
			Mend: "if it wants a certificate of the client: sslcert=<file> and sslkey=<file> in the DSN",
		}, true
	}
	return publisher.Problem{}, false
}
