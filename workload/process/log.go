package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"refit.dev/workload"
)

// How much of a log goes into the message of an end. An event is to stay small.
const (
	tailLines = 20
	tailBytes = 8 << 10
)

// tail returns the last lines of a log, without the line that the limit cut. A
// log that cannot be read has none.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	from := max(0, info.Size()-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(file, from, tailBytes))
	if err != nil {
		return ""
	}
	if _, rest, ok := bytes.Cut(b, []byte("\n")); ok && from > 0 && len(rest) > 0 {
		b = rest
	}
	text := strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(string(b), "\x00", ""), "�"))
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// saveLog keeps the log for good and returns its URI. A job that never ran has
// none.
func (t *task) saveLog(ctx context.Context, job workload.Job) (string, error) {
	path, err := filepath.Abs(t.m.folder.log(job.Name()))
	if err != nil {
		return "", fmt.Errorf("path of the log: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return "", nil //nolint:nilerr // no log, as said above
	}
	if t.m.cfg.SaveLog == nil {
		return fileURI(path), nil
	}
	uri, err := t.m.cfg.SaveLog(ctx, job, path)
	if err != nil {
		return "", fmt.Errorf("save the log of %s: %w", job.Name(), err)
	}
	return uri, nil
}
