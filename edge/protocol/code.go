package protocol

import "time"

// Code is an error a reply carries. The session stays open unless a close
// follows.
type Code int

// The error codes of docs/PROTOCOL.md.
const (
	CodeInternal     Code = 100
	CodeUnauthorized Code = 101
	CodeRoom         Code = 102
	CodeNotEntitled  Code = 103
	CodeVerb         Code = 104
	CodeLimit        Code = 106
	CodeBadRequest   Code = 107
	CodeUnavailable  Code = 108
	CodeExpired      Code = 109
	CodeTooMany      Code = 111
	CodeCursor       Code = 112
)

// Temporary reports whether the same command may succeed later unchanged.
func (c Code) Temporary() bool {
	return c == CodeInternal || c == CodeUnavailable || c == CodeTooMany
}

// Error is an error as a client sees it: short, and without inner detail.
type Error struct {
	Code    Code
	Message string
	// After is the time to wait before trying again; 0 says nothing.
	After time.Duration
}

// Error is the text that the client is shown.
func (e Error) Error() string { return e.Message }

// Close ends a connection. Codes 3000–3499 and 4000–4499 ask the client to
// come back, 3500–3999 and 4500–4999 to stay away.
type Close struct {
	Code   int
	Reason string
	// After is the time to wait before reconnecting; 0 leaves it to the
	// client's own back-off.
	After time.Duration
}

// Reconnect reports whether the client should come back.
func (c Close) Reconnect() bool {
	return c.Code >= 3000 && c.Code < 3500 || c.Code >= 4000 && c.Code < 4500
}

// The closes of docs/PROTOCOL.md.
var (
	CloseDrain       = Close{Code: 3001, Reason: "drain"}
	CloseInternal    = Close{Code: 3004, Reason: "internal error"}
	CloseExpired     = Close{Code: 3005, Reason: "token expired"}
	CloseSlow        = Close{Code: 3008, Reason: "too slow"}
	CloseNoPong      = Close{Code: 3012, Reason: "no pong"}
	CloseRate        = Close{Code: 3013, Reason: "too many requests"}
	CloseUnavailable = Close{Code: 3014, Reason: "broker unavailable"}

	CloseToken      = Close{Code: 3500, Reason: "invalid token"}
	CloseBadRequest = Close{Code: 3501, Reason: "bad request"}
	CloseNoConnect  = Close{Code: 3502, Reason: "no connect in time"}
	CloseLoggedOut  = Close{Code: 3503, Reason: "logged out"}
	CloseLimit      = Close{Code: 3504, Reason: "connection limit"}
	CloseBlocked    = Close{Code: 3507, Reason: "blocked"}
)
