// Command refit-test-workload stands in for the workloads in tests of a
// cluster: it ends as it is told, within a moment, and a run of five stages
// takes seconds. As ray-head and ray-submit it also stands in for Ray, so that
// a RayJob needs no image with Ray in it.
//
//	refit-test-workload succeed|fail|hang|run
//	refit-test-workload ray-head [succeed|fail|hang|run]
//	refit-test-workload ray-submit
//
// run reads the spec that REFIT_SPEC names and does what the run's model_name
// says, see behaviourOf.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit codes: a script error, and an end by SIGTERM.
const (
	exitFailed     = 3
	exitTerminated = 128 + int(syscall.SIGTERM)
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stopped := ctx.Err() != nil
	stop()
	switch {
	case stopped:
		os.Exit(exitTerminated)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
}

func start(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: refit-test-workload succeed|fail|hang|run|ray-head|ray-submit")
	}
	switch args[0] {
	case "ray-head":
		return serveHead(ctx, strings.Join(args[1:], " "))
	case "ray-submit":
		return submit(ctx, os.Stdout)
	default:
		return behave(ctx, args[0], os.Stdout)
	}
}

// behave does what one word says. What it prints is the workload's log.
func behave(ctx context.Context, word string, log io.Writer) error {
	switch word {
	case "succeed":
		fmt.Fprintln(log, "did nothing, well")
		return nil
	case "fail":
		fmt.Fprintln(log, "Traceback: the test asked for this failure")
		return errors.New("ValueError: 41 is not 42")
	case "hang":
		fmt.Fprintln(log, "hanging until somebody ends this")
		<-ctx.Done()
		return fmt.Errorf("hang: %w", ctx.Err())
	case "", "run":
		return run(ctx, log)
	default:
		return fmt.Errorf("mode %q: accepted are succeed, fail, hang and run", word)
	}
}
