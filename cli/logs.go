package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

type logsOptions struct {
	run     string
	stage   events.Stage
	attempt int
}

func (a *App) logsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs RUN [STAGE]",
		Short: "Print the logs of a run's workloads",
		Long: `Print what the workloads of a run wrote, of one stage or of all that began, also
while they run. RUN is a run's id, a part of it that no other run has, or last.`,
		Example: `  refit logs last
  refit logs r-20261123-060000-0a1b2c3d tune --attempt 1`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			if len(args) == 2 {
				o.stage = events.Stage(args[1])
			}
			return a.logs(cmd.Context(), &o)
		},
	}
	cmd.Flags().IntVar(&o.attempt, "attempt", 0, "which attempt (default the last)")
	return cmd
}

// logLine is one log as JSON.
type logLine struct {
	Run     string       `json:"run"`
	Stage   events.Stage `json:"stage"`
	Attempt int          `json:"attempt"`
	Log     string       `json:"log"`
}

func (a *App) logs(ctx context.Context, o *logsOptions) error {
	if o.stage != "" && !o.stage.Valid() {
		return usagef("stage %q: accepted are %v", o.stage, events.Stages())
	}
	session, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	v, err := find(ctx, session, o.run)
	if err != nil {
		return err
	}
	wanted := logsOf(&v, o)
	for _, l := range wanted {
		body, err := a.readLog(ctx, session, l)
		if err != nil {
			return err
		}
		if err := a.printLog(l, body, len(wanted) > 1); err != nil {
			return err
		}
	}
	if len(wanted) == 0 {
		a.remarkf("nothing of run %s has a log yet", v.ID)
	}
	return nil
}

// logsOf lists the logs that are asked for.
func logsOf(v *journal.RunView, o *logsOptions) []logLine {
	var list []logLine
	for i := range v.Stages {
		s := &v.Stages[i]
		l := logLine{Run: v.ID, Stage: s.Stage, Attempt: s.Attempt}
		switch {
		case o.stage != "" && o.stage != s.Stage:
			continue
		case s.State == journal.Inherited && v.Replay != nil:
			l.Run = v.Replay.Run
			if o.stage == "" || l.Attempt == 0 {
				continue
			}
		case s.Attempt == 0:
			continue
		}
		if o.attempt > 0 {
			l.Attempt = o.attempt
		}
		list = append(list, l)
	}
	return list
}

// readLog reads a log from the object store, or while the workload runs from
// where it writes.
func (a *App) readLog(ctx context.Context, session *Session, l logLine) ([]byte, error) {
	o, err := session.State.Get(ctx, attemptKey(l.Run, l.Stage, l.Attempt, "log.txt"))
	if !errors.Is(err, store.ErrNotFound) {
		return o.Body, err
	}
	log, err := session.Log(ctx, workload.Job{Run: l.Run, Stage: l.Stage, Attempt: l.Attempt}.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("attempt %d of %s in run %s has no log: %s lists the attempts: %w", l.Attempt, l.Stage, l.Run, a.command("run show "+l.Run), err)
	}
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return io.ReadAll(log)
}

func (a *App) printLog(l logLine, body []byte, several bool) error {
	if a.json {
		l.Log = string(body)
		return a.printLine(l)
	}
	if several {
		a.printf("==> %s, attempt %d <==\n", l.Stage, l.Attempt)
	}
	_, err := a.Out.Write(body)
	return err
}
