package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/spf13/cobra"

	"refit.dev/platform/journal"
)

func (a *App) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show everything about one run",
		Long: `Show everything about one run: its data, parameters, stages, figures, artifacts
and events. ID is a run's id, a part of it that no other run has, or last.`,
		Example: `  refit run show last
  refit run show r-20261123-060000-0a1b2c3d --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.Context(), args[0]) },
	}
}

// shown is a run with its events.
type shown struct {
	journal.RunView

	Events []event.Event `json:"events"`
}

func (a *App) show(ctx context.Context, id string) error {
	session, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	v, list, err := load(ctx, session, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(shown{v, list})
	}
	a.pairs(present(append(facts(a, &v), append(modelLines(&v), links(a, &v, session)...)...)))
	a.section("parameters")
	a.pairs(parameterLines(&v))
	a.section("stages")
	a.stageTable(&v)
	for i := range v.Stages {
		a.stageDetails(&v.Stages[i])
	}
	a.section("events")
	a.eventTable(list)
	return nil
}

// load reads one run and its events.
func load(ctx context.Context, session *Session, id string) (journal.RunView, []event.Event, error) {
	v, err := find(ctx, session, id)
	if err != nil {
		return v, nil, err
	}
	list, err := session.Journal.Events(ctx, journal.Filter{Run: v.ID})
	return v, list, err
}

func (a *App) section(title string) { a.printf("\n%s\n", strings.ToUpper(title)) }

func facts(a *App, v *journal.RunView) [][2]string {
	list := [][2]string{
		{"run", v.ID}, {"state", string(v.State)}, {"reason", v.Reason},
		{"started", a.moment(v.StartedAt)}, {"ended", a.moment(v.EndedAt)}, {"took", a.took(v.Took(a.Now()))},
		{"cause", strings.TrimSpace(v.Cause.Type + " " + v.Cause.ID)}, {"commit", v.Commit},
	}
	if v.Data != nil {
		list = append(list, [2]string{"data", fmt.Sprintf("%s (%d bytes, ETag %s)", v.Data.URI, v.Data.Bytes, v.Data.ETag)})
	}
	if v.Replay != nil {
		list = append(list, [2]string{"replays", fmt.Sprintf("%s from %s", v.Replay.Run, v.Replay.From)})
	}
	return list
}

func parameterLines(v *journal.RunView) [][2]string {
	if v.Parameters == nil {
		return nil
	}
	p := v.Parameters
	return [][2]string{
		{"entity_data_path", p.EntityDataPath},
		{"test_split_ratio", strconv.FormatFloat(p.TestSplitRatio, 'g', -1, 64)},
		{"num_hpo_trials", strconv.Itoa(p.NumHPOTrials)},
		{"f1_threshold", strconv.FormatFloat(p.F1Threshold, 'g', -1, 64)},
		{"model_name", p.ModelName},
		{"seed", strconv.Itoa(p.Seed)},
		{"split", p.Split},
		{"num_workers", strconv.Itoa(p.NumWorkers)},
	}
}

// stageDetails lists what a stage measured and made.
func (a *App) stageDetails(s *journal.StageView) {
	if len(s.Figures) == 0 && len(s.Artifacts) == 0 && s.Reason == "" {
		return
	}
	a.section(string(s.Stage))
	var list [][2]string
	if s.Reason != "" {
		list = append(list, [2]string{"reason", s.Reason}, [2]string{"message", s.Message})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Figures)) {
		list = append(list, [2]string{name, figure(s.Figures[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Artifacts)) {
		artifact := s.Artifacts[name]
		list = append(list, [2]string{name, fmt.Sprintf("%s (%d bytes)", artifact.URI, artifact.Bytes)})
	}
	a.pairs(append(list, present([][2]string{{"log", s.Log}})...))
}

func (a *App) eventTable(list []event.Event) {
	g := grid{header: []string{"time", "type", "source", "id"}}
	for _, e := range list {
		kind := e.Type()
		if code, dead := e.Extensions()["knativeerrorcode"]; dead {
			kind += fmt.Sprintf(" (not delivered to %v: %v)", e.Extensions()["knativeerrordest"], code)
		}
		g.add(a.moment(e.Time()), kind, e.Source(), e.ID())
	}
	g.print(a.Out, a.OutTerminal)
}
