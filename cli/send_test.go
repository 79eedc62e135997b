package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
)

// received is a request as it came over the wire.
type received struct {
	method string
	header http.Header
	body   string
}

// broker is a server that answers with a status and keeps what it gets.
func broker(t *testing.T, status int) (url string, got *[]received) {
	t.Helper()
	got = &[]received{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			*got = append(*got, received{r.Method, r.Header, string(body)})
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/default/refit", got
}

func TestSendHasTheWireFormOfKn(t *testing.T) {
	url, got := broker(t, http.StatusAccepted)
	b := setup(t)
	require.Equal(t, cli.CodeOK, b.run(t, "send", "--to", url, "--type", "com.example.ping", "--id", "7", "--source", "/me",
		"--field", "a.b=v", "--field", "n=42", "--field", "neg=-1", "--field", "half=0.5", "--field", "padded=007", "--field", "six=0.500000", "--field", "yes=true",
		"--field", "no=false", "--field", "True=True", "--field", "eq=x=y", "--field", "empty=", "--field", "nan=NaN", "--raw-field", "a.raw=1"))
	require.Equal(t, "7\n", b.out.String())
	require.Len(t, *got, 1)
	r := (*got)[0]
	require.Equal(t, http.MethodPost, r.method)
	ce := map[string]string{}
	for name := range r.header {
		if strings.HasPrefix(name, "Ce-") {
			ce[strings.ToLower(name)] = r.header.Get(name)
		}
	}
	require.Equal(t, map[string]string{
		"ce-specversion": "1.0", "ce-type": "com.example.ping", "ce-id": "7", "ce-source": "/me", "ce-time": "2026-11-23T06:10:00Z",
	}, ce)
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.JSONEq(t, `{"a":{"b":"v","raw":"1"},"n":42,"neg":-1,"half":"0.5","padded":"007","six":0.5,"yes":true,"no":false,"True":"True","eq":"x=y","empty":"","nan":"NaN"}`, r.body)
}

func TestSendDefaults(t *testing.T) {
	url, got := broker(t, http.StatusAccepted)
	b := setup(t)
	b.broker = url
	require.Equal(t, cli.CodeOK, b.run(t, "send"))
	require.Equal(t, "id-1\n", b.out.String())
	r := (*got)[0]
	require.Equal(t, "dev.refit.run.requested", r.header.Get("Ce-Type"))
	require.Equal(t, "/refit/cli", r.header.Get("Ce-Source"))
	require.JSONEq(t, "{}", r.body)
}

func TestSendAsJSON(t *testing.T) {
	url, _ := broker(t, http.StatusAccepted)
	b := setup(t)
	require.Equal(t, cli.CodeOK, b.run(t, "send", "--to", url, "--json"))
	require.Contains(t, b.out.String(), `"id":"id-1"`)
}

func TestSendTellsARefusal(t *testing.T) {
	url, got := broker(t, http.StatusBadRequest)
	b := setup(t)
	require.Equal(t, cli.CodeError, b.run(t, "send", "--to", url))
	require.Contains(t, b.err.String(), "400")
	require.Len(t, *got, 1, "what is refused for good is not sent again")
}
