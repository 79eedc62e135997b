module refit.dev/workload

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	refit.dev/events v0.0.0
)

replace (
	refit.dev/events => ../events
)
