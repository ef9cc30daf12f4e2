package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
)

// client returns a client of the Kubernetes API of the instance that runs.
func (t *target) client(ctx context.Context) (kubernetes.Interface, error) {
	c, err := t.config(ctx)
	if err != nil {
		return nil, err
	}
	c.ContentType, c.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	return kubernetes.NewForConfig(c)
}

// config returns how clients reach the Kubernetes API of the instance that runs.
func (t *target) config(ctx context.Context) (*rest.Config, error) {
	if err := t.resolve(); err != nil {
		return nil, err
	}
	path, runs, err := t.serving(ctx)
	if err != nil {
		return nil, err
	}
	if !runs {
		where := cmp.Or(t.data, instance.WithoutUser(t.natsURL))
		return nil, &events.Error{Code: "E-CLI-OFFLINE", What: "no instance is running on the log", Where: where,
			Why: "nothing can be changed there", Do: "start it with rollcall up", Exit: events.ExitInput}
	}
	rules := t.rules
	if path != "" {
		rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: path}
	}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig of the instance: %w", err)
	}
	c.QPS = -1 // the server has limits of its own
	c.WarningHandler = rest.NoWarnings{}
	return c, nil
}

// refused tells an error of the API in one line. names are those of the objects
// of the kind, for one that is not found.
func refused(err error, where string, names func() []string) error {
	var status apierrors.APIStatus
	var lost *url.Error
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err) && errors.As(err, &status):
		d := status.Status().Details
		return notFound(schema.GroupResource{Group: d.Group, Resource: d.Kind}.String(), d.Name, where, names())
	case apierrors.IsAlreadyExists(err) && errors.As(err, &status):
		return alreadyExists(status.Status().Details.Name)
	case errors.As(err, &status):
		s := status.Status()
		exit := events.ExitFailure
		if s.Code < 500 {
			exit = events.ExitInput
		}
		return &events.Error{Code: "E-API-REFUSED", What: s.Message, Where: where, Exit: exit, Err: err}
	case errors.As(err, &lost) && !errors.Is(err, context.Canceled):
		return &events.Error{Code: "E-CLI-GONE", What: "the Kubernetes API of the instance does not answer", Why: lost.Err.Error(),
			Do: "see whether it still runs", Exit: events.ExitFailure, Err: err}
	}
	return err
}

// notFound says that there is no such object, and which name may be meant.
func notFound(resource, name, where string, names []string) error {
	return &events.Error{Code: "E-CLI-NOTFOUND", What: fmt.Sprintf("%s %q not found", resource, name), Where: where,
		Do: events.Suggest(name, names, "list what there is with rollcall kubectl get "+resource+" -A"), Exit: events.ExitInput}
}

// alreadyExists refuses to add what is there.
func alreadyExists(node string) error {
	return &events.Error{Code: "E-CLI-EXISTS", What: fmt.Sprintf("node %q exists already", node),
		Do: "choose another name, or delete the node first", Exit: events.ExitInput}
}

// addNamespace gives a command the flag that chooses a namespace.
func addNamespace(c *cobra.Command, namespace *string) {
	c.Flags().StringVarP(namespace, "namespace", "n", metav1.NamespaceDefault, "namespace of the object")
}

// nameOf reads KIND/NAME, or NAME alone. kinds are the ways to write the kind.
func nameOf(arg string, kinds ...string) (string, error) {
	kind, name, ok := strings.Cut(arg, "/")
	if !ok {
		return arg, nil
	}
	if !slices.Contains(kinds, strings.ToLower(kind)) {
		return "", usageError("E-CLI-ARGS", fmt.Sprintf("%q is of another kind", arg), "write "+kinds[0]+"/NAME")
	}
	return name, nil
}

// daemonSetName reads ds/NAME, or NAME alone.
func daemonSetName(arg string) (string, error) {
	return nameOf(arg, "ds", "daemonset", "daemonsets", "daemonset.apps", "daemonsets.apps")
}

// nodeNames reads node/NAME, or NAME alone.
func nodeNames(args []string) ([]string, error) {
	names := make([]string, len(args))
	for i, a := range args {
		var err error
		if names[i], err = nameOf(a, "node", "nodes", "no"); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// annotation is the patch that sets an annotation, or removes it if value is
// empty.
func annotation(name, value string) []byte {
	if value == "" {
		return fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, name)
	}
	return fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, name, value)
}

// listNodes returns the names of all nodes.
func listNodes(ctx context.Context, api kubernetes.Interface) ([]string, error) {
	list, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, refused(err, "", nil)
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	return names, nil
}

// findNode returns a node, or says which one may be meant.
func findNode(ctx context.Context, api kubernetes.Interface, name string) (*corev1.Node, error) {
	n, err := api.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	return n, refused(err, "", func() []string {
		names, _ := listNodes(ctx, api) // without them nothing is suggested
		return names
	})
}
