// Command register serves the function alone, with func-go, on LISTEN_ADDRESS.
package main

import (
	"log/slog"
	"os"

	"knative.dev/func-go/cloudevents"

	"refit.dev/functions/register"
)

func main() {
	if err := cloudevents.Start(register.New()); err != nil {
		slog.Error("function ended", "stage", "register", "error", err)
		os.Exit(1)
	}
}
