package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// ports of a dev; 0 takes a free one.
type ports struct {
	page  int
	edges [edges]int
	nats  int
}

// portsFrom lays out the ports from the first: page, edges, NATS.
func portsFrom(first int) (ports, error) {
	const last = 1<<16 - 2 - edges
	if first == 0 {
		return ports{}, nil
	}
	if first < 1 || first > last {
		return ports{}, usagef("--port %d: must be 1 to %d, as %d ports are taken from there", first, last, 2+edges)
	}
	p := ports{page: first, nats: first + 1 + edges}
	for i := range p.edges {
		p.edges[i] = first + 1 + i
	}
	return p, nil
}

// check complains about every port that is in use, before anything starts.
func (p ports) check() error {
	var errs []error
	try := func(what string, port int) {
		if port == 0 {
			return
		}
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			errs = append(errs, fmt.Errorf("port %d, for the %s, cannot be had (%w); choose another with --port, or leave it out for free ones", port, what, err))
			return
		}
		_ = l.Close() // it was only tried
	}
	try("page", p.page)
	for i, port := range p.edges {
		try(fmt.Sprintf("edge %d", i+1), port)
	}
	try("NATS server", p.nats)
	return errors.Join(errs...)
}
