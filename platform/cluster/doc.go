// Package cluster reaches a refit that runs in a Kubernetes cluster.
//
// It reads how refit is configured there, as its pods read it: ConfigMap refit,
// Secrets refit-s3 and refit-nats, and the address of the Broker. Addresses
// that only pods can resolve are made to work from outside by one mechanism,
// [Cluster.Address]: a port on 127.0.0.1 whose connections go through the API
// server to a ready pod of the Service. Everything else is reached directly.
//
// [Cluster.Log] is the log of a workload that runs, and the methods in inspect.go
// are what refit doctor looks at. Nothing here changes anything in the cluster.
package cluster
