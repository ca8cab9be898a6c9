package pgtest

import "errors"

// Launch starts a server for a program that is no test, such as a benchmark. It
// is ended by Quit.
func Launch(opts ...Option) (*Server, error) { return start(opts...) }

// Quit ends a launched server, and removes all that this process has made of
// PostgreSQL: it is called last.
func (s *Server) Quit() error { return errors.Join(append(end(), s.close())...) }
