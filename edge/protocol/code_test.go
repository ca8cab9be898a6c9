package protocol_test

import (
	"testing"

	"github.com/petpro/fabric/edge/protocol"
)

// The ranges decide what every client does, also with codes it has never seen.
func TestCloseReconnect(t *testing.T) {
	for code, want := range map[int]bool{
		3000: true, 3001: true, 3014: true, 3499: true, 3500: false, 3999: false,
		4000: true, 4499: true, 4500: false, 4999: false, 1000: false, 1006: false, 2999: false, 5000: false,
	} {
		if got := (protocol.Close{Code: code}).Reconnect(); got != want {
			t.Errorf("Close{%d}.Reconnect() = %t, want %t", code, got, want)
		}
	}
	for _, c := range []protocol.Close{protocol.CloseDrain, protocol.CloseInternal, protocol.CloseExpired, protocol.CloseSlow,
		protocol.CloseNoPong, protocol.CloseRate, protocol.CloseUnavailable} {
		if !c.Reconnect() {
			t.Errorf("%d %s must ask clients to come back", c.Code, c.Reason)
		}
	}
	for _, c := range []protocol.Close{protocol.CloseToken, protocol.CloseBadRequest, protocol.CloseNoConnect,
		protocol.CloseLoggedOut, protocol.CloseLimit, protocol.CloseBlocked} {
		if c.Reconnect() {
			t.Errorf("%d %s must tell clients to stay away", c.Code, c.Reason)
		}
	}
}
