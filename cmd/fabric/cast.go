package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// The people of the shop that `fabric dev` makes by itself. The stranger takes
// part in no booking of any shop.
const (
	vendorID   = "u_vendor"
	customerID = "u_customer"
	strangerID = "u_stranger"
)

// maxGrants bounds the access records that the cast is chosen from.
const maxGrants = 5000

// cast are the two whom the page shows, and the bookings they share, sorted.
type cast struct {
	pair
	bookings []string
}

type pair struct{ vendor, customer string }

// castOf chooses from the access records in the stream: the people of our own
// shop if they share a booking, otherwise the two who share most.
func castOf(ctx context.Context, nc *nats.Conn, name, kind string) (cast, error) {
	grants, err := grantsOf(ctx, nc, name, kind)
	if err != nil {
		return cast{}, fmt.Errorf("who takes part in which booking: %w", err)
	}
	shared := map[pair][]string{}
	for id, participants := range grants {
		for p := range pairs(participants) {
			shared[p] = append(shared[p], id)
		}
	}
	best := pair{vendorID, customerID}
	if _, ok := shared[best]; !ok && len(shared) > 0 {
		best = slices.MaxFunc(slices.Collect(maps.Keys(shared)), func(a, b pair) int {
			return cmp.Or(cmp.Compare(len(shared[a]), len(shared[b])), cmp.Compare(b.vendor+b.customer, a.vendor+a.customer))
		})
	}
	bookings := shared[best]
	slices.Sort(bookings)
	return cast{best, append([]string{}, bookings...)}, nil
}

// pairs of participants, who is called customer second.
func pairs(participants map[string]string) map[pair]bool {
	out := map[pair]bool{}
	for a, roleA := range participants {
		for b, roleB := range participants {
			if a != b && roleA != "customer" && (roleB == "customer" || a < b) {
				out[pair{a, b}] = true
			}
		}
	}
	return out
}

// grantsOf reads the newest access records of a kind: participants by id.
func grantsOf(ctx context.Context, nc *nats.Conn, name, kind string) (map[string]map[string]string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	filter := kind + ".*." + subjects.AccessType
	consumer, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return nil, err
	}
	left := min(consumer.CachedInfo().NumPending, maxGrants)
	grants := make(map[string]map[string]string, left)
	if left == 0 {
		return grants, nil
	}
	msgs, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer msgs.Stop()
	for ; left > 0; left-- {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		var a subjects.Access
		if err := json.Unmarshal(m.Data(), &a); err == nil {
			grants[strings.TrimSuffix(strings.TrimPrefix(m.Subject(), kind+"."), "."+subjects.AccessType)] = a.Participants
		}
	}
	return grants, nil
}
