package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"

	"refit.dev/platform/source"
	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// Config says what a Watcher watches and whom it tells. Client, Namespace,
// Kinds, State and Ended are needed.
type Config struct {
	Client    dynamic.Interface
	Namespace string
	Kinds     []kube.Kind
	// Logs opens the log of a container. Without it no log is saved.
	Logs LogFunc
	// State is the bucket of refit's state, StateName its name.
	State     store.Bucket
	StateName string
	// Ended tells the end of a workload; nil means that the broker has it. An
	// error that is source.ErrStray is final, all others are tried again.
	Ended func(context.Context, workload.End) error
	// StuckAfter is how long a pod may be unable to start for a reason that time
	// does not mend, 2 minutes by default. TTL is how long an ended object is
	// kept, an hour by default; its annotation refit.dev/ttl goes before.
	StuckAfter, TTL time.Duration
	// Workers is how many ends are looked into at a time, 8 by default.
	Workers int
	// Clock is time.Now by default.
	Clock  func() time.Time
	Logger *slog.Logger
}

// LogFunc opens the log of a pod's container, or of the one that ran before it
// in its place.
type LogFunc func(ctx context.Context, pod, container string, previous bool) (io.ReadCloser, error)

// WithDefaults returns c with what was left out filled in.
func (c Config) WithDefaults() Config {
	if c.StuckAfter <= 0 {
		c.StuckAfter = 2 * time.Minute
	}
	if c.TTL <= 0 {
		c.TTL = time.Hour
	}
	if c.Workers <= 0 {
		c.Workers = 8
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	if c.Client == nil || c.Namespace == "" || len(c.Kinds) == 0 || c.State == nil || c.Ended == nil {
		return errors.New("watch: Client, Namespace, Kinds, State and Ended must be set")
	}
	return nil
}

// Watcher watches workloads. All methods are safe for concurrent use.
type Watcher struct {
	c           Config
	informers   []*informer // in the order of Config.Kinds
	podInformer *informer
	queue       workqueue.TypedRateLimitingInterface[key]

	mu sync.Mutex
	// gone are objects that were deleted and not looked at yet, told the ends
	// that the broker has, troubles what is wrong with the pods of a workload,
	// heard the logs of those at their deadline.
	gone     map[key]*record
	told     map[types.UID]workload.End
	troubles map[string]trouble
	heard    map[types.UID][]byte
}

// key names an object: the place of its kind in Config.Kinds and its name.
type key struct {
	kind int
	name string
}

// The waits between two tries to tell an end, while a broker is away.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 15 * time.Second
)

// New returns a Watcher that does not watch yet.
func New(c Config) (*Watcher, error) {
	c = c.WithDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	w := &Watcher{
		c: c, gone: map[key]*record{}, told: map[types.UID]workload.End{}, troubles: map[string]trouble{},
		heard: map[types.UID][]byte{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[key](firstRetry, lastRetry)),
	}
	for i, kind := range c.Kinds {
		informer, err := w.newInformer(kind.Resource(), kind.GroupVersionKind(), w.handler(i))
		if err != nil {
			return nil, err
		}
		w.informers = append(w.informers, informer)
	}
	var err error
	w.podInformer, err = w.newInformer(corev1.SchemeGroupVersion.WithResource("pods"), podsGVK, w.podHandler())
	return w, err
}

// Run watches until ctx is done. It is called once.
func (w *Watcher) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, i := range append(w.informers, w.podInformer) {
		running.Go(func() { i.RunWithContext(ctx) })
	}
	for range w.c.Workers {
		running.Go(func() {
			for w.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	w.queue.ShutDown()
	running.Wait()
}

// Ready returns nil when every kind that the cluster has is known completely.
func (w *Watcher) Ready() error {
	for _, i := range w.informers {
		if !i.known() {
			return errors.Join(fmt.Errorf("%s are not listed yet", i.resource), i.why())
		}
	}
	return nil
}

// Await waits until Ready, for at most as long as given: the sweep of uploads
// needs no workloads.
func (w *Watcher) Await(ctx context.Context, most time.Duration) {
	// Too late is told by whoever needs the workloads.
	_ = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, most, true, func(context.Context) (bool, error) { return w.Ready() == nil, nil })
}

// Workloads are all workloads that there are, by name. An end that is not told
// yet does not show. It fails until Ready.
func (w *Watcher) Workloads(context.Context) (map[string]source.Workload, error) {
	if err := w.Ready(); err != nil {
		return nil, err
	}
	all := map[string]source.Workload{}
	for _, i := range w.informers {
		for _, object := range i.GetStore().List() {
			r, ok := object.(*record)
			if !ok {
				continue
			}
			all[r.Name] = source.Workload{}
			if end, told := w.toldOf(r.UID); told {
				all[r.Name] = source.Workload{End: &end}
			}
		}
	}
	return all, nil
}

func (w *Watcher) toldOf(uid types.UID) (workload.End, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end, ok := w.told[uid]
	return end, ok
}
