package serve

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Settings reads a program's environment and remembers what is wrong with it,
// so that one error names all of it.
type Settings struct {
	getenv  func(string) string
	missing []string
	wrong   []error
}

// NewSettings returns Settings of an environment, os.Getenv say.
func NewSettings(getenv func(string) string) *Settings { return &Settings{getenv: getenv} }

// Required is the value of a setting that must be there.
func (s *Settings) Required(name string) string {
	value := s.getenv(name)
	if value == "" {
		s.missing = append(s.missing, name)
	}
	return value
}

// Optional is the value of a setting, or what stands instead of an empty one.
func (s *Settings) Optional(name, instead string) string {
	if value := s.getenv(name); value != "" {
		return value
	}
	return instead
}

// Duration is the value of a setting such as 90s, above zero.
func (s *Settings) Duration(name string, instead time.Duration) time.Duration {
	d, err := time.ParseDuration(s.Optional(name, instead.String()))
	if err != nil || d <= 0 {
		s.wrong = append(s.wrong, fmt.Errorf("setting %s=%q: accepted is a duration such as 90s", name, s.getenv(name)))
	}
	return d
}

// Err names every setting that is missing and every one that is wrong.
func (s *Settings) Err() error {
	var errs []error
	if s.missing != nil {
		errs = append(errs, fmt.Errorf("settings %s are missing: see the table of settings in README.md", strings.Join(s.missing, ", ")))
	}
	return errors.Join(append(errs, s.wrong...)...)
}
