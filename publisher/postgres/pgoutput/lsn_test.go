package pgoutput_test

import (
	"testing"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

func TestLSN(t *testing.T) {
	for text, want := range map[string]pgoutput.LSN{
		"0/0":               0,
		"0/16B3748":         0x16B3748,
		"7A1F/B":            0x7A1F_0000000B,
		"FFFFFFFF/FFFFFFFF": 0xFFFFFFFF_FFFFFFFF,
	} {
		got, err := pgoutput.ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseLSN(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/", "0", "0/", "/0", "0/0/0", "0/100000000", "-1/0", "+1/0", "g/0", "0x1/0", "1_0/0", " 1/0", "000000001/0"} {
		if got, err := pgoutput.ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %s, want an error", text, got)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	f.Add("0/16B3748")
	f.Add("ffffffff/0")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := pgoutput.ParseLSN(text)
		if err != nil {
			return
		}
		if again, err := pgoutput.ParseLSN(l.String()); err != nil || again != l {
			t.Errorf("ParseLSN(%q) = %s, which parses to %s, %v", text, l, again, err)
		}
	})
}
