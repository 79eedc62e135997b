package cli

import (
	"fmt"
	"strings"

	"refit.dev/events"
)

// setUsage explains --set.
const setUsage = "set a parameter, name=value, may be repeated (refit run --help lists them)"

// parameters reads name=value settings and checks them before anything is
// sent.
func parameters(settings []string) (map[string]any, error) {
	values := map[string]any{}
	for _, setting := range settings {
		name, value, found := strings.Cut(setting, "=")
		if !found || name == "" {
			return nil, usagef("--set %q: accepted is name=value, such as f1_threshold=0.9", setting)
		}
		values[name] = value
	}
	if _, err := events.Defaults().With(values); err != nil {
		return nil, &ExitError{Code: CodeUsage, Err: fmt.Errorf("%w\n\nThe parameters are:\n%s", err, parameterHelp())}
	}
	return values, nil
}

// metadata writes parameters as metadata of an uploaded object.
func metadata(values map[string]any) (map[string]string, error) {
	if _, set := values["entity_data_path"]; set {
		return nil, usagef("--set entity_data_path: an upload trains on itself: say with --key where it goes")
	}
	list := map[string]string{}
	for name, value := range values {
		list["refit-"+strings.ReplaceAll(name, "_", "-")] = fmt.Sprint(value)
	}
	return list, nil
}

// parameterHelp lists every parameter with its default and limits.
func parameterHelp() string { return listOf(events.Definitions()) }

func listOf(definitions []events.Definition) string {
	var b strings.Builder
	for _, d := range definitions {
		fmt.Fprintf(&b, "  %-17s %s (default %v)\n", d.Name, d.Accepts, d.Default)
	}
	return strings.TrimRight(b.String(), "\n")
}
