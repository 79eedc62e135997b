// Package trainjob runs workloads as TrainJobs of Kubeflow Trainer, by a
// TrainingRuntime whose one job is called node.
package trainjob
