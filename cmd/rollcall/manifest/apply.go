package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"rollcall/events"
	"rollcall/projector/apiserver"
	"rollcall/projector/apiserver/extensions"
)

// Manager owns the fields that the program sets through the API.
const Manager = "rollcall"

// Applier makes the objects of manifests so, through the API of a cluster. It
// asks for a dry run of all before it applies one.
type Applier struct {
	client    dynamic.Interface
	mapper    meta.RESTMapper
	kinds     map[string][]string // the apiVersions of each kind that is served
	namespace string              // of objects that name none
	warn      func(text string)
	docs      []*Document
	defined   map[schema.GroupKind]definition // by docs, as far as they are rehearsed
	entries   []*entry
}

// entry is an object that is to be applied.
type entry struct {
	*Document
	to     dynamic.ResourceInterface
	is     string // as kubectl writes it
	before string // its resourceVersion before it is applied; empty: it is not there
	dry    *unstructured.Unstructured
}

// Rehearsed is an object as the server says that it is to be.
type Rehearsed struct {
	*Document
	Before, After map[string]any // Before is nil if it is not there
}

// NewApplier returns an applier for docs, in the order in which objects need each
// other: that of rank, and else that of the manifests. namespace is that of
// objects that name none; warn is told what is left out.
func NewApplier(config *rest.Config, namespace string, docs []*Document, warn func(string)) (*Applier, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("find out what is served: %w", err)
	}
	groups, err := restmapper.GetAPIGroupResources(found)
	if err != nil {
		return nil, fmt.Errorf("find out what is served: %w", err)
	}
	a := &Applier{mapper: restmapper.NewDiscoveryRESTMapper(groups), kinds: map[string][]string{}, defined: map[schema.GroupKind]definition{}, namespace: namespace, warn: warn}
	for _, g := range groups {
		for version, resources := range g.VersionedResources {
			for _, r := range resources {
				if gv := (schema.GroupVersion{Group: g.Group.Name, Version: version}).String(); !strings.Contains(r.Name, "/") {
					a.kinds[r.Kind] = append(a.kinds[r.Kind], gv)
				}
			}
		}
	}
	if a.client, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	a.docs = slices.Clone(docs)
	slices.SortStableFunc(a.docs, func(x, y *Document) int { return rank(x) - rank(y) })
	return a, nil
}

// rank orders objects by what others need: the namespace that they are in, what
// says how their pods are treated, and what pods read.
func rank(d *Document) int {
	switch d.kind() {
	case events.Namespace:
		return 0
	case events.CustomResourceDefinition:
		return 1
	case events.PriorityClass, events.RuntimeClass:
		return 2
	case events.ServiceAccount, events.Secret, events.ConfigMap, events.PersistentVolume, events.PersistentVolumeClaim:
		return 3
	}
	return 4
}

// kind returns the kind under which a log has the object.
func (d *Document) kind() events.Kind {
	return events.KindOf(d.GroupVersionKind().Group, d.GetKind())
}

// defines reports whether the object defines a kind.
func (d *Document) defines() bool { return d.kind() == events.CustomResourceDefinition }

