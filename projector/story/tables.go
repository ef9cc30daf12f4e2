package story

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Columns says which columns a table has besides the usual ones, and from
// when ages count.
type Columns struct {
	Now       time.Time
	Wide      bool // as -o wide
	Namespace bool // NAMESPACE comes first
	Labels    bool // LABELS comes last
}

// Table is a table of text. Every row has a cell for each column.
type Table struct {
	Header []string
	Rows   [][]string
}

// Columns of a table are at least minColumn wide, gap included, and have at
// least columnGap blanks between them, as in kubectl.
const (
	minColumn = 6
	columnGap = 3
)

// String returns the table as kubectl prints it: columns aligned, the last one
// not filled up. A table without rows is its header.
func (t Table) String() string { return t.text(true) }

// Body returns the table without its header, as kubectl --no-headers prints
// it: the header does not widen the columns either.
func (t Table) Body() string { return t.text(false) }

func (t Table) text(header bool) string {
	lines := t.Rows
	if header {
		lines = slices.Insert(slices.Clone(t.Rows), 0, t.Header)
	}
	widths := make([]int, len(t.Header))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell)+columnGap, minColumn)
		}
	}
	var b strings.Builder
	for _, line := range lines {
		for i, cell := range line {
			b.WriteString(cell)
			if i < len(line)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// NoResources is what kubectl says instead of an empty table; namespace is
// empty for all namespaces and for cluster-scoped kinds.
func NoResources(namespace string) string {
	if namespace == "" {
		return "No resources found"
	}
	return "No resources found in " + namespace + " namespace."
}

const (
	none    = "<none>"
	unknown = "<unknown>"
)

// newTable returns a table with a row for each object, in their order.
func newTable[T metav1.Object](c Columns, os []T, header, wide []string, row func(T) (cells, wide []string)) Table {
	var t Table
	if c.Namespace {
		t.Header = append(t.Header, "NAMESPACE")
	}
	t.Header = append(t.Header, header...)
	if c.Wide {
		t.Header = append(t.Header, wide...)
	}
	if c.Labels {
		t.Header = append(t.Header, "LABELS")
	}
	for _, o := range os {
		var r []string
		if c.Namespace {
			r = append(r, o.GetNamespace())
		}
		cells, more := row(o)
		r = append(r, cells...)
		if c.Wide {
			r = append(r, more...)
		}
		if c.Labels {
			r = append(r, pairs(o.GetLabels()))
		}
		for i := range r {
			r[i] = oneLine(r[i])
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

// Nodes returns the table of kubectl get nodes.
func Nodes(ns []*corev1.Node, c Columns) Table {
	c.Namespace = false
	return newTable(c, ns, []string{"NAME", "STATUS", "ROLES", "AGE", "VERSION"},
		[]string{"INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"},
		func(n *corev1.Node) (cells, wide []string) {
			info := n.Status.NodeInfo
			kernel := cmp.Or(info.KernelVersion, unknown)
			if info.Architecture != "" {
				kernel += " (" + info.Architecture + ")"
			}
			return []string{n.Name, nodeStatus(n), roles(n), created(n, c.Now), info.KubeletVersion},
				[]string{address(n, corev1.NodeInternalIP), address(n, corev1.NodeExternalIP),
					cmp.Or(info.OSImage, unknown), kernel, cmp.Or(info.ContainerRuntimeVersion, unknown)}
		})
}

// nodeStatus returns what kubectl shows under STATUS.
func nodeStatus(n *corev1.Node) string {
	s := "Unknown"
	for _, c := range n.Status.Conditions {
		switch {
		case c.Type != corev1.NodeReady:
		case c.Status == corev1.ConditionTrue:
			s = "Ready"
		default:
			s = "NotReady"
		}
	}
	if n.Spec.Unschedulable {
		s += ",SchedulingDisabled"
	}
	return s
}

func roles(n *corev1.Node) string {
	var rs []string
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		if role, ok := strings.CutPrefix(k, "node-role.kubernetes.io/"); ok && role != "" {
			rs = append(rs, role)
		}
	}
	if v := n.Labels["kubernetes.io/role"]; v != "" {
		rs = append(rs, v)
	}
	slices.Sort(rs)
	return cmp.Or(strings.Join(slices.Compact(rs), ","), none)
}

func address(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return none
}

// Pods returns the table of kubectl get pods.
func Pods(ps []*corev1.Pod, c Columns) Table {
	return newTable(c, ps, []string{"NAME", "READY", "STATUS", "RESTARTS", "AGE"},
		[]string{"IP", "NODE", "NOMINATED NODE", "READINESS GATES"},
		func(p *corev1.Pod) (cells, wide []string) {
			l := lookAt(p)
			ip := ""
			if len(p.Status.PodIPs) > 0 {
				ip = p.Status.PodIPs[0].IP
			}
			return []string{p.Name, strconv.Itoa(l.ready) + "/" + strconv.Itoa(l.all), l.status, l.restartText(c.Now), created(p, c.Now)},
				[]string{cmp.Or(ip, none), cmp.Or(p.Spec.NodeName, none), cmp.Or(p.Status.NominatedNodeName, none), gates(p)}
		})
}

// gates counts the readiness gates whose condition is True.
func gates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return none
	}
	open := 0
	for _, g := range p.Spec.ReadinessGates {
		if isTrue(p.Status.Conditions, g.ConditionType) {
			open++
		}
	}
	return strconv.Itoa(open) + "/" + strconv.Itoa(len(p.Spec.ReadinessGates))
}

// DaemonSets returns the table of kubectl get daemonsets.
func DaemonSets(ds []*appsv1.DaemonSet, c Columns) Table {
	return newTable(c, ds, []string{"NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"},
		[]string{"CONTAINERS", "IMAGES", "SELECTOR"},
		func(d *appsv1.DaemonSet) (cells, wide []string) {
			n := func(v int32) string { return strconv.Itoa(int(v)) }
			var names, images []string
			for _, c := range d.Spec.Template.Spec.Containers {
				names, images = append(names, c.Name), append(images, c.Image)
			}
			st := &d.Status
			return []string{d.Name, n(st.DesiredNumberScheduled), n(st.CurrentNumberScheduled), n(st.NumberReady),
					n(st.UpdatedNumberScheduled), n(st.NumberAvailable), pairs(d.Spec.Template.Spec.NodeSelector), created(d, c.Now)},
				[]string{strings.Join(names, ","), strings.Join(images, ","), metav1.FormatLabelSelector(d.Spec.Selector)}
		})
}

// Revisions returns the table of kubectl get controllerrevisions.
func Revisions(rs []*appsv1.ControllerRevision, c Columns) Table {
	return newTable(c, rs, []string{"NAME", "CONTROLLER", "REVISION", "AGE"}, nil,
		func(r *appsv1.ControllerRevision) (cells, wide []string) {
			return []string{r.Name, controllerName(r), strconv.FormatInt(r.Revision, 10), created(r, c.Now)}, nil
		})
}

// controllerName names the controller of o as kubectl does: "daemonset.apps/logs".
func controllerName(o metav1.Object) string {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil {
		return none
	}
	kind := strings.ToLower(ref.Kind)
	if group, _, ok := strings.Cut(ref.APIVersion, "/"); ok {
		kind += "." + group
	}
	return kind + "/" + ref.Name
}

func pairs(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return cmp.Or(strings.Join(parts, ","), none)
}

func created(o metav1.Object, now time.Time) string { return age(o.GetCreationTimestamp().Time, now) }

func age(t, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t))
}
