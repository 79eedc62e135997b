package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/sys/unix"

	"refit.dev/config"
	"refit.dev/events"
	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
	"refit.dev/platform/mlflow"
	"refit.dev/platform/objects"
	"refit.dev/platform/port"
	"refit.dev/platform/ray"
	"refit.dev/platform/service"
	"refit.dev/platform/source"
	"refit.dev/stage/store"
	"refit.dev/workload/process"
)

// The names that the parts know each other by.
const (
	landingBucket = "landing"
	stateBucket   = "refit"
	region        = "us-east-1"
	brokerPath    = "/default/refit"
	functionsPath = "/functions/"
	journalPath   = "/journal"
	launcherPath  = "/launcher"
)

// closeTime bounds what ends by itself when the platform closes.
const closeTime = 30 * time.Second

// Host is a running platform. Close ends all of it.
type Host struct {
	c       Config
	secrets secrets

	lock    *os.File
	bus     *bus.Bus
	journal *journal.Journal
	broker  *broker.Broker
	objects *objects.Store
	state   store.Bucket
	manager *process.Manager
	mlflow  *mlflow.Server
	ray     *ray.Head
	source  *source.Source
	mux     *http.ServeMux
	server  *http.Server

	running sync.WaitGroup
	failed  chan error
	closing []func(context.Context) error
}

// Start brings the platform up on the data folder of c and returns when events
// and S3 are served. MLflow and Ray are still on their way then: workloads wait
// for them. An error leaves nothing running.
func Start(ctx context.Context, c Config) (*Host, error) {
	c, err := c.WithDefaults()
	if err != nil {
		return nil, err
	}
	h := &Host{c: c, mux: http.NewServeMux(), failed: make(chan error, 4)}
	if err := h.start(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// start starts the parts in the order of their needs; what is started registers
// how it ends.
func (h *Host) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		h.openFolder, h.pickPorts, h.startServices, h.startBus, h.startBroker, h.startObjects, h.startManager, h.serve, h.startSource, h.publish,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("start platform: %w", err)
		}
	}
	return nil
}

// openFolder takes the data folder for this process alone.
func (h *Host) openFolder(context.Context) error {
	if err := os.MkdirAll(h.c.Dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(h.c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		running, _ := ReadConnection(h.c.Dir) // without it the message names no process
		return errors.Join(fmt.Errorf("data folder %s is in use by process %d: end that refit up, or choose another folder with --dir", h.c.Dir, running.PID), lock.Close())
	}
	h.lock = lock
	h.onClose(func(context.Context) error { return lock.Close() })
	h.secrets, err = loadSecrets(h.c.Dir)
	return err
}

// pickPorts fills in the ports left open and refuses those in use. MLflow and
// Ray may still run from before a crash, on their ports: they see to it
// themselves.
func (h *Host) pickPorts(context.Context) error {
	p := &h.c.Ports
	for _, number := range []*int{&p.Broker, &p.S3, &p.NATS, &p.MLflow, &p.RayDashboard, &p.RayGCS} {
		if *number != 0 {
			continue
		}
		free, err := service.FreePort(h.c.Host)
		if err != nil {
			return err
		}
		*number = free
	}
	return port.Check(h.c.Host, map[string]int{"broker": p.Broker, "s3": p.S3, "nats": p.NATS})
}

// startServices spawns MLflow and Ray first, since they take longest.
func (h *Host) startServices(ctx context.Context) (err error) {
	h.mlflow, err = mlflow.Start(ctx, mlflow.Config{
		Python: h.c.Python, Dir: h.dir("mlflow"), Host: h.c.Host, Port: h.c.Ports.MLflow, Logger: h.logger("mlflow"),
	})
	if err != nil {
		return fmt.Errorf("start MLflow: %w", err)
	}
	h.onClose(h.mlflow.Close)
	h.watch("MLflow", h.mlflow.Done(), h.mlflow.Err)
	h.ray, err = ray.Start(ctx, ray.Config{
		Python: h.c.Python, Dir: h.dir("ray"), Port: h.c.Ports.RayGCS, DashboardPort: h.c.Ports.RayDashboard,
		CPUs: h.c.CPUs, PythonPath: h.pythonPath(), Logger: h.logger("ray"),
	})
	if err != nil {
		return fmt.Errorf("start Ray: %w", err)
	}
	h.onClose(h.ray.Close)
	h.watch("Ray", h.ray.Done(), h.ray.Err)
	return nil
}

func (h *Host) startBus(ctx context.Context) (err error) {
	h.bus, err = bus.Start(ctx, bus.Config{
		Dir: h.dir("nats"), Host: h.c.Host, Port: h.c.Ports.NATS, Token: h.secrets.NATS, Logger: h.logger("nats"),
	})
	if err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	h.onClose(func(context.Context) error { return h.bus.Close() })
	h.journal, err = journal.Open(ctx, h.bus.JetStream())
	return h.bus.Explain(err)
}

func (h *Host) startBroker(ctx context.Context) error {
	manifests, err := broker.Load(config.Files)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	h.broker, err = broker.New(ctx, broker.Config{
		Manifests: manifests, Resolve: h.resolve, Local: h.local, JetStream: h.bus.JetStream(), AckWait: h.c.AckWait, Logger: h.logger("broker"),
	})
	if err != nil {
		return fmt.Errorf("start broker: %w", h.bus.Explain(err))
	}
	return nil
}

// resolve finds the service that a trigger names.
func (h *Host) resolve(kind, name string) (string, error) {
	switch {
	case kind != "Service":
		return "", fmt.Errorf("subscriber of kind %q: accepted is Service", kind)
	case name == "journal":
		return h.url(h.c.Ports.Broker) + journalPath + "/", nil
	case h.c.Functions[name] != "":
		return h.c.Functions[name], nil
	case events.Stage(name).Valid():
		return h.url(h.c.Ports.Broker) + functionsPath + name + "/", nil
	}
	return "", fmt.Errorf("no service is named %q", name)
}

// local is what this process serves itself: the journal and the functions that
// are mounted.
func (h *Host) local(host string) http.Handler {
	if host == h.c.address(h.c.Ports.Broker) {
		return h.mux
	}
	return nil
}

func (h *Host) startObjects(ctx context.Context) (err error) {
	h.objects, err = objects.Start(ctx, objects.Config{
		Dir: h.dir("objects"), Host: h.c.Host, Port: h.c.Ports.S3, Region: region,
		AccessKey: h.secrets.AccessKey, SecretKey: h.secrets.SecretKey,
		Buckets: []string{landingBucket, stateBucket}, Notify: h.landed, NotifyBuckets: []string{landingBucket}, Logger: h.logger("objects"),
	})
	if err != nil {
		return fmt.Errorf("start object store: %w", err)
	}
	h.onClose(func(context.Context) error { return h.objects.Close() })
	h.state = store.NewS3(h.objects.Client(), stateBucket)
	return nil
}

// landed hands an upload to the broker before the store answers its writer.
func (h *Host) landed(ctx context.Context, n objects.Notification) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	list, err := events.FromNotification(body)
	if err != nil {
		return err
	}
	return h.sendAll(ctx, list)
}

