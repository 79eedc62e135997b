package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// dashboardPort is where KubeRay and the submitter look for Ray's dashboard.
const dashboardPort = ":8265"

// jobStatus is the part of Ray's answer about a job that KubeRay reads.
type jobStatus struct {
	SubmissionID string `json:"submission_id"`
	JobID        string `json:"job_id"`
	Type         string `json:"type"`
	Entrypoint   string `json:"entrypoint"`
	Status       string `json:"status"`
	Message      string `json:"message"`
	StartTime    int64  `json:"start_time,omitempty"`
	EndTime      int64  `json:"end_time,omitempty"`
}

func (j jobStatus) ended() bool { return j.Status == "SUCCEEDED" || j.Status == "FAILED" }

// head is a dashboard that runs the jobs it is given in its own process. A head
// that is killed has lost them, as Ray's has.
type head struct {
	word string

	mu   sync.Mutex
	jobs map[string]*job
	busy sync.WaitGroup
}

type job struct {
	status jobStatus
	log    bytes.Buffer
}

// serveHead is a dashboard until ctx is done. Its jobs do what word says.
func serveHead(ctx context.Context, word string) error {
	h := &head{word: word, jobs: map[string]*job{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/jobs/", func(w http.ResponseWriter, r *http.Request) { h.take(ctx, w, r) })
	mux.HandleFunc("GET /api/jobs/{id}", h.tell)
	mux.HandleFunc("GET /api/jobs/{id}/logs", h.logs)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "success") })
	server := &http.Server{Addr: dashboardPort, Handler: mux, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.ListenAndServe()
	h.busy.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve the dashboard: %w", err)
}

func (h *head) take(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	var status jobStatus
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil || status.SubmissionID == "" {
		http.Error(w, "the body needs a submission_id", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs[status.SubmissionID] != nil {
		http.Error(w, "Please use a different submission_id", http.StatusInternalServerError)
		return
	}
	status.JobID, status.Type, status.Status, status.StartTime = "01000000", "SUBMISSION", "RUNNING", time.Now().UnixMilli()
	j := &job{status: status}
	h.jobs[status.SubmissionID] = j
	h.busy.Go(func() { h.do(ctx, j) })
	answer(w, status)
}

func (h *head) do(ctx context.Context, j *job) {
	err := behave(ctx, h.word, j.writer(h))
	h.mu.Lock()
	defer h.mu.Unlock()
	j.status.Status, j.status.EndTime = "SUCCEEDED", time.Now().UnixMilli()
	if err != nil {
		fmt.Fprintln(&j.log, err)
		j.status.Status, j.status.Message = "FAILED", "Job entrypoint command failed with exit code 3: "+err.Error()
	}
}

func (h *head) tell(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.jobs[r.PathValue("id")]
	if j == nil {
		http.Error(w, "Job "+r.PathValue("id")+" does not exist", http.StatusNotFound)
		return
	}
	answer(w, j.status)
}

func (h *head) logs(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.jobs[r.PathValue("id")]; j != nil {
		answer(w, map[string]string{"logs": j.log.String()})
		return
	}
	http.NotFound(w, r)
}

// writer writes to the job's log and, for whoever looks at the head, to its own.
func (j *job) writer(h *head) io.Writer { return io.MultiWriter(os.Stdout, lockedWriter{h, &j.log}) }

type lockedWriter struct {
	head *head
	to   io.Writer
}

// Write writes while nobody else reads or writes.
func (l lockedWriter) Write(b []byte) (int, error) {
	l.head.mu.Lock()
	defer l.head.mu.Unlock()
	return l.to.Write(b)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // whoever asked is gone
}

// submitEvery is how often the submitter looks at its job.
const submitEvery = 200 * time.Millisecond

// submit hands a job to the head, waits for its end and prints its log, as ray
// job submit does. It fails when the job does and when the head is gone.
func submit(ctx context.Context, log io.Writer) error {
	base := "http://" + strings.TrimPrefix(os.Getenv("RAY_DASHBOARD_ADDRESS"), "http://") + "/api/jobs/"
	id := os.Getenv("RAY_JOB_SUBMISSION_ID")
	body, err := json.Marshal(jobStatus{SubmissionID: id, Entrypoint: "stand-in"})
	if err != nil {
		return fmt.Errorf("encode the submission: %w", err)
	}
	var j jobStatus
	if err := call(ctx, http.MethodPost, base, body, &j); err != nil {
		return err
	}
	ticker := time.NewTicker(submitEvery)
	defer ticker.Stop()
	for !j.ended() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("follow job %s: %w", id, ctx.Err())
		case <-ticker.C:
		}
		if err := call(ctx, http.MethodGet, base+id, nil, &j); err != nil {
			return err
		}
	}
	return report(ctx, log, base+id, j)
}

// report prints the log of an ended job; a job that failed is an error.
func report(ctx context.Context, log io.Writer, url string, j jobStatus) error {
	var said struct{ Logs string }
	if err := call(ctx, http.MethodGet, url+"/logs", nil, &said); err != nil {
		return err
	}
	fmt.Fprint(log, said.Logs)
	if j.Status != "SUCCEEDED" {
		return errors.New(j.Message)
	}
	return nil
}

func call(ctx context.Context, method, url string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the dashboard: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the dashboard: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: the dashboard answers %s", method, url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
