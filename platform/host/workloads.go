package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"refit.dev/events"
	"refit.dev/platform/source"
	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/process"
)

func (h *Host) startManager(ctx context.Context) (err error) {
	h.manager, err = process.New(process.Config{
		Dir: h.dir("workloads"), Command: h.command(), Env: h.workloadEnv, WorkDir: h.dir("scratch"), Warm: h.warm(),
		Ended:   func(ctx context.Context, end workload.End) error { return h.source.Ended(ctx, end) },
		SaveLog: h.saveLog, Finished: h.finished, Broken: h.broken, Logger: h.logger("launcher"),
	})
	if err != nil {
		return fmt.Errorf("start launcher: %w", err)
	}
	if err := os.MkdirAll(h.dir("scratch"), 0o700); err != nil {
		return fmt.Errorf("make scratch folder: %w", err)
	}
	h.source = h.newSource()
	if err := h.manager.Start(ctx); err != nil {
		return fmt.Errorf("start launcher: %w", err)
	}
	h.onClose(h.manager.Close)
	return nil
}

// workloadEnv is the whole environment of a workload.
func (h *Host) workloadEnv(workload.Job) []string {
	return append(h.ray.Env(),
		"PATH="+filepath.Dir(h.c.Python)+":"+os.Getenv("PATH"),
		"HOME="+h.dir("scratch"),
		"LANG=C.UTF-8",
		"PYTHONPATH="+strings.Join(h.pythonPath(), ":"),
		"PYTHONUNBUFFERED=1",
		"AWS_ENDPOINT_URL_S3="+h.objects.URL(),
		"AWS_REGION="+region,
		"AWS_DEFAULT_REGION="+region,
		"AWS_ACCESS_KEY_ID="+h.secrets.AccessKey,
		"AWS_SECRET_ACCESS_KEY="+h.secrets.SecretKey,
		"MLFLOW_TRACKING_URI="+h.mlflow.URL,
		"MLFLOW_DISABLE_TELEMETRY=true",
		"OMP_WAIT_POLICY=passive",
		"REFIT_CPUS="+strconv.Itoa(h.c.CPUs),
		"REFIT_TMPDIR="+h.dir("scratch"),
	)
}

func (h *Host) pythonPath() []string {
	var path []string
	for _, folder := range []string{"contract", "data-prep", "ray-train", "mlflow-ops"} {
		path = append(path, filepath.Join(h.c.Source, "docker", folder))
	}
	return path
}

// attemptPrefix is where an attempt keeps its files.
func attemptPrefix(job workload.Job) string {
	return "runs/" + job.Run + "/" + string(job.Stage) + "/" + strconv.Itoa(job.Attempt) + "/"
}

// saveLog keeps a workload's log beside its results.
func (h *Host) saveLog(ctx context.Context, job workload.Job, path string) (string, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	key := attemptPrefix(job) + "log.txt"
	if err := h.state.Put(ctx, key, body); err != nil {
		return "", fmt.Errorf("save log: %w", err)
	}
	return "s3://" + stateBucket + "/" + key, nil
}

// finished says how a workload ended whose exit nobody saw, by its result.
func (h *Host) finished(ctx context.Context, job workload.Job) (workload.Outcome, error) {
	o, err := h.state.Get(ctx, attemptPrefix(job)+"result.json")
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var result workload.Result
	if err := json.Unmarshal(o.Body, &result); err != nil {
		return workload.Failed, nil //nolint:nilerr // a result that cannot be read is the function's to judge
	}
	return result.Outcome, nil
}

// rayNotice is how much later than its drivers the head may end: it looks once a
// second whether all of its processes live.
const rayNotice = 3 * time.Second

// broken says that Ray died under a workload that uses it.
func (h *Host) broken(job workload.Job, since time.Time) string {
	if job.Stage != events.Train && job.Stage != events.Tune {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), rayNotice)
	defer cancel()
	if h.ray.DiedSince(ctx, since) {
		return "Ray died while it ran"
	}
	return ""
}

func (h *Host) newSource() *source.Source {
	return source.New(source.Config{
		State: h.state, Landing: store.NewS3(h.objects.Client(), landingBucket), LandingName: landingBucket, Region: region,
		Send: h.broker.Send, Workloads: h.workloads, Every: h.c.Sweep, Grace: h.c.Sweep / 4, Clock: h.c.Clock, Logger: h.logger("source"),
	})
}

func (h *Host) workloads(context.Context) (map[string]source.Workload, error) {
	all := map[string]source.Workload{}
	for _, r := range h.manager.List() {
		all[r.Job.Name()] = source.Workload{End: r.End}
	}
	return all, nil
}

// startSource sweeps and delivers events from now on.
func (h *Host) startSource(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	var delivering sync.WaitGroup
	delivering.Go(func() { h.source.Run(ctx) })
	delivering.Go(func() {
		if err := h.broker.Run(ctx); err != nil {
			h.failed <- fmt.Errorf("broker ended: %w", err)
		}
	})
	h.onClose(func(context.Context) error {
		cancel()
		delivering.Wait()
		return nil
	})
	return nil
}
