package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"refit.dev/workload/process/session"
)

// record is what the next Start must know about the program.
type record struct {
	// Session is zero between the making of the scratch folder and the start.
	Session session.ID `json:"session,omitzero"`
	// Scratch also marks the program's environment, which finds a program whose
	// identity did not reach the record.
	Scratch  string `json:"scratch"`
	Identity string `json:"identity"`
}

// mark is the environment variable that carries the scratch folder.
const mark = "REFIT_SERVICE_SCRATCH"

// find looks the session up if the record has none.
func (r record) find() (session.ID, error) {
	if r.Session.PID != 0 || r.Scratch == "" {
		return r.Session, nil
	}
	return session.Find(mark + "=" + r.Scratch)
}

func (c Config) recordPath() string { return filepath.Join(c.Dir, c.Name+".json") }

// Log is the path of the program's log.
func (c Config) Log() string { return filepath.Join(c.Dir, c.Name+".log") }

// load reads the record of the last start, a zero one if there is none or it
// was cut off in writing.
func (c Config) load() (record, error) {
	b, err := os.ReadFile(c.recordPath())
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read the record of %s: %w", c.Name, err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("record %s is damaged, see that no %s is left over and delete it: %w", c.recordPath(), c.Name, err)
	}
	return r, nil
}

// save replaces the record. It need not survive the machine: nor does the
// program.
func (c Config) save(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the record of %s: %w", c.Name, err)
	}
	path := c.recordPath()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("write the record of %s: %w", c.Name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("replace the record of %s: %w", c.Name, err)
	}
	return nil
}

// forget removes the scratch folder, then the record.
func (c Config) forget(r record) error {
	if strings.HasPrefix(r.Scratch, c.scratchPrefix()) {
		if err := os.RemoveAll(r.Scratch); err != nil {
			return fmt.Errorf("remove the scratch folder of %s: %w", c.Name, err)
		}
	}
	if err := os.Remove(c.recordPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of %s: %w", c.Name, err)
	}
	return nil
}

// scratchPrefix begins the path of every scratch folder: what does not begin
// so is never removed.
func (c Config) scratchPrefix() string {
	return filepath.Join(c.ScratchRoot, "refit-"+c.Name+"-")
}
