package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"refit.dev/workload"
)

// LauncherConfig says where and from what a Launcher makes workloads. Client,
// Namespace and Kinds are needed.
type LauncherConfig struct {
	Client    dynamic.Interface
	Namespace string
	// Template is the manifest that workloads are made from. Without one a
	// Launcher can only cancel.
	Template []byte
	// Kinds are those that Template may have and that Cancel looks for.
	Kinds []Kind
	// Clock is time.Now by default.
	Clock func() time.Time
}

// Launcher makes an object of each job. It is safe for concurrent use.
type Launcher struct {
	cfg      LauncherConfig
	template template
}

var _ workload.Launcher = (*Launcher)(nil)

// nameForm is a DNS label (RFC 1035) that leaves room for what KubeRay and the
// JobSet controller append to make the names of pods.
var nameForm = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,45}[a-z0-9])?$`)

// NewLauncher makes a Launcher. The error says what is wrong with the template.
func NewLauncher(cfg LauncherConfig) (*Launcher, error) {
	if cfg.Client == nil || cfg.Namespace == "" || len(cfg.Kinds) == 0 {
		return nil, errors.New("kube: Client, Namespace and Kinds must be set")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	l := &Launcher{cfg: cfg}
	if cfg.Template == nil {
		return l, nil
	}
	var err error
	l.template, err = parse(cfg.Template, cfg.Kinds)
	return l, err
}

// Launch creates the object of job unless there is one of its name.
func (l *Launcher) Launch(ctx context.Context, job workload.Job) error {
	if err := l.check(job); err != nil {
		return err
	}
	object, err := l.template.fill(job, l.cfg.Namespace, l.cfg.Clock())
	if err != nil {
		return fmt.Errorf("%w: %w", workload.ErrInvalid, err)
	}
	_, err = l.objects(l.template.kind).Create(ctx, object, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	err = fmt.Errorf("create %s %s in namespace %s: %w", object.GetKind(), job.Name(), l.cfg.Namespace, err)
	// Quotas and admission speak before the server looks whether the name is taken.
	switch _, there := l.objects(l.template.kind).Get(ctx, job.Name(), metav1.GetOptions{}); {
	case there == nil:
		return nil
	case !apierrors.IsNotFound(there):
		return errors.Join(err, there)
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		return fmt.Errorf("%w: %w", workload.ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", workload.ErrRefused, err)
}

// check refuses what no object can be made of.
func (l *Launcher) check(job workload.Job) error {
	switch {
	case l.template.kind == nil:
		return errors.New("kube: this launcher has no template, it can only cancel")
	case !nameForm.MatchString(job.Name()):
		return fmt.Errorf("%w: workload name %q: accepted are 1 to 47 of a-z, 0-9 and -, a letter first and no - last", workload.ErrInvalid, job.Name())
	case job.Image == "":
		return fmt.Errorf("workload %s has no image: set REFIT_IMAGE", job.Name())
	}
	return nil
}

// Cancel marks the named object as cancelled and suspends it, see Finish.
func (l *Launcher) Cancel(ctx context.Context, name string) error {
	if nameForm.MatchString(name) {
		for _, kind := range l.cfg.Kinds {
			object, err := l.objects(kind).Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return failed("cancel", name, err)
			}
			_, err = Finish(ctx, l.objects(kind), kind, object, Verdict{
				Outcome: workload.Cancelled, Reason: "Cancelled", Message: "it was cancelled", EndedAt: l.cfg.Clock(),
			})
			return err
		}
	}
	return fmt.Errorf("cancel %q: %w", name, workload.ErrNotFound)
}

func (l *Launcher) objects(kind Kind) dynamic.ResourceInterface {
	return l.cfg.Client.Resource(kind.Resource()).Namespace(l.cfg.Namespace)
}
