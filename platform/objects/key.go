package objects

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/versity/versitygw/s3err"
)

// The limits of S3 and of file systems, in bytes.
const (
	longestKey  = 1024
	longestPart = 255
)

// checkKey refuses a key that no file can have, or that would be listed under
// another name than it was written: a//b and ./a/b as a/b.
func checkKey(key string) error {
	parts := strings.Split(strings.TrimSuffix(key, "/"), "/")
	switch {
	case len(key) > longestKey:
		return refused("KeyTooLongError", key, "it has %d bytes: accepted are 1 to %d", len(key), longestKey)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return refused("InvalidArgument", key, "it holds control characters or is no UTF-8: choose a key without")
	}
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return refused("InvalidArgument", key, "between its slashes is the part %q: objects are files here, so a part is a name that a file may have", part)
		case len(part) > longestPart:
			return refused("KeyTooLongError", key, "between its slashes is a part of %d bytes: objects are files here, so accepted are up to %d", len(part), longestPart)
		}
	}
	return nil
}

// explained names the key, and what to do, where an object and a folder of one
// name meet.
func explained(key string, err error) error {
	var api s3err.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.Code {
	case s3err.GetAPIError(s3err.ErrObjectParentIsFile).Code:
		api.Description = fmt.Sprintf("key %q: the part before one of its slashes is an object, and objects are files here, so nothing can stand below it: choose another key or delete that object first", told(key))
	case s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory).Code:
		api.Description = fmt.Sprintf("key %q: other objects stand below it, and objects are files here, so it cannot be one itself: choose another key or delete those objects first", told(key))
	}
	return api
}

func refused(code, key, format string, args ...any) error {
	return s3err.APIError{Code: code, Description: fmt.Sprintf("key %q: "+format, append([]any{told(key)}, args...)...), HTTPStatusCode: http.StatusBadRequest}
}

// told is the beginning of a long key.
func told(key string) string {
	if len(key) <= longestPart {
		return key
	}
	return strings.ToValidUTF8(key[:longestPart], "") + "…"
}
