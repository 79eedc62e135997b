// Package pipeline holds the tests of the compiled Kubeflow pipeline: its steps
// run from the YAML's own commands and arguments, as Kubeflow runs them.
package pipeline
