package test

import (
	"go/version"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/petpro/fabric/config"
)

// root of the repository, seen from here.
const root = ".."

// compose loads docker-compose.yml as docker does where no variable is set.
func compose(t *testing.T) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: types.Mapping{},
	}, loader.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return project
}

func service(t *testing.T, p *types.Project, name string) types.ServiceConfig {
	t.Helper()
	s, err := p.GetService(name)
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return s
}

// env of a service, all variables set.
func env(t *testing.T, s types.ServiceConfig) map[string]string {
	t.Helper()
	out := map[string]string{}
	for key, value := range s.Environment {
		if value == nil {
			t.Fatalf("docker-compose.yml: %s: %s has no value without help from outside", s.Name, key)
		}
		out[key] = *value
	}
	return out
}

func TestComposeServices(t *testing.T) {
	project := compose(t)
	for _, name := range []string{"nats", "postgres", "setup", "publisher", "keys", "edge-1", "edge-2", "nginx", "fabric"} {
		service(t, project, name)
	}
	dockerfile := read(t, "deploy/Dockerfile")
	for name, s := range project.Services {
		t.Run(name, func(t *testing.T) {
			if s.Build != nil {
				checkBuild(t, s.Build, dockerfile)
			} else if !pinned(s.Image) {
				t.Errorf("image %q is not pinned to a version", s.Image)
			}
			for _, v := range s.Volumes {
				if v.Type == types.VolumeTypeBind {
					checkFile(t, v)
				}
			}
			for other, d := range s.DependsOn {
				if d.Condition == types.ServiceConditionHealthy && service(t, project, other).HealthCheck == nil {
					t.Errorf("waits for %s to be healthy, which has no health check", other)
				}
			}
			for _, p := range s.Ports {
				if ip := net.ParseIP(p.HostIP); ip == nil || !ip.IsLoopback() {
					t.Errorf("port %d is published on %q; the passwords in the file are examples, so 127.0.0.1 only", p.Target, p.HostIP)
				}
			}
		})
	}
}

func checkBuild(t *testing.T, b *types.BuildConfig, dockerfile string) {
	t.Helper()
	if !strings.HasSuffix(filepath.Join(b.Context, b.Dockerfile), "/deploy/Dockerfile") {
		t.Errorf("is built from %s in %s, want deploy/Dockerfile", b.Dockerfile, b.Context)
	}
	if !regexp.MustCompile(`(?m)^FROM \S+ AS ` + regexp.QuoteMeta(b.Target) + `$`).MatchString(dockerfile) {
		t.Errorf("deploy/Dockerfile has no target %q", b.Target)
	}
}

// checkFile wants a mounted file to exist: docker would make a directory of a
// missing one and the service would fail in a puzzling way.
func checkFile(t *testing.T, v types.ServiceVolumeConfig) {
	t.Helper()
	info, err := os.Stat(v.Source)
	switch {
	case err != nil:
		t.Errorf("mounts a file that is missing: %v", err)
	case !info.Mode().IsRegular():
		t.Errorf("mounts %s, which is no regular file", v.Source)
	case !v.ReadOnly:
		t.Errorf("mounts %s writable", v.Source)
	}
}

// pinned reports whether an image names a version to the patch.
func pinned(image string) bool {
	_, tag, _ := strings.Cut(image, ":")
	return regexp.MustCompile(`^\d+\.\d+(\.\d+)?(-\w[\w.]*)?$`).MatchString(tag)
}

func TestPinned(t *testing.T) {
	for image, want := range map[string]bool{
		"nats:2.15.2-alpine": true, "postgres:17.6": true,
		"nats": false, "nats:latest": false, "nats:2": false, "nginx:alpine": false,
	} {
		if got := pinned(image); got != want {
			t.Errorf("pinned(%q) = %v, want %v", image, got, want)
		}
	}
}

func TestDockerfile(t *testing.T) {
	stages := []string{"scratch"}
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(read(t, "deploy/Dockerfile"), -1) {
		if image := from[1]; !slices.Contains(stages, image) && !pinned(image) {
			t.Errorf("stage %s: image %q is not pinned to a version", from[2], image)
		}
		stages = append(stages, from[2])
	}
	if !slices.Contains(stages, "build") {
		t.Fatal("found no stage named build; is FROM … AS … still how stages are written?")
	}
	image := "go" + find(t, "deploy/Dockerfile", `FROM golang:([\d.]+)`)
	if want := "go" + find(t, "go.mod", `(?m)^go ([\d.]+)$`); version.Compare(image, want) < 0 {
		t.Errorf("builds with %s, go.mod asks for %s", image, want)
	}
}

