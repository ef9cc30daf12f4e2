package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	schedulinghelpers "k8s.io/kubernetes/pkg/apis/scheduling/v1"

	"rollcall/events"
)

// systemNamespaces are always there.
var systemNamespaces = []string{metav1.NamespaceDefault, corev1.NamespaceNodeLease, metav1.NamespacePublic, metav1.NamespaceSystem}

// bootstrap gives a new cluster what every cluster has, and then sees to it that
// it stays.
func (s *Server) bootstrap(hook genericapiserver.PostStartHookContext) error {
	if s.config.ReadOnly != "" {
		close(s.ready)
		return nil
	}
	ctx, cancel := context.WithTimeout(hook, bootTime)
	defer cancel()
	if err := s.foundNamespaces(ctx); err != nil {
		return err
	}
	if err := s.foundClasses(ctx); err != nil {
		return err
	}
	if err := s.keepNamespaces(ctx); err != nil {
		return err
	}
	s.awaitFurnished(ctx)
	close(s.ready)
	return nil
}

// foundNamespaces makes the system's namespaces, where they are not.
func (s *Server) foundNamespaces(ctx context.Context) error {
	for _, name := range systemNamespaces {
		if s.config.Objects.Of(events.Namespace).At(name) != nil {
			continue
		}
		if err := s.makeNamespace(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) makeNamespace(ctx context.Context, name string) error {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := s.client.CoreV1().Namespaces().Create(ctx, n, metav1.CreateOptions{}); utilerrors.FilterOut(err, apierrors.IsAlreadyExists) != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}

// foundClasses makes the system's priority classes, where they are not.
func (s *Server) foundClasses(ctx context.Context) error {
	for _, class := range schedulinghelpers.SystemPriorityClasses() {
		if s.config.Objects.Of("PriorityClass").At(class.Name) != nil {
			continue
		}
		if _, err := s.client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); utilerrors.FilterOut(err, apierrors.IsAlreadyExists) != nil {
			return fmt.Errorf("make priority class %s: %w", class.Name, err)
		}
	}
	return nil
}
