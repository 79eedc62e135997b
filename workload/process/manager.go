package process

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"refit.dev/workload"
)

// ErrClosed is returned by Launch and Cancel while the manager does not run.
var ErrClosed = errors.New("process manager is not running")

// unlimited is more processes than any machine bears. Slots take no memory.
const unlimited = 1 << 20

// Manager runs workloads as processes. It is a workload.Launcher, safe for
// concurrent use.
type Manager struct {
	cfg     Config
	folder  folder
	slots   chan struct{}
	nursery *nursery

	lock *os.File
	stop context.CancelFunc // ends all processes, politely
	kill context.CancelFunc // cuts the politeness short
	add  chan *task
	idle chan struct{} // closed when everything is over

	mu    sync.Mutex
	tasks map[string]*task
}

var _ workload.Launcher = (*Manager)(nil)

// New makes a manager that does nothing before Start.
func New(cfg Config) (*Manager, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m := &Manager{
		cfg: cfg, folder: folder(cfg.Dir), tasks: map[string]*task{},
		add: make(chan *task), idle: make(chan struct{}),
	}
	m.nursery = &nursery{m: m}
	slots := cfg.MaxParallel
	if slots == 0 {
		slots = unlimited
	}
	m.slots = make(chan struct{}, slots)
	return m, nil
}

// Start takes the folder, reads the records and goes on with every job that an
// earlier manager left. It is called once; ErrInUse says that another manager
// runs. The manager lives until Close, whatever becomes of ctx.
func (m *Manager) Start(ctx context.Context) error {
	lock, err := m.folder.lock(ctx)
	if err != nil {
		return err
	}
	records, err := m.folder.load()
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		t := newTask(m, r)
		m.tasks[r.Job.Name()] = t
		m.reserve(t)
	}
	m.lock = lock
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	rest, kill := context.WithCancel(context.WithoutCancel(ctx))
	m.stop, m.kill = stop, kill
	go m.loop(life, rest, slices.Collect(maps.Values(m.tasks)))
	return nil
}

// keepWarm runs the warm program, if there is to be one, until the func that it
// returns is called.
func (m *Manager) keepWarm() (end func()) {
	if m.cfg.Warm == nil {
		return func() {}
	}
	life, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.nursery.run(life) })
	return func() {
		stop()
		running.Wait()
	}
}

// reserve gives a slot to a task whose process may run already, while there is
// one.
func (m *Manager) reserve(t *task) {
	if t.record.State != Starting && t.record.State != Running {
		return
	}
	select {
	case m.slots <- struct{}{}:
		t.holds = true
	default:
	}
}

// release takes the slot of t back.
func (m *Manager) release(t *task) {
	if t.holds {
		<-m.slots
		t.holds = false
	}
}

// loop runs a goroutine for each job that is not over, until all are and life
// is done. rest is done when nothing may take its time any more.
func (m *Manager) loop(life, rest context.Context, found []*task) {
	defer close(m.idle)
	defer m.keepWarm()() // it tells how its processes ended, so it ends after them
	var running sync.WaitGroup
	defer running.Wait()
	for _, t := range found {
		running.Go(func() { t.run(life, rest) })
	}
	for {
		select {
		case t := <-m.add:
			running.Go(func() { t.run(life, rest) })
		case <-life.Done():
			return
		}
	}
}

// Close ends all processes and waits until none is left. Whoever lives after
// the grace, or when ctx is done, is killed. Jobs that were cut off are Lost;
// the next manager on the folder announces what this one could not.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	lock := m.lock
	m.lock = nil
	m.mu.Unlock()
	if lock == nil {
		return nil
	}
	m.stop()
	defer m.kill()
	defer context.AfterFunc(ctx, m.kill)()
	<-m.idle
	return lock.Close()
}

// Launch starts job unless its name was launched before. It returns when the
// job is on record, which may be before its process runs. workload.ErrInvalid says that
// the job can never be launched.
func (m *Manager) Launch(_ context.Context, job workload.Job) error {
	if err := check(job); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lock == nil {
		return ErrClosed
	}
	if _, ok := m.tasks[job.Name()]; ok {
		return nil
	}
	r := Record{Job: job, UID: strings.ToLower(rand.Text()), State: Queued, LaunchedAt: m.cfg.Now().UTC()}
	if err := m.folder.save(r); err != nil {
		return fmt.Errorf("launch %s: %w", job.Name(), err)
	}
	t := newTask(m, r)
	m.tasks[job.Name()] = t
	m.add <- t
	return nil
}

// Cancel ends the named job.
func (m *Manager) Cancel(_ context.Context, name string) error {
	m.mu.Lock()
	t, ok := m.tasks[name]
	open := m.lock != nil
	m.mu.Unlock()
	if !open {
		return ErrClosed
	}
	if !ok {
		return fmt.Errorf("cancel %q: %w", name, workload.ErrNotFound)
	}
	return t.end(workload.Cancelled)
}

// List returns the records of all jobs, the oldest first.
func (m *Manager) List() []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]Record, 0, len(m.tasks))
	for _, t := range m.tasks {
		records = append(records, t.snapshot())
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(a.LaunchedAt.Compare(b.LaunchedAt), strings.Compare(a.Job.Name(), b.Job.Name()))
	})
	return records
}

// Get returns the record of one job, workload.ErrNotFound if there is none.
func (m *Manager) Get(name string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tasks[name]
	if !ok {
		return Record{}, fmt.Errorf("workload %q: %w", name, workload.ErrNotFound)
	}
	return t.snapshot(), nil
}

// Log is the path of the log of a job that Get knows.
func (m *Manager) Log(name string) (string, error) {
	if _, err := m.Get(name); err != nil {
		return "", err
	}
	return m.folder.log(name), nil
}
