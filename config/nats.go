package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Waits between two tries to reach a server. The jitter keeps the services of
// a cluster from coming back all at once.
const (
	reconnectWait   = 500 * time.Millisecond
	reconnectJitter = 500 * time.Millisecond
	connectTimeout  = 5 * time.Second
	// pingEvery and pingsOut find a silent server within six seconds.
	pingEvery = 2 * time.Second
	pingsOut  = 2
)

// Options for connecting as the service called name. The connection is tried
// for ever, also the first time: a service that starts before its broker waits
// for it. Nothing is buffered while the broker is away; who publishes or asks
// then is told at once. log hears of every change of the connection.
func (n NATS) Options(name string, log *slog.Logger) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(name),
		nats.Timeout(connectTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsOut),
	}
	opts = append(opts, handlers(log, strings.Join(redactURLs(n.URLs), ","))...)
	if n.Creds != "" {
		if _, err := os.Stat(n.Creds); err != nil {
			return nil, fmt.Errorf("nats.creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(n.Creds))
	}
	conf, err := n.TLS.load()
	if err != nil {
		return nil, err
	}
	if conf != nil {
		opts = append(opts, nats.Secure(conf))
	}
	return opts, nil
}

// Connect opens a connection with Options and extra. It does not wait for the
// broker, unless extra says so. The error never holds a password.
func (n NATS) Connect(name string, log *slog.Logger, extra ...nats.Option) (*nats.Conn, error) {
	opts, err := n.Options(name, log)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(strings.Join(n.URLs, ","), append(opts, extra...)...)
	if bad, ok := errors.AsType[*url.Error](err); ok {
		err = bad.Err // the rest is the URL as it was written
	}
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(redactURLs(n.URLs), ","), err)
	}
	return nc, nil
}

func handlers(log *slog.Logger, urls string) []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) { log.Info("connected to nats", "server", nc.ConnectedUrlRedacted()) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("back at nats", "server", nc.ConnectedUrlRedacted()) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: we closed it ourselves
				log.Warn("lost nats, trying again", "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			log.Warn("nats is not reached, trying again; start it, or correct nats.urls", "urls", urls, "err", err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				log.Error("nats reports an error", "subject", sub.Subject, "err", err)
				return
			}
			log.Error("nats reports an error", "err", err)
		}),
	}
}

// load reads the files; nil if none is named.
func (t TLS) load() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats.tls.ca: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.cert: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// natsSchemes are those that nats.go connects to. It takes any other for plain
// NATS, and would try a web server for ever.
var natsSchemes = []string{"nats", "tls", "ws", "wss"}

func (n NATS) check(o Origins, p *problems) {
	if len(n.URLs) == 0 {
		p.addf("nats.urls", o["nats.urls"], "is empty, must name a server, for example nats://127.0.0.1:4222")
	}
	for _, u := range n.URLs {
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		// The error of url.Parse holds the URL, and so perhaps a password.
		if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || !slices.Contains(natsSchemes, parsed.Scheme) {
			p.addf("nats.urls", o["nats.urls"], "%q is no address, must be like nats://127.0.0.1:4222", redactURL(u))
		}
	}
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		p.addf("nats.tls", "", "cert and key belong together, only one of them is set")
	}
}
