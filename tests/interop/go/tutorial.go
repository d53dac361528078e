package main

// The types of idl/tutorial.thrift and idl/shared.thrift, written by hand.

import (
	"context"
	"fmt"

	"github.com/apache/thrift/lib/go/thrift"
)

type protocol = thrift.TProtocol

// A field of a struct: how it is encoded (omitted if write is nil) and decoded.
type field struct {
	id    int16
	ttype thrift.TType
	write func(context.Context, protocol) error
	read  func(context.Context, protocol) error
}

func i32(id int16, value *int32) field {
	return field{id, thrift.I32,
		func(ctx context.Context, p protocol) error { return p.WriteI32(ctx, *value) },
		func(ctx context.Context, p protocol) (err error) { *value, err = p.ReadI32(ctx); return },
	}
}

func text(id int16, value *string) field {
	return field{id, thrift.STRING,
		func(ctx context.Context, p protocol) error { return p.WriteString(ctx, *value) },
		func(ctx context.Context, p protocol) (err error) { *value, err = p.ReadString(ctx); return },
	}
}

// An optional field.
func optional[T any](value **T, of func(*T) field) field {
	if *value == nil {
		var read T
		f := of(&read)
		inner := f.read
		f.write = nil
		f.read = func(ctx context.Context, p protocol) error { *value = &read; return inner(ctx, p) }
		return f
	}
	return of(*value)
}

func structure(id int16, value thrift.TStruct) field {
	return field{id, thrift.STRUCT, value.Write, value.Read}
}

// A struct of these fields, also for arguments and results.
type fields []field

func (fs fields) Write(ctx context.Context, p protocol) error {
	if err := p.WriteStructBegin(ctx, ""); err != nil {
		return err
	}
	for _, f := range fs {
		if f.write == nil {
			continue
		}
		if err := p.WriteFieldBegin(ctx, "", f.ttype, f.id); err != nil {
			return err
		}
		if err := f.write(ctx, p); err != nil {
			return err
		}
		if err := p.WriteFieldEnd(ctx); err != nil {
			return err
		}
	}
	if err := p.WriteFieldStop(ctx); err != nil {
		return err
	}
	return p.WriteStructEnd(ctx)
}

func (fs fields) Read(ctx context.Context, p protocol) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, ttype, id, err := p.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if ttype == thrift.STOP {
			return p.ReadStructEnd(ctx)
		}
		read := func(ctx context.Context, p protocol) error { return thrift.SkipDefaultDepth(ctx, p, ttype) }
		for _, f := range fs {
			if f.id == id && f.ttype == ttype {
				read = f.read
			}
		}
		if err := read(ctx, p); err != nil {
			return err
		}
		if err := p.ReadFieldEnd(ctx); err != nil {
			return err
		}
	}
}

type work struct {
	num1, num2, op int32
	comment        *string
}

func (w *work) fields() fields {
	comment := optional(&w.comment, func(value *string) field { return text(4, value) })
	return fields{i32(1, &w.num1), i32(2, &w.num2), i32(3, &w.op), comment}
}
func (w *work) Write(ctx context.Context, p protocol) error { return w.fields().Write(ctx, p) }
func (w *work) Read(ctx context.Context, p protocol) error  { return w.fields().Read(ctx, p) }

type invalidOperation struct {
	whatOp int32
	why    string
}

func (e *invalidOperation) fields() fields { return fields{i32(1, &e.whatOp), text(2, &e.why)} }
func (e *invalidOperation) Write(ctx context.Context, p protocol) error {
	return e.fields().Write(ctx, p)
}
func (e *invalidOperation) Read(ctx context.Context, p protocol) error {
	return e.fields().Read(ctx, p)
}
func (e *invalidOperation) Error() string { return fmt.Sprintf("%d: %s", e.whatOp, e.why) }

type sharedStruct struct {
	key   int32
	value string
}

func (s *sharedStruct) fields() fields                              { return fields{i32(1, &s.key), text(2, &s.value)} }
func (s *sharedStruct) Write(ctx context.Context, p protocol) error { return s.fields().Write(ctx, p) }
func (s *sharedStruct) Read(ctx context.Context, p protocol) error  { return s.fields().Read(ctx, p) }
