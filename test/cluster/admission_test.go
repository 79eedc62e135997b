package cluster_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admission "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/events"
	"refit.dev/test/clustertest"
	"refit.dev/workload/kube"
)

// TestAWorkloadThatAdmissionRefusesFailsItsRun has the API server refuse the
// object of a stage: for ever, or until the deadline of the attempt is over.
func TestAWorkloadThatAdmissionRefusesFailsItsRun(t *testing.T) {
	t.Parallel()
	for reason, want := range map[metav1.StatusReason]string{
		metav1.StatusReasonInvalid: "LaunchRefused", metav1.StatusReasonForbidden: "LaunchFailed",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			p := quick.on(t)
			run, begin := p.Reached(t, events.Features, nil)
			refuse(t, p, run.ID, reason)
			p.Plan(t, run, events.Features, standIn, 5*time.Second)
			p.Emit(t, begin)
			mark := p.Settled(t, run.ID)
			require.Equal(t, string(events.Features.Failed()), mark.Type(), string(mark.Data()))
			failed := dataOf[events.Failed](t, mark)
			require.Equal(t, want, failed.Reason, failed.Message)
			require.Contains(t, failed.Message, "not in this namespace")
			require.Empty(t, p.Workloads(t, run.ID))
		})
	}
}

// TestWhatWasLaunchedBeforeARefusalIsLeftAlone is about an event that comes
// again: the API server asks admission before it looks whether a name is taken.
func TestWhatWasLaunchedBeforeARefusalIsLeftAlone(t *testing.T) {
	t.Parallel()
	p, b := quick.on(t), backends["TrainJob"]
	template, err := os.ReadFile(b.template)
	require.NoError(t, err)
	run, _ := p.Reached(t, b.stage, map[string]any{"model_name": "hang"})
	p.Launch(t, run, b.stage, b.kind, template, standIn, time.Minute)
	refuse(t, p, run.ID, metav1.StatusReasonForbidden)
	p.Launch(t, run, b.stage, b.kind, template, standIn, time.Minute)
	require.Len(t, p.Workloads(t, run.ID), 1)
}

// refuse has the API server refuse the TrainJobs of a run, and waits until it
// does.
func refuse(t *testing.T, p *clustertest.Install, run string, reason metav1.StatusReason) {
	t.Helper()
	name, policies := "refuse-"+run, p.Kube.AdmissionregistrationV1()
	trainJobs := admission.NamedRuleWithOperations{RuleWithOperations: admission.RuleWithOperations{
		Operations: []admission.OperationType{admission.Create},
		Rule:       admission.Rule{APIGroups: []string{clustertest.TrainJobs.Group}, APIVersions: []string{"*"}, Resources: []string{clustertest.TrainJobs.Resource}},
	}}
	_, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), &admission.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admission.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admission.MatchResources{ResourceRules: []admission.NamedRuleWithOperations{trainJobs}},
			MatchConditions: []admission.MatchCondition{{
				Name: "run", Expression: fmt.Sprintf("object.metadata.?labels[?%q].orValue('') == %q", kube.LabelRun, run),
			}},
			Validations: []admission.Validation{{Expression: "false", Message: "not in this namespace", Reason: &reason}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admission.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admission.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admission.ValidationAction{admission.Deny}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, policies.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}))
		require.NoError(t, policies.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{}))
	})
	tried := &unstructured.Unstructured{Object: map[string]any{"spec": trainJobSpec}}
	tried.SetGroupVersionKind(clustertest.TrainJobs.GroupVersion().WithKind("TrainJob"))
	tried.SetName("tried")
	tried.SetLabels(map[string]string{kube.LabelRun: run})
	clustertest.Await(t, "the refusal", func() error {
		_, err := p.Dynamic.Resource(clustertest.TrainJobs).Namespace(p.Namespace).Create(t.Context(), tried, dryRun)
		if err == nil {
			return fmt.Errorf("%s is not refused yet", run)
		}
		require.ErrorContains(t, err, "not in this namespace")
		return nil
	})
}
