// Package docs holds the texts of this directory that the command prints too.
package docs

import _ "embed"

// Simulation says what is simulated, and how it behaves.
//
//go:embed SIMULATION.md
var Simulation string

// Codes says of every code of an error what it means, what causes it and what to
// do: a section for each part of the program, with a table of its codes.
//
//go:embed CODES.md
var Codes string
