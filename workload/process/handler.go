package process

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"refit.dev/workload"
)

// maxBody is the most that a request may send.
const maxBody = 64 << 10

// problem is the body of every answer that is an error, see RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Handler lets other processes use m:
//
//	POST   /workloads             launch the Job in the body: 202
//	GET    /workloads             the Records of all jobs
//	GET    /workloads/{name}      the Record of one
//	GET    /workloads/{name}/log  its log as far as it is written
//	DELETE /workloads/{name}      cancel it: 202
//
// Every request needs the header "Authorization: Bearer <token>". An empty
// token lets nobody in. Errors are application/problem+json.
func Handler(m *Manager, token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /workloads", func(w http.ResponseWriter, r *http.Request) {
		var job workload.Job
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&job); err != nil {
			refuse(w, http.StatusBadRequest, "the body is no job: "+err.Error())
			return
		}
		answer(w, http.StatusAccepted, nil, m.Launch(r.Context(), job))
	})
	mux.HandleFunc("DELETE /workloads/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusAccepted, nil, m.Cancel(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("GET /workloads", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, m.List(), nil)
	})
	mux.HandleFunc("GET /workloads/{name}", func(w http.ResponseWriter, r *http.Request) {
		record, err := m.Get(r.PathValue("name"))
		answer(w, http.StatusOK, record, err)
	})
	mux.HandleFunc("GET /workloads/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		path, err := m.Log(r.PathValue("name"))
		if err != nil {
			answer(w, http.StatusOK, nil, err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeFile(w, r, path) //nolint:gosec // Log answers paths of known workloads only
	})
	return guard(mux, token)
}

// guard lets only those in who know the token.
func guard(next http.Handler, token string) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !ok || token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "the launcher's token is missing or wrong")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer writes value, or what err means.
func answer(w http.ResponseWriter, status int, value any, err error) {
	switch {
	case errors.Is(err, workload.ErrNotFound):
		refuse(w, http.StatusNotFound, err.Error())
	case errors.Is(err, workload.ErrInvalid):
		refuse(w, http.StatusUnprocessableEntity, err.Error())
	case errors.Is(err, ErrClosed):
		refuse(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
	case value == nil:
		w.WriteHeader(status)
	default:
		send(w, "application/json", status, value)
	}
}

// refuse writes a problem.
func refuse(w http.ResponseWriter, status int, detail string) {
	send(w, "application/problem+json", status, problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

// send writes value as JSON. That the other side hung up concerns nobody.
func send(w http.ResponseWriter, kind string, status int, value any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) //nolint:errchkjson // values are the manager's own records
}
