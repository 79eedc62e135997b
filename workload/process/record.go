package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// State says how far a job is.
type State string

// The states of a job, in their order.
const (
	Queued   State = "queued"
	Starting State = "starting"
	Running  State = "running"
	Ended    State = "ended"
)

// Record is all that a manager knows about one job. It is what the record file
// holds and what List returns.
type Record struct {
	Job workload.Job `json:"job"`
	// UID tells two launches of one name apart, say after the data was deleted.
	UID   string `json:"uid"`
	State State  `json:"state"`
	// Session is the job's process, zero before it was started.
	Session    session.ID `json:"session,omitzero"`
	LaunchedAt time.Time  `json:"launched_at"`
	StartedAt  time.Time  `json:"started_at,omitzero"`
	// Ending is why the manager ends the process: Cancelled, Deadline or Lost.
	Ending workload.Outcome `json:"ending,omitempty"`
	// End is set for an ended job, Announced once somebody took it.
	End       *workload.End `json:"end,omitempty"`
	Announced bool          `json:"announced,omitempty"`
}

// named is what may become a file name.
var named = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`)

// check tells whether job can be launched here.
func check(job workload.Job) error {
	if name := job.Name(); !named.MatchString(name) {
		return fmt.Errorf("%w: name %q must match %s", workload.ErrInvalid, name, named)
	}
	if !job.Stage.Valid() {
		return fmt.Errorf("%w: stage %q is unknown", workload.ErrInvalid, job.Stage)
	}
	if job.Attempt < 1 {
		return fmt.Errorf("%w: attempt %d must be 1 or more", workload.ErrInvalid, job.Attempt)
	}
	if u, err := url.Parse(job.Spec); err != nil || u.Scheme == "" {
		return fmt.Errorf("%w: spec %q must be a URI", workload.ErrInvalid, job.Spec)
	}
	return nil
}

// folder keeps records and logs in files.
type folder string

func (f folder) record(name string) string { return filepath.Join(string(f), name+".json") }
func (f folder) log(name string) string    { return filepath.Join(string(f), name+".log") }

// save replaces the record so that after a crash either the old or the new one
// is there, whole.
func (f folder) save(r Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record %s: %w", r.Job.Name(), err)
	}
	path := f.record(r.Job.Name())
	if err := write(path+".new", b); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("replace record: %w", err)
	}
	dir, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("open the folder of records: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// write writes a private file down to the disk.
func write(path string, b []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(b, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

// load reads every record. A record that cannot be read stops the manager from
// starting: to go on without it could run a job twice.
func (f folder) load() ([]Record, error) {
	paths, err := filepath.Glob(f.record("*"))
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	records := make([]Record, len(paths))
	for i, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		if err := json.Unmarshal(b, &records[i]); err != nil {
			return nil, fmt.Errorf("record %s is damaged, restore or delete it: %w", path, err)
		}
	}
	return records, nil
}
