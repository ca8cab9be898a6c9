package pgoutput

import (
	"reflect"
	"strings"
	"testing"
)

// The syntax of each version; 15 and 17 run in TestSnapshot and TestFailover.
func TestCreateCommand(t *testing.T) {
	for _, test := range []struct {
		version  int
		failover bool
		want     string
	}{
		{13, false, `CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput EXPORT_SNAPSHOT`},
		{14, false, `CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput EXPORT_SNAPSHOT`},
		{15, false, `CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput (SNAPSHOT 'export')`},
		{17, false, `CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput (SNAPSHOT 'export')`},
		{17, true, `CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER true)`},
	} {
		if got, err := createCommand(test.version, "s", test.failover); got != test.want || err != nil {
			t.Errorf("createCommand(%d, failover %t) = %s, %v; want %s", test.version, test.failover, got, err, test.want)
		}
	}
	if got, err := createCommand(16, "s", true); err == nil {
		t.Errorf("createCommand(16, failover) = %s, want an error", got)
	}
}

func TestStartCommand(t *testing.T) {
	got := startCommand(`a"b`, `it's "it"`, 0x16B3748)
	want := `START_REPLICATION SLOT "a""b" LOGICAL 0/16B3748 (proto_version '1', publication_names '"it''s ""it"""')`
	if got != want {
		t.Errorf("startCommand = %s, want %s", got, want)
	}
}

func TestMajor(t *testing.T) {
	for version, want := range map[string]int{"15.18 (Debian 15.18-0+deb12u1)": 15, "17.6": 17, "18beta1": 18, "14": 14} {
		if got, err := major(version); got != want || err != nil {
			t.Errorf("major(%q) = %d, %v; want %d", version, got, err, want)
		}
	}
	for _, version := range []string{"", "beta", "99999999999999999999"} {
		if got, err := major(version); err == nil {
			t.Errorf("major(%q) = %d, want an error", version, got)
		}
	}
}

func TestParseHistory(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       []Switch
		err        string
	}{
		{"none", "", nil, ""},
		{"two", "1\t0/3000158\tno recovery target specified\n\n2\tA/B0\tbefore 2026-11-22 19:27:47+00\n",
			[]Switch{{1, 0x3000158, "no recovery target specified"}, {2, 0xA_0000_00B0, "before 2026-11-22 19:27:47+00"}}, ""},
		{"comment", "# by hand\n  1\t0/10\n", []Switch{{1, 0x10, ""}}, ""},
		{"tabs in the reason", "1\t0/10\tat \"a\tb\"", []Switch{{1, 0x10, "at \"a\tb\""}}, ""},
		{"no LSN", "1\t0/10\tx\n2\n", nil, `line 2: "2" is not a timeline and an LSN`},
		{"bad timeline", "one\t0/10\tx", nil, `line 1: timeline`},
		{"bad LSN", "1\t16\tx", nil, `line 1: "16" is not an LSN`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseHistory([]byte(test.file))
			if test.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.err) {
					t.Errorf("parseHistory = %v, %v; want error %s", got, err, test.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("parseHistory = %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add([]byte("1\t0/3000158\tno recovery target specified\n2\tA/B0\tx"))
	f.Fuzz(func(t *testing.T, file []byte) {
		switches, err := parseHistory(file)
		if err != nil && switches != nil {
			t.Errorf("parseHistory(%q) = %v, %v", file, switches, err)
		}
		if n := strings.Count(string(file), "\n") + 1; len(switches) > n {
			t.Errorf("parseHistory(%q) has %d switches in %d lines", file, len(switches), n)
		}
	})
}
