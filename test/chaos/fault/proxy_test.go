package fault_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/test/chaos/fault"
)

// echo is a server that answers with what it was asked, and a proxy before it.
func echo(t *testing.T) (*fault.Proxy, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		asked = append(asked, r.Host+" "+r.URL.RequestURI())
		if err == nil {
			_, _ = w.Write(body) // the client sees what is missing
		}
	}))
	t.Cleanup(server.Close)
	p := fault.New()
	t.Cleanup(p.Close)
	require.NoError(t, p.Target(server.URL))
	return p, &asked
}

func post(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Post(url, "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestAProxyPassesOnWhatNoRuleMeets(t *testing.T) {
	p, asked := echo(t)
	p.Break(fault.Rule{Request: regexp.MustCompile("^GET "), Status: 500})
	status, body := post(t, p.URL+"/a/b?c=%2F")
	require.Equal(t, 200, status)
	require.Equal(t, "hello", body)
	require.Equal(t, []string{strings.TrimPrefix(p.URL, "http://") + " /a/b?c=%2F"}, *asked, "with the host of the client")
	require.Zero(t, p.Met())
}

func TestAProxyWithoutTargetSaysSo(t *testing.T) {
	p := fault.New()
	defer p.Close()
	status, _ := post(t, p.URL)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Error(t, p.Target("nowhere"))
}

func TestRules(t *testing.T) {
	p, asked := echo(t)
	var order []string
	note := func(word string) func() {
		return func() { order = append(order, word, strings.Repeat("asked", len(*asked))) }
	}
	p.Break(
		fault.Rule{Request: regexp.MustCompile("^POST /gone$"), Status: 503, Times: 2},
		fault.Rule{Request: regexp.MustCompile("^POST /slow$"), Delay: 20 * time.Millisecond, Before: note("before"), After: note("after")},
	)
	for _, want := range []int{503, 503, 200} {
		status, _ := post(t, p.URL+"/gone")
		require.Equal(t, want, status)
	}
	require.Equal(t, 2, p.Met())
	*asked = nil
	began := time.Now()
	status, body := post(t, p.URL+"/slow")
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
	require.Equal(t, 200, status)
	require.Equal(t, "hello", body)
	require.Equal(t, []string{"before", "", "after", "asked"}, order, "the server was asked in between")
	p.Break(fault.Rule{Request: regexp.MustCompile("^POST /lost$"), After: fault.Lose})
	_, err := http.Post(p.URL+"/lost", "text/plain", http.NoBody)
	require.Error(t, err, "nobody hears the answer")
	require.Len(t, *asked, 2, "but the server was asked")
	p.Break()
	status, _ = post(t, p.URL+"/gone")
	require.Equal(t, 200, status)
}
