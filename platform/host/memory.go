package host

import (
	"os"
	"runtime/debug"
)

// GCPercent is how much garbage the platform's own process lets pile up before
// it is collected, in percent of what is in use. Go's default of 100 is quicker
// by a fifth under a flood of events and takes 20 MB more. A limit in bytes
// would be worse: a flood has more in use, and collecting would never end.
const GCPercent = 50

// LimitMemory sets GCPercent for this process, unless GOGC says something else.
func LimitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(GCPercent)
	}
}
