package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/spf13/cobra"

	"refit.dev/events"
	"refit.dev/platform/host"
)

type sendOptions struct {
	eventType, id, source, to string
	fields, rawFields         []string
	follow                    bool
}

func (a *App) sendCommand() *cobra.Command {
	var o sendOptions
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Send an event to the broker, as kn event send does",
		Long: `Send a CloudEvent to the broker in the form of kn event send: over HTTP in binary
mode, the fields as JSON. In --field, true and false become booleans and whole
numbers numbers; everything else is a string. Prints the event's id.`,
		Example: `  refit send --field f1_threshold=0.9 --field num_hpo_trials=5 --follow
  refit send --type com.example.ping --field user.name=Ada --raw-field user.id=7
  refit send --to http://broker-ingress.example/default/refit`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.send(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.eventType, "type", "t", string(events.RunRequested), "type of the event")
	f.StringVarP(&o.id, "id", "i", "", "id of the event (default a random UUID)")
	f.StringVarP(&o.source, "source", "s", events.CLISource, "source of the event")
	f.StringArrayVarP(&o.fields, "field", "f", nil, "field of the data, path=value, may be repeated")
	f.StringArrayVar(&o.rawFields, "raw-field", nil, "field of the data that stays a string, path=value, may be repeated")
	f.StringVar(&o.to, "to", "", "URL to send to (default the running platform's broker)")
	f.BoolVar(&o.follow, "follow", false, "follow the run that the event starts")
	return cmd
}

func (a *App) send(ctx context.Context, o *sendOptions) error {
	if o.follow && o.eventType != string(events.RunRequested) {
		return usagef("--follow: an event of type %s starts no run: accepted is %s", o.eventType, events.RunRequested)
	}
	data, err := fields(o.fields, o.rawFields)
	if err != nil {
		return err
	}
	e, err := a.newEvent(o.eventType, o.source, o.id, data)
	if err != nil {
		return err
	}
	a.remarkUnknown(e)
	if o.to != "" && !o.follow {
		return a.sendTo(ctx, o.to, e)
	}
	session, err := a.connect(ctx)
	if errors.Is(err, host.ErrNotRunning) && !o.follow {
		return fmt.Errorf("%w, or say with --to where to send", err)
	}
	if err != nil {
		return err
	}
	defer session.Close()
	if o.to == "" {
		if o.to, err = session.Broker(ctx); err != nil {
			return err
		}
	}
	if err := a.sendTo(ctx, o.to, e); err != nil || !o.follow {
		return err
	}
	return a.followCause(ctx, session, causedBy(e), e.Time())
}

// remarkUnknown says that nothing will come of an event, if that is so.
func (a *App) remarkUnknown(e event.Event) {
	if _, declared := events.Declared(events.Type(e.Type())); !declared && !events.IsObjectCreated(e.Type()) {
		a.remarkf("type %q is none that refit knows: the journal keeps the event and nothing comes of it; %s asks for a run", e.Type(), events.RunRequested)
	}
}

// newEvent makes an event just as kn event send does: no subject, no
// extensions.
func (a *App) newEvent(eventType, source, id string, data any) (event.Event, error) {
	e := cloudevents.NewEvent()
	e.SetType(eventType)
	e.SetSource(source)
	e.SetID(id)
	if id == "" {
		e.SetID(a.NewID())
	}
	e.SetTime(a.Now())
	if err := e.SetData(event.ApplicationJSON, data); err != nil {
		return e, fmt.Errorf("encode the data of the event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return e, usagef("the event is not valid: %w", err)
	}
	return e, nil
}

// sendTo sends e and prints its id.
func (a *App) sendTo(ctx context.Context, url string, e event.Event) error {
	if err := deliver(ctx, url, e); err != nil {
		return err
	}
	if a.json {
		return a.printLine(map[string]any{"sent": e, "to": url})
	}
	a.printf("%s\n", e.ID())
	return nil
}

// deliver posts e in binary mode until it is taken, for a few seconds.
func deliver(ctx context.Context, url string, e event.Event) error {
	client, err := cloudevents.NewClientHTTP(cehttp.WithTarget(url), cehttp.WithIsRetriableFunc(func(status int) bool {
		return status == 429 || status >= 500
	}))
	if err != nil {
		return fmt.Errorf("make a sender for %s: %w", url, err)
	}
	ctx = cloudevents.ContextWithRetriesExponentialBackoff(ctx, 100*time.Millisecond, 4)
	if result := client.Send(ctx, e); !cloudevents.IsACK(result) {
		return fmt.Errorf("send %s to %s: %w", e.Type(), url, result)
	}
	return nil
}
