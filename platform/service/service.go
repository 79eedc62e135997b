package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// steady is how long a program runs until its next death counts as the first.
	steady = time.Minute
	// patience is what an earlier program has to answer before it is replaced.
	patience = 5 * time.Second
	// look is how often Ready asks the server.
	look = 100 * time.Millisecond
)

// Service is one program that is kept running.
type Service struct {
	cfg  Config
	stop context.CancelFunc
	kill context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	err   error
	lives int
	died  time.Time
	death chan struct{} // closed at the next death
}

// Start takes over or ends what an earlier Start left, and starts the program.
// It returns when the program is spawned: see Ready. The service runs until
// Close, whatever becomes of ctx.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of %s: %w", cfg.Name, err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	rest, kill := context.WithCancel(context.WithoutCancel(ctx))
	s := &Service{cfg: cfg, stop: stop, kill: kill, done: make(chan struct{}), death: make(chan struct{})}
	first, err := s.first(ctx)
	if err != nil {
		stop()
		kill()
		return nil, err
	}
	go s.keep(life, rest, first)
	return s, nil
}

// first is the program to begin with: the one of an earlier Start, or a new one.
func (s *Service) first(ctx context.Context) (*program, error) {
	old, err := s.cfg.load()
	if err != nil {
		return nil, err
	}
	if old.Session, err = old.find(); err != nil {
		return nil, err
	}
	if old.Session.Alive() && old.Identity == s.cfg.Identity && old.Identity != "" && s.answers(ctx) {
		s.cfg.Logger.Info("go on with running program", "pid", old.Session.PID)
		return adopt(s.cfg, old), s.cfg.save(old)
	}
	if err := adopt(s.cfg, old).end(ctx); err != nil {
		return nil, fmt.Errorf("end the %s that was left over: %w", s.cfg.Name, err)
	}
	return spawn(s.cfg)
}

// answers tells whether the server answers within patience.
func (s *Service) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.await(ctx, s.cfg.Check) == nil
}

// keep waits for the end of p and runs the next one, until life is done or the
// program dies too often.
func (s *Service) keep(life, rest context.Context, p *program) {
	defer close(s.done)
	var err error
	for again := true; again; {
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval = 500*time.Millisecond, 30*time.Second
		_, err = backoff.Retry(life, func() (struct{}, error) {
			var died error
			again, died = s.live(life, rest, p)
			p = nil
			return struct{}{}, died
		}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0), backoff.WithMaxTries(uint(max(s.cfg.Restarts, 0)+1)),
			backoff.WithNotify(func(err error, after time.Duration) {
				s.cfg.Logger.Warn("service died and is started again", "after", after, "error", err)
			}))
	}
	if life.Err() != nil {
		return
	}
	s.cfg.Logger.Error("service is given up", "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// live runs one life of the program, p if that is there already. It returns
// true if the life was so long that it does not count, and an error if it ended
// unasked and counts.
func (s *Service) live(life, rest context.Context, p *program) (again bool, err error) {
	born := time.Now()
	if p == nil {
		if p, err = spawn(s.cfg); err != nil {
			return false, err
		}
	}
	s.mu.Lock()
	s.lives++
	s.mu.Unlock()
	died := p.wait(life)
	if life.Err() == nil {
		s.mu.Lock()
		s.died = time.Now()
		close(s.death)
		s.death = make(chan struct{})
		s.mu.Unlock()
	}
	if err := p.end(rest); err != nil {
		s.cfg.Logger.Error("program is left over", "error", err)
	}
	if life.Err() != nil {
		return false, nil //nolint:nilerr // it ended because it was asked to
	}
	err = fmt.Errorf("%s died: %w%s", s.cfg.Name, died, p.lastLines())
	if time.Since(born) >= steady && s.cfg.Restarts >= 0 {
		s.cfg.Logger.Warn("service died and is started again", "error", err)
		return true, nil
	}
	return false, err
}

// Ready returns nil as soon as the server answers, and an error if it was given
// up or ctx is done before.
func (s *Service) Ready(ctx context.Context) error {
	err := s.await(ctx, func(ctx context.Context) error {
		select {
		case <-s.done:
			return backoff.Permanent(errors.Join(errStopped, s.Err()))
		default:
			return s.cfg.Check(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w", s.cfg.Name, err)
	}
	return nil
}

// errStopped is why a closed service is not ready.
var errStopped = errors.New("the service does not run")

// await calls check until it succeeds or ctx is done, and then says what check
// said last.
func (s *Service) await(ctx context.Context, check func(context.Context) error) error {
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = check(ctx)
		return struct{}{}, last
	}, backoff.WithBackOff(backoff.NewConstantBackOff(look)), backoff.WithMaxElapsedTime(0))
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, last)
	}
	return err
}

// Done is closed when the service is closed or given up.
func (s *Service) Done() <-chan struct{} { return s.done }

// Err says why the service was given up, nil while it runs and after Close.
func (s *Service) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// DiedSince tells whether the program has ended unasked after t. It waits for
// that until ctx is done.
func (s *Service) DiedSince(ctx context.Context, t time.Time) bool {
	for {
		s.mu.Lock()
		died, death := s.died, s.death
		s.mu.Unlock()
		if died.After(t) {
			return true
		}
		select {
		case <-death:
		case <-ctx.Done():
			return false
		}
	}
}

// Starts is how often the program was started or taken over so far.
func (s *Service) Starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives
}

// Close ends the program with all its descendants, removes its scratch folder
// and waits for that. When ctx is done it kills instead of asking.
func (s *Service) Close(ctx context.Context) error {
	s.stop()
	defer s.kill()
	defer context.AfterFunc(ctx, s.kill)()
	<-s.done
	old, err := s.cfg.load()
	if err != nil {
		return err
	}
	if old.Scratch != "" {
		return fmt.Errorf("%s left processes or files behind, see %s", s.cfg.Name, s.cfg.recordPath())
	}
	return nil
}
