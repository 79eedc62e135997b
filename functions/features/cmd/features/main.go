// Command features serves the function alone, with func-go, on LISTEN_ADDRESS.
package main

import (
	"log/slog"
	"os"

	"knative.dev/func-go/cloudevents"

	"refit.dev/functions/features"
)

func main() {
	if err := cloudevents.Start(features.New()); err != nil {
		slog.Error("function ended", "stage", "features", "error", err)
		os.Exit(1)
	}
}
