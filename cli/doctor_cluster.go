package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"refit.dev/platform/cluster"
	"refit.dev/platform/host"
	"refit.dev/stage/store"
)

// roundTripTime is how long an event may take from the broker to the journal,
// whose pod may have to start first.
const roundTripTime = 60 * time.Second

// install is what to do where a part of refit is not there.
const install = "apply the overlay that you chose again: kubectl apply -k config/overlays/dev, for example"

// clusterDoctor looks at the refit in a cluster.
type clusterDoctor struct {
	app     *App
	cluster *cluster.Cluster
}

func (a *App) doctorCluster(ctx context.Context) error {
	c, err := a.OpenCluster(a.place)
	if err != nil {
		return err
	}
	defer c.Close()
	d := &clusterDoctor{app: a, cluster: c}
	version, err := c.Version(ctx)
	if err != nil {
		return a.report([]check{missing("API server", err.Error(), "see that kubectl --context "+c.Context()+" version answers")})
	}
	checks := []check{ok("API server", fmt.Sprintf("%s, context %s, namespace %s", version, c.Context(), c.Namespace()))}
	return a.report(slices.Concat(checks, d.kinds(ctx), d.settings(ctx), d.ready(ctx), d.permissions(ctx), d.services(ctx)))
}

// settings checks that everything is configured, and shows no value.
func (d *clusterDoctor) settings(ctx context.Context) []check {
	var checks []check
	for _, o := range []struct {
		kind, name string
		keys       []string
	}{
		{"ConfigMap", "refit", []string{
			"REFIT_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "REFIT_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "REFIT_BUCKET", "REFIT_LANDING_BUCKET",
			"MLFLOW_TRACKING_URI", "REFIT_NATS_URL", "REFIT_DEADLINE", "REFIT_SWEEP",
		}},
		{"ConfigMap", "refit-images", []string{"data-prep", "ray-train", "mlflow-ops"}},
		{"ConfigMap", "refit-workloads", []string{"prepare.yaml", "features.yaml", "train.yaml", "tune.yaml", "register.yaml"}},
		{"Secret", "refit-s3", []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}},
		{"Secret", "refit-nats", []string{"REFIT_NATS_TOKEN"}},
		{"Secret", "refit-source", []string{"REFIT_NOTIFICATION_TOKEN"}},
	} {
		checks = append(checks, d.keys(ctx, o.kind, o.name, o.keys))
	}
	return checks
}

func (d *clusterDoctor) keys(ctx context.Context, kind, name string, keys []string) check {
	title, how := kind+" "+name, install
	if kind == "Secret" {
		how = "make it as docs/on-your-cluster.md says: kubectl create secret generic " + name + " -n " + d.cluster.Namespace() + " --from-literal=…"
	}
	lacking, err := d.cluster.LackingKeys(ctx, kind, name, keys...)
	switch {
	case err != nil:
		return failing(title, err, how)
	case len(lacking) == len(keys):
		return missing(title, "not there, or empty", how)
	case len(lacking) > 0:
		return missing(title, "has no "+strings.Join(lacking, ", "), how)
	}
	return ok(title, fmt.Sprintf("%d of %d keys", len(keys), len(keys)))
}

// services tries what refit leans on, each for itself: that one is away says
// nothing about the others.
func (d *clusterDoctor) services(ctx context.Context) []check {
	c, err := d.cluster.Settings(ctx)
	if err != nil {
		return []check{failing("object store, NATS, MLflow, broker", err, "set up what is missing above, then look again")}
	}
	return slices.Concat(d.store(ctx, c.S3), []check{d.mlflow(ctx, c.MLflow)}, d.journal(ctx, c))
}

func (d *clusterDoctor) store(ctx context.Context, c host.S3) []check {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	how := "see that " + c.Endpoint + " answers and that Secret refit-s3 has its keys"
	endpoint, err := d.cluster.Address(ctx, c.Endpoint)
	if err != nil {
		return []check{failing("object store", err, how)}
	}
	inside := c.Endpoint
	c.Endpoint = endpoint
	client := clientOf(c)
	var checks []check
	for _, bucket := range []string{c.Landing, c.State} {
		name := "bucket " + bucket
		if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}); err != nil {
			checks = append(checks, missing(name, err.Error(), how+"; make the bucket if it is not there"))
			continue
		}
		checks = append(checks, ok(name, "at "+inside))
	}
	return append(checks, d.app.raceCheck(ctx, "conditional writes", how, store.NewS3(client, c.State), remover(client, c.State)))
}

func (d *clusterDoctor) mlflow(ctx context.Context, address string) check {
	const name = "MLflow"
	how := "see that " + address + " answers (MLFLOW_TRACKING_URI in ConfigMap refit): without it the evaluation of every run fails"
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	near, err := d.cluster.Address(ctx, address)
	if err != nil {
		return failing(name, err, how)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(near, "/")+"/health", http.NoBody)
	if err != nil {
		return missing(name, err.Error(), how)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return missing(name, err.Error(), how)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return missing(name, response.Status, how)
	}
	return ok(name, "at "+address)
}

// journal tries NATS, and through it the broker.
func (d *clusterDoctor) journal(ctx context.Context, c host.Connection) []check {
	const name = "NATS stream REFIT"
	ctx, cancel := context.WithTimeout(ctx, roundTripTime)
	defer cancel()
	how := "see that " + c.NATS.URL + " answers, that Secret refit-nats has its token, and that the journal runs: kubectl get ksvc journal -n " + d.cluster.Namespace()
	inside := c.NATS.URL
	var err error
	if c.NATS.URL, err = d.cluster.Address(ctx, c.NATS.URL); err != nil {
		return []check{failing(name, err, how), unknown("broker")}
	}
	session, err := attach(ctx, c, nats.MaxReconnects(1), nats.IgnoreDiscoveredServers())
	if err != nil {
		return []check{missing(name, d.cluster.Trouble(err).Error(), how), unknown("broker")}
	}
	defer session.Close()
	session.Broker = func(ctx context.Context) (string, error) { return reachBroker(ctx, d.cluster) }
	return []check{ok(name, "at "+inside), d.app.roundTrip(ctx, session, "broker", "see that Broker refit, Trigger everything-to-journal and ksvc journal are ready, and the logs of the broker's pods")}
}

// failing is missing, unless the one who asks just may not know.
func failing(name string, err error, how string) check {
	if apierrors.IsForbidden(err) {
		how = "let somebody run doctor who may"
	}
	return missing(name, err.Error(), how)
}

func unknown(name string) check {
	return missing(name, "not tried: only the journal tells whether an event arrived", "mend NATS first")
}
