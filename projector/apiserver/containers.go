package apiserver

import (
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"rollcall/projector/apiserver/streams"
)

// longRunning tells requests that take as long as they take from those that
// have to be answered in time: watches, and what talks with a container.
var longRunning = genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "log", "portforward", "proxy"))

// connections are the ways to the containers of the cluster.
func (s *Server) connections() *streams.Connections {
	return streams.New(streams.Options{Objects: s.config.Objects, Client: s.client, Logs: s.config.Logs, Start: s.start, Now: time.Now, Past: s.config.ReadOnly})
}
