package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing/fstest"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
)

const exampleYAML = `
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: refit
  annotations:
    eventing.knative.dev/broker.class: NatsJetStreamBroker
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: landing-to-prepare
spec:
  broker: refit
  filters:
    - prefix:
        type: "com.amazonaws.s3.ObjectCreated:"
  subscriber:
    ref:
      apiVersion: serving.knative.dev/v1
      kind: Service
      name: prepare
`

func Example() {
	prepared := make(chan string)
	prepare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		prepared <- r.Header.Get("Ce-Subject")
	}))
	defer prepare.Close()
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	nats, err := bus.Start(ctx, bus.Config{Dir: dir, Token: "from a 0600 file"})
	if err != nil {
		panic(err)
	}
	defer nats.Close()

	manifests, err := broker.Load(fstest.MapFS{"broker.yaml": {Data: []byte(exampleYAML)}})
	if err != nil {
		panic(err)
	}
	b, err := broker.New(ctx, broker.Config{
		Manifests: manifests,
		JetStream: nats.JetStream(),
		Resolve:   func(_, _ string) (string, error) { return prepare.URL, nil },
	})
	if err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()

	e := event.New()
	e.SetID("1")
	e.SetSource("aws:s3.us-east-1.landing")
	e.SetType("com.amazonaws.s3.ObjectCreated:Put")
	e.SetSubject("all_emails.parquet")
	if err := b.Send(ctx, e); err != nil {
		panic(err)
	}
	fmt.Println(<-prepared)
	stop()
	fmt.Println(<-done)
	// Output:
	// all_emails.parquet
	// <nil>
}
