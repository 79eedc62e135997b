package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"refit.dev/workload"
)

// Client launches workloads through the Handler of a manager in another
// process. It is a workload.Launcher.
type Client struct {
	// URL is where the Handler is mounted, such as http://127.0.0.1:7000.
	URL string
	// Token is the Handler's token.
	Token string
	// HTTP sends the requests; nil means http.DefaultClient.
	HTTP *http.Client
}

var _ workload.Launcher = (*Client)(nil)

// Launch starts job unless its name was launched before. workload.ErrInvalid says that
// the job can never be launched.
func (c *Client) Launch(ctx context.Context, job workload.Job) error {
	body, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encode job %s: %w", job.Name(), err)
	}
	return c.do(ctx, http.MethodPost, "/workloads", body, nil)
}

// Cancel ends the named job.
func (c *Client) Cancel(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/workloads/"+url.PathEscape(name), nil, nil)
}

// List returns the records of all jobs, the oldest first.
func (c *Client) List(ctx context.Context) ([]Record, error) {
	var records []Record
	err := c.do(ctx, http.MethodGet, "/workloads", nil, &records)
	return records, err
}

// Get returns the record of one job, workload.ErrNotFound if there is none.
func (c *Client) Get(ctx context.Context, name string) (Record, error) {
	var record Record
	err := c.do(ctx, http.MethodGet, "/workloads/"+url.PathEscape(name), nil, &record)
	return record, err
}

// do sends one request and decodes the answer into value unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, body []byte, value any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the launcher: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "application/json")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the launcher: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return problemOf(method, path, res)
	}
	if value == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(value); err != nil {
		return fmt.Errorf("read the launcher's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// problemOf turns an answer into the error that the manager meant.
func problemOf(method, path string, res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	p := problem{Detail: strings.TrimSpace(string(b))}
	if json.Unmarshal(b, &p) != nil && err != nil {
		p.Detail = err.Error()
	}
	kind := map[int]error{
		http.StatusNotFound:            workload.ErrNotFound,
		http.StatusUnprocessableEntity: workload.ErrInvalid,
		http.StatusServiceUnavailable:  ErrClosed,
	}[res.StatusCode]
	if kind == nil {
		kind = errors.New(res.Status)
	}
	return fmt.Errorf("launcher refused %s %s: %w: %s", method, path, kind, p.Detail)
}
