package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"rollcall/publisher"
)

// exampleGate stands for an instance: FromData and FromEnv find a real one.
func exampleGate() (publisher.Options, func()) {
	s := httptest.NewTLSServer(&door{seqs: map[string]uint64{}, item: func(_ int, ev map[string]any) *publisher.Problem {
		if ev["subject"] == "node/N_17" {
			return publisher.NewProblem(422, "E-TOLD-SUBJECT", "wrong subject", `the subject "node/N_17" of node.gone is not node/NAME`)
		}
		return nil
	}})
	return publisher.Options{URL: s.URL, Token: "secret", CA: pemOf(s)}, s.Close
}

func Example() {
	o, stop := exampleGate() // or publisher.FromData(dir), publisher.FromEnv()
	defer stop()
	c, err := publisher.NewClient(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	ev, err := publisher.NodeObserved{
		Labels:   publisher.Set(map[string]string{"zone": "a"}),
		Capacity: publisher.Amounts(map[string]string{"cpu": "4", "memory": "8Gi", "pods": "110"}),
	}.Event("n-17")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := c.Tell(ctx, ev)
	fmt.Println(answer.Accepted, answer.Seq, err)
	// Output: true 1 <nil>
}

func ExampleClient_Tell_refused() {
	o, stop := exampleGate()
	defer stop()
	c, _ := publisher.NewClient(o)
	ev, _ := publisher.NodeGone{Reason: "Decommissioned"}.Event("N_17")
	_, err := c.Tell(context.Background(), ev)
	var p *publisher.Problem
	if errors.As(err, &p) {
		fmt.Println(p.Status, p.Code)
	}
	// Output: 422 E-TOLD-SUBJECT
}

func ExampleClient_Send() {
	o, stop := exampleGate()
	defer stop()
	c, _ := publisher.NewClient(o)
	hold, _ := publisher.HoldPlaced{
		Reason: "the error rate is above 1%",
		Select: publisher.Select{DaemonSets: []string{"logging/agent"}},
		Until:  new(time.Now().Add(time.Hour)),
	}.Event("error-rate")
	note, _ := publisher.NewNote("com.example.alert.fired", map[string]any{"severity": "page"}, "ds/logging/agent")
	note.ID, note.Source = "alert-4711", "/alerts" // of your own: sent again tomorrow, it is the same event
	results, err := c.Send(context.Background(), hold, note)
	fmt.Println(results[0].Answer.Seq, results[1].Answer.Seq, results[1].Answer.ID, err)
	// Output: 1 2 alert-4711 <nil>
}
