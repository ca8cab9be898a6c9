package stream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// differences lists the settings of an existing stream that are not as
// defined and that Ensure does not change by itself: each as "setting is x,
// must be y". Keep, replicas and additional subjects are not among them.
func differences(have, want jetstream.StreamConfig) []string {
	var diffs []string
	differ := func(setting string, have, want any) {
		if have != want {
			diffs = append(diffs, fmt.Sprintf("%s is %v, must be %v", setting, have, want))
		}
	}
	differ("storage", have.Storage, want.Storage)
	differ("retention", have.Retention, want.Retention)
	differ("discard", have.Discard, want.Discard)
	differ("max_age", have.MaxAge, want.MaxAge)
	differ("max_msgs", unlimited(have.MaxMsgs), int64(-1))
	differ("max_bytes", unlimited(have.MaxBytes), int64(-1))
	differ("max_msg_size", unlimited(int64(have.MaxMsgSize)), int64(-1))
	differ("allow_direct", have.AllowDirect, want.AllowDirect)
	differ("mirror_direct", have.MirrorDirect, want.MirrorDirect)
	differ("allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish)
	differ("deny_delete", have.DenyDelete, want.DenyDelete)
	differ("allow_msg_ttl", have.AllowMsgTTL, false)
	differ("allow_rollup_hdrs", have.AllowRollup, false)
	differ("no_ack", have.NoAck, false)
	differ("sealed", have.Sealed, false)
	differ("mirror", have.Mirror != nil, false)
	differ("sources", len(have.Sources), 0)
	differ("subject_transform", have.SubjectTransform != nil, false)
	if want.Duplicates != 0 {
		differ("duplicate_window", have.Duplicates, want.Duplicates)
	}
	if want.MaxMsgsPerSubject == 0 {
		differ("max_msgs_per_subject", unlimited(have.MaxMsgsPerSubject), int64(-1))
	}
	return diffs
}

// unlimited writes the server's two forms of "no limit" as one.
func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// lacking lists the subjects of want that have does not carry.
func lacking(have, want []string) []string {
	var missing []string
	for _, s := range want {
		if !slices.Contains(have, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// settingsError joins differences to one error that says what to do.
func settingsError(name string, diffs []string) error {
	return fmt.Errorf("%w: %s: %s; change them with \"nats stream edit %s\" where the server allows it, otherwise name another stream in the configuration, or delete this one if nobody needs what it holds",
		ErrStreamSettings, name, strings.Join(diffs, "; "), name)
}
