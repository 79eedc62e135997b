// Command prepare serves the function alone, with func-go, on LISTEN_ADDRESS.
package main

import (
	"log/slog"
	"os"

	"knative.dev/func-go/cloudevents"

	"refit.dev/functions/prepare"
)

func main() {
	if err := cloudevents.Start(prepare.New()); err != nil {
		slog.Error("function ended", "stage", "prepare", "error", err)
		os.Exit(1)
	}
}
