package process

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/workload"
)

// site is a bench behind its handler.
type site struct {
	*bench
	client *Client
}

func open(t *testing.T) *site {
	t.Helper()
	b := setup(t)
	server := httptest.NewServer(Handler(b.Manager, "secret"))
	t.Cleanup(server.Close)
	return &site{bench: b, client: &Client{URL: server.URL + "/", Token: "secret"}}
}

// ask sends a request with the token.
func (s *site) ask(method, path, token, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.client.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, res.Body.Close()) })
	return res
}

func TestHandlerRefuses(t *testing.T) {
	s := open(t)
	invalid, err := json.Marshal(workload.Job{Run: "../x", Stage: "prepare", Attempt: 1})
	require.NoError(t, err)
	tests := map[string]struct {
		method, path, token, body string
		wantStatus                int
		wantDetail                string
	}{
		"no token":              {"GET", "workloads", "", "", 401, "token is missing or wrong"},
		"a wrong token":         {"GET", "workloads", "Bearer secre", "", 401, "token is missing or wrong"},
		"another scheme":        {"GET", "workloads", "Basic secret", "", 401, "token is missing or wrong"},
		"what is no job":        {"POST", "workloads", "Bearer secret", "[", 400, "the body is no job"},
		"a body without end":    {"POST", "workloads", "Bearer secret", `{"run":"` + strings.Repeat("x", maxBody), 400, "too large"},
		"a job that cannot be":  {"POST", "workloads", "Bearer secret", string(invalid), 422, `name "../x-prepare-1" must match`},
		"an unknown name":       {"GET", "workloads/x", "Bearer secret", "", 404, `workload "x": workload not found`},
		"the log of an unknown": {"GET", "workloads/x/log", "Bearer secret", "", 404, `workload "x": workload not found`},
		"an end of an unknown":  {"DELETE", "workloads/x", "Bearer secret", "", 404, `cancel "x": workload not found`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			res := s.ask(test.method, test.path, test.token, test.body)
			require.Equal(t, test.wantStatus, res.StatusCode)
			require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
			var p problem
			require.NoError(t, json.NewDecoder(res.Body).Decode(&p))
			require.Contains(t, p.Detail, test.wantDetail)
		})
	}
	require.Empty(t, s.List())
}

func TestAnEmptyTokenLetsNobodyIn(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/workloads", nil)
	r.Header.Set("Authorization", "Bearer ")
	Handler(setup(t).Manager, "").ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code)
}

func TestClientSeesWhatTheManagerSees(t *testing.T) {
	s := open(t)
	job := script(1, `echo hello`)
	require.NoError(t, s.client.Launch(t.Context(), job))
	s.end()
	got, err := s.client.Get(t.Context(), job.Name())
	require.NoError(t, err)
	require.Equal(t, job, got.Job)
	list, err := s.client.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)

	res := s.ask("GET", "workloads/"+job.Name()+"/log", "Bearer secret", "")
	log, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(log))
}

func TestClientPassesErrorsOn(t *testing.T) {
	s := open(t)
	job := script(1, ``)
	job.Run = "../x"
	require.ErrorIs(t, s.client.Launch(t.Context(), job), workload.ErrInvalid)
	_, err := s.client.Get(t.Context(), "x")
	require.ErrorIs(t, err, workload.ErrNotFound)
	require.ErrorIs(t, s.client.Cancel(t.Context(), "../x"), workload.ErrNotFound)

	stranger := &Client{URL: s.client.URL, Token: "wrong"}
	err = stranger.Launch(t.Context(), script(1, ``))
	require.ErrorContains(t, err, "token is missing or wrong")
	require.NotContains(t, err.Error(), "secret")

	require.NoError(t, s.Close(t.Context()))
	require.ErrorIs(t, s.client.Launch(t.Context(), script(1, ``)), ErrClosed)
	nobody := &Client{URL: "http://127.0.0.1:1"}
	require.ErrorContains(t, nobody.Launch(t.Context(), script(1, ``)), "ask the launcher")
}
