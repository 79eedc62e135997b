package events

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape percent-escapes what CloudEvents forbids in an attribute and HTTP in a
// header: control characters, noncharacters and bytes that are not UTF-8.
func escape(s string) string {
	var b strings.Builder
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if isForbidden(r, size) {
			for _, c := range []byte(rest[:size]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return b.String()
}

func isForbidden(r rune, size int) bool {
	notUTF8 := r == utf8.RuneError && size == 1
	return notUTF8 || unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r)
}
