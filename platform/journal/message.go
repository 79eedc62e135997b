package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
)

// deadLetter is the type in the subject of an undeliverable event.
const deadLetter = "deadletter"

// noRun stands in a subject for an event of no run.
const noRun = "_"

var runID = regexp.MustCompile(`^r-[0-9]{8}-[0-9]{6}-[0-9a-f]{8}$`)

// RunOf is the id of the run that e belongs to, empty if it belongs to none.
func RunOf(e event.Event) string {
	if run := events.Extension(e, events.ExtCorrelationID); runID.MatchString(run) {
		return run
	}
	return ""
}

// Subject is the subject under which the journal keeps e.
func Subject(e event.Event) string { return subject(RunOf(e), e.Type()) }

func deadLetterSubject(e event.Event) string { return subject(RunOf(e), deadLetter) }

func subject(run, eventType string) string {
	if run == "" {
		run = noRun
	}
	return Prefix + "." + run + "." + tokens(eventType)
}

// tokens makes a type safe in a subject: anybody may send any type, and NATS
// gives blanks, wildcards and empty tokens a meaning of their own.
func tokens(eventType string) string {
	list := strings.Split(eventType, ".")
	for i, token := range list {
		list[i] = strings.Map(plain, token)
		if token == "" {
			list[i] = "_"
		}
	}
	return strings.Join(list, ".")
}

func plain(r rune) rune {
	if r <= ' ' || r > '~' || r == '*' || r == '>' {
		return '_'
	}
	return r
}

// messageID is the Nats-Msg-Id by which the stream drops a copy.
func messageID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// RefusedError says why an event can never be recorded.
type RefusedError struct {
	// Reason is a sentence for whoever sent the event.
	Reason string
	// TooLarge is true when the size alone is in the way.
	TooLarge bool
}

// Error is the reason.
func (e *RefusedError) Error() string { return "event refused: " + e.Reason }

// encode writes e as structured JSON, or refuses what could not be read back.
func encode(e event.Event, limit int) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, &RefusedError{Reason: strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")}
	}
	// The SDK writes data of a media type other than JSON as text, even when
	// the bytes are none.
	if !e.DataBase64 && !utf8.Valid(e.DataEncoded) {
		e.DataBase64 = true
	}
	body, err := e.MarshalJSON()
	if err == nil && !json.Valid(body) {
		err = fmt.Errorf("its data is not the %s that it claims to be", e.DataContentType())
	}
	if err != nil {
		return nil, &RefusedError{Reason: err.Error()}
	}
	if len(body) > limit {
		return nil, &RefusedError{TooLarge: true, Reason: fmt.Sprintf("it has %d bytes, accepted are %d: put the data into the object store and send its URI", len(body), limit)}
	}
	return body, nil
}
