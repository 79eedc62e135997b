package receive_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/receive"
)

const minio = `{"EventName":"s3:ObjectCreated:Put","Key":"landing/a b+ü.parquet","Records":[{"eventVersion":"2.0","eventSource":"minio:s3","awsRegion":"",
"eventTime":"2026-11-23T06:00:00.000Z","eventName":"s3:ObjectCreated:Put","s3":{"s3SchemaVersion":"1.0","configurationId":"Config","bucket":{"name":"landing",
"arn":"arn:aws:s3:::landing"},"object":{"key":"a+b%2B%C3%BC.parquet","size":3,"eTag":"e","sequencer":"15"}}}]}`

const aws = `{"Records":[{"eventSource":"aws:s3","awsRegion":"eu-west-1","eventTime":"2026-11-23T06:00:00.000Z","eventName":"ObjectCreated:Put",
"s3":{"bucket":{"name":"landing"},"object":{"key":"a.parquet","size":3,"eTag":"e","sequencer":"1"}}},
{"eventSource":"aws:s3","awsRegion":"eu-west-1","eventTime":"2026-11-23T06:00:00.000Z","eventName":"ObjectCreated:Put",
"s3":{"bucket":{"name":"landing"},"object":{"key":"b.parquet","size":3,"eTag":"e","sequencer":"2"}}}]}`

// bundle is a receiver before a broker that takes some events.
type bundle struct {
	handler http.Handler
	sent    []event.Event
	takes   int
}

func setup(token string) *bundle {
	b := &bundle{takes: 100}
	b.handler = receive.Handler(receive.Config{Token: token, Logger: slog.New(slog.DiscardHandler), Send: func(_ context.Context, e event.Event) error {
		if len(b.sent) >= b.takes {
			return errors.New("broker http://secret.internal is down")
		}
		b.sent = append(b.sent, e)
		return nil
	}})
	return b
}

func (b *bundle) ask(method, authorization string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, receive.Path, body)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func TestANotificationBecomesEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want []string // type, source and subject
	}{
		"of MinIO": {minio, []string{"com.amazonaws.s3.ObjectCreated:Put minio:s3..landing a b+ü.parquet"}},
		"of AWS, two records": {aws, []string{
			"com.amazonaws.s3.ObjectCreated:Put aws:s3.eu-west-1.landing a.parquet", "com.amazonaws.s3.ObjectCreated:Put aws:s3.eu-west-1.landing b.parquet",
		}},
		"of AWS, at its set-up": {`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"landing"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup("token")
			require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "Bearer token", strings.NewReader(tc.body)).Code)
			var got []string
			for _, e := range b.sent {
				got = append(got, e.Type()+" "+e.Source()+" "+e.Subject())
			}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestABrokerThatIsDownAsksForTheNotificationAgain(t *testing.T) {
	b := setup("token")
	b.takes = 1
	w := b.ask(http.MethodPost, "Bearer token", strings.NewReader(aws))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.NotContains(t, w.Body.String(), "internal")
	first := b.sent[0].ID()
	b.takes = 100
	require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "Bearer token", strings.NewReader(aws)).Code)
	require.Equal(t, first, b.sent[1].ID(), "an event that was stored before keeps its id")
}

func TestOnlyTheTokenOpensTheReceiver(t *testing.T) {
	for name, tc := range map[string]struct {
		token, authorization string
		want                 int
	}{
		"nothing":           {"token", "", http.StatusUnauthorized},
		"another token":     {"token", "Bearer tokem", http.StatusUnauthorized},
		"a longer token":    {"token", "Bearer token2", http.StatusUnauthorized},
		"another scheme":    {"token", "Basic token", http.StatusUnauthorized},
		"the token alone":   {"token", "token", http.StatusUnauthorized},
		"no token set":      {"", "Bearer ", http.StatusForbidden},
		"the token":         {"token", "Bearer token", http.StatusOK},
		"in small letters":  {"token", "bearer token", http.StatusOK},
		"a token of blanks": {"token", "Bearer   ", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(tc.token)
			w := b.ask(http.MethodPost, tc.authorization, strings.NewReader(minio))
			require.Equal(t, tc.want, w.Code)
			require.Equal(t, tc.want == http.StatusOK, len(b.sent) > 0)
		})
	}
}

func TestWhatIsNoNotificationIsRefusedWithASentence(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		code int
		want string
	}{
		"nothing":                {"", http.StatusBadRequest, "read S3 notification"},
		"another JSON":           {`{"a":1}`, http.StatusBadRequest, "no Records"},
		"a record without a key": {`{"Records":[{"eventName":"x","s3":{}}]}`, http.StatusBadRequest, "record 0"},
		"SNS":                    {`{"Type":"Notification","TopicArn":"arn:aws:sns:x","Message":"{}"}`, http.StatusBadRequest, "a message of SNS, which is not accepted: post the JSON of an S3 notification"},
		"EventBridge":            {`{"detail-type":"Object Created","source":"aws.s3","detail":{}}`, http.StatusBadRequest, "an event of EventBridge, which is not accepted"},
		"SQS":                    {`{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}`, http.StatusBadRequest, "a message of SQS or SNS, which is not accepted"},
		"Ceph":                   {`{"specversion":"1.0","id":"1","type":"com.amazonaws.ObjectCreated:Put"}`, http.StatusBadRequest, "a CloudEvent, which goes to the broker directly"},
		"too much":               {`{"Records":"` + strings.Repeat("x", 1<<20) + `"}`, http.StatusRequestEntityTooLarge, "more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup("token")
			w := b.ask(http.MethodPost, "Bearer token", strings.NewReader(tc.body))
			require.Equal(t, tc.code, w.Code)
			require.Contains(t, w.Body.String(), tc.want)
			require.Empty(t, b.sent)
		})
	}
}

func TestMinIOFindsTheReceiverAlive(t *testing.T) {
	require.Equal(t, http.StatusNoContent, setup("token").ask(http.MethodHead, "Bearer token", nil).Code)
	require.Equal(t, http.StatusMethodNotAllowed, setup("token").ask(http.MethodPut, "Bearer token", nil).Code)
}

func TestAClientPostsUntilTheBrokerHasIt(t *testing.T) {
	b := setup("token")
	server := httptest.NewServer(b.handler)
	defer server.Close()
	var n any = map[string]any{"Event": "s3:TestEvent"}
	require.NoError(t, (&receive.Client{URL: server.URL + receive.Path, Token: "token"}).Post(t.Context(), n))
	err := (&receive.Client{URL: server.URL + receive.Path, Token: "other"}).Post(t.Context(), n)
	require.ErrorContains(t, err, "401 Unauthorized: the token is missing or wrong")
	require.Error(t, (&receive.Client{URL: "http://127.0.0.1:1"}).Post(t.Context(), n))
	require.Error(t, (&receive.Client{URL: ":"}).Post(t.Context(), n))
	require.Error(t, (&receive.Client{URL: server.URL}).Post(t.Context(), make(chan int)))
}
