package instance

import (
	"k8s.io/client-go/util/workqueue"

	"rollcall/controller"
	"rollcall/events"
)

// queueName is the label of the queue in metrics: that of the queue of Kubernetes' own
// controller.
const queueName = "daemonset"

// queue tells of our controller in /metrics what client-go tells of its queues, and so
// of Kubernetes' controllers: workqueue_depth and the others. It is one of client-go's,
// beside the controller, which takes names in its own order.
type queue struct {
	workqueue.TypedDelayingInterface[events.Key]
	chosen *chosen
}

var _ controller.Queue = queue{}

// queue makes the queue, which lasts as long as the instance.
func (in *Instance) queue() controller.Queue {
	c := &chosen{names: map[events.Key]bool{}}
	q := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[events.Key]{Name: queueName,
		Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[events.Key]{Name: queueName, Queue: c})})
	in.stops = append(in.stops, func() error {
		q.ShutDown()
		return nil
	})
	return queue{q, c}
}

// Begin implements controller.Queue. The name is there, or becomes so: else Get would
// wait for it.
func (q queue) Begin(k events.Key) {
	q.Add(k)
	q.chosen.next = k
	q.Get()
}

// Retry implements controller.Queue.
func (q queue) Retry(k events.Key) { q.AddAfter(k, 0) }

// chosen is what waits in a queue of client-go, which gives out what is chosen.
type chosen struct {
	names map[events.Key]bool
	next  events.Key
}

// Touch implements workqueue.Queue.
func (*chosen) Touch(events.Key) {}

// Push implements workqueue.Queue.
func (c *chosen) Push(k events.Key) { c.names[k] = true }

// Len implements workqueue.Queue.
func (c *chosen) Len() int { return len(c.names) }

// Pop implements workqueue.Queue.
func (c *chosen) Pop() events.Key {
	delete(c.names, c.next)
	return c.next
}
