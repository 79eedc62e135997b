// Package input tests what becomes of bad input on a real platform: each gets
// one clear answer, in the journal and on the command line, and nothing else is
// disturbed by it. What each value does to the code that judges it stands in the
// tests beside that code.
package input
