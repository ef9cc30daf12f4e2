package apiserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/apis/coordination"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// Heartbeat returns when the kubelet of a node last said that it is alive, and
// whether it is one that does so otherwise than by writing its Lease.
type Heartbeat func(node *corev1.Node, now time.Time) (time.Time, bool)

// nodeLeases shows, among the Leases that were written, Leases of nodes whose
// kubelets write none. A watch is told of the written Leases only: the others
// would change every few seconds.
type nodeLeases struct {
	storage.Interface
	nodes, namespaces *table.Table
	alive             Heartbeat
	now               func() time.Time
}

// housed reports whether the namespace of the nodes' Leases is there. While that
// namespace is being deleted kubelets make no new Leases.
func (l nodeLeases) housed() bool {
	i := l.namespaces.At(corev1.NamespaceNodeLease)
	return i != nil && namespacePhase(i.Data) != corev1.NamespaceTerminating
}

const (
	leasePrefix     = "/leases/"
	nodeLeasePrefix = leasePrefix + corev1.NamespaceNodeLease + "/"
	leaseSeconds    = 40 // a kubelet's default
)

// Get implements storage.Interface.
func (l nodeLeases) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	written := opts
	written.IgnoreNotFound = false
	err := l.Interface.Get(ctx, key, written, out)
	if !storage.IsNotFound(err) {
		return err
	}
	if name, ok := strings.CutPrefix(key, nodeLeasePrefix); ok && l.housed() {
		i := l.nodes.At(name)
		rev, current := l.GetCurrentResourceVersion(ctx)
		if current != nil {
			return current
		}
		if lease := l.of(i, rev); lease != nil {
			lease.DeepCopyInto(out.(*coordination.Lease))
			return nil
		}
	}
	if opts.IgnoreNotFound {
		return runtime.SetZeroValue(out)
	}
	return err
}

// GetList implements storage.Interface. The leases of nodes are on the last page.
func (l nodeLeases) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if err := l.Interface.GetList(ctx, key, opts, list); err != nil {
		return err
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	one, named := strings.CutPrefix(key, nodeLeasePrefix)
	named = named && one != ""
	if m.GetContinue() != "" || !l.housed() || !named && !strings.HasPrefix(nodeLeasePrefix, strings.TrimSuffix(key, "/")+"/") {
		return nil
	}
	leases := list.(*coordination.LeaseList)
	written := map[string]bool{}
	for i := range leases.Items {
		if leases.Items[i].Namespace == corev1.NamespaceNodeLease {
			written[leases.Items[i].Name] = true
		}
	}
	rev, err := versioner.ParseResourceVersion(m.GetResourceVersion())
	if err != nil {
		return err
	}
	nodes, _ := l.nodes.Snapshot()
	nodes.Scan(func(i *table.Item) bool {
		if written[i.Path()] || named && i.Path() != one {
			return true
		}
		lease := l.of(i, rev)
		if lease == nil {
			return true
		}
		var ok bool
		if ok, err = opts.Predicate.Matches(lease); ok {
			leases.Items = append(leases.Items, *lease)
		}
		return err == nil
	})
	return err
}

// of returns the lease of a node whose kubelet is alive without writing it.
func (l nodeLeases) of(i *table.Item, rev uint64) *coordination.Lease {
	if i == nil {
		return nil
	}
	n := &corev1.Node{}
	if err := wire.UnmarshalIn(i.Data, n, time.Local); err != nil {
		return nil // reading the node tells
	}
	renewed, ok := l.alive(n, l.now())
	if !ok {
		return nil
	}
	return &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: corev1.NamespaceNodeLease, Name: n.Name, UID: events.DerivedUID(sha256.Sum256([]byte("lease/" + n.UID))),
			CreationTimestamp: n.CreationTimestamp, ResourceVersion: fmt.Sprint(rev),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}},
		},
		Spec: coordination.LeaseSpec{HolderIdentity: &n.Name, LeaseDurationSeconds: ptr.To(int32(leaseSeconds)),
			RenewTime: ptr.To(metav1.NewMicroTime(renewed))},
	}
}

// renewLease renews the Lease of a node for a kubelet that says in the status
// of its node alone that it is alive. Such a write is no event; the Lease, which
// is not in the log, tells who looks after nodes.
func (s *Server) renewLease(ctx context.Context, node string) {
	leases := s.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: node},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &node, LeaseDurationSeconds: ptr.To(int32(leaseSeconds)), RenewTime: &now}}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	case err == nil && (lease.Spec.RenewTime == nil || now.Sub(lease.Spec.RenewTime.Time) > leaseSeconds/4*time.Second):
		lease.Spec.RenewTime = &now
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsConflict(err) {
		klog.V(2).InfoS("a Lease is not renewed", "node", node, "err", err) // the next heartbeat tries again
	}
}
