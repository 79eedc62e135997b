package images_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	stages    = []string{"prepare", "features", "train", "tune", "register"}
	workloads = []string{"data-prep", "ray-train", "mlflow-ops"}
)

// image is one image as the engine on this machine knows it.
type image struct {
	engine string
	name   string
	Config struct {
		User       string
		Entrypoint []string
		Env        []string
		Labels     map[string]string
	}
	RootFS struct{ Layers []string }
}

// tag is what the names of the images end with.
func tag() string { return cmp.Or(os.Getenv("IMAGE_TAG"), "v1.0") }

// inspect finds an image by the end of its name.
func inspect(t *testing.T, end string) *image {
	t.Helper()
	name := "refit-" + end
	if end == "refit" {
		name = "refit"
	}
	i := &image{engine: engine(t), name: cmp.Or(os.Getenv("REGISTRY"), "dev.local") + "/" + name + ":" + tag()}
	out, err := exec.CommandContext(t.Context(), i.engine, "image", "inspect", i.name).Output()
	require.NoError(t, err, "%s is not there: make build-images", i.name)
	require.NoError(t, json.Unmarshal(out, &[]any{i}))
	return i
}

// engine is ENGINE, or docker or podman, whichever answers first.
func engine(t *testing.T) string {
	t.Helper()
	for candidate := range strings.FieldsSeq(cmp.Or(os.Getenv("ENGINE"), "docker podman")) {
		if exec.CommandContext(t.Context(), candidate, "version").Run() == nil {
			return candidate
		}
	}
	require.Fail(t, "neither docker nor podman answers: start one, or name it with ENGINE=/path/to/it")
	return ""
}

// run starts the image as a pod would, on a read-only root, as nobody and with
// a scratch folder, and without a network. It returns all output and the exit
// code.
func (i *image) run(ctx context.Context, t *testing.T, options []string, arguments ...string) (output string, code int) {
	t.Helper()
	command := []string{"container", "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--user", "65532:65532", "--network", "none", "--cap-drop", "ALL"}
	command = append(append(append(command, options...), i.name), arguments...)
	out, err := exec.CommandContext(ctx, i.engine, command...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	require.NoError(t, err)
	return string(out), 0
}

// script runs a script with bash in the image, as KubeRay starts Ray.
func (i *image) script(t *testing.T, script string) string {
	t.Helper()
	out, code := i.run(t.Context(), t, []string{"--entrypoint", "bash"}, "-lc", script)
	require.Zero(t, code, out)
	return out
}

// content lists the files of the image with their sizes, without the folders
// and the empty files that an engine adds.
func (i *image) content(t *testing.T) map[string]int64 {
	t.Helper()
	id, err := exec.CommandContext(t.Context(), i.engine, "container", "create", i.name).Output()
	require.NoError(t, err)
	container := strings.TrimSpace(string(id))
	defer func() {
		require.NoError(t, exec.CommandContext(t.Context(), i.engine, "container", "rm", container).Run())
	}()
	export, err := exec.CommandContext(t.Context(), i.engine, "container", "export", container).Output()
	require.NoError(t, err)
	return sizes(t, export)
}

func sizes(t *testing.T, archive []byte) map[string]int64 {
	t.Helper()
	list := map[string]int64{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		if header.Typeflag == tar.TypeReg && header.Size > 0 {
			list["/"+header.Name] = header.Size
		}
	}
}
