package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneDevPerDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := openData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openData(dir); err == nil || !strings.Contains(err.Error(), "another `fabric dev` uses "+dir) {
		t.Errorf("a second dev on the same directory: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openData(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openData(filepath.Join(file, "data")); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("openData below a file: %v", err)
	}
}

func TestSecretIsKeptAndItsOwners(t *testing.T) {
	d, err := openData(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, err := d.secret()
	if err != nil || len(first) != 64 {
		t.Fatalf("secret = %d bytes, %v; want 64", len(first), err)
	}
	if again, err := d.secret(); again != first || err != nil {
		t.Errorf("the second secret differs: %v", err)
	}
	name := filepath.Join(d.path, "secret")
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the secret = %v, %v; want 0600", info.Mode(), err)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.secret(); err == nil || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), first) {
		t.Errorf("a secret that others can read: %v", err)
	}
	if err := os.WriteFile(name, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.secret(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a short secret: %v", err)
	}
}

func TestAnnouncementEndsWithTheDev(t *testing.T) {
	d, err := openData(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := running(d.path); ok {
		t.Error("a dev that has told nothing counts as running")
	}
	if err := d.announce(Ready{NATS: "nats://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if r, ok := running(d.path); !ok || r.NATS != "nats://127.0.0.1:1" {
		t.Errorf("running = %+v, %t", r, ok)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := running(d.path); ok {
		t.Error("a dev that has ended counts as running")
	}
}
