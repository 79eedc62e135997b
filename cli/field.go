package cli

import (
	"fmt"
	"strconv"
	"strings"
)

// fields builds the data of an event from assignments such as a.b=v, in the
// way of kn event send: true and false become booleans, whole numbers numbers,
// everything else stays a string, 0.5 too. The raw ones are strings always.
func fields(assignments, raw []string) (map[string]any, error) {
	data := map[string]any{}
	for _, list := range []struct {
		flag        string
		assignments []string
		value       func(string) any
	}{
		{"--field", assignments, fieldValue},
		{"--raw-field", raw, func(s string) any { return s }},
	} {
		for _, assignment := range list.assignments {
			path, value, found := strings.Cut(assignment, "=")
			if !found || path == "" {
				return nil, usagef("%s %q: accepted is path=value, such as f1_threshold=0.9 or replay.from=train", list.flag, assignment)
			}
			if err := setField(data, strings.Split(path, "."), list.value(value)); err != nil {
				return nil, usagef("%s %q: %w", list.flag, assignment, err)
			}
		}
	}
	return data, nil
}

func setField(data map[string]any, path []string, value any) error {
	for _, name := range path[:len(path)-1] {
		if _, found := data[name]; !found {
			data[name] = map[string]any{}
		}
		inner, isObject := data[name].(map[string]any)
		if !isObject {
			return fmt.Errorf("%s has the value %v already, so it cannot have fields", name, data[name])
		}
		data = inner
	}
	data[path[len(path)-1]] = value
	return nil
}

// fieldValue reads a value as kn does. Only the very text that kn would write
// for a value counts: 007 and 0.5 stay strings, 0.500000 is a number.
func fieldValue(text string) any {
	if text == "true" || text == "false" {
		return text == "true"
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return float64(n)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && fmt.Sprintf("%f", f) == text && isDigit(text[len(text)-1]) {
		return f
	}
	return text
}

// isDigit keeps out NaN and +Inf, which no JSON can hold.
func isDigit(b byte) bool { return b >= '0' && b <= '9' }
