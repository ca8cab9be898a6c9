//go:build !unix

package websocket

import (
	"errors"
	"syscall"
)

// nonblocking fails: every flush is a goroutine that blocks, as with TLS.
func nonblocking(syscall.Conn) (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

func (w *writer) write(uintptr) bool { return true }
