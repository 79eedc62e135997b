// Command train serves the function alone, with func-go, on LISTEN_ADDRESS.
package main

import (
	"log/slog"
	"os"

	"knative.dev/func-go/cloudevents"

	"refit.dev/functions/train"
)

func main() {
	if err := cloudevents.Start(train.New()); err != nil {
		slog.Error("function ended", "stage", "train", "error", err)
		os.Exit(1)
	}
}
