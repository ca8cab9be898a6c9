package config_test

import (
	"testing"

	"github.com/petpro/fabric/config"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want config.Size
		ok   bool
	}{
		{"64MiB", 64 << 20, true},
		{"32KiB", 32 << 10, true},
		{"1 GiB", 1 << 30, true},
		{"512", 512, true},
		{"512B", 512, true},
		{"0", 0, true},
		{"64MB", 0, false},
		{"1.5MiB", 0, false},
		{"-1KiB", 0, false},
		{"MiB", 0, false},
		{"", 0, false},
		{"9999999999GiB", 0, false},
	}
	for _, tt := range tests {
		if got, err := config.ParseSize(tt.in); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseSize(%q) = %d, %v; want %d, ok %t", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

// Every size reads back as what it was.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"64MiB", "32KiB", "1023", "1GiB", "0", "64MB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := config.ParseSize(s)
		if err != nil {
			return
		}
		if again, err := config.ParseSize(n.String()); again != n || err != nil {
			t.Errorf("ParseSize(%q) = %d, written %q, read back %d, %v", s, n, n.String(), again, err)
		}
	})
}
