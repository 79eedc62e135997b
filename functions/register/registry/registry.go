// Package registry is the little that refit asks of MLflow's model registry, by
// its REST API.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// EnvURI is the setting that names the MLflow server.
const EnvURI = "MLFLOW_TRACKING_URI"

// runTag is the tag by which Find knows a run's version.
const runTag = "refit.run"

// Version is a version to register.
type Version struct {
	// Model is the registered model's name.
	Model string
	// Source is the URI of the logged model, models:/m-…, ModelID its id.
	Source, ModelID string
	// MLflowRun is the MLflow run that logged it.
	MLflowRun string
	// Run is the refit run, which Find looks for.
	Run string
	// Tags are kept with the version. Empty values are left out.
	Tags map[string]string
}

// Client asks an MLflow 3 server. It is safe for concurrent use, but MLflow
// does not compare and set: callers hold a lease on the model.
type Client struct {
	base   string
	token  string
	client *http.Client
}

// New reads MLFLOW_TRACKING_URI and, optionally, MLFLOW_TRACKING_TOKEN.
func New(env map[string]string) (*Client, error) {
	u, err := url.Parse(env[EnvURI])
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("setting %s=%q: accepted is the URL of an MLflow server", EnvURI, env[EnvURI])
	}
	return &Client{
		base: strings.TrimSuffix(u.String(), "/") + "/api/2.0/mlflow/", token: env["MLFLOW_TRACKING_TOKEN"],
		client: &http.Client{Timeout: 15 * time.Second},
	}, nil
}

// Find returns the version of model that run registered, "" if none.
func (c *Client) Find(ctx context.Context, model, run string) (string, error) {
	var found struct {
		Versions []struct{ Version string } `json:"model_versions"`
	}
	filter := fmt.Sprintf("name = '%s' and tags.`%s` = '%s'", model, runTag, run)
	err := c.call(ctx, http.MethodGet, "model-versions/search?"+url.Values{"filter": {filter}}.Encode(), nil, &found)
	if err != nil || len(found.Versions) == 0 {
		return "", err
	}
	return found.Versions[0].Version, nil
}

// Create registers a version, and its model if that is new. It is not
// idempotent: Find first.
func (c *Client) Create(ctx context.Context, v Version) (string, error) {
	err := c.call(ctx, http.MethodPost, "registered-models/create", map[string]any{"name": v.Model}, nil)
	if err != nil && !isCode(err, "RESOURCE_ALREADY_EXISTS") {
		return "", err
	}
	var created struct {
		Version struct{ Version string } `json:"model_version"`
	}
	err = c.call(ctx, http.MethodPost, "model-versions/create", map[string]any{
		"name": v.Model, "source": v.Source, "model_id": v.ModelID, "run_id": v.MLflowRun, "tags": v.tags(),
	}, &created)
	return created.Version.Version, err
}

// Champion returns the version that has the alias champion, "" if none.
func (c *Client) Champion(ctx context.Context, model string) (string, error) {
	var found struct {
		Version struct{ Version string } `json:"model_version"`
	}
	err := c.call(ctx, http.MethodGet, "registered-models/alias?"+url.Values{"name": {model}, "alias": {"champion"}}.Encode(), nil, &found)
	if isCode(err, "RESOURCE_DOES_NOT_EXIST") || isCode(err, "INVALID_PARAMETER_VALUE") {
		return "", nil
	}
	return found.Version.Version, err
}

// SetAlias points an alias at a version, away from any other.
func (c *Client) SetAlias(ctx context.Context, model, alias, version string) error {
	return c.call(ctx, http.MethodPost, "registered-models/alias", map[string]any{"name": model, "alias": alias, "version": version}, nil)
}

// tags is the tag list as the REST API takes it, in the order of the keys.
func (v Version) tags() []map[string]string {
	all := maps.Clone(v.Tags)
	if all == nil {
		all = map[string]string{}
	}
	all[runTag] = v.Run
	var list []map[string]string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if all[key] != "" {
			list = append(list, map[string]string{"key": key, "value": all[key]})
		}
	}
	return list
}

// APIError is an answer of MLflow that is not a success.
type APIError struct {
	Status  int    `json:"-"`
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

// Error gives MLflow's own words.
func (e *APIError) Error() string {
	return fmt.Sprintf("MLflow answered %d %s: %s", e.Status, e.Code, e.Message)
}

func isCode(err error, code string) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code == code
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask MLflow: %w", err)
	}
	defer response.Body.Close()
	return decode(response, into)
}

func decode(response *http.Response, into any) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("read MLflow's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		failure := &APIError{Status: response.StatusCode}
		if json.Unmarshal(body, failure) != nil {
			failure.Message = string(body[:min(len(body), 200)])
		}
		return failure
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read MLflow's answer: %w", err)
	}
	return nil
}
