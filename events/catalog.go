package events

// Declaration ties a type to what its events carry.
type Declaration struct {
	Type Type
	// Schema names the JSON Schema of the data, see Validate.
	Schema string
	// New returns a pointer to a zero value of the data's Go struct.
	New func() any
}

// Catalog declares every type that refit emits or accepts, save the object
// store's own notifications. The slice is fresh at each call.
func Catalog() []Declaration {
	all := []Declaration{
		{RunRequested, "run.requested", func() any { return new(Request) }},
		{RunStarted, "run.started", func() any { return new(Run) }},
		{LandingDuplicate, "landing", func() any { return new(Landing) }},
		{LandingOverwritten, "landing", func() any { return new(Landing) }},
		{LandingFiltered, "landing", func() any { return new(Landing) }},
		{LandingRefused, "landing", func() any { return new(Landing) }},
		{WorkloadEnded, "workload.ended", func() any { return new(End) }},
		{ModelRegistered, "model.registered", func() any { return new(Model) }},
		{ModelRejected, "model.rejected", func() any { return new(Model) }},
	}
	for _, s := range Stages() {
		all = append(all, stageDeclarations(s)...)
	}
	return all
}

func stageDeclarations(s Stage) []Declaration {
	list := []Declaration{
		{s.Started(), "stage.started", func() any { return new(Started) }},
		{s.Failed(), "stage.failed", func() any { return new(Failed) }},
		{s.Cancelled(), "stage.cancelled", func() any { return new(Failed) }},
	}
	if s != Register {
		list = append(list, Declaration{s.Completed(), "stage.completed", func() any { return new(Completed) }})
	}
	return list
}

// Declared finds the declaration of t.
func Declared(t Type) (Declaration, bool) {
	for _, d := range Catalog() {
		if d.Type == t {
			return d, true
		}
	}
	return Declaration{}, false
}
