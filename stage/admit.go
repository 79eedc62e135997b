package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// metadataPrefix marks the object metadata that set parameters:
// x-amz-meta-refit-num-hpo-trials is num_hpo_trials.
const metadataPrefix = "refit-"

// admitObject gives the announcement of a new object its verdict: a new run, or
// an event that says why not.
func (f *Function) admitObject(ctx context.Context, e event.Event) error {
	record, key, err := events.ParseRecord(e.Data())
	if err != nil {
		return f.refuse(ctx, e, "", Failf("BadEvent", "%v", err))
	}
	uri := "s3://" + record.S3.Bucket.Name + "/" + key
	if reason := f.filtered(e, record, key); reason != nil {
		return f.verdict(ctx, e, events.LandingFiltered, events.Landing{URI: uri, Reason: reason.Reason, Message: reason.Message})
	}
	info, err := f.platform.Landing.Head(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return f.verdict(ctx, e, events.LandingOverwritten, events.Landing{
			URI: uri, Reason: "Deleted", Message: "the object is gone: upload it again to start a run",
		})
	}
	if err != nil {
		return err
	}
	if announced := record.S3.Object; announced.ETag != "" && strings.Trim(announced.ETag, `"`) != info.ETag {
		return f.verdict(ctx, e, events.LandingOverwritten, events.Landing{
			URI: uri, Reason: "Overwritten", Message: "a newer version of the object is there: the event of that one starts a run",
		})
	}
	values := fromMetadata(info.Metadata)
	values["entity_data_path"] = key
	parameters, err := events.Defaults().With(values)
	if err != nil {
		return f.refuseObject(ctx, e, info, err)
	}
	return f.admit(ctx, e, f.claimOf(info), events.Run{Parameters: parameters, Data: f.data(info)})
}

// filtered says why an object starts no run, nil if it may.
func (f *Function) filtered(e event.Event, r events.Record, key string) *FailedError {
	switch _, kind, _ := strings.Cut(e.Type(), "ObjectCreated:"); {
	case strings.HasSuffix(kind, "Tagging"), strings.HasSuffix(kind, "Retention"), strings.HasSuffix(kind, "LegalHold"), strings.HasSuffix(kind, "ACL"):
		return Failf("NotContent", "%s changes no content: upload a new version to start a run", e.Type())
	case r.S3.Bucket.Name != f.platform.LandingName:
		return Failf("OtherBucket", "bucket %q starts no runs: upload to %q", r.S3.Bucket.Name, f.platform.LandingName)
	case strings.HasSuffix(key, "/"):
		return Failf("FolderMarker", "key %q is a folder: upload a parquet file into it", key)
	case !strings.HasSuffix(strings.ToLower(key), ".parquet"):
		return Failf("NotParquet", "key %q does not end in .parquet: upload a parquet file", key)
	}
	return nil
}

// fromMetadata reads parameters from the user's metadata of an object.
func fromMetadata(metadata map[string]string) map[string]any {
	values := map[string]any{}
	for name, value := range metadata {
		if rest, ours := strings.CutPrefix(name, metadataPrefix); ours {
			values[strings.ReplaceAll(rest, "-", "_")] = value
		}
	}
	return values
}

// admitRequest gives an injected request its verdict.
func (f *Function) admitRequest(ctx context.Context, e event.Event) error {
	var request events.Request
	if err := request.UnmarshalJSON(e.Data()); err != nil {
		return f.refuse(ctx, e, "", Failf("BadEvent", "event %s: %v", e.Type(), err))
	}
	if request.Replay != nil {
		return f.admitReplay(ctx, e, request)
	}
	parameters, err := events.Defaults().With(request.Parameters)
	if err != nil {
		return f.refuse(ctx, e, "", err)
	}
	info, err := f.platform.Landing.Head(ctx, parameters.EntityDataPath)
	if errors.Is(err, store.ErrNotFound) {
		uri := f.landingURI(parameters.EntityDataPath)
		return f.refuse(ctx, e, uri, Failf("NoSuchObject", "entity_data_path=%q: there is no such object in bucket %q: upload it first", parameters.EntityDataPath, f.platform.LandingName))
	}
	if err != nil {
		return err
	}
	return f.admit(ctx, e, events.ClaimOfRequest(e.Source(), e.ID()), events.Run{Parameters: parameters, Data: f.data(info)})
}

