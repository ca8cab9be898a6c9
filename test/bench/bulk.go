package main

import (
	"context"
	"fmt"
	"time"
)

// onlyStatus is a mapping that makes one message of a change.
const onlyStatus = `
mapping:
  terminal: [completed, cancelled, no_show]
  follow: { services: { key: id, columns: [provider_id] } }
  tables:
    bookings:
      key: id
      columns: [id, user_id, service_id, status, updated_at, deleted_at]
      times: [updated_at]
      access: { kind: booking, participants: { "{user_id}": customer, "{services[service_id].provider_id}": vendor }, gone: "set(deleted_at)" }
      events:
        - when: "inserted() || changed(status)"
          subject: "booking.{id}.status"
          payload: { bookingId: "{id}", status: "{status}", updatedAt: "{updated_at}", message: { by: status, inserted: "Booking created", else: "Booking has been updated" } }
`

// bulk changes every booking in one transaction and measures how fast the
// publisher carries it, and what memory it needs for that.
func bulk(ctx context.Context, args []string) error {
	fs := flags("bulk")
	source, identity := sourceFlag(fs), identityFlag(fs)
	rows := fs.Int("rows", 50_000, "rows of the transaction")
	notify := fs.Bool("notify", false, "PetPro's own mapping: a notification beside each status event")
	sync := fs.Bool("sync", false, "nats-server with sync_always")
	fs.Parse(args)

	r, err := newRig(ctx, *sync, "publisher")
	defer r.close()
	if err != nil {
		return err
	}
	s, err := r.openShop(ctx, *source, "shop", *rows)
	if err != nil {
		return err
	}
	mapping, per := onlyStatus, 1
	if *notify {
		mapping, per = "", 2
	}
	s.identity = *identity
	file, err := r.configure(ctx, s, mapping)
	if err != nil {
		return err
	}
	begun := time.Now()
	pub, err := r.publisher(ctx, file)
	if err != nil {
		return err
	}
	initial, first := time.Since(begun), r.end(ctx)
	idle, _ := pub.rss()
	cpu, broker := pub.cpu(), r.nats.cpu()
	progress("%d messages of the initial publication in %.1f s; one UPDATE of %d rows", first, initial.Seconds(), *rows)

	before := time.Now()
	if _, err := s.db.ExecContext(ctx, `UPDATE bookings SET status = 'confirmed'`); err != nil {
		return err
	}
	committed := time.Now()
	want := first + uint64(*rows*per)
	if err := r.await(ctx, "the last change", func() bool { return r.end(ctx) >= want }); err != nil {
		return err
	}
	took := time.Since(committed)
	now, peak := pub.rss()
	const mib = 1 << 20
	fmt.Printf("| source | rows | messages | UPDATE | commit → last in stream | changes/s | publisher CPU | per change | nats-server CPU | RSS before / after / peak |\n|---|---|---|---|---|---|---|---|---|---|\n")
	fmt.Printf("| %s | %d | %d | %.2f s | %.2f s | %.0f | %.2f s | %.1f µs | %.2f s | %d / %d / %d MiB |\n",
		*source, *rows, *rows*per, committed.Sub(before).Seconds(), took.Seconds(), float64(*rows)/took.Seconds(),
		(pub.cpu() - cpu).Seconds(), float64((pub.cpu()-cpu).Microseconds())/float64(*rows), (r.nats.cpu() - broker).Seconds(),
		idle/mib, now/mib, peak/mib)
	return nil
}
