package main

// gateCodes are the refusals of a running instance that was asked over NATS.
var gateCodes = []codeText{
	{"E-GATE-DOWN", "no instance answers",
		"None runs on that NATS server for that cluster",
		"Start one with rollcall up"},
	{"E-GATE-FAILED", "the instance could not carry the request out",
		"Its log cannot be read, or it is stopping; the error has the reason",
		"Try again when that is mended"},
	{"E-GATE-TIMEOUT", "the instance has not answered in time",
		"It is busy, its log does not answer, or the NATS user may not ask it",
		"Try again, or read the log with rollcall kubectl --at now"},
}
