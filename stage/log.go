package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"refit.dev/stage/store"
	"refit.dev/workload"
)

// How much of a log goes into the message of a failure. An event is to stay
// small.
const (
	logLines = 20
	logBytes = 8 << 10
)

// withLog adds the last lines of the attempt's log to a failure that only the
// workload's code explains: the result is missing or wrong. An end that failed
// by itself brings its lines along, and a failure that the workload understood
// needs none.
func (f *Function) withLog(ctx context.Context, end workload.End, err error) error {
	var failure *FailedError
	if !errors.As(err, &failure) || failure.Reason != badResult && failure.Reason != noResult {
		return err
	}
	lines, err := f.lastLines(ctx, end)
	if err != nil {
		return err
	}
	if lines == "" {
		return failure
	}
	return &FailedError{Reason: failure.Reason, Message: failure.Message + "; the log ends with:\n" + lines}
}

// lastLines is the end of an attempt's log, empty if none was kept.
func (f *Function) lastLines(ctx context.Context, end workload.End) (string, error) {
	o, err := f.platform.State.Get(ctx, attemptKey(end.Run, f.stage, end.Attempt)+"log.txt")
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the log of %s: %w", end.Workload, err)
	}
	return tail(o.Body), nil
}

// tail is the last lines of a log, without the line that the limit cut.
func tail(log []byte) string {
	if cut := len(log) - logBytes; cut > 0 {
		log = log[cut:]
		if _, rest, found := bytes.Cut(log, []byte("\n")); found && len(rest) > 0 {
			log = rest
		}
	}
	text := strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(string(log), "\x00", ""), "�"))
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}
