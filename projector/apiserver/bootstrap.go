package apiserver

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
	schedulinghelpers "k8s.io/kubernetes/pkg/apis/scheduling/v1"
)

// What every namespace has, as in any cluster.
const (
	defaultAccount = "default"
	rootCA         = "kube-root-ca.crt"
	rootCAKey      = "ca.crt"
)

// systemNamespaces are there from the start.
var systemNamespaces = []string{metav1.NamespaceDefault, corev1.NamespaceNodeLease, metav1.NamespacePublic, metav1.NamespaceSystem}

// bootstrap gives a new cluster what every cluster has, and then each new
// namespace what every namespace has.
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
	rev, err := s.furnishAll(ctx)
	if err != nil {
		return err
	}
	close(s.ready)
	go s.furnish(hook, rev)
	return nil
}

// foundNamespaces makes the system's namespaces, where they are not.
func (s *Server) foundNamespaces(ctx context.Context) error {
	for _, name := range systemNamespaces {
		if s.config.Feed.tables["Namespace"].get(name) != nil {
			continue
		}
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := s.client.CoreV1().Namespaces().Create(ctx, n, metav1.CreateOptions{}); exists(err) != nil {
			return fmt.Errorf("make namespace %s: %w", name, err)
		}
	}
	return nil
}

// foundClasses makes the system's priority classes, where they are not.
func (s *Server) foundClasses(ctx context.Context) error {
	for _, class := range schedulinghelpers.SystemPriorityClasses() {
		if s.config.Feed.tables["PriorityClass"].get(class.Name) != nil {
			continue
		}
		if _, err := s.client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); exists(err) != nil {
			return fmt.Errorf("make priority class %s: %w", class.Name, err)
		}
	}
	return nil
}

// exists returns err, unless it says that the object is there already.
func exists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// furnishAll gives every namespace what it lacks and returns the revision up
// to which that was looked at.
func (s *Server) furnishAll(ctx context.Context) (uint64, error) {
	items, rev := s.config.Feed.tables["Namespace"].snapshot()
	var err error
	items.Scan(func(i *item) bool {
		err = s.furnishOne(ctx, i)
		return err == nil
	})
	return rev, err
}

// furnishRetry is the pause after a write of furnish was refused.
const furnishRetry = time.Second

// furnish follows the namespaces, and the objects that each of them has, until
// ctx is done.
func (s *Server) furnish(ctx context.Context, rev uint64) {
	namespaces := s.config.Feed.tables["Namespace"]
	for ctx.Err() == nil {
		cs, wake, _, ok := namespaces.since(rev)
		var err error
		if !ok {
			rev, err = s.furnishAll(ctx)
		}
		for _, c := range cs {
			if c.now != nil && err == nil {
				if err = s.furnishOne(ctx, c.now); err != nil {
					break
				}
			}
			rev = c.rev
		}
		var again <-chan time.Time
		if err != nil {
			klog.ErrorS(err, "furnish a namespace")
			again, wake = time.After(furnishRetry), nil
		} else if len(cs) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// furnishOne gives a namespace its account and the certificate of the API.
func (s *Server) furnishOne(ctx context.Context, i *item) error {
	feed := s.config.Feed
	if namespacePhase(i.data) == corev1.NamespaceTerminating {
		return nil
	}
	ns := i.key
	if feed.tables["ServiceAccount"].get(ns+"/"+defaultAccount) == nil {
		a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount}}
		_, err := s.client.CoreV1().ServiceAccounts(ns).Create(ctx, a, metav1.CreateOptions{})
		if ended(err) != nil {
			return fmt.Errorf("make the account of namespace %s: %w", ns, err)
		}
	}
	if feed.tables["ConfigMap"].get(ns+"/"+rootCA) == nil {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: rootCA,
			Annotations: map[string]string{"kubernetes.io/description": "Contains a CA bundle that can be used to verify the API server of this cluster."}},
			Data: map[string]string{rootCAKey: string(s.config.CA)}}
		_, err := s.client.CoreV1().ConfigMaps(ns).Create(ctx, m, metav1.CreateOptions{})
		if ended(err) != nil {
			return fmt.Errorf("make the certificate of namespace %s: %w", ns, err)
		}
	}
	return nil
}

// ended returns err, unless it says that the object is there already or that
// its namespace is gone or ends.
func ended(err error) error {
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return exists(err)
}

// noLogs is the source of containers that have written nothing.
func noLogs(*corev1.Pod, string, bool) (ContainerLog, error) { return ContainerLog{}, nil }
