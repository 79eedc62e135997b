// Package receive takes the notifications of an object store over HTTP and
// hands them to the broker.
//
// AWS S3 and MinIO speak JSON of their own, which no broker understands:
// [Handler] turns each record into a CloudEvent and answers 200 only when the
// broker has all of them, so a store that keeps what was not taken (MinIO with a
// queue_dir) loses nothing. Ceph's RGW sends CloudEvents itself and is pointed at
// the broker, not here. The wrappings of SNS, SQS and EventBridge are refused
// with a sentence.
package receive

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
)

// Path is where stores post their notifications.
const Path = "/notifications"

// maxBytes is the largest notification: S3 itself sends one record at a time,
// of some kilobytes.
const maxBytes = 1 << 20

// accepted says what may be posted.
const accepted = "post the JSON of an S3 notification, as AWS S3 and MinIO write it: {\"Records\": [...]}"

// Config says who may post and who gets the events.
type Config struct {
	// Token is the shared secret, sent as "Authorization: Bearer <token>", which
	// is what MinIO makes of its auth_token. An empty one closes the receiver.
	Token string
	// Send stores an event with the broker; nil means that the broker has it.
	Send func(context.Context, event.Event) error
	// Logger is slog.Default by default.
	Logger *slog.Logger
}

// Handler serves Path. It answers 200 when the broker has all events, 400 or 413
// to what is no notification, 401 without the token and 503, with Retry-After,
// when the broker could not take them: a store then posts the notification
// again, and events that were stored before keep their ids. MinIO asks by HEAD
// whether somebody is there, which is answered 204.
func Handler(c Config) http.Handler {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	r := &receiver{Config: c, token: sha256.Sum256([]byte(c.Token))}
	mux := http.NewServeMux()
	mux.Handle("POST "+Path, r.authorized(r.receive))
	mux.Handle("HEAD "+Path, r.authorized(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	return mux
}

type receiver struct {
	Config

	token [sha256.Size]byte
}

// authorized lets a request with the token pass. Sums are compared, which have
// one length whatever was sent.
func (r *receiver) authorized(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
		sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
		switch {
		case r.Token == "":
			http.Error(w, "notifications are not taken: REFIT_NOTIFICATION_TOKEN is not set", http.StatusForbidden)
		case subtle.ConstantTimeCompare(sum[:], r.token[:]) != 1 || !strings.EqualFold(scheme, "Bearer"):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong: send Authorization: Bearer with the token of REFIT_NOTIFICATION_TOKEN", http.StatusUnauthorized)
		default:
			next(w, request)
		}
	})
}

func (r *receiver) receive(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBytes))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		http.Error(w, fmt.Sprintf("the notification has more than %d bytes: %s", large.Limit, accepted), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the notification could not be read to its end, send it again", http.StatusBadRequest)
		return
	}
	list, err := parse(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := r.send(request.Context(), list); err != nil {
		r.Logger.WarnContext(request.Context(), "notification is not taken, the store must send it again", "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the broker has not taken the events, send the notification again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (r *receiver) send(ctx context.Context, list []event.Event) error {
	for _, e := range list {
		if err := r.Send(ctx, e); err != nil {
			return err
		}
		r.Logger.InfoContext(ctx, "notification received", "type", e.Type(), "key", e.Subject(), "event_id", e.ID())
	}
	return nil
}

// parse makes events of a body, or says what was sent in place of a
// notification.
func parse(body []byte) ([]event.Event, error) {
	if form := wrapping(body); form != "" {
		return nil, fmt.Errorf("this is %s, which is not accepted: %s", form, accepted)
	}
	list, err := events.FromNotification(body)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, accepted)
	}
	return list, nil
}

// wrapping names the form of a message that carries a notification inside
// another or that belongs to the broker.
func wrapping(body []byte) string {
	var m struct {
		SpecVersion string          `json:"specversion"`
		TopicArn    string          `json:"TopicArn"`
		DetailType  string          `json:"detail-type"`
		Records     json.RawMessage `json:"Records"`
	}
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	switch {
	case m.SpecVersion != "":
		return "a CloudEvent, which goes to the broker directly"
	case m.TopicArn != "":
		return "a message of SNS"
	case m.DetailType != "":
		return "an event of EventBridge"
	case strings.Contains(string(m.Records), `"aws:sqs"`), strings.Contains(string(m.Records), `"aws:sns"`):
		return "a message of SQS or SNS"
	}
	return ""
}
