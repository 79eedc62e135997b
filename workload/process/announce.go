package process

import "context"

// announce reports the end until somebody took it or life is done.
func (t *task) announce(life context.Context) {
	r := t.snapshot()
	end, name := *r.End, r.Job.Name()
	err := t.m.retry(life, "announce the end", func() error {
		if end.Log == "" {
			uri, err := t.saveLog(life, r.Job)
			if err != nil {
				return err
			}
			end.Log = uri
		}
		return t.m.cfg.Ended(life, end)
	})
	if err == nil {
		err = t.update(life, func(r *Record) { r.End, r.Announced = &end, true })
	}
	if err != nil {
		t.m.cfg.Logger.Warn("end of workload is not announced", "workload", name, "error", err)
		return
	}
	t.m.cfg.Logger.Info("workload ended", "workload", name, "outcome", end.Outcome, "reason", end.Reason)
}
