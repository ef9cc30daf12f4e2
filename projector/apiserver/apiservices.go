package apiserver

import (
	"context"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	apiservicestore "k8s.io/kube-aggregator/pkg/registry/apiservice/etcd"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/projector/apiserver/aggregation"
)

func init() { install.Install(legacyscheme.Scheme) }

func (i *installer) registrations() group {
	services := apiservicestore.NewREST(legacyscheme.Scheme, i.options)
	return group{"apiservices": services, "apiservices/status": apiservicestore.NewStatusREST(legacyscheme.Scheme, services)}
}

// aggregate has the APIs of others served from the first APIService on that names
// a Service, and APIServices kept from the first request for one on.
func (s *Server) aggregate(front *genericapiserver.RecommendedConfig) {
	if s.config.ReadOnly != "" {
		return
	}
	s.start(func(ctx context.Context) {
		if s.awaitAggregation(ctx) != nil {
			return
		}
		err := s.others.Run(ctx, aggregation.Config{Front: front, Server: s.generic, Options: s.stores, Shared: s.shared, Services: s.resolver()})
		if err != nil {
			s.failed <- err
		}
	})
}

// awaitAggregation returns when there is something to aggregate or somebody asks.
func (s *Server) awaitAggregation(ctx context.Context) error {
	waiting, asked := context.WithCancel(ctx)
	defer asked()
	go func() {
		select {
		case <-s.others.Asked():
			asked()
		case <-waiting.Done():
		}
	}()
	if AwaitObject(waiting, s.config.Objects, events.APIService, aggregation.ByOther) == nil {
		return nil
	}
	return ctx.Err()
}
