package cli

import (
	"errors"
	"fmt"

	"refit.dev/platform/journal"
)

// The exit codes. ExitCodes explains them to people.
const (
	CodeOK          = 0
	CodeError       = 1
	CodeUsage       = 2
	CodeRejected    = 3
	CodeFailed      = 4
	CodeRefused     = 5
	CodeCancelled   = 6
	CodeInterrupted = 130
)

// ExitCodes is the table of exit codes, for help texts.
const ExitCodes = `  0    registered, or whatever else was asked for is done
  1    an error, told on standard error
  2    wrong usage
  3    the run ended and the gate rejected its model
  4    the run failed
  5    the request was refused, or no run started
  6    the run was cancelled
  130  interrupted by Ctrl-C`

// ExitError ends the program with a code.
type ExitError struct {
	Code int
	// Err is told on standard error; nil if everything was said before.
	Err error
}

// Error is the text of Err.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap is Err.
func (e *ExitError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error {
	return &ExitError{Code: CodeUsage, Err: fmt.Errorf(format, args...)}
}

func refusedf(format string, args ...any) error {
	return &ExitError{Code: CodeRefused, Err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code that an error asks for.
func codeOf(err error) int {
	var exit *ExitError
	switch {
	case err == nil:
		return CodeOK
	case errors.As(err, &exit):
		return exit.Code
	default:
		return CodeError
	}
}

// outcome is how the command ends when a run has ended in state s.
func outcome(s journal.State) error {
	code, known := map[journal.State]int{
		journal.Registered: CodeOK, journal.Rejected: CodeRejected, journal.Failed: CodeFailed, journal.Cancelled: CodeCancelled,
	}[s]
	switch {
	case !known:
		return fmt.Errorf("the run is %s", s)
	case code == CodeOK:
		return nil
	default:
		return &ExitError{Code: code}
	}
}
