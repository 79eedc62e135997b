package objects_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/objects"
)

// childDir makes this test binary the child of TestAnsweredWritesSurviveKill.
const childDir = "REFIT_OBJECTS_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := putForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestAnsweredWritesSurviveKill kills a store in the middle of writes. What it
// answered is there as it was sent.
func TestAnsweredWritesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var keys []string
	lines := bufio.NewScanner(out)
	for len(keys) < 50 && lines.Scan() {
		keys = append(keys, lines.Text())
	}
	require.NoError(t, child.Process.Kill())
	for lines.Scan() {
		keys = append(keys, lines.Text())
	}
	var exit *exec.ExitError
	require.ErrorAs(t, child.Wait(), &exit)
	require.GreaterOrEqual(t, len(keys), 50)

	e := &ear{}
	s, err := objects.Start(t.Context(), config(dir, e))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	b := bundle{store: s, client: s.Client(), heard: e}
	for _, key := range keys {
		require.Equal(t, strings.Repeat(key, 1000), b.get(t, "landing", key))
	}
}

// putForever prints the key of every object whose write was answered.
func putForever(dir string) error {
	ctx := context.Background()
	s, err := objects.Start(ctx, config(dir, &ear{}))
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("mail/%d", i)
		_, err := s.Client().PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String("landing"), Key: &key, Body: strings.NewReader(strings.Repeat(key, 1000)),
		})
		if err != nil {
			return err
		}
		fmt.Println(key)
	}
}
