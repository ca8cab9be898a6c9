package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/petpro/fabric/subjects"
)

//go:embed page
var pageFiles embed.FS

// Limits of the page's server, which only the developer's own browser uses.
const (
	maxPost     = 4 << 10
	maxStatus   = 64
	pageTimeout = 10 * time.Second
)

// page serves the two panels and, to them alone, changes the database. It
// hands out tokens, so it must not be reached by anything but a browser on
// this machine: it listens on loopback, answers only to its own names (a
// foreign name that resolves to 127.0.0.1 is refused) and takes changes only
// as JSON from its own origin.
type page struct {
	shop  shop
	cast  cast
	ready func() Ready
	hosts []string
	log   *slog.Logger
}

// newPage serves on l once Serve is called with the handler.
func newPage(s shop, who cast, addr net.Addr, ready func() Ready, log *slog.Logger) *page {
	_, port, _ := net.SplitHostPort(addr.String())
	return &page{shop: s, cast: who, ready: ready, log: log, hosts: []string{addr.String(), "localhost:" + port}}
}

// serve answers on l until ctx ends.
func (p *page) serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: p.handler(), ReadTimeout: pageTimeout, WriteTimeout: pageTimeout, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

func (p *page) handler() http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/session", p.session)
	mux.HandleFunc("GET /api/bookings", p.labels)
	mux.HandleFunc("POST /api/bookings", p.book)
	mux.HandleFunc("POST /api/bookings/{id}", p.change)
	return p.guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard refuses foreign host names and foreign forms, and tells browsers what
// the page may load: its own files, and connections to the edges.
func (p *page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(p.hosts, r.Host) {
			http.Error(w, "this server answers to "+strings.Join(p.hosts, " and ")+" only", http.StatusMisdirectedRequest)
			return
		}
		if typ, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && typ != "application/json" {
			http.Error(w, "send application/json", http.StatusUnsupportedMediaType)
			return
		}
		connect := "'self'"
		for _, e := range p.ready().Edges {
			connect += " " + webSocket(e)
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; connect-src "+connect+"; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// session tells the panels who they are and where their edges are.
func (p *page) session(w http.ResponseWriter, _ *http.Request) {
	type person struct {
		Role  string `json:"role"`
		User  string `json:"user"`
		Token string `json:"token"`
	}
	r := p.ready()
	reply(w, http.StatusOK, struct {
		Edges  []string `json:"edges"`
		People []person `json:"people"`
		// Book says whether bookings can be made.
		Book bool `json:"book"`
	}{r.Edges, []person{{"vendor", p.cast.vendor, r.Tokens.Vendor}, {"customer", p.cast.customer, r.Tokens.Customer}}, p.shop.canBook()})
}

func (p *page) labels(w http.ResponseWriter, r *http.Request) {
	labels, err := p.shop.labels(r.Context())
	if err != nil {
		p.refuse(w, err)
		return
	}
	reply(w, http.StatusOK, labels)
}

func (p *page) book(w http.ResponseWriter, r *http.Request) {
	id, err := p.shop.book(r.Context(), p.cast.pair)
	if err != nil {
		p.refuse(w, err)
		return
	}
	reply(w, http.StatusCreated, map[string]string{"id": id})
}

func (p *page) change(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Status string `json:"status"`
		By     string `json:"by"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPost))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil {
		http.Error(w, "send {\"status\":\"confirmed\",\"by\":\""+p.cast.vendor+"\"}: "+err.Error(), http.StatusBadRequest)
		return
	}
	if ask.Status == "" || len(ask.Status) > maxStatus {
		http.Error(w, fmt.Sprintf("status must have 1 to %d bytes", maxStatus), http.StatusBadRequest)
		return
	}
	id := r.PathValue("id")
	if err := subjects.CheckID(id); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// The customer's own notification is made by the mapping; the vendor's is a row.
	tell := ""
	if ask.By == p.cast.customer {
		tell = p.cast.vendor
	}
	if err := p.shop.setStatus(r.Context(), id, ask.Status, tell); err != nil {
		p.refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"id": id, "status": ask.Status})
}

// refuse says what the developer at the page can use, and logs the rest.
func (p *page) refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, errNoBooking) {
		http.Error(w, errNoBooking.Error(), http.StatusNotFound)
		return
	}
	p.log.Error("the page's request failed", "err", err)
	http.Error(w, "the database refused: "+err.Error(), http.StatusServiceUnavailable)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the browser has gone; nobody is left to tell
}
