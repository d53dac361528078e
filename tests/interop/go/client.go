package main

// The client: makes one call at a time, by lines of JSON on its standard input.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/nats-io/nats.go"
)

// A line of the standard input.
type command struct {
	Do                         string
	Key, Num1, Num2, Op, Times int32
	Comment                    *string
}

// A line of the standard output: the result of the last command.
type result struct {
	Ok          any               `json:"ok,omitempty"`
	Ouch        *ouch             `json:"ouch,omitempty"`
	Application *applicationError `json:"application,omitempty"`
	Error       string            `json:"error,omitempty"`
}
type ouch struct {
	WhatOp int32  `json:"whatOp"`
	Why    string `json:"why"`
}
type applicationError struct {
	Kind    int32  `json:"kind"`
	Message string `json:"message"`
}
type entry struct {
	Key   int32  `json:"key"`
	Value string `json:"value"`
}

type client struct {
	in, out protocol
	seqid   int32
}

// call makes a call. Without a result, it does not wait for a reply.
func (c *client) call(kind thrift.TMessageType, name string, arguments fields, result fields) error {
	ctx := context.Background()
	c.seqid++
	if err := c.out.WriteMessageBegin(ctx, name, kind, c.seqid); err != nil {
		return err
	}
	if err := arguments.Write(ctx, c.out); err != nil {
		return err
	}
	if err := c.out.WriteMessageEnd(ctx); err != nil {
		return err
	}
	if err := c.out.Flush(ctx); err != nil || result == nil {
		return err
	}
	// Apache's client reads the reply, with all its checks.
	return thrift.NewTStandardClient(c.in, c.out).Recv(ctx, c.in, c.seqid, name, result)
}

func (c *client) run(do command) (any, error) {
	none := fields{}
	switch do.Do {
	case "ping":
		return true, c.call(thrift.CALL, "ping", none, none)
	case "add":
		var sum int32
		for range max(do.Times, 1) {
			err := c.call(thrift.CALL, "add", fields{i32(1, &do.Num1), i32(2, &do.Num2)}, fields{i32(0, &sum)})
			if err != nil {
				return nil, err
			}
		}
		return sum, nil
	case "calculate":
		w := work{do.Num1, do.Num2, do.Op, do.Comment}
		var result int32
		var failed *invalidOperation
		ouch := optional(&failed, func(value *invalidOperation) field { return structure(1, value) })
		err := c.call(thrift.CALL, "calculate", fields{i32(1, &do.Key), structure(2, &w)}, fields{i32(0, &result), ouch})
		if err == nil && failed != nil {
			return nil, failed
		}
		return result, err
	case "getStruct":
		var found *sharedStruct
		success := optional(&found, func(value *sharedStruct) field { return structure(0, value) })
		if err := c.call(thrift.CALL, "getStruct", fields{i32(1, &do.Key)}, fields{success}); err != nil {
			return nil, err
		}
		if found == nil {
			return nil, thrift.NewTApplicationException(thrift.MISSING_RESULT, "getStruct failed: unknown result")
		}
		return entry{found.key, found.value}, nil
	case "zip":
		// Like the generated code of Apache's compiler of 2015.
		return true, c.call(thrift.ONEWAY, "zip", none, nil)
	case "zipAsCall":
		// Like Apache's Go client since 0.11: it sends a call and reads no reply.
		return true, c.call(thrift.CALL, "zip", none, nil)
	case "unknown":
		return true, c.call(thrift.CALL, "noSuchFunction", none, none)
	default:
		return nil, fmt.Errorf("no such command: %q", do.Do)
	}
}

// drive opens a session, runs the commands, and closes the session at the end of the input.
func drive(conn *nats.Conn, subject string, wire wire, input io.Reader) error {
	var muted atomic.Bool
	s, err := connect(conn, subject, &muted, func(why string) { say(event{Event: "closed", Why: why}) })
	if err != nil {
		return err
	}
	say(event{Event: "opened"})
	c := &client{}
	c.in, c.out = wire.protocols(s)
	lines := bufio.NewReader(input)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return s.Close()
		}
		if err != nil {
			return err
		}
		var do command
		if err := json.Unmarshal(line, &do); err != nil {
			return err
		}
		switch do.Do {
		case "close":
			_ = s.Close()
			say(result{Ok: true})
		case "mute":
			muted.Store(true)
			say(result{Ok: true})
		default:
			say(c.report(do))
		}
	}
}

// report makes the call and prints its result.
func (c *client) report(do command) result {
	ok, err := c.run(do)
	if err == nil {
		return result{Ok: ok}
	}
	var declared *invalidOperation
	if errors.As(err, &declared) {
		return result{Ouch: &ouch{declared.whatOp, declared.why}}
	}
	var application thrift.TApplicationException
	if errors.As(err, &application) {
		return result{Application: &applicationError{application.TypeId(), application.Error()}}
	}
	return result{Error: err.Error()}
}
