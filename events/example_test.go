package events_test

import (
	"fmt"

	"refit.dev/events"
)

// A store's notification becomes the event that starts a run.
func ExampleFromNotification() {
	list, err := events.FromNotification([]byte(`{"Records": [{
		"eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": "ObjectCreated:Put", "eventTime": "2026-11-23T06:00:00Z",
		"s3": {"bucket": {"name": "landing"}, "object": {"key": "all+emails.parquet", "eTag": "9b2c"}}
	}]}`))
	if err != nil {
		panic(err)
	}
	for _, e := range list {
		fmt.Println(e.Type(), e.Source(), e.Subject())
	}
	// Output: com.amazonaws.s3.ObjectCreated:Put aws:s3.us-east-1.landing all emails.parquet
}

// A wrong parameter is refused with what is accepted, never replaced by a
// default.
func ExampleParameters_With() {
	p, err := events.Defaults().With(map[string]any{"num_hpo_trials": "3", "f1_threshold": 0.9})
	fmt.Println(p.NumHPOTrials, p.F1Threshold, err)
	_, err = p.With(map[string]any{"f1_threshold": 1.5})
	fmt.Println(err)
	// Output:
	// 3 0.9 <nil>
	// parameter f1_threshold=1.5: accepted is a number from 0 to 1
}
