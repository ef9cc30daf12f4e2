package gate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/publisher/manifest"
)

// maxNodes bounds the nodes of one request.
const maxNodes = 10_000

func tooMany(n int) error {
	return &events.Error{Code: "E-GATE-NUMBER", What: fmt.Sprintf("%d nodes are asked for", n),
		Why: fmt.Sprintf("a request takes 1 to %d", maxNodes), Do: "ask for another number", Exit: events.ExitInput}
}

// AddNodes adds nodes made from one: as many as there are names, or so many
// with the next free numbers. If one exists already, none is added.
func (g *Gate) AddNodes(ctx context.Context, r AddNodesRequest) (Reply, error) {
	n := cmp.Or(len(r.Names), r.Count, 1)
	if n < 1 || n > maxNodes {
		return Reply{}, tooMany(n)
	}
	results, err := g.write(ctx, r.Actor, func(s Objects) ([]change, error) {
		names := r.Names
		switch {
		case len(names) == 0 && r.Count > 0:
			names = nextNames(s, cmp.Or(r.Node.Name, "node"), r.Count)
		case len(names) == 0:
			names = []string{r.Node.Name}
		}
		changes := make([]change, 0, len(names))
		seen := map[string]bool{}
		for _, name := range names {
			c, err := g.addNode(s, &r.Node, name)
			if err != nil {
				return nil, err
			}
			if seen[name] {
				return nil, exists(name)
			}
			seen[name] = true
			changes = append(changes, c)
		}
		return changes, nil
	})
	return Reply{Results: results}, err
}

func exists(name string) error {
	return &events.Error{Code: "E-GATE-EXISTS", What: fmt.Sprintf("node %q exists already", name),
		Do: "choose another name, or delete the node first", Exit: events.ExitInput}
}

func (g *Gate) addNode(s Objects, from *corev1.Node, name string) (change, error) {
	node := from.DeepCopy()
	node.Name, node.GenerateName = name, ""
	if _, _, ok := s.Object(events.Node, events.Key{Name: name}); ok {
		return change{}, exists(name)
	}
	manifest.PrepareCreate(node, manifest.Stamp{UID: g.newUID(), Now: g.clock()})
	if err := checkNode(node, nil); err != nil {
		return change{}, err
	}
	return change{kind: events.Node, verb: events.VerbCreated, now: node, what: named(events.Node, name, "created")}, nil
}

func checkNode(node, old *corev1.Node) error {
	d := manifest.Document{File: "node/" + node.Name, Count: 1, Kind: events.Node, Object: node}
	if old == nil {
		return d.Check(nil)
	}
	return d.Check(old)
}

// nextNames returns n names <prefix>-<number> after the highest that exists.
func nextNames(s Objects, prefix string, n int) []string {
	highest := 0
	for _, o := range s.List(events.Node, "") {
		if rest, ok := strings.CutPrefix(o.Key.Name, prefix+"-"); ok {
			if i, err := strconv.Atoi(rest); err == nil {
				highest = max(highest, i)
			}
		}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%04d", prefix, highest+1+i)
	}
	return names
}

// eachNode decides about every node named, in a state that has all of them,
// and writes them one by one, each under its own fence. If one is refused
// before the first is written, none is.
func (g *Gate) eachNode(ctx context.Context, r NodesRequest, decide func(node *corev1.Node, last events.Seq) (change, error)) (Reply, error) {
	if len(r.Names) < 1 || len(r.Names) > maxNodes {
		return Reply{}, tooMany(len(r.Names))
	}
	one := func(s Objects, name string) (change, error) {
		node := &corev1.Node{}
		last, err := load(s, events.Node, events.Key{Name: name}, node)
		if err != nil {
			return change{}, err
		}
		return decide(node, last)
	}
	first := true
	var reply Reply
	for _, name := range r.Names {
		results, err := g.write(ctx, r.Actor, func(s Objects) ([]change, error) {
			if first {
				for _, n := range r.Names {
					if _, err := one(s, n); err != nil {
						return nil, err
					}
				}
				first = false
			}
			c, err := one(s, name)
			return []change{c}, err
		})
		if err != nil {
			return reply, err
		}
		reply.Results = append(reply.Results, results...)
	}
	return reply, nil
}

