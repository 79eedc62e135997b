package watch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"refit.dev/stage/store"
	"refit.dev/workload"
)

// How much of a log is saved, and how much of that goes into the message of an
// end. An event is to stay small.
const (
	logBytes  = 1 << 20
	tailLines = 20
	tailBytes = 8 << 10
)

// mainContainer is what a TrainJob's container is called; of other pods the
// first one is the one that works.
const mainContainer = "node"

// logKey is where the log of an attempt is kept.
func logKey(job workload.Job) string {
	return "runs/" + job.Run + "/" + string(job.Stage) + "/" + strconv.Itoa(job.Attempt) + "/log.txt"
}

// keepLog saves the end of a workload's log beside its results, unless saved is
// what was found there, and returns its URI and its text. Where the pods are
// gone, heard is what there is.
func (w *Watcher) keepLog(ctx context.Context, key string, pods []corev1.Pod, saved savedLog, heard []byte) (uri string, text []byte, err error) {
	uri = "s3://" + w.c.StateName + "/" + key
	if !errors.Is(saved.err, store.ErrNotFound) {
		return uri, saved.Body, saved.err
	}
	text, err = w.readLog(ctx, pods)
	if err != nil && len(heard) > 0 {
		text, err = heard, nil
	}
	if err != nil {
		return "", nil, err
	}
	if err := w.c.State.Put(ctx, key, text); err != nil {
		return "", text, fmt.Errorf("save the log: %w", err)
	}
	return uri, text, nil
}

// savedLog is the log as the store has it: a source before this one may have
// saved it, when the pods were still there.
type savedLog struct {
	store.Object

	err error
}

// errNoLog means that no container of the workload has a log.
var errNoLog = errors.New("no container that ran is left")

// readLog is the end of the log that tells most: that of the container which
// works, or else of the Ray head.
func (w *Watcher) readLog(ctx context.Context, pods []corev1.Pod) ([]byte, error) {
	why := errNoLog
	for _, c := range working(pods) {
		text, err := w.readContainer(ctx, c)
		if err == nil && len(text) > 0 {
			return text, nil
		}
		if err != nil {
			why = fmt.Errorf("read the log of pod %s: %w", c.pod, err)
		}
	}
	return nil, why
}

func (w *Watcher) readContainer(ctx context.Context, c container) ([]byte, error) {
	if w.c.Logs == nil {
		return nil, errNoLog
	}
	body, err := w.c.Logs(ctx, c.pod, c.name, c.previous)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return last(body)
}

// container is one whose log may be read.
type container struct {
	pod, name string
	previous  bool
}

// working are the containers that ran, the one that tells most first.
func working(pods []corev1.Pod) (list []container) {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	for _, pod := range pods {
		all := pod.Status.ContainerStatuses
		i := max(0, slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == mainContainer }))
		if rank(&pod) > headRank || i >= len(all) {
			continue
		}
		switch s := all[i]; {
		case s.State.Running != nil || s.State.Terminated != nil:
			list = append(list, container{pod.Name, s.Name, false})
		case s.LastTerminationState.Terminated != nil:
			list = append(list, container{pod.Name, s.Name, true})
		}
	}
	return list
}

// headRank is the rank of a Ray head's pod; those of Ray workers come after it
// and are not read.
const headRank = 2

func rank(pod *corev1.Pod) int {
	switch kind := pod.Labels[nodeType]; {
	case kind == "head":
		return headRank
	case kind != "":
		return headRank + 1
	case pod.Status.Phase == corev1.PodFailed:
		return 0
	}
	return 1
}

// last reads r to its end and returns the last bytes of it.
func last(r io.Reader) ([]byte, error) {
	const limit, slack = logBytes, 256 << 10
	var kept []byte
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.Read(chunk)
		kept = append(kept, chunk[:n]...)
		if len(kept) > limit+slack || err != nil && len(kept) > limit {
			kept = kept[:copy(kept, kept[len(kept)-limit:])]
		}
		if errors.Is(err, io.EOF) {
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// colour is what programs colour their output by.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// tail is the last lines of a log in plain letters, without the line that the
// limit cut.
func tail(log []byte) string {
	if len(log) > tailBytes {
		log = log[len(log)-tailBytes:]
		if _, rest, ok := bytes.Cut(log, []byte("\n")); ok && len(rest) > 0 {
			log = rest
		}
	}
	log = colour.ReplaceAll(log, nil)
	text := strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(string(log), "\x00", ""), "�"))
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
