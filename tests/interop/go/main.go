// A peer of the tests: the tutorial's service over NATS, in Go, with the sessions of the legacy Go package.
//
// The session layer is written from the description of the protocol, because the legacy module is not available
// everywhere. The codecs are Apache's. The server prints its events, and the client runs commands, as lines of JSON. Both
// exit when their standard input closes. `bench` runs both sides for the benchmark.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/nats-io/nats.go"
)

// An event that the test waits for.
type event struct {
	Event string `json:"event"`
	Why   string `json:"why,omitempty"`
}

var output sync.Mutex

func say(line any) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		os.Exit(1)
	}
}

// The wire format.
type wire struct{ protocol, transport string }

func (w wire) protocols(s *session) (in, out protocol) {
	conf := &thrift.TConfiguration{}
	// Reading and writing need separate transports, because a buffer serves one direction.
	return w.over(s, conf), w.over(s, conf)
}

func (w wire) over(s *session, conf *thrift.TConfiguration) protocol {
	var transport thrift.TTransport
	switch w.transport {
	case "buffered":
		transport = thrift.NewTBufferedTransport(s, 8192)
	case "framed":
		transport = thrift.NewTFramedTransportConf(s, conf)
	default:
		panic("no transport " + w.transport)
	}
	switch w.protocol {
	case "binary":
		return thrift.NewTBinaryProtocolConf(transport, conf)
	case "compact":
		return thrift.NewTCompactProtocolConf(transport, conf)
	case "json":
		return thrift.NewTJSONProtocol(transport)
	default:
		panic("no protocol " + w.protocol)
	}
}

func run(mode, url string, conn *nats.Conn, subject string, wire wire, heartbeat time.Duration) error {
	switch mode {
	case "server":
		return serve(conn, subject, wire, heartbeat, os.Stdin, func(line event) { say(line) })
	case "client":
		return drive(conn, subject, wire, os.Stdin)
	case "bench":
		return bench(url, conn, subject, wire, os.Stdin)
	default:
		return fmt.Errorf("`server`, `client` or `bench`, not %q", mode)
	}
}

func main() {
	url := flag.String("nats", nats.DefaultURL, "the NATS server")
	subject := flag.String("subject", "calculator", "the subject of the service")
	protocol := flag.String("protocol", "binary", "binary, compact or json")
	transport := flag.String("transport", "buffered", "buffered or framed")
	heartbeat := flag.Duration("heartbeat", 0, "how long the server waits for each heartbeat; 0 wants none")
	flag.Parse()

	conn, err := nats.Connect(*url)
	if err == nil {
		defer conn.Close()
		err = run(flag.Arg(0), *url, conn, *subject, wire{*protocol, *transport}, *heartbeat)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
