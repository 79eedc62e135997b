package source_test

import (
	"context"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/events/eventstest"
	"refit.dev/platform/source"
	"refit.dev/stage/stagetest"
	"refit.dev/stage/store"
)

const objectCreated = events.ObjectCreatedPrefix + "Put"

func TestAnUnclaimedObjectIsAnnouncedOnceEachTimeItsAgeHasDoubled(t *testing.T) {
	b := setup(t)
	b.Upload("in/all mails+.parquet", "data", nil)
	require.Empty(t, b.after(t, 0), "its event may be on its way")
	seen := map[string]bool{}
	var at []int
	for minute := 1; minute <= 34; minute++ {
		for _, e := range b.after(t, every) {
			test.AssertEvent(t, e, test.IsValid(), test.HasType(objectCreated), test.HasSource("aws:s3.us-east-1.landing"),
				test.HasSubject("in/all mails+.parquet"))
			require.False(t, seen[e.ID()], "a fresh id each time, as a broker may remember the old one")
			seen[e.ID()] = true
			at = append(at, minute)
		}
	}
	require.Equal(t, []int{1, 2, 4, 8, 16, 32}, at)
}

func TestAnObjectIsAnnouncedInTheFormOfItsStore(t *testing.T) {
	b := setup(t)
	told := b.Upload("a b.parquet", "data", nil)
	e := b.only(t)
	told.SetID("told")
	b.Handle(e)
	run := b.Sent.Take()[0]
	require.Equal(t, string(events.RunStarted), run.Type())
	b.Handle(told)
	sent := b.Sent.Take()
	require.Equal(t, string(events.LandingDuplicate), sent[0].Type(), "the store's own event, late, claims the same version")
	require.Equal(t, run.Subject(), sent[0].Subject())
}

func TestObjectsThatNeedNoAnnouncement(t *testing.T) {
	for name, land := range map[string]func(t *testing.T, b *bundle){
		"a claimed one": func(_ *testing.T, b *bundle) { b.HandleAll(b.Upload(stagetest.Key, "data", nil)) },
		"a refused one": func(_ *testing.T, b *bundle) {
			b.HandleAll(b.Upload(stagetest.Key, "data", map[string]string{"refit-seed": "x"}))
		},
		"one that is no parquet": func(_ *testing.T, b *bundle) { b.Upload("notes.txt", "data", nil) },
		"a folder":               func(_ *testing.T, b *bundle) { b.Upload("emails/", "", nil) },
		"one that is gone": func(_ *testing.T, b *bundle) {
			b.Upload(stagetest.Key, "data", nil)
			b.Landing.Remove(stagetest.Key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			land(t, b)
			for _, e := range b.after(t, every) {
				require.NotEqual(t, objectCreated, e.Type())
			}
		})
	}
}

func TestASecondUploadOfAClaimedKeyIsAnnounced(t *testing.T) {
	b := setup(t)
	b.HandleAll(b.Upload(stagetest.Key, "data", nil))
	b.Upload(stagetest.Key, "more data", nil)
	var announced []event.Event
	for _, e := range b.after(t, every) {
		if e.Type() == objectCreated {
			announced = append(announced, e)
		}
	}
	require.Len(t, announced, 1)
	first := b.LaunchedRun()
	b.HandleAll(announced[0])
	require.NotEqual(t, first.ID, b.LaunchedRun().ID)
}

// versioned is a bucket with versions, which only Head tells.
type versioned struct{ *store.Memory }

func (v versioned) Head(ctx context.Context, key string) (store.Info, error) {
	info, err := v.Memory.Head(ctx, key)
	info.Version = "v-" + info.ETag
	return info, err
}

func TestAnObjectClaimedByItsVersionIsLeftAlone(t *testing.T) {
	b := setup(t)
	b.source = source.New(b.config(versioned{b.Landing}))
	b.Upload(stagetest.Key, "data", nil)
	require.Equal(t, objectCreated, b.only(t).Type())
	info, err := versioned{b.Landing}.Head(t.Context(), stagetest.Key)
	require.NoError(t, err)
	claim := events.ClaimOfObject("landing", info.Key, events.Artifact{ETag: info.ETag, Version: info.Version}, info.LastModified)
	require.NoError(t, b.State.Create(t.Context(), events.RefusalOf(claim), nil))
	require.Empty(t, b.after(t, every))
}

// A claimant that dies after its claim leaves no run.json.
func TestAClaimWithoutARunGetsOneAndStarts(t *testing.T) {
	b := setup(t)
	e := b.Upload(stagetest.Key, "data", nil)
	run := b.HandleAll(e)[0]
	key := "runs/" + run.Subject() + "/"
	definition, err := b.State.Get(t.Context(), key+"run.json")
	require.NoError(t, err)
	b.State.Remove(key + "run.json")
	b.State.Remove(key + "prepare/1/spec.json")

	require.Empty(t, b.after(t, 0), "its claimant may be at it")
	again := b.only(t)
	test.AssertEvent(t, again, eventstest.Is(events.RunStarted), eventstest.InRun(run.Subject()), eventstest.CausedBy(e))
	requireSentAgain(t, withTime(run, again), again)
	revived, err := b.State.Get(t.Context(), key+"run.json")
	require.NoError(t, err)
	require.Equal(t, definition.Body, revived.Body)
}

// withTime is e at the time of other.
func withTime(e, other event.Event) event.Event {
	e = e.Clone()
	e.SetTime(other.Time())
	return e
}
