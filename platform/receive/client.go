package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client posts notifications as an object store does.
type Client struct {
	// URL is that of a Handler's Path, Token its token.
	URL, Token string
	// HTTP is http.DefaultClient by default.
	HTTP *http.Client
}

// Post sends the JSON of a notification. Nil means that the broker has its
// events; otherwise it is to be sent again.
func (c *Client) Post(ctx context.Context, notification any) error {
	body, err := json.Marshal(notification)
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post notification: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.Token)
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("post notification: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // what there is of it
		return fmt.Errorf("post notification to %s: %s: %s", c.URL, response.Status, strings.TrimSpace(string(answer)))
	}
	return nil
}
