package process_test

import (
	"context"
	"fmt"
	"os"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/process"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "workloads")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ended := make(chan workload.End)
	m, err := process.New(process.Config{
		Dir: dir,
		// process.Python says which module of an interpreter runs a stage.
		Command: func(job workload.Job) ([]string, error) { return []string{"/bin/echo", job.Spec}, nil },
		Ended: func(_ context.Context, end workload.End) error {
			ended <- end
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	job := workload.Job{Run: "r-20261123-060000-0a1b2c3d", Stage: events.Train, Attempt: 1, Spec: "s3://refit/spec.json"}
	if err := m.Launch(ctx, job); err != nil {
		fmt.Println(err)
	}
	end := <-ended
	fmt.Println(end.Workload, end.Outcome, end.Reason)
	if err := m.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: r-20261123-060000-0a1b2c3d-train-1 succeeded Completed
}
