package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Parameters are the settings of one run, resolved and checked.
type Parameters struct {
	EntityDataPath string  `json:"entity_data_path"`
	TestSplitRatio float64 `json:"test_split_ratio"`
	NumHPOTrials   int     `json:"num_hpo_trials"`
	F1Threshold    float64 `json:"f1_threshold"`
	ModelName      string  `json:"model_name"`
	Seed           int     `json:"seed"`
	Split          string  `json:"split"`
	NumWorkers     int     `json:"num_workers"`
}

// Definition describes one parameter for people.
type Definition struct {
	Name    string `json:"name"`
	Default any    `json:"default"`
	// Accepts says in words which values are accepted.
	Accepts string `json:"accepts"`
	// Stage is the first stage that uses it: a replay from a later one cannot
	// change it.
	Stage Stage `json:"stage"`
}

// definition adds to a Definition how its value is stored.
type definition struct {
	Definition
	set func(*Parameters, any) bool
}

// definitions is the one place of defaults and limits.
func definitions() []definition {
	return []definition{
		{Definition{"entity_data_path", "datasets/processed/emails/all_emails.parquet", "the key of an object in the landing bucket, 1 to 1024 bytes without control characters", Prepare},
			text(func(p *Parameters) *string { return &p.EntityDataPath }, isKey)},
		{Definition{"test_split_ratio", 0.2, "a number from 0.05 to 0.5", Prepare},
			number(func(p *Parameters) *float64 { return &p.TestSplitRatio }, 0.05, 0.5)},
		{Definition{"num_hpo_trials", 20, "a whole number from 1 to 10000", Tune},
			whole(func(p *Parameters) *int { return &p.NumHPOTrials }, 1, 10000)},
		{Definition{"f1_threshold", 0.85, "a number from 0 to 1", Register},
			number(func(p *Parameters) *float64 { return &p.F1Threshold }, 0, 1)},
		{Definition{"model_name", "spam-detector", "1 to 128 letters, digits, dots, dashes and underscores, a letter or digit first", Train},
			text(func(p *Parameters) *string { return &p.ModelName }, modelName.MatchString)},
		{Definition{"seed", 42, "a whole number from 0 to 2147483647", Prepare},
			whole(func(p *Parameters) *int { return &p.Seed }, 0, math.MaxInt32)},
		{Definition{"split", "hash", "hash (by content, the same side in every data version) or time (the newest mail is the test)", Prepare},
			text(func(p *Parameters) *string { return &p.Split }, func(s string) bool { return s == "hash" || s == "time" })},
		{Definition{"num_workers", 1, "a whole number from 1 to 64", Train},
			whole(func(p *Parameters) *int { return &p.NumWorkers }, 1, 64)},
	}
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// isKey refuses what S3 would bear but no log line, header or pattern does.
func isKey(s string) bool { return s != "" && len(s) <= 1024 && escape(s) == s }

// Definitions lists every parameter with its default and limits.
func Definitions() []Definition {
	var list []Definition
	for _, d := range definitions() {
		list = append(list, d.Definition)
	}
	return list
}

// Defaults are the parameters of a run that sets none.
func Defaults() Parameters {
	var p Parameters
	for _, d := range definitions() {
		if !d.set(&p, d.Default) {
			panic("impossible: the default of " + d.Name + " is not accepted")
		}
	}
	return p
}

// With returns p with the named values in place of its own. Numbers may be
// written as strings. The error is a *ParameterError that names every value it
// refuses; p is never changed in part.
func (p Parameters) With(values map[string]any) (Parameters, error) {
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if problem := setOne(&p, name, values[name]); problem != nil {
			problems = append(problems, *problem)
		}
	}
	if problems != nil {
		return Parameters{}, &ParameterError{Problems: problems}
	}
	return p, nil
}

func setOne(p *Parameters, name string, value any) *Problem {
	for _, d := range definitions() {
		if d.Name == name {
			if d.set(p, value) {
				return nil
			}
			return &Problem{Name: name, Value: value, Accepts: d.Accepts}
		}
	}
	return &Problem{Name: name, Value: value}
}

// Problem is one refused parameter. Accepts is empty for an unknown name.
type Problem struct {
	Name    string
	Value   any
	Accepts string
}

// ParameterError refuses parameters; its text names each value and what is
// accepted in its place.
type ParameterError struct{ Problems []Problem }

// The most that an error tells: whoever made the request gets it in an event,
// which must not be larger than events may be.
const (
	toldProblems = 10
	toldBytes    = 200
)

// Error lists the problems: the first ten of them, of long values the beginning.
func (e *ParameterError) Error() string {
	var parts []string
	for _, p := range e.Problems[:min(toldProblems, len(e.Problems))] {
		parts = append(parts, p.text())
	}
	if more := len(e.Problems) - toldProblems; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

func (p Problem) text() string {
	if p.Accepts == "" {
		return fmt.Sprintf("unknown parameter %s: accepted are %s", quoted(p.Name), strings.Join(parameterNames(), ", "))
	}
	return fmt.Sprintf("parameter %s=%s: accepted is %s", p.Name, quoted(p.Value), p.Accepts)
}

// quoted is value as JSON, cut where it is long.
func quoted(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		b = fmt.Append(nil, value)
	}
	return cut(b)
}

// cut is the beginning of b, all of it where it is short.
func cut(b []byte) string {
	if len(b) <= toldBytes {
		return string(b)
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(string(b[:toldBytes]), ""), len(b))
}

func parameterNames() []string {
	var names []string
	for _, d := range definitions() {
		names = append(names, d.Name)
	}
	return names
}

func text(field func(*Parameters) *string, ok func(string) bool) func(*Parameters, any) bool {
	return func(p *Parameters, value any) bool {
		s, isString := value.(string)
		if !isString || !ok(s) {
			return false
		}
		*field(p) = s
		return true
	}
}

func number(field func(*Parameters) *float64, low, high float64) func(*Parameters, any) bool {
	return func(p *Parameters, value any) bool {
		f, ok := parseNumber(value, low, high)
		if ok {
			*field(p) = f
		}
		return ok
	}
}

func whole(field func(*Parameters) *int, low, high float64) func(*Parameters, any) bool {
	return func(p *Parameters, value any) bool {
		f, ok := parseNumber(value, low, high)
		if !ok || f != math.Trunc(f) {
			return false
		}
		*field(p) = int(f)
		return true
	}
}

// parseNumber reads a number, or a string that holds one (as kn writes 0.5),
// and tells whether it lies within the limits. Booleans and lists are none.
func parseNumber(value any, low, high float64) (float64, bool) {
	switch value.(type) {
	case string, float64, int, json.Number:
	default:
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(fmt.Sprint(value)), 64)
	return f, err == nil && f >= low && f <= high
}
