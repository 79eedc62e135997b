package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"refit.dev/platform/port"
)

// Answers returns a Check: that url answers 200. The token, unless it is empty,
// goes along as a bearer token.
func Answers(url, token string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err // names the URL already
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return fmt.Errorf("read the answer of %s: %w", url, err)
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, res.Status)
		}
		return nil
	}
}

// free fails if somebody listens at one of the addresses.
func free(addresses []string) error {
	var errs []error
	for _, address := range addresses {
		errs = append(errs, port.Free(address))
	}
	return errors.Join(errs...)
}
