package bus

import (
	"fmt"
	"log/slog"
)

// serverLog passes the NATS server's log to slog. A fatal message does not end
// the process: it goes to failed, where the start of the server waits for it.
type serverLog struct {
	*slog.Logger

	failed chan string
}

func (l *serverLog) Noticef(format string, args ...any) {
	l.Debug("nats: " + fmt.Sprintf(format, args...))
}

func (l *serverLog) Warnf(format string, args ...any) {
	l.Warn("nats: " + fmt.Sprintf(format, args...))
}

func (l *serverLog) Errorf(format string, args ...any) {
	l.Error("nats: " + fmt.Sprintf(format, args...))
}

func (l *serverLog) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	select {
	case l.failed <- message:
	default:
		l.Error("nats: " + message)
	}
}

func (l *serverLog) Debugf(format string, args ...any) {
	l.Debug("nats: " + fmt.Sprintf(format, args...))
}

func (l *serverLog) Tracef(string, ...any) {}
