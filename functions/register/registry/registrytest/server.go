package registrytest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
)

// Server is a model registry in memory that answers like MLflow's REST API. It
// passes the same suite.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	versions map[string][]Stored
	aliases  map[string]map[string]string
}

// Stored is a version that the Server keeps.
type Stored struct {
	Version string
	Source  string
	Tags    map[string]string
}

// NewServer starts a Server; the caller closes it.
func NewServer() *Server {
	s := &Server{versions: map[string][]Stored{}, aliases: map[string]map[string]string{}}
	mux := http.NewServeMux()
	const api = "/api/2.0/mlflow/"
	mux.HandleFunc("POST "+api+"registered-models/create", s.createModel)
	mux.HandleFunc("POST "+api+"model-versions/create", s.createVersion)
	mux.HandleFunc("GET "+api+"model-versions/search", s.search)
	mux.HandleFunc("GET "+api+"registered-models/alias", s.alias)
	mux.HandleFunc("POST "+api+"registered-models/alias", s.setAlias)
	s.Server = httptest.NewServer(mux)
	return s
}

// Versions lists the versions of a model.
func (s *Server) Versions(model string) []Stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Stored(nil), s.versions[model]...)
}

// Alias returns the version that has an alias, "" if none.
func (s *Server) Alias(model, alias string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aliases[model][alias]
}

type request struct {
	Name    string `json:"name"`
	Source  string `json:"source"`
	Alias   string `json:"alias"`
	Version string `json:"version"`
	Tags    []tag  `json:"tags"`
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (s *Server) createModel(w http.ResponseWriter, r *http.Request) {
	in := read(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.aliases[in.Name]; found {
		fail(w, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS")
		return
	}
	s.aliases[in.Name] = map[string]string{}
	answer(w, map[string]any{})
}

func (s *Server) createVersion(w http.ResponseWriter, r *http.Request) {
	in := read(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.aliases[in.Name]; !found {
		fail(w, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
		return
	}
	stored := Stored{Version: strconv.Itoa(len(s.versions[in.Name]) + 1), Source: in.Source, Tags: map[string]string{}}
	for _, tag := range in.Tags {
		stored.Tags[tag.Key] = tag.Value
	}
	s.versions[in.Name] = append(s.versions[in.Name], stored)
	answer(w, map[string]any{"model_version": stored})
}

var filter = regexp.MustCompile("^name = '([^']*)' and tags.`([^`]*)` = '([^']*)'$")

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	match := filter.FindStringSubmatch(r.URL.Query().Get("filter"))
	if match == nil {
		fail(w, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Stored
	for _, v := range s.versions[match[1]] {
		if v.Tags[match[2]] == match[3] {
			found = append(found, v)
		}
	}
	answer(w, map[string]any{"model_versions": found})
}

func (s *Server) alias(w http.ResponseWriter, r *http.Request) {
	version := s.Alias(r.URL.Query().Get("name"), r.URL.Query().Get("alias"))
	if version == "" {
		fail(w, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
		return
	}
	answer(w, map[string]any{"model_version": map[string]string{"version": version}})
}

func (s *Server) setAlias(w http.ResponseWriter, r *http.Request) {
	in := read(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	number, err := strconv.Atoi(in.Version)
	if err != nil || number > len(s.versions[in.Name]) {
		fail(w, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
		return
	}
	s.aliases[in.Name][in.Alias] = in.Version
	answer(w, map[string]any{})
}

func read(r *http.Request) request {
	var in request
	_ = json.NewDecoder(r.Body).Decode(&in) // a body that is none names nothing
	return in
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the client sees the broken answer
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error_code": code, "message": code}) //nolint:errchkjson // as above
}
