package events_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

func FuzzParameters(f *testing.F) {
	for _, seed := range []string{`{}`, `{"num_hpo_trials":3,"f1_threshold":"0.5"}`, `{"seed":"1e3"}`, `{"seed":"0x1p4"}`, `{"test_split_ratio":[1]}`, `{"x":null}`, `{"replay":{"run":"r","from":"tune"},"model_name":"m"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var request events.Request
		if json.Unmarshal(data, &request) != nil {
			return
		}
		p, err := events.Defaults().With(request.Parameters)
		if err != nil {
			require.NotEmpty(t, err.Error())
			require.Less(t, len(err.Error()), 10_000, "it goes into an event")
			require.Zero(t, p)
			return
		}
		run := events.Run{
			ID: "r-20261123-060000-0a1b2c3d", Parameters: p, Traceparent: events.Traceparent("", "r", "r"),
			Data: events.Data{Artifact: events.Artifact{URI: "s3://landing/" + p.EntityDataPath}},
		}
		require.NoError(t, events.ValidateJSON("run.started", encode(t, run)), "what is accepted fits the schema")
	})
}

func FuzzEnvelope(f *testing.F) {
	for _, seed := range [][]string{
		{"dev.refit.landing.refused", "r-20261123-060000-0a1b2c3d", "1", "7d3f", "", "no such object"},
		{"dev.refit.landing.filtered", "", "s3:ab", "s3:ab", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "ü\u2028"},
		{"dev.refit.landing.duplicate", "r\nx", "\x00", "\xff", strings.Repeat("é", 28), "\xed\xa0\x80"},
		{"dev.refit.none", " ", "%0A", "a:b", "00", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5])
	}
	f.Fuzz(func(t *testing.T, kind, run, key, cause, traceparent, message string) {
		v := events.Envelope{
			Type: events.Type(kind), Source: events.FunctionSource(events.Prepare), Run: run, Stage: events.Prepare, Key: key,
			Cause: cause, Traceparent: traceparent, Time: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC),
		}
		data := events.Landing{Reason: "Refused", Message: message}
		e, err := v.Event(data)
		if err != nil {
			return
		}
		require.NoError(t, events.Validate(e), "what is made is valid")
		again, err := v.Event(data)
		require.NoError(t, err)
		require.Equal(t, e, again, "the same thing said twice is the same event")
		require.Equal(t, run, events.Extension(e, events.ExtCorrelationID))
		if unsendable(e) {
			return // a broker refuses such an event and names the attribute
		}
		requireDeliverable(t, e)
		var read event.Event
		require.NoError(t, json.Unmarshal(encode(t, e), &read))
		require.NoError(t, events.Validate(read))
		require.Equal(t, e.ID(), read.ID())
	})
}

// unsendable tells whether an attribute holds what HTTP cannot carry.
func unsendable(e event.Event) bool {
	attributes := []string{e.ID(), e.Subject(), e.Type()}
	for name := range e.Extensions() {
		attributes = append(attributes, events.Extension(e, name))
	}
	return slices.ContainsFunc(attributes, func(a string) bool {
		return strings.ContainsFunc(a, unicode.IsControl) || !utf8.ValidString(a)
	})
}

// FuzzReceivedEvent reads whatever may come as a structured event.
func FuzzReceivedEvent(f *testing.F) {
	examples, err := filepath.Glob("examples/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, examples)
	for _, name := range examples {
		body, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(body)
	}
	for _, seed := range []string{
		`{"specversion":"9.9","id":"1","source":"/s","type":"t"}`, `{"specversion":"1.0","id":"","source":"/s","type":"dev.refit.run.requested"}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"dev.refit.run.requested","data":{"replay":[]}}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"dev.refit.run.requested","data_base64":"eyJhIjoxfQ=="}`,
		`{"specversion":"0.3","id":"1","source":"/s","type":"dev.refit.workload.ended","data":null}`, `[]`, `{"specversion":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var e event.Event
		if json.Unmarshal(body, &e) != nil {
			return
		}
		if err := events.Validate(e); err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		d, found := events.Declared(events.Type(e.Type()))
		require.True(t, found)
		require.NoError(t, json.Unmarshal(e.Data(), d.New()), "what fits the schema fits the struct")
		_ = events.Type(e.Type()).Terminal()
	})
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{
		"a.parquet", "with a space.parquet", "a+b.parquet", "100%.parquet", "%2F.parquet", "größe/日本語 🚀.parquet", "a/", "a/b", "a//b", "../a", "?#&=",
		"a\nb", "\xff", "\ufffe", " ", strings.Repeat("k", 1024), strings.Repeat("ü", 600),
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if key == "" {
			return
		}
		for name, written := range map[string]string{"as a query": url.QueryEscape(key), "slashes kept": strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")} {
			e := one(t, put(written).aws(t))
			_, read, err := events.ParseRecord(e.Data())
			require.NoError(t, err)
			require.Equal(t, key, read, name)
			require.NotEmpty(t, e.Subject())
			requireDeliverable(t, e)
		}
		landed := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
		artifact := events.Artifact{URI: "s3://landing/" + key, ETag: "e"}
		claim := events.ClaimOfObject("landing", key, artifact, landed)
		require.Regexp(t, "^claims/[0-9a-f]{64}$", claim)
		require.NotEqual(t, claim, events.ClaimOfObject("landing", key+"/", artifact, landed))
		require.Regexp(t, "^r-20261123-060000-[0-9a-f]{8}$", events.RunID(claim, landed))
		p, err := events.Defaults().With(map[string]any{"entity_data_path": key})
		if err != nil {
			require.ErrorContains(t, err, "accepted is the key of an object in the landing bucket")
			return
		}
		require.Equal(t, key, p.EntityDataPath)
		require.LessOrEqual(t, len(key), 1024)
	})
}