// editNodes changes nodes by edit, which returns what to say.
func (g *Gate) editNodes(ctx context.Context, r NodesRequest, edit func(node *corev1.Node) (what string, err error)) (Reply, error) {
	return g.eachNode(ctx, r, func(old *corev1.Node, last events.Seq) (change, error) {
		next := old.DeepCopy()
		what, err := edit(next)
		if err != nil {
			return change{}, err
		}
		if equality.Semantic.DeepEqual(old, next) {
			return nothing(events.Node, old, named(events.Node, old.Name, what)), nil
		}
		if err := checkNode(next, old); err != nil {
			return change{}, err
		}
		return change{events.Node, events.VerbUpdated, next, last, named(events.Node, old.Name, what)}, nil
	})
}

// DeleteNodes deletes nodes; their pods follow.
func (g *Gate) DeleteNodes(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.eachNode(ctx, r, func(node *corev1.Node, last events.Seq) (change, error) {
		return change{events.Node, events.VerbDeleted, node, last, fmt.Sprintf("node %q deleted", node.Name)}, nil
	})
}

// Cordon keeps new pods off nodes: it sets spec.unschedulable and the taint
// that goes with it, which daemon pods tolerate.
func (g *Gate) Cordon(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.editNodes(ctx, r, func(n *corev1.Node) (string, error) {
		if n.Spec.Unschedulable {
			return "already cordoned", nil
		}
		n.Spec.Unschedulable = true
		g.putTaint(n, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
		return "cordoned", nil
	})
}

// Uncordon ends Cordon.
func (g *Gate) Uncordon(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.editNodes(ctx, r, func(n *corev1.Node) (string, error) {
		if !n.Spec.Unschedulable {
			return "already uncordoned", nil
		}
		n.Spec.Unschedulable = false
		dropTaint(n, corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
		return "uncordoned", nil
	})
}

// Label sets (k=v) and removes (k-) labels of nodes.
func (g *Gate) Label(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.editNodes(ctx, r, func(n *corev1.Node) (string, error) {
		before := len(n.Labels)
		old := n.DeepCopy()
		for _, text := range r.Changes {
			key, value, sets := strings.Cut(text, "=")
			switch k, removes := strings.CutSuffix(text, "-"); {
			case sets && key != "":
				set(&n.Labels, key, value)
			case removes && k != "":
				delete(n.Labels, k)
			default:
				return "", badChange("E-GATE-LABEL", text, "key=value, or key- to remove one")
			}
		}
		switch {
		case len(r.Changes) == 0:
			return "", badChange("E-GATE-LABEL", "", "key=value, or key- to remove one")
		case equality.Semantic.DeepEqual(old.Labels, n.Labels):
			return "not labeled", nil
		case len(n.Labels) < before:
			return "unlabeled", nil
		}
		return "labeled", nil
	})
}

func badChange(code, text, want string) error {
	return &events.Error{Code: code, What: fmt.Sprintf("%q is no change", text), Do: "write " + want, Exit: events.ExitInput}
}

const taintForm = "key=value:Effect or key:Effect, with - at the end, or key-, to remove one"

// Taint sets (k=v:Effect, k:Effect) and removes (k:Effect-, k-) taints of nodes.
// A taint of the same key and effect is replaced.
func (g *Gate) Taint(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.editNodes(ctx, r, func(n *corev1.Node) (string, error) {
		if len(r.Changes) == 0 {
			return "", badChange("E-GATE-TAINT", "", taintForm)
		}
		before := len(n.Spec.Taints)
		old := n.DeepCopy()
		for _, text := range r.Changes {
			if err := g.taint(n, text); err != nil {
				return "", err
			}
		}
		switch {
		case equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints):
			return "not tainted", nil
		case len(n.Spec.Taints) < before:
			return "untainted", nil
		}
		return "tainted", nil
	})
}

// effects are those of taints, for a refusal.
var effects = []string{string(corev1.TaintEffectNoSchedule), string(corev1.TaintEffectPreferNoSchedule), string(corev1.TaintEffectNoExecute)}

func (g *Gate) taint(n *corev1.Node, text string) error {
	body, removes := strings.CutSuffix(text, "-")
	id, effect, hasEffect := strings.Cut(body, ":")
	key, v, _ := strings.Cut(id, "=")
	if key == "" || !hasEffect && (!removes || strings.Contains(id, "=")) {
		return badChange("E-GATE-TAINT", text, taintForm)
	}
	if hasEffect && !slices.Contains(effects, effect) {
		e := &events.Error{Code: "E-GATE-TAINT", What: fmt.Sprintf("unknown effect %q", effect), Where: text,
			Do: "use " + oneOf(effects), Exit: events.ExitInput}
		if near := events.Nearest(effect, effects, 1); len(near) > 0 {
			e.Do = "did you mean " + near[0] + "?"
		}
		return e
	}
	if removes {
		if !dropTaint(n, key, corev1.TaintEffect(effect)) {
			return &events.Error{Code: "E-GATE-TAINT", What: fmt.Sprintf("node %q has no taint %s", n.Name, body),
				Do: "its taints are " + taintsOf(n), Exit: events.ExitInput}
		}
		return nil
	}
	g.putTaint(n, corev1.Taint{Key: key, Value: v, Effect: corev1.TaintEffect(effect)})
	return nil
}

func taintsOf(n *corev1.Node) string {
	if len(n.Spec.Taints) == 0 {
		return "none"
	}
	var out []string
	for _, t := range n.Spec.Taints {
		out = append(out, t.ToString())
	}
	return strings.Join(out, ", ")
}

// putTaint adds a taint, or replaces that of the same key and effect.
func (g *Gate) putTaint(n *corev1.Node, t corev1.Taint) {
	i := slices.IndexFunc(n.Spec.Taints, func(o corev1.Taint) bool { return o.MatchTaint(&t) })
	if i >= 0 && n.Spec.Taints[i].Value == t.Value {
		return
	}
	t.TimeAdded = &metav1.Time{Time: g.now()}
	if i < 0 {
		n.Spec.Taints = append(n.Spec.Taints, t)
		return
	}
	n.Spec.Taints[i] = t
}

// dropTaint removes the taints of a key, of one effect unless that is empty,
// and reports whether there were any.
func dropTaint(n *corev1.Node, key string, effect corev1.TaintEffect) bool {
	before := len(n.Spec.Taints)
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == key && (effect == "" || t.Effect == effect)
	})
	return len(n.Spec.Taints) < before
}

