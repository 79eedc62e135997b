package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/spf13/cobra"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

type runsOptions struct {
	limit int
	state string
}

func (a *App) runsCommand() *cobra.Command {
	var o runsOptions
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List the runs, the latest first",
		Long: `List the runs, the latest first. The columns, also of the tab-separated lines
that a pipe gets: run, state, stage, F1, model and version, alias, start, time
taken, data.`,
		Example: `  refit runs
  refit runs --state rejected --limit 5
  refit runs --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runs(cmd.Context(), &o) },
	}
	cmd.Flags().IntVar(&o.limit, "limit", 20, "how many, 0 for all")
	cmd.Flags().StringVar(&o.state, "state", "", "only runs in this state: running, registered, rejected, failed or cancelled")
	return cmd
}

func (a *App) runs(ctx context.Context, o *runsOptions) error {
	states := []journal.State{journal.Running, journal.Registered, journal.Rejected, journal.Failed, journal.Cancelled}
	if o.state != "" && !slices.Contains(states, journal.State(o.state)) {
		return usagef("--state %q: accepted are %v", o.state, states)
	}
	session, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	list, err := session.Journal.Events(ctx, journal.Filter{})
	if err != nil {
		return err
	}
	a.remarkRefused(list)
	views := journal.Fold(list)
	views = slices.DeleteFunc(views, func(v journal.RunView) bool { return o.state != "" && string(v.State) != o.state })
	if o.limit > 0 {
		views = views[:min(o.limit, len(views))]
	}
	switch {
	case a.json:
		return a.printJSON(append([]journal.RunView{}, views...))
	case len(views) == 0:
		a.remarkf("there are no runs: refit run FILE starts one")
	default:
		a.runsTable(views)
	}
	return nil
}

// shownRefused is how many refusals are told, the latest.
const shownRefused = 3

// remarkRefused tells which uploads and requests became no run: they are in no
// list of runs.
func (a *App) remarkRefused(list []event.Event) {
	var refused []string
	for _, e := range list {
		v, ok := verdictOf(e)
		if !ok || e.Type() != string(events.LandingRefused) && v.landing.Reason != "NotParquet" {
			continue
		}
		what := cmp.Or(v.landing.URI, "request "+v.causation)
		refused = append(refused, fmt.Sprintf("%s  %s: %s: %s", a.moment(e.Time()), what, v.landing.Reason, v.landing.Message))
	}
	if len(refused) == 0 {
		return
	}
	a.remarkf("%d uploads and requests became no run, the latest of them:", len(refused))
	for _, line := range refused[max(0, len(refused)-shownRefused):] {
		a.remarkf("  %s", line)
	}
}

func allRuns(ctx context.Context, session *Session) ([]journal.RunView, error) {
	list, err := session.Journal.Events(ctx, journal.Filter{})
	if err != nil {
		return nil, err
	}
	return journal.Fold(list), nil
}

// find reads the journal and picks the run that a person means, see pick.
func find(ctx context.Context, session *Session, id string) (journal.RunView, error) {
	views, err := allRuns(ctx, session)
	if err != nil {
		return journal.RunView{}, err
	}
	return pick(views, id)
}

func (a *App) runsTable(views []journal.RunView) {
	g := grid{header: []string{"run", "state", "stage", "F1", "model", "alias", "started", "took", "data"}, numbers: []int{4, 8}}
	for i := range views {
		v := &views[i]
		var stage, f1, model, alias, data string
		if s := v.Current(); s != nil {
			stage = string(s.Stage)
		}
		if v.Model != nil {
			f1, model, alias = fmt.Sprintf("%.4f", v.Model.F1), strings.TrimSuffix(v.Model.Name+" "+v.Model.Version, " "), v.Model.Alias
		}
		if v.Data != nil {
			data = v.Data.URI
		}
		g.add(v.ID, string(v.State), stage, f1, model, alias, a.moment(v.StartedAt), a.took(v.Took(a.Now())), data)
	}
	g.print(a.Out, a.OutTerminal)
}

// pick finds a run by its id, by a part of it that no other has, or by "last".
func pick(views []journal.RunView, id string) (journal.RunView, error) {
	if len(views) == 0 {
		return journal.RunView{}, errors.New("there are no runs: refit run FILE starts one")
	}
	if id == "last" {
		return views[0], nil
	}
	var found []string
	var match journal.RunView
	for _, v := range views {
		if v.ID == id {
			return v, nil
		}
		if strings.Contains(v.ID, id) {
			found, match = append(found, v.ID), v
		}
	}
	switch len(found) {
	case 1:
		return match, nil
	case 0:
		return match, fmt.Errorf("there is no run %q: refit runs lists them", id)
	default:
		return match, usagef("%q names several runs: accepted is one of %s", id, strings.Join(found, ", "))
	}
}
