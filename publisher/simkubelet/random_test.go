package simkubelet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

func one[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// randomContainer asks for anything that a kubelet has to know about.
func randomContainer(rng *rand.Rand, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: one(rng, "i:1", "i:1", "i:2", "i:exit-0", "i:exit-1", "i:crash-loop", "i:slow-5s", "i:404", "!!bad")}
	c.ImagePullPolicy = one(rng, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	c.Command = one(rng, nil, nil, []string{"sleep", "7"}, []string{"sh", "-c", "sleep 2; exit 3"}, []string{"true"}, []string{"false"}, []string{"sleep", "3600"})
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(one(rng, "0", "100m", "700m", "64"))}
	if rng.IntN(4) == 0 {
		c.Resources.Requests["nvidia.com/gpu"] = resource.MustParse(one(rng, "1", "2"))
	}
	if rng.IntN(4) == 0 {
		c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: one[int32](rng, 80, 81), HostIP: one(rng, "", "127.0.0.1")}}
	}
	if rng.IntN(4) == 0 {
		c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: one(rng, "a", "b")}}}}
	}
	if rng.IntN(6) == 0 {
		c.RestartPolicy = ptr.To(one(rng, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure))
	}
	return c
}

func (st *stand) randomPod(rng *rand.Rand, name string) *corev1.Pod {
	p := st.newPod(name, one(rng, "", "n00", "n01", "n02"), "i:1")
	p.Spec.RestartPolicy = one(rng, corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure)
	p.Spec.Containers = nil
	for i := range 1 + rng.IntN(3) {
		p.Spec.Containers = append(p.Spec.Containers, randomContainer(rng, fmt.Sprintf("c%d", i)))
	}
	for i := range rng.IntN(3) {
		c := randomContainer(rng, fmt.Sprintf("i%d", i))
		if rng.IntN(2) == 0 {
			c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
	if rng.IntN(4) == 0 {
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x.example/ok"}}
	}
	if rng.IntN(6) == 0 {
		p.Spec.ActiveDeadlineSeconds = ptr.To[int64](20)
	}
	if rng.IntN(4) == 0 {
		p.Finalizers = []string{"example.com/f"}
	}
	if rng.IntN(5) == 0 {
		p.Spec.NodeName = "n01" // past the scheduler
	}
	return p
}

// changePod does what clients and controllers do to a pod.
func (st *stand) changePod(rng *rand.Rand, p *corev1.Pod) {
	switch c := &p.Spec.Containers[0]; rng.IntN(7) {
	case 0:
		c.Image, p.Generation = one(rng, "i:1", "i:2", "i:404"), p.Generation+1
	case 1:
		c.Resources.Requests[corev1.ResourceCPU] = resource.MustParse(one(rng, "50m", "900m", "1900m"))
		p.Generation++
	case 2:
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: "x.example/ok", Status: corev1.ConditionTrue})
	case 3:
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon(randomContainer(rng, fmt.Sprintf("e%d", len(p.Spec.EphemeralContainers))))})
		p.Generation++
	case 4:
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(st.now.Add(30*time.Second))), ptr.To[int64](30)
	case 5:
		p.Finalizers = nil
	case 6:
		p.Status.Conditions = nil // somebody who knows it better
	}
	st.put(events.Pod, events.VerbUpdated, p)
}

// Whatever is asked of them, pods come to rest, and the world is what another
// makes of the log: run compares them after every stretch of time.
func TestRandomPods(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		st := newStand(t, Options{Join: Delay{time.Second, 2 * time.Second}, Bind: Delay{100 * time.Millisecond, 200 * time.Millisecond},
			Start: Delay{time.Second, 2 * time.Second}, Stop: Delay{500 * time.Millisecond, time.Second}, Run: time.Second, Seed: int64(seed)})
		st.nodesNamed(3)
		for i := range 30 {
			name := fmt.Sprintf("p%d", rng.IntN(8))
			p := st.w.pods[events.Key{Namespace: "x", Name: name}]
			switch {
			case rng.IntN(10) == 0:
				st.put(events.ConfigMap, events.VerbCreated, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: one(rng, "a", "b"), Namespace: "x"}})
			case rng.IntN(15) == 0:
				n := st.node("n00")
				n.Annotations = map[string]string{events.AnnotationFail: one(rng, "true", "false")}
				n.Status.Capacity["nvidia.com/gpu"] = resource.MustParse("1")
				st.put(events.Node, events.VerbUpdated, n)
			case p == nil:
				o := st.randomPod(rng, name)
				o.UID += types.UID(fmt.Sprint("-", i))
				st.put(events.Pod, events.VerbCreated, o)
			default:
				st.changePod(rng, p.object().DeepCopy())
			}
			st.run(time.Second + time.Duration(rng.IntN(20_000))*time.Millisecond) // not while a pod is tried in vain: another world tries it again
		}
		st.run(time.Hour)
		for range 3 { // what ends and starts every hour goes on
			if facts := st.run(30 * time.Minute); len(facts) > 60 {
				t.Fatalf("seed %d: %d facts in half an hour of rest, the last %s", seed, len(facts), st.line(facts[len(facts)-1]))
			}
		}
	}
}
