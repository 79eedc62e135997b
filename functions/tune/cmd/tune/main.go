// Command tune serves the function alone, with func-go, on LISTEN_ADDRESS.
package main

import (
	"log/slog"
	"os"

	"knative.dev/func-go/cloudevents"

	"refit.dev/functions/tune"
)

func main() {
	if err := cloudevents.Start(tune.New()); err != nil {
		slog.Error("function ended", "stage", "tune", "error", err)
		os.Exit(1)
	}
}
