//go:build unix

package websocket

import "syscall"

// nonblocking returns the raw connection for tries.
func nonblocking(s syscall.Conn) (syscall.RawConn, error) { return s.SyscallConn() }

// write tries once. Go's sockets are non-blocking by themselves. It is called
// by RawConn.Write and always says that it is done: waiting is not its affair.
func (w *writer) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.out)
		switch err {
		case nil:
			w.n, w.err = n, nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			w.n, w.err = 0, nil
		default:
			w.n, w.err = 0, err
		}
		return true
	}
}