// Rehearse asks the server for a dry run of every object. If one is refused,
// nothing may be applied. What other objects of the manifests need counts as
// there.
func (a *Applier) Rehearse(ctx context.Context) error {
	planned := a.planned()
	ctx = apiserver.WithPlanned(ctx, planned)
	for _, d := range a.docs {
		e, err := a.entry(d)
		if meta.IsNoMatchError(err) {
			return a.unknown(d)
		}
		if err != nil {
			return err
		}
		var is *unstructured.Unstructured
		if of := a.defined[d.GroupVersionKind().GroupKind()]; of.fresh {
			is, err = a.try(ctx, e, of, planned)
		} else {
			is, err = e.patch(ctx, metav1.DryRunAll)
		}
		if apierrors.IsMethodNotSupported(err) || codeOf(err) == http.StatusMethodNotAllowed {
			a.leaveOut(d, err.Error())
			continue
		}
		if err != nil {
			return d.refused(err)
		}
		e.before, e.dry = is.GetResourceVersion(), is
		a.entries = append(a.entries, e)
		if d.defines() {
			if err := a.define(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rehearsed returns what has come of Rehearse, in the order in which it is
// applied.
func (a *Applier) Rehearsed(ctx context.Context) ([]Rehearsed, error) {
	var all []Rehearsed
	for _, e := range a.entries {
		x := Rehearsed{Document: e.Document, After: e.dry.Object}
		switch is, err := e.to.Get(ctx, e.GetName(), metav1.GetOptions{}); {
		case err == nil:
			x.Before = is.Object
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("read %s: %w", e.is, err)
		}
		all = append(all, x)
	}
	return all, nil
}

// Apply makes the objects so that were rehearsed, and tells of each.
func (a *Applier) Apply(ctx context.Context, tell func(text string)) error {
	for _, e := range a.entries {
		is, err := e.patch(ctx)
		if err != nil {
			return e.refused(err)
		}
		what := "configured"
		switch e.before {
		case "":
			what = "created"
		case is.GetResourceVersion():
			what = "unchanged"
		}
		tell(e.is + " " + what)
		if e.defines() {
			if err := e.establish(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// planned returns the objects of the manifests that others may need.
func (a *Applier) planned() map[events.Ref]bool {
	objects := map[events.Ref]bool{}
	for _, d := range a.docs {
		if e, err := a.entry(d); err == nil {
			objects[events.Ref{Kind: d.kind(), Key: events.Key{Namespace: e.GetNamespace(), Name: d.GetName()}}] = true
		}
	}
	return objects
}

// entry finds out where an object goes.
func (a *Applier) entry(d *Document) (*entry, error) {
	gvk := d.GroupVersionKind()
	var resource schema.GroupVersionResource
	namespaced := false
	if of := a.defined[gvk.GroupKind()]; of.fresh {
		resource, namespaced = extensions.ResourceOf(of.CustomResourceDefinition, gvk.Version), of.Spec.Scope == extensionsv1.NamespaceScoped
	} else {
		m, err := a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			return nil, err
		}
		resource, namespaced = m.Resource, m.Scope.Name() == meta.RESTScopeNameNamespace
	}
	namespace := d.namespaceOf(namespaced, a.namespace)
	d.SetNamespace(namespace)
	is := strings.ToLower(gvk.Kind)
	if gvk.Group != "" {
		is += "." + gvk.Group
	}
	return &entry{Document: d, to: a.client.Resource(resource).Namespace(namespace), is: is + "/" + d.GetName()}, nil
}

// patch applies the object on the server's side. Fields that somebody else has
// set since are set again: a manifest says what is wanted, as with kubectl apply.
// A partial document is merged into the object.
func (e *entry) patch(ctx context.Context, dryRun ...string) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(e.Object)
	if err != nil {
		return nil, err
	}
	o := metav1.PatchOptions{DryRun: dryRun, FieldManager: Manager, FieldValidation: metav1.FieldValidationStrict}
	if e.partial {
		return e.to.Patch(ctx, e.GetName(), types.MergePatchType, data, o)
	}
	force := !e.exact || e.GetResourceVersion() != ""
	o.Force = &force
	return e.to.Patch(ctx, e.GetName(), types.ApplyPatchType, data, o)
}

// leaveOut tells of an object that nothing would act on. It costs the others
// nothing.
func (a *Applier) leaveOut(d *Document, why string) {
	a.warn(fmt.Sprintf("%s: %s %q is left out: %s", d.at(d.line(""), ""), d.GetKind(), d.GetName(), why))
}

// unknown refuses an object of a kind that is not served, and names what is.
func (a *Applier) unknown(d *Document) error {
	if served := a.kinds[d.GetKind()]; len(served) > 0 {
		return d.refuse("E-MAN-API", "apiVersion", fmt.Sprintf("%s of apiVersion %s is not served", d.GetKind(), d.GetAPIVersion()), "use "+strings.Join(served, " or "))
	}
	var all []string
	for k := range a.kinds {
		all = append(all, k)
	}
	slices.Sort(all)
	return d.refuse("E-MAN-KIND", "kind", fmt.Sprintf("there is no kind %q", d.GetKind()),
		events.Suggest(d.GetKind(), all, "remove the object, or add the CustomResourceDefinition that defines it"))
}

// codeOf returns the HTTP status of an answer of the API; 0: err is none.
func codeOf(err error) int32 {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return 0
	}
	return status.Status().Code
}
