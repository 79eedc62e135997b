package cli

import (
	"context"

	"github.com/spf13/cobra"

	"refit.dev/platform/source/pod"
)

func (a *App) sourceCommand() *cobra.Command {
	var address string
	cmd := a.serveCommand("source", "Tell the ends of workloads, take notifications, sweep",
		`Watch the RayJobs and TrainJobs of a namespace and tell the broker when one
ends and why; take the notifications of AWS S3 and MinIO by POST to
/notifications (Authorization: Bearer with the token); send lost events again.

Settings: K_SINK, REFIT_S3_ENDPOINT, REFIT_S3_REGION, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, REFIT_BUCKET, REFIT_LANDING_BUCKET, REFIT_NAMESPACE,
REFIT_NOTIFICATION_TOKEN, REFIT_SWEEP, REFIT_STUCK_AFTER, REFIT_WORKLOAD_TTL;
KUBECONFIG outside of a pod. Ceph's RGW sends CloudEvents itself: point it at the
broker. The command refit-source is the same in less memory.`,
		"  K_SINK=http://broker-ingress.knative-eventing.svc.cluster.local/kubeflow/refit refit source",
		func(ctx context.Context) error {
			c, err := pod.FromEnv(a.Getenv)
			if err != nil {
				return err
			}
			c.Address = address
			return pod.Run(ctx, c)
		})
	cmd.Flags().StringVar(&address, "listen", ":8080", "address of notifications and probes")
	return cmd
}
