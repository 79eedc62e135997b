package watch

// Troubled tells whether something is known to be wrong with a workload's pods.
func (w *Watcher) Troubled(name string) bool {
	t := w.troubleOf(name)
	return len(t.waiting) > 0 || t.disrupted.found() || t.killed.found()
}
