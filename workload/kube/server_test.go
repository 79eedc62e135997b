package kube_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// server is an API server in memory that knows create, get, merge patch and
// delete, and a controller that runs no pods.
type server struct {
	URL string
	// Controller, if set, moves the status of an object that was written.
	Controller func(*unstructured.Unstructured)
	// Watch, if set, sees every object that was written or deleted.
	Watch func(object *unstructured.Unstructured, deleted bool)
	// Refuse, if set, answers a request in the server's place.
	Refuse func(*http.Request) (code int, message string)

	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured // by path
	version int
	created map[string]int // by name
}

func newServer(t *testing.T) *server {
	s := &server{objects: map[string]*unstructured.Unstructured{}, created: map[string]int{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// client is a real client of the server.
func (s *server) client(t *testing.T) dynamic.Interface {
	client, err := dynamic.NewForConfig(&rest.Config{Host: s.URL, QPS: -1})
	require.NoError(t, err)
	return client
}

// Created is how many objects of that name there ever were.
func (s *server) Created(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created[name]
}

// Object is the one of that name, nil if there is none.
func (s *server) Object(name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, object := range s.objects {
		if path.Base(p) == name {
			return object.DeepCopy()
		}
	}
	return nil
}

// Change changes the object of that name, as another client might.
func (s *server) Change(name string, change func(*unstructured.Unstructured)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, object := range s.objects {
		if path.Base(p) == name {
			change(object)
			s.wrote(p, object)
		}
	}
}

// ServeHTTP answers as an API server.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, answer := http.StatusMethodNotAllowed, any(status(http.StatusMethodNotAllowed, r.Method))
	if s.Refuse != nil {
		if code, message := s.Refuse(r); code != 0 {
			write(w, code, status(code, message))
			return
		}
	}
	switch r.Method {
	case http.MethodPost:
		code, answer = s.create(r)
	case http.MethodGet:
		code, answer = s.get(r)
	case http.MethodPatch:
		code, answer = s.patch(r)
	case http.MethodDelete:
		code, answer = s.remove(r)
	}
	write(w, code, answer)
}

func (s *server) create(r *http.Request) (int, any) {
	object := read(r)
	p := path.Join(r.URL.Path, object.GetName())
	if s.objects[p] != nil {
		return http.StatusConflict, reason("AlreadyExists", http.StatusConflict)
	}
	s.created[object.GetName()]++
	object.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
	object.SetCreationTimestamp(metav1.Now())
	s.wrote(p, object)
	return http.StatusCreated, object.Object
}

func (s *server) get(r *http.Request) (int, any) {
	if object := s.objects[r.URL.Path]; object != nil {
		return http.StatusOK, object.Object
	}
	return http.StatusNotFound, reason("NotFound", http.StatusNotFound)
}

func (s *server) patch(r *http.Request) (int, any) {
	object, change := s.objects[r.URL.Path], read(r)
	switch {
	case object == nil:
		return http.StatusNotFound, reason("NotFound", http.StatusNotFound)
	case r.Header.Get("Content-Type") != "application/merge-patch+json":
		return http.StatusUnsupportedMediaType, status(http.StatusUnsupportedMediaType, r.Header.Get("Content-Type"))
	case change.GetResourceVersion() != "" && change.GetResourceVersion() != object.GetResourceVersion():
		return http.StatusConflict, reason("Conflict", http.StatusConflict)
	}
	merge(object.Object, change.Object)
	s.wrote(r.URL.Path, object)
	return http.StatusOK, object.Object
}

func (s *server) remove(r *http.Request) (int, any) {
	object := s.objects[r.URL.Path]
	if object == nil {
		return http.StatusNotFound, reason("NotFound", http.StatusNotFound)
	}
	delete(s.objects, r.URL.Path)
	if s.Watch != nil {
		s.Watch(object, true)
	}
	return http.StatusOK, status(http.StatusOK, "")
}

// wrote keeps a new version of the object.
func (s *server) wrote(p string, object *unstructured.Unstructured) {
	if s.Controller != nil {
		s.Controller(object)
	}
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[p] = object
	if s.Watch != nil {
		s.Watch(object.DeepCopy(), false)
	}
}

// merge is a JSON merge patch, RFC 7386.
func merge(into, patch map[string]any) {
	for name, value := range patch {
		below, isObject := value.(map[string]any)
		old, wasObject := into[name].(map[string]any)
		switch {
		case value == nil:
			delete(into, name)
		case isObject && wasObject:
			merge(old, below)
		default:
			into[name] = value
		}
	}
}

func read(r *http.Request) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = utiljson.Unmarshal(body, &object.Object) // whole numbers stay whole
	}
	if err != nil {
		panic(err)
	}
	return object
}

func write(w http.ResponseWriter, code int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func reason(word string, code int) map[string]any {
	s := status(code, word)
	s["reason"] = word
	return s
}

func status(code int, message string) map[string]any {
	return map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
}
