// Command tune serves the function alone, with func-go, on LISTEN_ADDRESS.
package main

import (
	"context"
	"log/slog"
	"os"

	"knative.dev/func-go/cloudevents"

	"refit.dev/functions/tune"
)

func main() {
	f := tune.New()
	s := cloudevents.New(f)
	s.Handler = f.Handler(s.Handler)
	if err := s.Start(context.Background()); err != nil {
		slog.Error("function ended", "stage", "tune", "error", err)
		os.Exit(1)
	}
}
