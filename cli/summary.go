package cli

import (
	"fmt"
	"strconv"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

// summary tells at the end what came of a run.
func (a *App) summary(v *journal.RunView, session *Session) error {
	if a.json {
		return a.printLine(map[string]any{"summary": v})
	}
	a.remarkf("")
	a.stageTable(v)
	if a.OutTerminal {
		a.printf("\n")
	}
	list := append([][2]string{{"run", v.ID}, {"took", a.took(v.Took(a.Now()))}}, quality(v)...)
	list = append(list, [2]string{"decision", string(v.State)}, [2]string{"reason", v.Reason})
	list = append(list, modelLines(v)...)
	list = append(list, links(a, v, session)...)
	a.pairs(present(list))
	return nil
}

// stageTable tells how long each stage took.
func (a *App) stageTable(v *journal.RunView) {
	g := grid{header: []string{"stage", "state", "attempt", "seconds", ""}, numbers: []int{3, 4}}
	for i := range v.Stages {
		s := &v.Stages[i]
		attempt, took := "", ""
		if s.Attempt > 0 {
			attempt = strconv.Itoa(s.Attempt)
		}
		if s.State.Ended() && s.State != journal.Inherited {
			took = strconv.FormatFloat(s.Seconds, 'f', 1, 64)
		}
		g.add(string(s.Stage), string(s.State), attempt, took, headline(s))
	}
	g.print(a.Out, a.OutTerminal)
}

// quality are the figures of the model that was judged.
func quality(v *journal.RunView) [][2]string {
	f := v.Stage(events.Register).Figures
	if f == nil {
		return nil
	}
	f1 := figure(f["f1"])
	if f["f1_low"] != nil && f["f1_high"] != nil {
		f1 += fmt.Sprintf(" (95 %% %s to %s)", figure(f["f1_low"]), figure(f["f1_high"]))
	}
	list := [][2]string{{"F1", f1}}
	for _, p := range [][2]string{
		{"precision", "precision"}, {"recall", "recall"}, {"AUC", "auc"}, {"threshold", "threshold"}, {"test mails", "rows"}, {"winner", "winner"}, {"other F1", "other_f1"},
	} {
		if value, found := f[p[1]]; found {
			list = append(list, [2]string{p[0], figure(value)})
		}
	}
	return list
}

func modelLines(v *journal.RunView) [][2]string {
	m := v.Model
	if m == nil || m.Version == "" {
		return nil
	}
	return [][2]string{
		{"model", m.Name + " version " + m.Version},
		{"alias", m.Alias + ": " + m.AliasReason},
	}
}

// links are the places with more about a run.
func links(a *App, v *journal.RunView, session *Session) [][2]string {
	page := session.Connection.MLflow
	if v.Model != nil && v.Model.Link != "" {
		page = v.Model.Link
	}
	page, forward := session.Page(page)
	return [][2]string{
		{"MLflow", page},
		{"after", forward},
		{"Ray", session.Connection.Ray.URL},
		{"logs", a.command("logs " + v.ID)},
		{"everything", a.command("run show " + v.ID)},
	}
}

// present drops what has no value.
func present(list [][2]string) [][2]string {
	var kept [][2]string
	for _, p := range list {
		if p[1] != "" {
			kept = append(kept, p)
		}
	}
	return kept
}
