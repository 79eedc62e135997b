package store_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/stage/store"
)

// fakeS3 answers every request with handle. The real protocol is tested in
// test/conformance.
func fakeS3(t *testing.T, handle http.HandlerFunc) *store.S3 {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	config := store.S3Config{Endpoint: server.URL, Region: "us-east-1", AccessKey: "key", SecretKey: "a secret"}
	return store.NewS3(config.Client(), "refit")
}

func TestWhatTheStatusOfAConditionalWriteMeans(t *testing.T) {
	for name, tc := range map[string]struct {
		status      int
		wantCreate  error
		wantReplace error
	}{
		"the condition failed":           {http.StatusPreconditionFailed, store.ErrExists, store.ErrChanged},
		"another write is under way":     {http.StatusConflict, store.ErrExists, store.ErrChanged},
		"there is nothing (to replace)":  {http.StatusNotFound, store.ErrNotFound, store.ErrChanged},
		"done":                           {http.StatusOK, nil, nil},
		"the caller may not":             {http.StatusForbidden, nil, nil},
		"the store does not know how to": {http.StatusNotImplemented, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := fakeS3(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Header.Get("If-None-Match") != "*" && r.Header.Get("If-Match") != `"e"` {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				w.WriteHeader(tc.status)
			})
			requireMeaning(t, tc.status, tc.wantCreate, b.Create(t.Context(), "claims/1", []byte("x")))
			requireMeaning(t, tc.status, tc.wantReplace, b.Replace(t.Context(), "claims/1", []byte("x"), "e"))
		})
	}
}

func requireMeaning(t *testing.T, status int, want, err error) {
	t.Helper()
	switch {
	case want != nil:
		require.ErrorIs(t, err, want)
	case status == http.StatusOK:
		require.NoError(t, err)
	default:
		require.ErrorContains(t, err, "s3://refit/claims/1")
		require.NotErrorIs(t, err, store.ErrExists)
		require.NotErrorIs(t, err, store.ErrChanged)
		require.NotContains(t, err.Error(), "a secret")
	}
}

func TestHeadTellsVersionAndMetadata(t *testing.T) {
	for sent, want := range map[string]string{"v1": "v1", "null": "", "": ""} {
		b := fakeS3(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Length", "7")
			w.Header().Set("Last-Modified", "Mon, 23 Nov 2026 06:00:00 GMT")
			w.Header().Set("X-Amz-Meta-Refit-Seed", "7")
			if sent != "" {
				w.Header().Set("X-Amz-Version-Id", sent)
			}
		})
		info, err := b.Head(t.Context(), "a.parquet")
		require.NoError(t, err)
		require.Equal(t, store.Info{
			Key: "a.parquet", ETag: "e", Version: want, Size: 7, LastModified: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC),
			Metadata: map[string]string{"refit-seed": "7"},
		}, info)
	}
}

func TestListReadsEveryPage(t *testing.T) {
	const page = `<ListBucketResult><IsTruncated>%t</IsTruncated><NextContinuationToken>%s</NextContinuationToken>
		<Contents><Key>runs/%s</Key><ETag>"e"</ETag><Size>1</Size><LastModified>2026-11-23T06:00:00.000Z</LastModified></Contents></ListBucketResult>`
	b := fakeS3(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("continuation-token") == "" {
			_, _ = fmt.Fprintf(w, page, true, "more", "a")
			return
		}
		_, _ = fmt.Fprintf(w, page, false, "", "b")
	})
	list, err := b.List(t.Context(), "runs/")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "runs/b", list[1].Key)
	require.Equal(t, "e", list[1].ETag)
}

func TestAListThatFailsNamesThePrefix(t *testing.T) {
	b := fakeS3(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	_, err := b.List(t.Context(), "runs/")
	require.ErrorContains(t, err, "list s3://refit/runs/")
}
