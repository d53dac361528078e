package main

// The load of the benchmark: a server and clients in one process, each with a connection. Lines of JSON set the number of
// callers and the time, or ask to open sessions one after the other.

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/nats-io/nats.go"
)

// A line of the standard input.
type load struct {
	Callers int
	Open    bool
	Nanos   time.Duration
}

// A line of the standard output.
type loaded struct {
	Calls int64         `json:"calls"`
	Nanos time.Duration `json:"nanos"`
}

// A caller has a session, whose client makes one call at a time.
type caller struct {
	session *session
	client  *client
	number  int32
}

func newCaller(conn *nats.Conn, subject string, wire wire) (*caller, error) {
	s, err := connect(conn, subject, new(atomic.Bool), nil)
	if err != nil {
		return nil, err
	}
	c := &caller{session: s, client: &client{}}
	c.client.in, c.client.out = wire.protocols(s)
	return c, nil
}

func (c *caller) add() error {
	c.number++
	var sum int32
	one := int32(1)
	err := c.client.call(thrift.CALL, "add", fields{i32(1, &c.number), i32(2, &one)}, fields{i32(0, &sum)})
	if err == nil && sum != c.number+1 {
		return errors.New("a wrong sum")
	}
	return err
}

func bench(url string, conn *nats.Conn, subject string, wire wire, input io.Reader) error {
	server, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer server.Close()
	listening := make(chan error, 1)
	// The events of the server are discarded.
	tell := func(line event) {
		if line.Event == "listening" {
			listening <- nil
		}
	}
	end, ended := io.Pipe()
	defer ended.Close()
	go func() { listening <- serve(server, subject, wire, 0, end, tell) }()
	if err := <-listening; err != nil {
		return err
	}
	var callers []*caller
	lines := json.NewDecoder(input)
	for {
		var do load
		if err := lines.Decode(&do); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var result loaded
		if do.Open {
			result, err = open(conn, subject, wire, do.Nanos)
		} else {
			for len(callers) < do.Callers && err == nil {
				var c *caller
				c, err = newCaller(conn, subject, wire)
				callers = append(callers, c)
			}
			if err == nil {
				result, err = callAll(callers[:do.Callers], do.Nanos)
			}
		}
		if err != nil {
			return err
		}
		say(result)
	}
}

// callAll runs all callers; each makes one call after the other.
func callAll(callers []*caller, nanos time.Duration) (loaded, error) {
	var all sync.WaitGroup
	var calls atomic.Int64
	errs := make(chan error, len(callers))
	begun := time.Now()
	for _, c := range callers {
		all.Go(func() {
			for count := int64(0); ; count++ {
				if time.Since(begun) >= nanos {
					calls.Add(count)
					return
				}
				if err := c.add(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	taken := time.Since(begun)
	select {
	case err := <-errs:
		return loaded{}, err
	default:
		return loaded{calls.Load(), taken}, nil
	}
}

// open opens one session after the other, and closes them after the measurement.
func open(conn *nats.Conn, subject string, wire wire, nanos time.Duration) (loaded, error) {
	var sessions []*session
	begun := time.Now()
	for time.Since(begun) < nanos {
		c, err := newCaller(conn, subject, wire)
		if err != nil {
			return loaded{}, err
		}
		sessions = append(sessions, c.session)
	}
	taken := time.Since(begun)
	for _, s := range sessions {
		if err := s.Close(); err != nil {
			return loaded{}, err
		}
	}
	return loaded{int64(len(sessions)), taken}, nil
}
