package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"refit.dev/events"
	"refit.dev/platform/host"
)

type runOptions struct {
	platform platformFlags
	settings []string
	key      string
	mode     string
	detach   bool
}

func (a *App) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [FILE]",
		Short: "Upload a parquet file and follow its run to the end",
		Long: `Upload a parquet file of labelled mail and follow its run to the end: to a
registered model, or to the reason why not. Without FILE it is the default data,
` + defaultData() + `.

If no platform runs on --dir, one is started for the time of the run and ended
afterwards; its data stays. With --context the file goes to the refit in a
cluster, and nothing is started here.

Parameters:
` + parameterHelp() + `

Exit codes:
` + ExitCodes,
		Example: `  refit run
  refit run mail.parquet --set num_hpo_trials=5 --set f1_threshold=0.9
  refit run mail.parquet --detach --json
  refit run mail.parquet --context my-cluster
  refit run show last`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd.Context(), &o, strings.Join(args, ""))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.settings, "set", nil, "set a parameter, name=value, may be repeated")
	f.StringVar(&o.key, "key", "", "where the file goes in the landing bucket (default "+path.Dir(defaultData())+"/ and its name)")
	f.BoolVar(&o.detach, "detach", false, "print the run's id when it began and leave")
	f.StringVar(&o.mode, "platform", "auto", "auto starts a platform if none runs, running wants one that runs")
	o.platform.addTo(cmd)
	cmd.AddCommand(a.showCommand())
	return cmd
}

func defaultData() string { return events.Defaults().EntityDataPath }

func (a *App) run(ctx context.Context, o *runOptions, name string) error {
	if o.mode != "auto" && o.mode != "running" {
		return usagef("--platform %q: accepted are auto and running", o.mode)
	}
	values, err := parameters(o.settings)
	if err != nil {
		return err
	}
	labels, err := metadata(values)
	if err != nil {
		return err
	}
	file, key, err := openUpload(name, o.key)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	session, running, err := a.reach(ctx, o)
	if err != nil {
		return err
	}
	err = a.runOn(ctx, session, file, key, labels, o.detach)
	session.Close()
	if running == nil {
		return err
	}
	return a.endAfterRun(running, err)
}

// openUpload opens the file to upload and says where it goes. It is opened
// before a platform starts, which may change the working folder.
func openUpload(name, key string) (*os.File, string, error) {
	if name == "" {
		name = filepath.FromSlash(defaultData())
	}
	if key == "" {
		key = path.Join(path.Dir(defaultData()), filepath.Base(name))
	}
	if !strings.HasSuffix(strings.ToLower(key), ".parquet") {
		return nil, "", usagef("%s does not end in .parquet, so it would start no run: accepted are parquet files", key)
	}
	if _, err := events.Defaults().With(map[string]any{"entity_data_path": key}); err != nil {
		return nil, "", usagef("--key: %w", err)
	}
	file, err := openFile(name)
	if errors.Is(err, fs.ErrNotExist) && filepath.ToSlash(name) == defaultData() {
		return nil, "", fmt.Errorf("%w: run in the folder of the project, or make it with make dataset", err)
	}
	return file, key, err
}

// openFile opens one file that can be read.
func openFile(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && info.IsDir() {
		return nil, usagef("%s is a folder: accepted is one parquet file", name)
	}
	file, err := os.Open(name)
	var refused *fs.PathError
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("the upload %s cannot be opened: %w: name a parquet file that can be read", name, refused.Err)
	}
	return file, err
}

// reach connects to the running platform, or starts one if that is wanted.
func (a *App) reach(ctx context.Context, o *runOptions) (*Session, Running, error) {
	session, err := a.connect(ctx)
	if !errors.Is(err, host.ErrNotRunning) || o.mode == "running" {
		return session, nil, err
	}
	if o.detach {
		return nil, nil, fmt.Errorf("%w: --detach leaves the run to a platform that goes on", err)
	}
	log, err := a.logFile()
	if err != nil {
		return nil, nil, err
	}
	config, err := o.platform.resolve(a.dir, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	a.remarkf("no platform runs on %s: starting one for this run, its log is %s", a.dir, log.Name())
	running, err := a.Start(ctx, config)
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	owned := &ownPlatform{Running: running, log: log}
	session, err = a.Connect(ctx, a.dir)
	if err != nil {
		return nil, nil, errors.Join(err, a.closePlatform(owned))
	}
	return session, owned, nil
}

// ownPlatform is a platform with a log file of its own.
type ownPlatform struct {
	Running

	log *os.File
}

// Close ends the platform and its log.
func (p *ownPlatform) Close() error { return errors.Join(p.Running.Close(), p.log.Close()) }

// endAfterRun ends the platform that was started for a run, which came to err.
func (a *App) endAfterRun(running Running, err error) error {
	c := running.Connection()
	a.remarkf("ending the platform; Ctrl-C leaves at once")
	closed := a.closePlatform(running)
	if closed != nil {
		return errors.Join(err, closed)
	}
	if errors.Is(err, context.Canceled) {
		a.remarkf("the run goes on when a platform runs on %s again: refit up", a.dir)
	} else {
		a.remarkf("the platform has ended; refit up brings MLflow back at %s and Ray at %s", c.MLflow, c.Ray.URL)
	}
	return err
}

// runOn uploads the file to a platform and follows what that starts.
func (a *App) runOn(ctx context.Context, session *Session, file *os.File, key string, labels map[string]string, detach bool) error {
	uri := "s3://" + session.Connection.S3.Landing + "/" + key
	a.remarkf("uploading %s to %s", file.Name(), uri)
	if err := session.Upload(ctx, key, file, labels); err != nil {
		return err
	}
	object, err := session.Landing.Head(ctx, key)
	if err != nil {
		return fmt.Errorf("look at the upload: %w", err)
	}
	run, err := a.findRun(ctx, session, causedByUpload(uri, object), object.LastModified)
	if err != nil {
		return err
	}
	if !detach {
		return a.follow(ctx, session, run)
	}
	if a.json {
		return a.printLine(map[string]any{"run": run})
	}
	a.printf("%s\n", run)
	return nil
}
