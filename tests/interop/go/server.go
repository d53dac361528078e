package main

// The server: runs the requests of a session one at a time and replies in order.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/nats-io/nats.go"
)

// The handler's log of results.
type handler struct {
	lock sync.Mutex
	log  map[int32]*sharedStruct
}

func (h *handler) calculate(logid int32, w *work) (int32, error) {
	invalid := func(why string) error { return &invalidOperation{w.op, why} }
	var result int32
	switch w.op {
	case 1:
		result = w.num1 + w.num2
	case 2:
		result = w.num1 - w.num2
	case 3:
		result = w.num1 * w.num2
	case 4:
		if w.num2 == 0 {
			return 0, invalid("cannot divide by zero")
		}
		result = w.num1 / w.num2
	case 99:
		// An exception that the IDL does not declare.
		return 0, errors.New("the handler is broken")
	default:
		return 0, invalid("unknown operation")
	}
	value := fmt.Sprint(result)
	if w.comment != nil {
		value = *w.comment
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.log[logid] = &sharedStruct{logid, value}
	return result, nil
}

// getStruct returns nil for a missing key.
func (h *handler) getStruct(key int32) *sharedStruct {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.log[key]
}

// A reply: what to write, whether there is one, and whether the session continues.
type answer struct {
	kind   thrift.TMessageType
	body   thrift.TStruct
	goesOn bool
}

// After a TApplicationException the legacy package ends the session.
func exception(kind int32, message string) *answer {
	return &answer{thrift.EXCEPTION, thrift.NewTApplicationException(kind, message), false}
}

func reply(result ...field) *answer {
	return &answer{thrift.REPLY, fields(result), true}
}

// process reads and runs one request. It returns false to end the session.
func (h *handler) process(ctx context.Context, in, out protocol, ran func(string)) (bool, error) {
	name, _, seqid, err := in.ReadMessageBegin(ctx)
	if err != nil {
		return false, err
	}
	var key, num1, num2 int32
	var w work
	var arguments fields
	switch name {
	case "ping", "zip":
	case "add":
		arguments = fields{i32(1, &num1), i32(2, &num2)}
	case "calculate":
		arguments = fields{i32(1, &key), structure(2, &w)}
	case "getStruct":
		arguments = fields{i32(1, &key)}
	default:
		if err := thrift.SkipDefaultDepth(ctx, in, thrift.STRUCT); err != nil {
			return false, err
		}
		if err := in.ReadMessageEnd(ctx); err != nil {
			return false, err
		}
		return send(ctx, out, name, seqid, exception(thrift.UNKNOWN_METHOD, "Unknown function "+name))
	}
	if err := arguments.Read(ctx, in); err != nil {
		_, _ = send(ctx, out, name, seqid, exception(thrift.PROTOCOL_ERROR, err.Error()))
		return false, err
	}
	if err := in.ReadMessageEnd(ctx); err != nil {
		return false, err
	}
	ran(name)
	switch name {
	case "ping":
		return send(ctx, out, name, seqid, reply())
	case "add":
		sum := num1 + num2
		return send(ctx, out, name, seqid, reply(i32(0, &sum)))
	case "calculate":
		result, err := h.calculate(key, &w)
		if err == nil {
			return send(ctx, out, name, seqid, reply(i32(0, &result)))
		}
		var ouch *invalidOperation
		if errors.As(err, &ouch) {
			return send(ctx, out, name, seqid, reply(structure(1, ouch)))
		}
		text := "Internal error processing calculate: " + err.Error()
		return send(ctx, out, name, seqid, exception(thrift.INTERNAL_ERROR, text))
	case "getStruct":
		// An empty result represents nil.
		if entry := h.getStruct(key); entry != nil {
			return send(ctx, out, name, seqid, reply(structure(0, entry)))
		}
		return send(ctx, out, name, seqid, reply())
	default:
		// Oneway, whatever the kind of the message.
		return true, nil
	}
}

func send(ctx context.Context, out protocol, name string, seqid int32, a *answer) (bool, error) {
	if err := out.WriteMessageBegin(ctx, name, a.kind, seqid); err != nil {
		return false, err
	}
	if err := a.body.Write(ctx, out); err != nil {
		return false, err
	}
	if err := out.WriteMessageEnd(ctx); err != nil {
		return false, err
	}
	return a.goesOn, out.Flush(ctx)
}

// serve accepts handshakes until the input has the line `stop` or closes. It passes events to tell.
func serve(conn *nats.Conn, subject string, wire wire, deadline time.Duration, input io.Reader, tell func(event)) error {
	h := &handler{log: map[int32]*sharedStruct{}}
	var lock sync.Mutex
	sessions := map[*session]struct{}{}
	_, err := conn.QueueSubscribe(subject, queueGroup, func(message *nats.Msg) {
		if message.Reply == "" {
			return
		}
		s, err := accept(conn, message.Reply, deadline, func(why string) { tell(event{Event: "closed", Why: why}) })
		if err != nil {
			tell(event{Event: "failed", Why: err.Error()})
			return
		}
		lock.Lock()
		sessions[s] = struct{}{}
		lock.Unlock()
		tell(event{Event: "opened"})
		go func() {
			defer func() {
				lock.Lock()
				delete(sessions, s)
				lock.Unlock()
			}()
			ctx := context.Background()
			in, out := wire.protocols(s)
			for {
				goesOn, err := h.process(ctx, in, out, func(method string) { tell(event{Event: "ran", Why: method}) })
				if err != nil || !goesOn {
					s.end("application", true)
					return
				}
			}
		}()
	})
	if err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	tell(event{Event: "listening"})
	lines := bufio.NewScanner(input)
	for lines.Scan() && lines.Text() != "stop" {
	}
	lock.Lock()
	all := make([]*session, 0, len(sessions))
	for s := range sessions {
		all = append(all, s)
	}
	lock.Unlock()
	for _, s := range all {
		s.end("stopped", true)
	}
	return conn.Flush()
}
