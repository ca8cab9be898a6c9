package protocol_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/petpro/fabric/edge/protocol"
)

func TestParseCursor(t *testing.T) {
	good := []protocol.Cursor{
		{Epoch: "k3f9", Seq: 10512, Time: 1_795_343_400_123_456},
		{Epoch: "0", Seq: 0, Time: 0},
		{Epoch: "0", Seq: 35, Time: -36},
		{Epoch: "0", Seq: 36, Time: -1 << 63},
		{Epoch: "abcdefghijklmnopqrstuvwx", Seq: 1<<64 - 1, Time: 1<<63 - 1},
	}
	for _, want := range good {
		s := want.String()
		if theirs := fmt.Sprintf("%s-%d-%s", want.Epoch, want.Seq, strconv.FormatInt(want.Time, 36)); s != theirs {
			t.Errorf("String() = %q, want %q", s, theirs)
		}
		got, err := protocol.ParseCursor(s)
		if err != nil || got != want {
			t.Errorf("ParseCursor(%q) = %+v, %v, want %+v", s, got, err, want)
		}
		if len(s) > protocol.MaxCursor {
			t.Errorf("%q is longer than MaxCursor", s)
		}
	}
	bad := map[string]string{
		"empty":             "",
		"one part":          "k3f9",
		"two parts":         "k3f9-1",
		"four parts":        "k3f9-1-2-3",
		"no epoch":          "-1-2",
		"capitals":          "K3F9-1-2",
		"epoch of 25":       strings.Repeat("a", 25) + "-1-2",
		"sequence signed":   "k3f9-+1-2",
		"sequence negative": "k3f9--1-2",
		"leading zero":      "k3f9-01-2",
		"time capitals":     "k3f9-1-M3X",
		"sequence too big":  "k3f9-18446744073709551616-2",
		"blank":             "k3f9-1-2 ",
		"underscore":        "k3f9-1_0-2",
		"too long":          "k3f9-1-" + strings.Repeat("1", 64),
		"NUL":               "k3f9-1-2\x00",
	}
	for name, s := range bad {
		t.Run(name, func(t *testing.T) {
			if c, err := protocol.ParseCursor(s); !errors.Is(err, protocol.ErrCursor) {
				t.Errorf("ParseCursor(%q) = %+v, %v, want ErrCursor", s, c, err)
			}
		})
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"k3f9-10512-m3x7c2q", "0-0-0", "a-1--z", "k3f9-+1-2", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := protocol.ParseCursor(s)
		if err != nil {
			if !errors.Is(err, protocol.ErrCursor) || c != (protocol.Cursor{}) {
				t.Fatalf("ParseCursor(%q) = %+v, %v", s, c, err)
			}
			return
		}
		if c.String() != s || c.IsZero() {
			t.Fatalf("ParseCursor(%q).String() = %q", s, c)
		}
	})
}
