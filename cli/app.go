package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"refit.dev/platform/cluster"
)

// commit of the code, set by the linker.
var commit string

// Commit is the commit that the program was built from, empty if unknown.
func Commit() string { return commit }

// App is what the commands find around them. Everything that they do to the
// outside goes through it, so tests bring their own.
type App struct {
	// Out gets data, Err remarks.
	Out, Err io.Writer
	// OutTerminal and ErrTerminal say whether people look at them.
	OutTerminal, ErrTerminal bool
	// Width is the width of the terminal, in letters; 120 by default.
	Width func() int
	// Location is the time zone of times for people, local by default.
	Location *time.Location
	// Now is time.Now by default.
	Now func() time.Time
	// Tick calls at intervals; time.NewTicker by default.
	Tick func(time.Duration) (ticks <-chan time.Time, stop func())
	// NewID makes the ids of events, random UUIDs by default.
	NewID func() string
	// Getenv is os.Getenv by default.
	Getenv func(string) string
	// Signals asks for the end: the first politely, the second at once. Nil
	// means never.
	Signals <-chan os.Signal
	// Start starts a platform in this process.
	Start StartFunc
	// Connect reaches the platform that runs on a data folder, Dial by default.
	Connect func(ctx context.Context, dir string) (*Session, error)
	// OpenCluster finds a refit in a cluster, cluster.Open by default.
	OpenCluster func(cluster.Config) (*cluster.Cluster, error)

	dir    string
	place  cluster.Config
	json   bool
	forced chan struct{}
}

func (a *App) withDefaults() *App {
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Tick == nil {
		a.Tick = func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		}
	}
	if a.NewID == nil {
		a.NewID = uuid.NewString
	}
	if a.Getenv == nil {
		a.Getenv = os.Getenv
	}
	if a.Connect == nil {
		a.Connect = Dial
	}
	if a.OpenCluster == nil {
		a.OpenCluster = cluster.Open
	}
	return a
}

// errInterrupted is why the context ends after a signal.
var errInterrupted = &ExitError{Code: CodeInterrupted}

// Execute runs the command that args name and returns the exit code. What went
// wrong has been told on Err by then.
func Execute(ctx context.Context, a App, args []string) int {
	app := a.withDefaults()
	app.forced = make(chan struct{})
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		app.watchSignals(ctx, cancel)
	}()
	started := false
	root := app.root(&started) //nolint:contextcheck // cobra hands the context to the commands
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if interrupted := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && interrupted != nil {
		err = interrupted
	}
	cancel(nil)
	<-watched
	if err != nil && !started {
		err = &ExitError{Code: CodeUsage, Err: fmt.Errorf("%w\nrefit --help says what there is", trimmed{err})}
	}
	var exit *ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Err != nil) {
		app.remarkf("refit: %v", err)
	}
	return codeOf(err)
}

// watchSignals ends ctx at the first signal and closes forced at the second. It
// returns when the command is over.
func (a *App) watchSignals(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-a.Signals:
		cancel(errInterrupted)
	case <-ctx.Done():
		return
	}
	// The command ends its platform now; that it is over nobody tells, and
	// nobody needs to.
	go func() {
		<-a.Signals
		close(a.forced)
	}()
}

// root is the command refit. It sets started when a command's own work begins:
// an error before that is one of usage.
func (a *App) root(started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "refit",
		Short: "Drop a parquet, get a registered model, or the reason why not",
		Long: `refit turns an upload of labelled mail into a registered spam detector, or
says why not. Start with refit doctor, then refit up or refit run.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.readEnv(cmd); err != nil {
				return err
			}
			*started = true
			return nil
		},
	}
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&a.dir, "dir", ".refit", "data folder (env REFIT_DIR)")
	root.PersistentFlags().StringVar(&a.place.Context, "context", "", "use the refit in this cluster, a context of the kubeconfig, not the one on --dir (env REFIT_CONTEXT)")
	root.PersistentFlags().StringVar(&a.place.Namespace, "namespace", cluster.DefaultNamespace, "where refit is in the cluster (env REFIT_NAMESPACE)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(
		a.upCommand(), a.runCommand(), a.runsCommand(), a.logsCommand(), a.sendCommand(), a.replayCommand(), a.doctorCommand(),
		a.sourceCommand(), a.journalCommand(), a.objectsCommand(), a.natsCommand(),
		&cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: "The exit codes of refit:\n\n" + ExitCodes},
	)
	return root
}

// width is how wide lines on the terminal may be.
func (a *App) width() int {
	if a.Width == nil {
		return 120
	}
	return a.Width()
}

// trimmed is an error without the blank lines that cobra ends some with.
type trimmed struct{ error }

// Error is the text without its last line breaks.
func (t trimmed) Error() string { return strings.TrimRight(t.error.Error(), "\n") }

// Unwrap is the whole error.
func (t trimmed) Unwrap() error { return t.error }
