// Package docs holds the texts of this directory that the command prints too.
package docs

import _ "embed"

// Simulation says what is simulated, and how it behaves.
//
//go:embed SIMULATION.md
var Simulation string