// admit claims the run for e and says so, which begins the first stage. Whoever
// finds the claim taken carries on with the run that has it, in case its
// claimant died.
func (f *Function) admit(ctx context.Context, e event.Event, claim string, run events.Run) error {
	now := f.platform.Clock().UTC()
	run.ID, run.CreatedAt, run.Commit = events.RunID(claim, now), now.Truncate(time.Second), f.platform.Commit
	run.Cause = events.Cause{Type: e.Type(), Source: e.Source(), ID: e.ID()}
	run.Traceparent = events.Traceparent(events.Extension(e, events.ExtTraceparent), run.ID, run.ID)
	run, err := f.claim(ctx, claim, run)
	if err != nil {
		return err
	}
	if run.Cause.ID != e.ID() || run.Cause.Source != e.Source() {
		err := f.verdict(ctx, e, events.LandingDuplicate, events.Landing{
			URI: run.Data.URI, Run: run.ID, Reason: "Duplicate", Message: "this version of the object has run " + run.ID + " already: upload it again, or send " + string(events.RunRequested) + ", for another",
		})
		if err != nil {
			return err
		}
	}
	return f.emit(ctx, events.Envelope{
		Type: events.RunStarted, Run: run.ID, Cause: run.Cause.ID, ReplayOf: replayOf(run), Traceparent: run.Traceparent,
	}, run)
}

// claim writes the run under its claim, and returns the run that holds it. The
// copy at run.json is what the later stages read.
func (f *Function) claim(ctx context.Context, key string, run events.Run) (events.Run, error) {
	body, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return run, fmt.Errorf("encode run %s: %w", run.ID, err)
	}
	err = f.platform.State.Create(ctx, key, body)
	if errors.Is(err, store.ErrExists) {
		var o store.Object
		if o, err = f.platform.State.Get(ctx, key); err == nil {
			body, run = o.Body, events.Run{}
			err = json.Unmarshal(body, &run)
		}
	}
	if err != nil {
		return run, fmt.Errorf("claim %s: %w", key, err)
	}
	if err := f.platform.State.Create(ctx, runKey(run.ID), body); err != nil && !errors.Is(err, store.ErrExists) {
		return run, err
	}
	return run, nil
}

// refuse answers e with an event that says why it starts nothing.
func (f *Function) refuse(ctx context.Context, e event.Event, uri string, why error) error {
	landing := events.Landing{URI: uri, Reason: "BadParameter", Message: why.Error()}
	var failure *FailedError
	if errors.As(why, &failure) {
		landing.Reason, landing.Message = failure.Reason, failure.Message
	} else {
		landing.Accepted = events.Definitions()
		landing.Message += "; " + again(uri)
	}
	return f.verdict(ctx, e, events.LandingRefused, landing)
}

// again says what to do about a refused parameter of an object, or of a request.
func again(uri string) string {
	if uri == "" {
		return "send the request again with what is accepted"
	}
	return "upload the object again, its key and metadata as accepted"
}

// refuseObject refuses a version of an object for good: the refusal is kept, so
// that the sweep does not take it for an upload that was overlooked.
func (f *Function) refuseObject(ctx context.Context, e event.Event, info store.Info, why error) error {
	err := f.platform.State.Create(ctx, events.RefusalOf(f.claimOf(info)), []byte(why.Error()))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return f.refuse(ctx, e, f.landingURI(info.Key), why)
}

func (f *Function) verdict(ctx context.Context, e event.Event, t events.Type, landing events.Landing) error {
	f.platform.Logger.InfoContext(ctx, "verdict", "type", t, "event_id", e.ID(), "reason", landing.Reason, "message", landing.Message)
	return f.emit(ctx, events.Envelope{
		Type: t, Run: landing.Run, Key: e.ID(), Cause: e.ID(), Traceparent: events.Extension(e, events.ExtTraceparent),
	}, landing)
}

func (f *Function) claimOf(info store.Info) string {
	return events.ClaimOfObject(f.platform.LandingName, info.Key, f.data(info).Artifact, info.LastModified)
}

func (f *Function) data(info store.Info) events.Data {
	return events.Data{
		Artifact: events.Artifact{URI: f.landingURI(info.Key), Bytes: info.Size, ETag: info.ETag, Version: info.Version},
		LandedAt: info.LastModified.UTC(),
	}
}

func (f *Function) landingURI(key string) string { return "s3://" + f.platform.LandingName + "/" + key }
