package events_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

func TestTheClaimOfAnObjectIsTheClaimOfItsVersion(t *testing.T) {
	at := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	byETag := func(etag string, at time.Time) string {
		return events.ClaimOfObject("landing", "a.parquet", events.Artifact{ETag: etag}, at)
	}
	byVersion := func(version string, at time.Time) string {
		return events.ClaimOfObject("landing", "a.parquet", events.Artifact{ETag: "e", Version: version}, at)
	}
	first := byETag("e", at)
	require.Regexp(t, `^claims/[0-9a-f]{64}$`, first)
	require.Equal(t, first, byETag("e", at.In(time.FixedZone("east", 3600))), "whatever the zone of the clock")
	require.Equal(t, first, byETag("e", at.Add(time.Millisecond)), "stores tell parts of a second in lists only")
	require.NotEqual(t, first, byETag("f", at), "other content")
	require.NotEqual(t, first, byETag("e", at.Add(time.Second)), "the same content uploaded again")
	require.NotEqual(t, first, events.ClaimOfObject("other", "a.parquet", events.Artifact{ETag: "e"}, at))
	require.NotEqual(t, first, events.ClaimOfObject("landing", "b.parquet", events.Artifact{ETag: "e"}, at))
	require.NotEqual(t, byVersion("v1", at), byVersion("v2", at))
	require.Equal(t, byVersion("v1", at), byVersion("v1", at.Add(time.Hour)), "a version says all")
}

func TestTheClaimOfARequestFollowsFromItsSourceAndId(t *testing.T) {
	first := events.ClaimOfRequest("/s", "1")
	require.Equal(t, first, events.ClaimOfRequest("/s", "1"))
	require.NotEqual(t, first, events.ClaimOfRequest("/s", "2"))
	require.NotEqual(t, events.ClaimOfRequest("/s1", "1"), events.ClaimOfRequest("/s", "11"), "parts do not run together")
}

func TestARefusalLiesBesideTheClaim(t *testing.T) {
	claim := events.ClaimOfRequest("/s", "1")
	require.Equal(t, "refusals/"+strings.TrimPrefix(claim, "claims/"), events.RefusalOf(claim))
}

func TestTheIdOfARunTellsWhenAndWhich(t *testing.T) {
	at := time.Date(2026, 11, 23, 7, 0, 0, 999, time.FixedZone("east", 3600))
	claim := "claims/0a1b2c3d" + strings.Repeat("0", 56)
	require.Equal(t, "r-20261123-060000-0a1b2c3d", events.RunID(claim, at))
	require.Len(t, events.RunID(claim, at)+"-features-1", 37, "a workload's name, of at most 47 characters, fits")
}
