package small

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/cenkalti/backoff/v5"

	"refit.dev/events"
	"refit.dev/test/clustertest/canned"
	"refit.dev/workload"
)

// patience is how long a workload waits for a store or an MLflow that is away:
// the platform may be dead just now.
const patience = 2 * time.Minute

// patiently asks until there is an answer, or for as long as a workload waits.
func patiently[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, time.Second
	return backoff.Retry(ctx, ask, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(patience))
}

// succeed writes the artifacts and, last, the result.
func (a *attempt) succeed(ctx context.Context, began time.Time) error {
	result := a.result(workload.Succeeded, began)
	result.Figures = canned.Figures(a.Stage, a.Parameters)
	if a.Stage == events.Register {
		judged, err := a.judge(ctx)
		if err != nil {
			return err
		}
		maps.Copy(result.Figures, judged)
	}
	if a.asked[string(a.Stage)] == "judged" {
		if err := a.state.Put(ctx, Judged(a.Run), nil); err != nil {
			return err
		}
		if err := a.atGate(ctx); err != nil {
			return err
		}
	}
	for _, name := range canned.Artifacts(a.Stage) {
		body := []byte(name + " of " + a.Run)
		if err := a.put(ctx, name, body); err != nil {
			return fmt.Errorf("write artifact %s: %w", name, err)
		}
		result.Artifacts[name] = canned.Artifact(a.Output+name, body)
	}
	return a.write(ctx, result)
}

// Judged is the key in the state bucket of the object by which a workload with
// the word judged says that it now waits at its gate.
func Judged(run string) string { return "judged/" + run }

// spoil writes a result that no function accepts.
func (a *attempt) spoil(ctx context.Context, how string, began time.Time) error {
	result := a.result(workload.Succeeded, began)
	switch how {
	case "broken":
		result.Figures["rows"] = "many"
		return a.write(ctx, result)
	case "refuse":
		result.Outcome = workload.Failed
		result.Error = &workload.Error{Reason: "BadInput", Message: "column label is missing: add it"}
		return a.write(ctx, result)
	}
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return a.put(ctx, "result.json", body[:len(body)/2])
}

func (a *attempt) result(outcome workload.Outcome, began time.Time) workload.Result {
	return workload.Result{
		Run: a.Run, Stage: a.Stage, Attempt: a.Attempt, Outcome: outcome,
		Figures: events.Figures{}, Artifacts: events.Artifacts{}, StartedAt: began, EndedAt: time.Now().UTC(),
	}
}

func (a *attempt) write(ctx context.Context, result workload.Result) error {
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return a.put(ctx, "result.json", body)
}

func (a *attempt) put(ctx context.Context, name string, body []byte) error {
	_, err := patiently(ctx, func() (struct{}, error) { return struct{}{}, a.state.Put(ctx, a.prefix+name, body) })
	return err
}