// TestComposeBroker keeps the broker of the compose file the one that the
// tests run against.
func TestComposeBroker(t *testing.T) {
	if image, want := service(t, compose(t), "nats").Image, "nats:"+server.VERSION+"-alpine"; image != want {
		t.Errorf("nats runs %s, the tests run on %s", image, want)
	}
}

// TestComposeConfiguration reads each configuration as its container would.
func TestComposeConfiguration(t *testing.T) {
	project := compose(t)
	for name, check := range map[string]func(*testing.T, config.Config, config.Origins) error{
		"publisher": func(_ *testing.T, c config.Config, o config.Origins) error {
			_, err := c.PublisherConfig(o)
			return err
		},
		"edge-1": edgeConfig,
		"edge-2": edgeConfig,
	} {
		t.Run(name, func(t *testing.T) {
			s := service(t, project, name)
			vars := env(t, s)
			for key, value := range vars {
				t.Setenv(key, value)
			}
			t.Setenv("FABRIC_CONFIG", onHost(t, s, vars["FABRIC_CONFIG"]))
			c, origins, err := config.Load(config.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := check(t, c, origins); err != nil {
				t.Error(err)
			}
			for _, raw := range c.NATS.URLs {
				u, err := url.Parse(raw)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := project.GetService(u.Hostname()); err != nil || u.Port() != "4222" {
					t.Errorf("looks for NATS at %s, which is no service of the file", u.Host)
				}
			}
			for _, path := range paths(c) {
				onVolume(t, s, path)
			}
		})
	}
}

func edgeConfig(t *testing.T, c config.Config, o config.Origins) error {
	t.Helper()
	e, err := c.EdgeConfig(o)
	if _, port, _ := net.SplitHostPort(e.Listen); port != find(t, "deploy/nginx.conf", `server edge-1:(\d+)`) {
		t.Errorf("listens on %s, where nginx does not look", e.Listen)
	}
	return err
}

// paths that a service reads or writes on a volume.
func paths(c config.Config) []string {
	var out []string
	for _, k := range c.Auth.Keys {
		out = append(out, k.SecretFile)
	}
	if len(c.Publisher.Sources) > 0 {
		out = append(out, c.Publisher.State)
	}
	return out
}

// onHost translates the path of a mounted file into the one it is mounted from.
func onHost(t *testing.T, s types.ServiceConfig, path string) string {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind && v.Target == path {
			return v.Source
		}
	}
	t.Fatalf("%s: no file is mounted at %q", s.Name, path)
	return ""
}

// onVolume wants path to lie on a named volume, so that it outlives the
// container.
func onVolume(t *testing.T, s types.ServiceConfig, path string) {
	t.Helper()
	if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && (path == v.Target || strings.HasPrefix(path, v.Target+"/"))
	}) {
		t.Errorf("%s is not on a volume", path)
	}
}

// TestComposeBalancer: nginx knows each edge of the compose file, by name and
// port, and listens where the compose file says.
func TestComposeBalancer(t *testing.T) {
	project := compose(t)
	var edges []string
	for name, s := range project.Services {
		if s.Build != nil && s.Build.Target == "edge" {
			edges = append(edges, name)
		}
	}
	slices.Sort(edges)
	var upstream []string
	conf := read(t, "deploy/nginx.conf")
	for _, m := range regexp.MustCompile(`(?m)^\s+server ([\w-]+):\d+`).FindAllStringSubmatch(conf, -1) {
		upstream = append(upstream, m[1])
	}
	if slices.Sort(upstream); !slices.Equal(upstream, edges) {
		t.Errorf("nginx balances over %v, the compose file has %v", upstream, edges)
	}
	if sticky := regexp.MustCompile(`(?m)^\s*(ip_hash|hash|sticky)\b.*;`).FindString(conf); sticky != "" {
		t.Errorf("nginx uses %q; clients must be free to resume on any edge", sticky)
	}
	listen := find(t, "deploy/nginx.conf", `listen (\d+);`)
	for _, p := range service(t, project, "nginx").Ports {
		if strconv.Itoa(int(p.Target)) != listen {
			t.Errorf("port %s leads to %d, nginx listens on %s", p.Published, p.Target, listen)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// find returns the first group of pattern in a file.
func find(t *testing.T, path, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(read(t, path))
	if m == nil {
		t.Fatalf("%s: nothing matches %s", path, pattern)
	}
	return m[1]
}
