package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// sweepLanding announces objects that nobody claimed or refused.
func (s *Source) sweepLanding(ctx context.Context, claims []store.Info) error {
	refusals, err := s.c.State.List(ctx, "refusals/")
	if err != nil {
		return fmt.Errorf("sweep landing: %w", err)
	}
	known := map[string]bool{}
	for _, o := range slices.Concat(claims, refusals) {
		known[path.Base(o.Key)] = true
	}
	landed, err := s.c.Landing.List(ctx, "")
	if err != nil {
		return fmt.Errorf("sweep landing: %w", err)
	}
	for _, o := range landed {
		if known[s.claimOf(o)] || !s.due(o.LastModified) || !strings.HasSuffix(strings.ToLower(o.Key), ".parquet") {
			continue
		}
		if err := s.announceUnclaimed(ctx, o.Key, known); err != nil {
			return fmt.Errorf("sweep landing: %w", err)
		}
	}
	return nil
}

func (s *Source) claimOf(o store.Info) string {
	return path.Base(events.ClaimOfObject(s.c.LandingName, o.Key, events.Artifact{ETag: o.ETag, Version: o.Version}, o.LastModified))
}

// announceUnclaimed announces what is at key if nobody claimed it: a list does
// not tell the version, which is part of the claim.
func (s *Source) announceUnclaimed(ctx context.Context, key string, known map[string]bool) error {
	o, err := s.c.Landing.Head(ctx, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && known[s.claimOf(o)] {
		return nil
	}
	if err != nil {
		return err
	}
	return s.announce(ctx, o)
}

func (s *Source) announce(ctx context.Context, o store.Info) error {
	r := events.Record{EventSource: "aws:s3", AWSRegion: s.c.Region, EventTime: o.LastModified, EventName: "ObjectCreated:Put"}
	r.S3.Bucket.Name = s.c.LandingName
	r.S3.Object.Key, r.S3.Object.Size, r.S3.Object.ETag, r.S3.Object.VersionID = url.QueryEscape(o.Key), o.Size, o.ETag, o.Version
	body, err := json.Marshal(map[string]any{"Records": []events.Record{r}})
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	list, err := events.FromNotification(body)
	if err != nil {
		return err
	}
	return s.again(ctx, list[0], "the object was never claimed")
}