// simulated refuses a node that something else than rollcall plays.
func simulated(n *corev1.Node) error {
	if n.Labels[events.LabelSimulated] == "true" {
		return nil
	}
	return &events.Error{Code: "E-GATE-SIMULATED", What: fmt.Sprintf("node %q is not simulated", n.Name),
		Why: "only nodes with label " + events.LabelSimulated + "=true fail at will", Do: "choose a simulated node", Exit: events.ExitInput}
}

// Fail makes simulated nodes fail until Recover.
func (g *Gate) Fail(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.editNodes(ctx, r, func(n *corev1.Node) (string, error) {
		if err := simulated(n); err != nil {
			return "", err
		}
		if n.Annotations[events.AnnotationFail] == "true" {
			return "has failed already", nil
		}
		set(&n.Annotations, events.AnnotationFail, "true")
		return "failed", nil
	})
}

// Recover ends Fail.
func (g *Gate) Recover(ctx context.Context, r NodesRequest) (Reply, error) {
	return g.editNodes(ctx, r, func(n *corev1.Node) (string, error) {
		if err := simulated(n); err != nil {
			return "", err
		}
		if _, failed := n.Annotations[events.AnnotationFail]; !failed {
			return "has not failed", nil
		}
		delete(n.Annotations, events.AnnotationFail)
		return "recovered", nil
	})
}
