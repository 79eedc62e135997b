package chaos_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/test/chaos/rig"
	"refit.dev/test/platformtest"
)

// points are where a platform is killed, by what lies behind and before it.
func points() map[string]rig.Point {
	const (
		launch  = "^POST /launcher/workloads"
		version = "^POST .*/model-versions/create"
		alias   = "^POST .*/registered-models/alias"
		stored  = `^\S+_knative_broker\.events\S* .*` // a message of the broker's stream
	)
	return map[string]rig.Point{
		"announced, not claimed":                  {At: "s3", What: "^PUT /refit/claims/"},
		"claimed, no run.json":                    {At: "s3", What: "^PUT /refit/claims/", After: true},
		"run.json, run.started not sent":          {At: "s3", What: "^PUT /refit/runs/[^/]+/run.json", After: true},
		"run.started sent, not answered":          {At: "broker", What: "^POST ", After: true},
		"first launch, no spec":                   {At: "s3", What: "^PUT .*/prepare/1/spec.json"},
		"spec, not launched":                      {At: "s3", What: "^PUT .*/tune/1/spec.json", After: true},
		"launch asked for":                        {At: "launcher", What: launch, Skip: 1},
		"launched, started not sent":              {At: "launcher", What: launch, Skip: 2, After: true},
		"started sent, not answered":              {At: "broker", What: "^POST ", Skip: 1, After: true},
		"function answers, broker does not know":  {At: "function", What: "^POST /train", After: true},
		"function is asked":                       {At: "function", What: "^POST /tune"},
		"end is known, no mark":                   {At: "s3", What: "^PUT .*/features/mark"},
		"mark, completed not sent":                {At: "s3", What: "^PUT .*/train/mark", After: true},
		"completed is stored by the broker":       {At: "nats", What: stored + `"dev.refit.prepare.completed"`},
		"end is stored by the broker":             {At: "nats", What: stored + `"dev.refit.workload.ended"`, Skip: 3},
		"upload is stored by the broker":          {At: "nats", What: stored + "ObjectCreated"},
		"journal has started":                     {At: "nats", What: `^refit\.\S+\.tune\.started `},
		"journal has the end":                     {At: "nats", What: `^refit\.\S+\.model\.registered `},
		"trigger acknowledges":                    {At: "nats", What: `^\$JS\.ACK\.`, Skip: 40},
		"lease taken, nothing registered":         {At: "s3", What: "^PUT /refit/locks/model/", After: true},
		"version asked for":                       {At: "mlflow", What: version},
		"version made, nobody knows":              {At: "mlflow", What: version, After: true},
		"alias set, no mark":                      {At: "mlflow", What: alias, After: true},
		"registered, no mark":                     {At: "s3", What: "^PUT .*/register/mark"},
		"marked the stage, not the run":           {At: "s3", What: "^PUT .*/register/mark", After: true},
		"marked the run, model.registered unsent": {At: "s3", What: "^PUT /refit/runs/[^/]+/mark", After: true},
	}
}

// patient are the points after which the lease of a model that a dead function
// holds is waited for. After the others the clock is ahead by more than a lease.
var patient = map[string]bool{"version made, nobody knows": true}

// TestEachKillPoint kills the whole platform just there. After refit up the run
// ends as it would have, once.
func TestEachKillPoint(t *testing.T) {
	home := begin(t)
	home.p.Kill()
	for name, point := range points() {
		t.Run(name, func(t *testing.T) {
			dying := home.child
			dying.Point = point
			key := fmt.Sprintf("f1=0.9/%s.parquet", strings.ReplaceAll(name, " ", "-"))
			m := &mayhem{child: home.child, p: dying.up(t)}
			err := m.put(t, key)
			requireDeath(t, m.p)
			if !patient[name] {
				m.Ahead = time.Minute
			}
			m.p = m.up(t)
			if err != nil {
				require.True(t, m.landed(t, key), "an upload that was written is not lost: %v", err)
			}
			m.requireEnded(t, key)
			requireOnce(t, m.p, []string{key})
			for _, s := range m.p.Ended(t, runOf(t, m.p.Platform, key).ID).Stages {
				require.LessOrEqual(t, s.Attempt, 2, "%s: only a workload that was just being started is lost", s.Stage)
			}
			m.p.Kill()
		})
	}
}

// requireDeath waits for the death of a platform that is to die.
func requireDeath(t *testing.T, p *platformtest.Process) {
	t.Helper()
	select {
	case <-p.Died():
	case <-time.After(time.Minute):
		require.FailNow(t, "the platform did not come to the point where it dies")
	}
}
