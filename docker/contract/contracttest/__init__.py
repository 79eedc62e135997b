"""What tests of workloads share."""
