package main

// Sessions of the legacy Go package: no numbers, no headers, one subscription per inbox. Its quirks that peers must tolerate
// are reproduced on purpose and marked.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/nats-io/nats.go"
)

const (
	disconnect = "DISCONNECT"
	queueGroup = "rpc"
	// The legacy package splits its bytes at this length, also within a message.
	maxChunk = 1024 * 1024
	// The number of intervals without a heartbeat after which the server ends the session.
	maxMissed = 3
	// The timeout of a handshake.
	handshakeBound = 5 * time.Second
)

// A session is a stream of bytes in each direction: a transport for Thrift.
type session struct {
	nats   *nats.Conn
	own    *nats.Subscription
	peer   string
	chunks chan []byte
	ended  chan struct{}
	once   sync.Once
	why    atomic.Value
	onEnd  func(why string)

	unread  []byte
	written []byte
}

func newSession(conn *nats.Conn, onEnd func(string)) *session {
	return &session{
		nats:   conn,
		chunks: make(chan []byte, 4096),
		ended:  make(chan struct{}),
		onEnd:  onEnd,
	}
}

// receive handles the messages to the inbox of the session. It knows one reply subject and ignores all others.
func (s *session) receive(message *nats.Msg) {
	if message.Reply == disconnect {
		s.end("disconnect", true)
		return
	}
	select {
	case s.chunks <- message.Data:
	case <-s.ended:
	}
}

// end closes the session once. It sends a disconnect message, also in reply to one, as the legacy package does.
func (s *session) end(why string, tell bool) {
	s.once.Do(func() {
		s.why.Store(why)
		if tell {
			_ = s.nats.PublishRequest(s.peer, disconnect, nil)
			_ = s.nats.Flush()
		}
		if s.own != nil {
			_ = s.own.Unsubscribe()
		}
		close(s.ended)
		if s.onEnd != nil {
			s.onEnd(why)
		}
	})
}

func (s *session) Open() error { return nil }

func (s *session) IsOpen() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

func (s *session) Close() error {
	s.end("closed here", true)
	return nil
}

func (s *session) Read(into []byte) (int, error) {
	for len(s.unread) == 0 {
		select {
		case s.unread = <-s.chunks:
		case <-s.ended:
			// Data that arrived before the end is read first.
			select {
			case s.unread = <-s.chunks:
			default:
				return 0, thrift.NewTTransportExceptionFromError(io.EOF)
			}
		}
	}
	n := copy(into, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

func (s *session) Write(bytes []byte) (int, error) {
	if !s.IsOpen() {
		return 0, thrift.NewTTransportException(thrift.NOT_OPEN, "the session has ended: "+s.why.Load().(string))
	}
	s.written = append(s.written, bytes...)
	return len(bytes), nil
}

func (s *session) Flush(context.Context) error {
	for len(s.written) > 0 {
		n := min(len(s.written), maxChunk)
		chunk := append([]byte(nil), s.written[:n]...)
		if err := s.nats.Publish(s.peer, chunk); err != nil {
			return thrift.NewTTransportExceptionFromError(err)
		}
		s.written = s.written[n:]
	}
	s.written = nil
	return nil
}

func (s *session) RemainingBytes() uint64 { return thrift.UnknownRemainingBytes }

// connect opens a session with a server on subject, and sends the heartbeats that the server asks for.
func connect(conn *nats.Conn, subject string, muted *atomic.Bool, onEnd func(string)) (*session, error) {
	s := newSession(conn, onEnd)
	inbox := nats.NewInbox()
	accepted := make(chan *nats.Msg, 1)
	var opened atomic.Bool
	var err error
	s.own, err = conn.Subscribe(inbox, func(message *nats.Msg) {
		if !opened.Swap(true) {
			accepted <- message
			return
		}
		s.receive(message)
	})
	if err != nil {
		return nil, err
	}
	if err := conn.PublishRequest(subject, inbox, nil); err != nil {
		return nil, err
	}
	var accept *nats.Msg
	select {
	case accept = <-accepted:
	case <-time.After(handshakeBound):
		_ = s.own.Unsubscribe()
		return nil, errors.New("no server accepted the session in time")
	}
	heartbeat, millis, found := strings.Cut(string(accept.Data), " ")
	deadline, err := strconv.ParseInt(millis, 10, 64)
	if accept.Reply == "" || !found || heartbeat == "" || err != nil {
		return nil, fmt.Errorf("malformed accept: %q to %q", accept.Data, accept.Reply)
	}
	s.peer = accept.Reply
	if deadline > 0 {
		every := time.Duration(deadline-deadline/4) * time.Millisecond
		go s.beat(heartbeat, every, muted)
	}
	return s, nil
}

// beat sends heartbeats, the first one an interval after the opening.
func (s *session) beat(subject string, every time.Duration, muted *atomic.Bool) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !muted.Load() {
				_ = s.nats.Publish(subject, nil)
			}
		case <-s.ended:
			return
		}
	}
}

// accept accepts the handshake of the client at peer.
func accept(conn *nats.Conn, peer string, deadline time.Duration, onEnd func(string)) (*session, error) {
	s := newSession(conn, onEnd)
	s.peer = peer
	listen, heartbeat := nats.NewInbox(), nats.NewInbox()
	var err error
	if s.own, err = conn.Subscribe(listen, s.receive); err != nil {
		return nil, err
	}
	// The server announces whole seconds but enforces the exact interval. It announces 500 ms as "no heartbeats".
	told := deadline / time.Second * 1000
	body := fmt.Sprintf("%s %d", heartbeat, int64(told))
	if err := conn.PublishRequest(peer, listen, []byte(body)); err != nil {
		return nil, err
	}
	if deadline > 0 {
		// After the accept, so that a heartbeat that arrives at once may be lost.
		beats := make(chan struct{}, 64)
		sub, err := conn.Subscribe(heartbeat, func(*nats.Msg) { beats <- struct{}{} })
		if err != nil {
			return nil, err
		}
		go s.expire(deadline, beats, sub)
	}
	return s, conn.Flush()
}

// expire ends the session after three consecutive intervals without a heartbeat. Data does not count.
func (s *session) expire(deadline time.Duration, beats <-chan struct{}, sub *nats.Subscription) {
	defer func() { _ = sub.Unsubscribe() }()
	missed := 0
	for {
		select {
		case <-beats:
			missed = 0
		case <-time.After(deadline):
			if missed++; missed >= maxMissed {
				s.end("heartbeat", true)
				return
			}
		case <-s.ended:
			return
		}
	}
}
