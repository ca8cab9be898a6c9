package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/pgtest"
)

// natsChild is the scenario under which the program serves NATS for itself.
const natsChild = "nats-child"

const secret = "the secret of the benchmarks, 32 bytes+"

// rig is a fabric of real processes in a directory of its own.
type rig struct {
	dir  string
	nats *process
	url  string
	nc   *nats.Conn
	all  []*process

	postgres *pgtest.Server // nil unless a scenario needs it
	shops    []*shop
}

func newRig(ctx context.Context, syncAlways bool, commands ...string) (*rig, error) {
	dir, err := os.MkdirTemp("", "fabric-bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir}
	if err := build(ctx, dir, commands...); err != nil {
		return r, err
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	r.nats, r.url, err = spawnTalking(ctx, dir, self, natsChild, fmt.Sprintf("-sync=%v", syncAlways), "-store="+filepath.Join(dir, "nats"))
	if err != nil {
		return r, err
	}
	r.all = append(r.all, r.nats)
	r.nc, err = nats.Connect(r.url)
	return r, err
}

// close ends everything, last started first.
func (r *rig) close() {
	for _, s := range r.shops {
		s.db.Close()
	}
	if r.nc != nil {
		r.nc.Close()
	}
	for i := len(r.all) - 1; i >= 0; i-- {
		r.all[i].stop()
	}
	if r.postgres != nil {
		if err := r.postgres.Quit(); err != nil {
			progress("%v", err)
		}
	}
	os.RemoveAll(r.dir)
}

// serveNATS is the child: it prints its URL and serves until it is ended.
func serveNATS(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet(natsChild, flag.ExitOnError)
	sync, store := fs.Bool("sync", false, ""), fs.String("store", "", "")
	fs.Parse(args)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: *store, SyncAlways: *sync,
		JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 8 << 30,
	})
	if err != nil {
		return err
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("nats-server is not ready")
	}
	fmt.Println(srv.ClientURL())
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

// configure makes the shop ready for a mapping (YAML; PetPro's if it is empty)
// and writes a configuration file for it.
func (r *rig) configure(ctx context.Context, s *shop, mapping string) (string, error) {
	if mapping == "" {
		_, m, _ := strings.Cut(string(config.PetPro), "\nmapping:")
		mapping = "mapping:" + m
	}
	if err := s.prepare(ctx, mapping); err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, s.name+".yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `
nats: { urls: [%q] }
auth: { keys: [ { algorithms: [HS256], secret: %q } ] }
edge: { listen: "127.0.0.1:0", admin_listen: "" }
publisher:
  admin_listen: ""
  state: %q
  confirm_delay: 0s
  sources: [ %s ]
%s`, r.url, secret, filepath.Join(r.dir, s.name+"-state"), s.yaml(), mapping), 0o600)
}

// publisher starts the publisher and waits until the initial publication of n
// bookings is in the stream.
func (r *rig) publisher(ctx context.Context, file string, args ...string) (*process, error) {
	p, err := spawn(r.dir, filepath.Join(r.dir, "publisher"), append([]string{"--config", file}, args...)...)
	if err != nil {
		return nil, err
	}
	r.all = append(r.all, p)
	err = r.await(ctx, "the initial publication", func() bool {
		m, err := stream.NewLeader(r.nc, "FABRIC").Last(ctx, "fabric.position")
		return err == nil && !strings.Contains(m.Header.Get("Fabric-Position"), "=init")
	})
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.said())
	}
	return p, nil
}

// edge starts an edge on a free port and waits until it is ready.
func (r *rig) edge(ctx context.Context, file string) (p *process, url, admin string, err error) {
	l1, l2 := freePort(), freePort()
	url, admin = "http://"+l1, "http://"+l2
	p, err = spawn(r.dir, filepath.Join(r.dir, "edge"), "--config", file, "--set", "edge.listen="+l1, "--set", "edge.admin_listen="+l2)
	if err != nil {
		return nil, "", "", err
	}
	r.all = append(r.all, p)
	return p, url, admin, r.await(ctx, "the edge", func() bool {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// end is the stream's last sequence and the number of messages in it.
func (r *rig) end(ctx context.Context) uint64 {
	st, err := stream.NewLeader(r.nc, "FABRIC").State(ctx)
	if err != nil {
		return 0
	}
	return st.Last
}

// count is the number of messages in the stream whose subject fits the pattern.
func (r *rig) count(ctx context.Context, pattern string) int {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return 0
	}
	s, err := js.Stream(ctx, "FABRIC")
	if err != nil {
		return 0
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(pattern))
	if err != nil {
		return 0
	}
	n := 0
	for _, k := range info.State.Subjects {
		n += int(k)
	}
	return n
}

// watermark of an edge.
func watermark(url string) uint64 {
	resp, err := http.Get(url + "/readyz")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var h struct{ Seq uint64 }
	json.NewDecoder(resp.Body).Decode(&h)
	return h.Seq
}

func (r *rig) await(ctx context.Context, what string, ok func() bool) error {
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s: not ready within 2 minutes", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}
