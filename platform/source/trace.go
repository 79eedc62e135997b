package source

import (
	"strconv"
	"strings"
	"time"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// trace is what a run left in the store.
type trace struct {
	run    string
	keys   map[string]bool // below the run's prefix
	newest time.Time
	marked time.Time // of the run's mark, zero without one
}

func traces(objects []store.Info) map[string]*trace {
	runs := map[string]*trace{}
	for _, o := range objects {
		id, rest, found := strings.Cut(strings.TrimPrefix(o.Key, "runs/"), "/")
		if !found {
			continue
		}
		t := runs[id]
		if t == nil {
			t = &trace{run: id, keys: map[string]bool{}}
			runs[id] = t
		}
		t.keys[rest] = true
		if o.LastModified.After(t.newest) {
			t.newest = o.LastModified
		}
		if rest == "mark" {
			t.marked = o.LastModified
		}
	}
	return runs
}

// attempts is how many attempts at s have a spec.
func (t *trace) attempts(s events.Stage) int {
	n := 0
	for t.keys[string(s)+"/"+strconv.Itoa(n+1)+"/spec.json"] {
		n++
	}
	return n
}

// last is the last stage that has a mark, next the first that has none.
func (t *trace) stages() (last, next events.Stage) {
	for _, s := range events.Stages() {
		if !t.keys[string(s)+"/mark"] {
			return last, s
		}
		last = s
	}
	return last, ""
}
