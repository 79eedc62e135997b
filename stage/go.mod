module refit.dev/stage

go 1.26.0

require (
	github.com/cloudevents/sdk-go/v2 v2.16.2
	github.com/stretchr/testify v1.12.1
	github.com/aws/aws-sdk-go-v2/service/s3 v1.109.1
	github.com/aws/aws-sdk-go-v2/credentials v1.20.1
	github.com/aws/aws-sdk-go-v2 v1.45.1
	github.com/aws/smithy-go v1.28.1
	refit.dev/events v0.0.0
	refit.dev/workload v0.0.0
)

replace (
	refit.dev/events => ../events
	refit.dev/workload => ../workload
)