func (h *Host) sendAll(ctx context.Context, list []event.Event) error {
	for _, e := range list {
		if err := h.broker.Send(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// publish says where everything is, last of all.
func (h *Host) publish(context.Context) error {
	h.onClose(func(context.Context) error {
		if err := os.Remove(connectionFile(h.c.Dir)); err != nil {
			return fmt.Errorf("remove connection: %w", err)
		}
		return nil
	})
	return h.Connection().write(h.c.Dir)
}

// Connection is how clients reach the platform.
func (h *Host) Connection() Connection {
	token, _ := os.ReadFile(h.ray.TokenPath) // it appears when Ray starts; people ask later
	return Connection{
		PID: os.Getpid(), StartedAt: time.Now().UTC(),
		S3: S3{
			Endpoint: h.objects.URL(), Region: region, AccessKey: h.secrets.AccessKey, SecretKey: h.secrets.SecretKey,
			Landing: landingBucket, State: stateBucket,
		},
		NATS:     Endpoint{URL: h.bus.URL(), Token: h.secrets.NATS},
		Broker:   h.url(h.c.Ports.Broker) + brokerPath,
		MLflow:   h.mlflow.URL,
		Ray:      Endpoint{URL: h.ray.DashboardURL, Token: string(token)},
		Launcher: Endpoint{URL: h.url(h.c.Ports.Broker) + launcherPath, Token: h.secrets.Launcher},
	}
}

// Ready waits until MLflow and Ray answer as well.
func (h *Host) Ready(ctx context.Context) error {
	return errors.Join(h.mlflow.Ready(ctx), h.ray.Ready(ctx))
}

// Wait returns when ctx is done, or earlier with the reason why the platform
// cannot go on.
func (h *Host) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.failed:
		return err
	}
}

// Close ends everything, the last started first, and waits for it. Workloads
// that run are ended and launched again when the platform comes up next.
func (h *Host) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var errs []error
	for len(h.closing) > 0 {
		last := len(h.closing) - 1
		errs = append(errs, h.closing[last](ctx))
		h.closing = h.closing[:last]
	}
	h.running.Wait()
	return errors.Join(errs...)
}

func (h *Host) onClose(f func(context.Context) error) { h.closing = append(h.closing, f) }

// watch makes the platform fail when a part of it is given up.
func (h *Host) watch(name string, done <-chan struct{}, why func() error) {
	h.running.Go(func() {
		<-done
		if err := why(); err != nil {
			h.failed <- fmt.Errorf("%s ended: %w", name, err)
		}
	})
}

func (h *Host) dir(name string) string { return filepath.Join(h.c.Dir, name) }

func (h *Host) url(number int) string { return "http://" + h.c.address(number) }

func (h *Host) logger(part string) *slog.Logger { return h.c.Logger.With("part", part) }
