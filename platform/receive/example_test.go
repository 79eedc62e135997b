package receive_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/platform/receive"
)

// A store posts a notification, the broker gets an event.
func ExampleHandler() {
	handler := receive.Handler(receive.Config{Token: "secret", Send: func(_ context.Context, e event.Event) error {
		fmt.Println(e.Type(), e.Subject())
		return nil
	}})
	request := httptest.NewRequest(http.MethodPost, receive.Path, strings.NewReader(minio))
	request.Header.Set("Authorization", "Bearer secret")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	// Output:
	// com.amazonaws.s3.ObjectCreated:Put a b+ü.parquet
	// 200
}
