package stage

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/process"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
)

// Platform is what a function finds around it.
type Platform struct {
	// State is the bucket of claims, runs and marks, Landing that of uploads.
	State, Landing store.Bucket
	// StateName and LandingName are the buckets' names.
	StateName, LandingName string
	Launcher               workload.Launcher
	Emitter                Emitter
	// Image is what the stage's workload runs, "local" for a process.
	Image string
	// Commit of the code, kept with each run.
	Commit string
	// Deadline is how long one attempt may take, an hour by default.
	Deadline time.Duration
	// Attempts is how often a lost workload is launched, 3 by default.
	Attempts int
	// Clock is time.Now by default.
	Clock  func() time.Time
	Logger *slog.Logger
	// Env is the function's whole configuration, for a stage's own settings.
	Env map[string]string
}

// WithDefaults returns p with what was left out filled in.
func (p Platform) WithDefaults() Platform {
	if p.Image == "" {
		p.Image = "local"
	}
	if p.Deadline == 0 {
		p.Deadline = time.Hour
	}
	if p.Attempts == 0 {
		p.Attempts = 3
	}
	if p.Clock == nil {
		p.Clock = time.Now
	}
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	return p
}

// The settings of a function, which the README's table explains.
const (
	envSink          = "K_SINK"
	envEndpoint      = "REFIT_S3_ENDPOINT"
	envRegion        = "REFIT_S3_REGION"
	envAccessKey     = "AWS_ACCESS_KEY_ID"
	envSecretKey     = "AWS_SECRET_ACCESS_KEY"
	envState         = "REFIT_BUCKET"
	envLanding       = "REFIT_LANDING_BUCKET"
	envLauncher      = "REFIT_LAUNCHER"
	envLauncherURL   = "REFIT_LAUNCHER_URL"
	envLauncherToken = "REFIT_LAUNCHER_TOKEN"
	envImage         = "REFIT_IMAGE"
	envCommit        = "REFIT_COMMIT"
	envDeadline      = "REFIT_DEADLINE"
	envTemplate      = "REFIT_TEMPLATE"
	envNamespace     = "REFIT_NAMESPACE"
)

// FromEnv makes the Platform that the settings describe. The error names every
// setting that is missing, or else one that is wrong and what it accepts.
func FromEnv(env map[string]string) (Platform, error) {
	if missing := missing(env); missing != nil {
		return Platform{}, fmt.Errorf("settings %s are missing: see the table of settings in README.md", strings.Join(missing, ", "))
	}
	deadline, err := time.ParseDuration(or(env[envDeadline], "1h"))
	if err != nil || deadline <= 0 {
		return Platform{}, fmt.Errorf("setting %s=%q: accepted is a duration such as 90m", envDeadline, env[envDeadline])
	}
	launcher, err := launcher(env)
	if err != nil {
		return Platform{}, err
	}
	emitter, err := NewBroker(env[envSink])
	if err != nil {
		return Platform{}, fmt.Errorf("setting %s: %w", envSink, err)
	}
	client := store.S3Config{
		Endpoint: env[envEndpoint], Region: or(env[envRegion], "us-east-1"),
		AccessKey: env[envAccessKey], SecretKey: env[envSecretKey],
	}.Client()
	p := Platform{
		StateName: or(env[envState], "refit"), LandingName: or(env[envLanding], "landing"),
		Launcher: launcher, Emitter: emitter, Image: env[envImage], Commit: env[envCommit], Deadline: deadline, Env: env,
	}
	p.State, p.Landing = store.NewS3(client, p.StateName), store.NewS3(client, p.LandingName)
	return p.WithDefaults(), nil
}

// missing lists the settings that are needed and empty.
func missing(env map[string]string) []string {
	needed := []string{envSink, envEndpoint, envAccessKey, envSecretKey}
	if env[envLauncher] == "kubernetes" {
		needed = append(needed, envTemplate, envImage)
	} else {
		needed = append(needed, envLauncherURL)
	}
	var missing []string
	for _, name := range needed {
		if env[name] == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

// launcher makes what starts the stage's workloads.
func launcher(env map[string]string) (workload.Launcher, error) {
	switch kind := or(env[envLauncher], "process"); kind {
	case "process":
		return &process.Client{URL: env[envLauncherURL], Token: env[envLauncherToken]}, nil
	case "kubernetes":
		return cluster(env, kube.Pod{Env: env})
	default:
		return nil, fmt.Errorf("setting %s=%q: accepted are process and kubernetes", envLauncher, kind)
	}
}

// cluster launches in the cluster that pod is in.
func cluster(env map[string]string, pod kube.Pod) (workload.Launcher, error) {
	template, err := os.ReadFile(env[envTemplate])
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", envTemplate, err)
	}
	namespace := env[envNamespace]
	if namespace == "" {
		if namespace, err = pod.Namespace(); err != nil {
			return nil, fmt.Errorf("setting %s is empty: %w", envNamespace, err)
		}
	}
	client, err := pod.Client()
	if err != nil {
		return nil, fmt.Errorf("setting %s=kubernetes: %w", envLauncher, err)
	}
	launcher, err := kube.NewLauncher(kube.LauncherConfig{
		Client: client, Namespace: namespace, Template: template, Kinds: []kube.Kind{rayjob.Kind{}, trainjob.Kind{}},
	})
	if err != nil {
		return nil, fmt.Errorf("setting %s=%s: %w", envTemplate, env[envTemplate], err)
	}
	return launcher, nil
}

func or(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}
