package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go/jetstream"
)

// A token stops working at exp; a refresh before it carries the session on.
func TestExpiryAndRefresh(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	c := dial(t, s.edges[0].url)
	c.connect(tokenFor(t, "carl", nil, nil, 3*time.Second), "", room(0))
	kept := dial(t, s.edges[1].url)
	kept.connect(tokenFor(t, "carl", nil, nil, 3*time.Second), "", room(0))
	if f := kept.reply(kept.send("refresh", map[string]any{"token": token(t, "carl")})); f.Refresh == nil || f.Refresh.Expires < 3000 {
		t.Fatalf("refresh: %+v", f)
	}
	if f := kept.reply(kept.send("refresh", map[string]any{"token": token(t, "vera")})); f.Error == nil || f.Error.Code != 101 {
		t.Errorf("refresh with another user's token: %+v, want error 101", f)
	}
	if code := c.ended(); code != 3005 {
		t.Errorf("closed with %d, want 3005", code)
	}
	if f := kept.reply(kept.send("ping", map[string]any{})); f.Error != nil {
		t.Errorf("the refreshed session: %+v", f)
	}
	late := dial(t, s.edges[0].url)
	if f := late.reply(late.send("connect", map[string]any{"token": sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": time.Now().Add(-2 * time.Second).Unix()})})); f.Error == nil || f.Error.Code != 109 {
		t.Errorf("connect with an expired token: %+v, want error 109", f)
	}
	if code := late.ended(); code != 3005 {
		t.Errorf("closed with %d, want 3005", code)
	}
}

// Log-out ends every session with an older token, on every edge, and keeps
// such tokens out; a newer one works.
func TestLogOutEverywhere(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	stale := token(t, "carl")
	a, b := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	a.connect(stale, "", room(0))
	b.connect(stale, "", "mine")
	other := dial(t, s.edges[1].url)
	other.connect(token(t, "vera"), "", room(0))

	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]int64{"notBefore": time.Now().Add(2 * time.Second).Unix()})
	if _, err := js.Publish(t.Context(), "ingest.user.carl.control", body, jetstream.WithMsgID("logout-1")); err != nil {
		t.Fatal(err)
	}
	for i, c := range []*client{a, b} {
		if code := c.ended(); code != 3503 {
			t.Errorf("session %d closed with %d, want 3503", i, code)
		}
	}
	again := dial(t, s.edges[0].url)
	if f := again.reply(again.send("connect", map[string]any{"token": stale, "rooms": []any{room(0)}})); f.Error == nil || f.Error.Code != 101 {
		t.Errorf("connect with the dead token: %+v, want error 101", f)
	}
	if code := again.ended(); code != 3503 {
		t.Errorf("closed with %d, want 3503", code)
	}
	if f := other.reply(other.send("ping", map[string]any{})); f.Error != nil {
		t.Errorf("another user's session: %+v", f)
	}
	s.await("a token of after the log-out", func() bool {
		fresh := dial(t, s.edges[1].url)
		defer fresh.close()
		f := fresh.reply(fresh.send("connect", map[string]any{"token": token(t, "carl")}))
		return f.Connect != nil
	})
}

// What a service publishes itself reaches the room, once.
func TestIngest(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	c := dial(t, s.edges[0].url)
	c.connect(token(t, "carl"), "", room(0))
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		for range 2 { // the second is a duplicate by its id
			if _, err := js.Publish(t.Context(), "ingest."+room(0)+".reminder", fmt.Appendf(nil, `{"n":%d}`, i), jetstream.WithMsgID(fmt.Sprint("r", i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, bad := range []string{"ingest.booking.b_0.access", "ingest.booking.b_0", "ingest.nothing.b_0.x"} {
		if _, err := js.Publish(t.Context(), bad, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	js.Publish(t.Context(), "ingest."+room(0)+".reminder", []byte(`not JSON`))
	js.Publish(t.Context(), "ingest."+room(0)+".reminder", []byte(`{"n":20}`))
	c.wait("the last reminder", func(f frame) bool { return f.Event != nil && string(f.Event.Data) == `{"n":20}` })
	got := 0
	for _, e := range c.events(room(0)) {
		if e.Type == "reminder" && !e.Snapshot {
			if want := fmt.Sprintf(`{"n":%d}`, got); string(e.Data) != want {
				t.Errorf("reminder %d is %s, want %s", got, e.Data, want)
			}
			got++
		}
	}
	if got != 21 {
		t.Errorf("%d reminders, want 21", got)
	}
}
