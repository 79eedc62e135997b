package chaos_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"refit.dev/stage/store"
	"refit.dev/test/platformtest"
	"refit.dev/workload/process/session"
)

// number reads a number from the environment.
func number(t testing.TB, name string, instead uint64) uint64 {
	t.Helper()
	value, set := os.LookupEnv(name)
	if !set {
		return instead
	}
	n, err := strconv.ParseUint(value, 10, 63)
	require.NoError(t, err, name)
	return n
}

// TestRandomKills uploads and kills: the platform, mostly, also while it comes
// up, and workloads, MLflow and Ray. Every upload becomes one run that ends
// once. REFIT_KILLS says how many kills, REFIT_SEED repeats a sequence.
func TestRandomKills(t *testing.T) {
	seed := number(t, "REFIT_SEED", uint64(time.Now().UnixNano()))
	kills := int(number(t, "REFIT_KILLS", 25))
	t.Logf("REFIT_SEED=%d REFIT_KILLS=%d", seed, kills)
	m := begin(t)
	m.Rand = rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		m.upload(t, fmt.Sprintf("f1=0.%d/work=%dms/kill-%d.parquet", 86+i%14, m.IntN(200), i))
		m.kill(t)
	}
	for _, key := range m.keys {
		m.requireEnded(t, key)
	}
	requireOnce(t, m.p, m.keys)
	m.p.Interrupt()
	require.Empty(t, platformtest.Leftovers(t, m.Dir), "no process is left over")
}

// mayhem is a platform that is killed again and again.
type mayhem struct {
	*rand.Rand
	child

	p *platformtest.Process
	// keys are the uploads, shot the workloads that were killed.
	keys []string
	shot []string
}

// upload puts an object, while the platform is killed now and then.
func (m *mayhem) upload(t *testing.T, key string) {
	t.Helper()
	m.keys = append(m.keys, key)
	if m.IntN(4) > 0 {
		require.NoError(t, m.put(t, key))
		return
	}
	ends := m.after(20)
	err := m.put(t, key)
	<-ends
	m.restart(t)
	if err != nil && !m.landed(t, key) {
		require.NoError(t, m.put(t, key))
	}
}

// after kills the platform within so many milliseconds, and tells when that is
// done.
func (m *mayhem) after(milliseconds int) <-chan struct{} {
	p := m.p
	time.AfterFunc(time.Duration(m.IntN(milliseconds))*time.Millisecond, p.Kill)
	return p.Died()
}

// modelOf is the name of the model of an upload, a model of its own: a function
// that dies while it registers holds the lease of a model for a while.
func modelOf(key string) string { return fmt.Sprintf("model-%08x", crc32.ChecksumIEEE([]byte(key))) }

func (m *mayhem) put(t *testing.T, key string) error {
	t.Helper()
	c := m.p.Connection().S3
	client := store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &c.Landing, Key: &key, Body: strings.NewReader("mail of " + key), Metadata: map[string]string{"refit-model-name": modelOf(key)},
	})
	return err
}

func (m *mayhem) landed(t *testing.T, key string) bool {
	t.Helper()
	c := m.p.Connection().S3
	_, err := m.p.Bucket(c.Landing).Head(t.Context(), key)
	if !errors.Is(err, store.ErrNotFound) {
		require.NoError(t, err)
	}
	return err == nil
}

// restart brings the platform up again, and kills some while they come up.
func (m *mayhem) restart(t *testing.T) {
	t.Helper()
	<-m.p.Died()
	for m.IntN(4) == 0 {
		unborn := platformtest.Begin(t, m.command(t))
		time.AfterFunc(time.Duration(m.IntN(500))*time.Millisecond, unborn.Kill)
		<-unborn.Died()
	}
	m.p = m.up(t)
}

// kill kills one thing at a random moment of the next seconds.
func (m *mayhem) kill(t *testing.T) {
	t.Helper()
	switch n := m.IntN(20); {
	case n < 15:
		<-m.after(2500)
		m.restart(t)
	case n < 18:
		m.shoot(t)
	case n < 19:
		m.killService(t, "mlflow")
	default:
		m.killService(t, "ray")
	}
}

// shoot kills a workload that runs, if there is one.
func (m *mayhem) shoot(t *testing.T) {
	t.Helper()
	records, err := m.p.Launcher().List(t.Context())
	require.NoError(t, err)
	for _, r := range records {
		if r.Session.Alive() && r.Session.Signal(syscall.SIGKILL) == nil {
			m.shot = append(m.shot, r.Job.Name())
			return
		}
	}
}

// killService kills MLflow or Ray, all processes of it.
func (m *mayhem) killService(t *testing.T, name string) {
	t.Helper()
	id, err := serviceOf(m.Dir, name)
	require.NoError(t, err)
	require.NoError(t, id.Signal(syscall.SIGKILL))
}

// service is what a platform keeps of a service of its.
type service struct {
	session.ID `json:"session"`

	Scratch string `json:"scratch"`
}

// serviceOf is a service of the platform on dir.
func serviceOf(dir, name string) (service, error) {
	var s service
	body, err := os.ReadFile(filepath.Join(dir, name, name+".json"))
	if err != nil {
		return s, err
	}
	err = json.Unmarshal(body, &s)
	return s, err
}
