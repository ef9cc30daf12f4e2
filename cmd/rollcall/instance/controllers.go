package instance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"rollcall/events"
	"rollcall/projector/apiserver"
	"rollcall/projector/apiserver/workloads"
)

// ownController is the controller that is not Kubernetes'.
const ownController = "daemonset"

// KnownControllers can be asked for by name.
var KnownControllers = []string{ownController, "deployment", "replicaset", "statefulset", "job", "cronjob"}

// helpers are the controllers without which objects would not live as they do
// elsewhere. They run beside any other unless they are left out by name.
func helpers() []string {
	return slices.DeleteFunc(workloads.Names(), func(name string) bool { return slices.Contains(KnownControllers, name) })
}

// ControllersUsage explains --controllers.
func ControllersUsage() string {
	return "controllers to run: * or all, names to run only those, -NAME to leave one out, of " + strings.Join(KnownControllers, ", ") +
		"; -NAME too of " + strings.Join(helpers(), ", ") + ", which run beside any other; empty: none, and nothing is collected"
}

// ResolveControllers returns the names of the controllers that run, as
// kube-controller-manager reads its flag: what is said of one by name comes
// before *.
func ResolveControllers(given []string) (run []string, err error) {
	all, every := slices.Concat(KnownControllers, helpers()), false
	var named, without []string
	for _, word := range given {
		name, out := strings.CutPrefix(strings.TrimSpace(word), "-")
		name = strings.TrimSuffix(name, "-controller")
		switch {
		case !out && (name == "*" || name == "all"):
			every = true
		case !slices.Contains(all, name):
			return nil, &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("there is no controller %q", word), Where: "--controllers",
				Do: events.Suggest(name, all, "choose from "+strings.Join(all, ", ")+", or * for all"), Exit: events.ExitInput}
		case out:
			without = append(without, name)
		default:
			named = append(named, name)
		}
	}
	every = every || len(named) == 0 && len(without) > 0 // nothing else can be meant
	for _, name := range all {
		asked := every || slices.Contains(named, name) || len(named) > 0 && slices.Contains(helpers(), name)
		if asked && (slices.Contains(named, name) || !slices.Contains(without, name)) {
			run = append(run, name)
		}
	}
	return run, nil
}

// control runs those of Kubernetes' controllers that were asked for, each from
// the first object on that it has something to do with.
func (in *Instance) control() {
	names := slices.DeleteFunc(slices.Clone(in.Controllers), func(name string) bool { return name == ownController })
	if len(names) == 0 {
		return
	}
	o := workloads.Options{Names: names, Await: in.await, Foreign: in.foreign(), CA: in.Served.ca, RootCA: in.Served.rootCA,
		Tokens: in.Served.Server.LastingTokens(), ClusterInfo: in.Served.clusterInfo}
	in.launch(func(ctx context.Context) error { return workloads.Run(ctx, in.Served.Server.Loopback(), o) })
}

// foreign are the nodes that no kubelet of ours plays and no source tells of.
func (in *Instance) foreign() *apiserver.Foreign { return apiserver.NewForeign(in.State.Objects()) }

// await waits until the log has what a controller wants.
func (in *Instance) await(ctx context.Context, w workloads.Want) error {
	objects := in.State.Objects()
	switch w {
	case workloads.Endings:
		return apiserver.AwaitObject(ctx, objects, events.Namespace, apiserver.Deleting)
	case workloads.Selectors:
		return apiserver.AwaitObject(ctx, objects, events.Service, apiserver.Selecting)
	case workloads.HandMade:
		return apiserver.AwaitObject(ctx, objects, events.Endpoints, apiserver.HandMade)
	case workloads.ForeignNodes:
		return in.foreign().Await(ctx)
	case workloads.Evictions:
		if err := apiserver.AwaitObject(ctx, objects, events.Node, apiserver.Evicting); err != nil {
			return err
		}
		return apiserver.AwaitObject(ctx, objects, events.Pod, apiserver.Strays)
	case workloads.Aggregations:
		return apiserver.AwaitObject(ctx, objects, "ClusterRole", apiserver.Gathering)
	case workloads.AccountTokens:
		return apiserver.AwaitObject(ctx, objects, events.Secret, apiserver.ForAccount)
	case workloads.JoinTokens:
		return apiserver.AwaitObject(ctx, objects, events.Secret, apiserver.ForJoining)
	}
	return apiserver.AwaitObject(ctx, objects, events.Kind(w), nil)
}

// unattended says of the kinds that clients make why nobody acts on them. Who
// has no controller run brings his own.
func unattended(controls []string) map[events.Kind]apiserver.Unattended {
	if len(controls) == 0 {
		return nil
	}
	why := map[events.Kind]apiserver.Unattended{}
	for kind, text := range ofNobody {
		why[kind] = func(runtime.Object) string { return text }
	}
	for _, x := range []struct {
		kind   events.Kind
		plural string
		needs  []string
	}{
		{events.DaemonSet, "DaemonSets", []string{ownController}},
		{events.Deployment, "Deployments", []string{"deployment", "replicaset"}},
		{events.ReplicaSet, "ReplicaSets", []string{"replicaset"}},
		{events.StatefulSet, "StatefulSets", []string{"statefulset"}},
		{events.Job, "Jobs", []string{"job"}},
		{events.CronJob, "CronJobs", []string{"cronjob", "job"}},
		{events.PodDisruptionBudget, "PodDisruptionBudgets", []string{"disruption"}},
		{events.Service, "Services", []string{"endpoints", "endpointslice"}},
		{"ReplicationController", "ReplicationControllers", []string{"replicationcontroller"}},
	} {
		for _, name := range x.needs {
			if !slices.Contains(controls, name) {
				text := fmt.Sprintf("nothing acts on %s here: --controllers leaves the %s controller out", x.plural, name)
				why[x.kind] = func(runtime.Object) string { return text }
				break
			}
		}
	}
	return why
}

// ofNobody is why nobody acts on kinds that something acts on elsewhere. What is
// there to be read by others, such as a StorageClass, is not among them.
var ofNobody = map[events.Kind]string{
	"Ingress":                    "nothing acts on Ingresses here: no traffic comes in through one",
	"NetworkPolicy":              "nothing acts on NetworkPolicies here: simulated pods have no traffic",
	"HorizontalPodAutoscaler":    "nothing scales by a HorizontalPodAutoscaler here: simulated pods have no metrics",
	"ServiceCIDR":                "nothing acts on ServiceCIDRs here: Services have their addresses of one range",
	"ResourceClaim":              "nothing acts on ResourceClaims here: no devices are allocated",
	"VolumeAttachment":           "nothing acts on VolumeAttachments here: simulated volumes need not be attached",
	"FlowSchema":                 "nothing acts on FlowSchemas here: requests are not put into queues",
	"PriorityLevelConfiguration": "nothing acts on PriorityLevelConfigurations here: requests are not put into queues",
}
