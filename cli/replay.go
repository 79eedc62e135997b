package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/spf13/cobra"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

type replayOptions struct {
	run      string
	from     string
	settings []string
	detach   bool
}

func (a *App) replayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "Run a run again, from a stage on, with parameters changed",
		Long: `Start a new run that repeats RUN from a stage on. The results of the stages before
are taken from RUN by reference. RUN is a run's id, a part of it that no other
run has, or last.

Exit codes:
` + ExitCodes,
		Example: `  refit replay last --from register --set f1_threshold=0.9
  refit replay r-20261123-060000-0a1b2c3d --set seed=7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return a.replay(cmd.Context(), &o)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", string(events.Prepare), "stage to begin with")
	cmd.Flags().StringArrayVar(&o.settings, "set", nil, setUsage)
	cmd.Flags().BoolVar(&o.detach, "detach", false, "print the new run's id when it began and leave")
	return cmd
}

func (a *App) replay(ctx context.Context, o *replayOptions) error {
	from := events.Stage(o.from)
	if !from.Valid() {
		return usagef("--from %q: accepted are %v", o.from, events.Stages())
	}
	values, err := parameters(o.settings)
	if err != nil {
		return err
	}
	session, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	old, err := find(ctx, session, o.run)
	if err != nil {
		return err
	}
	if err := replayable(&old, from, values); err != nil {
		return err
	}
	e, err := a.replayEvent(&old, from, values)
	if err != nil {
		return err
	}
	broker, err := session.Broker(ctx)
	if err != nil {
		return err
	}
	if err := deliver(ctx, broker, e); err != nil {
		return err
	}
	a.remarkf("asked for a replay of %s from %s", old.ID, from)
	if !o.detach {
		return a.followCause(ctx, session, causedBy(e), e.Time())
	}
	run, err := a.findRun(ctx, session, causedBy(e), e.Time())
	if err != nil {
		return err
	}
	if a.json {
		return a.printLine(map[string]any{"run": run})
	}
	a.printf("%s\n", run)
	return nil
}

// replayable refuses what the journal shows to be impossible. What it cannot
// show the prepare function decides.
func replayable(old *journal.RunView, from events.Stage, values map[string]any) error {
	for _, s := range from.Before() {
		if v := old.Stage(s); v.State != journal.Completed && v.State != journal.Inherited {
			return refusedf("run %s cannot be replayed from %s: its stage %s is %s: replay it from %s", old.ID, from, s, v.State, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "entity_data_path" {
			return refusedf("--set entity_data_path: a replay trains on the data of its run: refit send --field entity_data_path=KEY uses other data")
		}
		for _, d := range events.Definitions() {
			if d.Name == name && slices.Contains(from.Before(), d.Stage) {
				return refusedf("--set %s: stage %s uses it, which a replay from %s does not run again: replay --from %s", name, d.Stage, from, d.Stage)
			}
		}
	}
	return nil
}

// replayEvent is the request for a replay, under an id of its own: brokers drop
// what they have seen.
func (a *App) replayEvent(old *journal.RunView, from events.Stage, values map[string]any) (event.Event, error) {
	e, err := a.newEvent(string(events.RunRequested), events.CLISource, "", events.Request{
		Replay: &events.Replay{Run: old.ID, From: from}, Parameters: values,
	})
	if err != nil {
		return e, err
	}
	e.SetExtension(events.ExtReplayOf, old.ID)
	return e, events.Validate(e)
}
