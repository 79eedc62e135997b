package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// DefaultNamespace is where refit is installed unless said otherwise.
const DefaultNamespace = "kubeflow"

// requestTime bounds one request that is not a stream.
const requestTime = 30 * time.Second

// Config says which refit is meant.
type Config struct {
	// Context is a context of the kubeconfig, by default the current one. The
	// kubeconfig is found as kubectl finds it.
	Context string
	// Namespace is where refit is installed, DefaultNamespace by default.
	Namespace string
}

// WithDefaults returns c with the namespace filled in.
func (c Config) WithDefaults() Config {
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	return c
}

// load reads the kubeconfig: the name of the context that counts, and how to
// reach its cluster.
func (c Config) load() (string, *rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	known, err := rules.Load()
	if err != nil {
		return "", nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	name := c.Context
	if name == "" {
		name = known.CurrentContext
	}
	if err := exists(known, name, rules.Precedence); err != nil {
		return name, nil, err
	}
	config, err := clientcmd.NewDefaultClientConfig(*known, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		return name, nil, fmt.Errorf("context %s of the kubeconfig: %w", name, err)
	}
	config.Timeout = requestTime
	config.UserAgent = "refit"
	config.QPS, config.Burst = 50, 100
	return name, config, nil
}

// exists refuses a context that is not there, and says which are.
func exists(known *api.Config, name string, files []string) error {
	if _, found := known.Contexts[name]; found {
		return nil
	}
	names := slices.Sorted(maps.Keys(known.Contexts))
	switch {
	case len(names) == 0:
		return fmt.Errorf("there is no context in %s: name a kubeconfig in KUBECONFIG", strings.Join(files, ", "))
	case name == "":
		return fmt.Errorf("the kubeconfig has no current context: choose one of %s with --context", strings.Join(names, ", "))
	default:
		return fmt.Errorf("there is no context %q in the kubeconfig: accepted are %s", name, strings.Join(names, ", "))
	}
}
