package simkubelet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// Delay is how long something takes: each object draws its own time between
// the two, always the same for the same object, delay and seed.
type Delay struct{ From, To time.Duration }

// Exactly returns the delay that is always d.
func Exactly(d time.Duration) Delay { return Delay{d, d} }

// longestDelay bounds what ParseDelay takes: for longer nobody waits.
const longestDelay = 24 * time.Hour

// ParseDelay reads "2s" or "0s..6s", up to 24h.
func ParseDelay(text string) (Delay, error) {
	from, to, ranged := strings.Cut(text, "..")
	if !ranged {
		to = from
	}
	var d Delay
	var err error
	if d.From, err = time.ParseDuration(from); err == nil {
		d.To, err = time.ParseDuration(to)
	}
	if err != nil || d.From < 0 || d.To < d.From || d.To > longestDelay {
		return Delay{}, fmt.Errorf("%q is no delay", text)
	}
	return d, nil
}

// String returns the delay as ParseDelay reads it.
func (d Delay) String() string {
	if d.From == d.To {
		return d.From.String()
	}
	return d.From.String() + ".." + d.To.String()
}

// newItem returns the item of an object that nothing is known of yet.
func (w *World) newItem(r events.Ref) item { return item{ref: r, luck: w.draw(r.Key.String())} }

func (w *World) draw(words string) uint64 {
	return draw(strconv.FormatInt(w.options.Seed, 10) + "/" + words)
}

// identityOf returns what a pod is, and not which: of a cluster that is made
// once more, with other uids and names, pods of a DaemonSet have the same.
func identityOf(o *corev1.Pod) string {
	node, pinned := daemonpod.TargetNode(&o.Spec)
	owner := metav1.GetControllerOfNoCopy(o)
	if !pinned || owner == nil {
		return o.Namespace + "/" + o.Name
	}
	return strings.Join([]string{o.Namespace, owner.Name, node, o.Labels[daemonpod.RevisionLabel]}, "/")
}

// delay returns the time of an object between the two of d.
func (w *World) delay(d Delay, i *item, what string) time.Duration {
	if d.To <= d.From {
		return d.From
	}
	return d.From + time.Duration(float64(d.To-d.From)*fraction(strconv.FormatUint(i.luck, 36)+what))
}

// startDelay is how long the containers of a pod take to run: what takes time is to
// have their images.
func (w *World) startDelay(p *pod, o *corev1.Pod) time.Duration {
	pulls := func(c corev1.Container) bool { return !w.hasPulled(&c) }
	if !slices.ContainsFunc(o.Spec.InitContainers, pulls) && !slices.ContainsFunc(o.Spec.Containers, pulls) {
		return 0
	}
	return w.podDelay(w.options.Start, p, "start")
}

// podDelay is delay for a pod, unless Took knows better.
func (w *World) podDelay(d Delay, p *pod, what string) time.Duration {
	if w.options.Took != nil {
		if took, ok := w.options.Took(what, p.object()); ok {
			return took
		}
	}
	return w.delay(d, &p.item, what)
}
