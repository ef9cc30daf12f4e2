package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// answersVersion is the version of the JSON that questions to the log are
// answered with.
const answersVersion = "rollcall/v1"

var answerFormats = []string{"text", "json", "yaml"}

// question is what all questions to the log have in common.
type question struct {
	target *target
	at     string
	flag   string // that says at; empty: --at
	format string
	more   []string // formats besides answerFormats
}

// addQuestion gives a command the flags of a question, and formats of its own
// besides those of all answers.
func addQuestion(c *cobra.Command, more ...string) *question {
	q := &question{target: addTarget(c), more: more}
	q.target.addRecording(c)
	c.Flags().StringVarP(&q.format, "output", "o", "text", strings.Join(slices.Concat(answerFormats, more), ", "))
	return q
}

// addAt gives a question an instant.
func (q *question) addAt(c *cobra.Command) {
	c.Flags().StringVar(&q.at, "at", "", "instant that is asked about (default: the end of the log)")
}

// asked is a log that is asked something.
type asked struct {
	*replay.History
	log    *reading
	format string
	out    *output
	at     replay.Moment // that is asked about
}

// ask opens the log and answers from it.
func (s *session) ask(ctx context.Context, q *question, answer func(*asked) error) error {
	if err := checkFormat(q.format, slices.Concat(answerFormats, q.more)); err != nil {
		return err
	}
	at, err := q.instant(q.at)
	if err != nil {
		return of(cmp.Or(q.flag, "--at"), err)
	}
	a, err := q.target.open(ctx, s)
	if err != nil {
		return err
	}
	defer a.close()
	defer allowGarbage()()
	x := &asked{log: a.counting("reading the log", 0), format: q.format, out: s.out}
	defer x.log.done()
	if err := x.open(ctx); err != nil {
		return err
	}
	if x.Span().Last == 0 {
		return &events.Error{Code: "E-CLI-INSTANT", What: "the log is empty", Where: a.dir, Do: "start a cluster with rollcall up", Exit: events.ExitInput}
	}
	if x.at, err = x.find(ctx, at); err != nil {
		return of(cmp.Or(q.flag, "--at"), err)
	}
	return answer(x)
}

// checkFormat refuses a value of --output that is none of those known.
func checkFormat(format string, known []string) error {
	if slices.Contains(known, format) {
		return nil
	}
	return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown format %q", format), Where: "--output",
		Do: events.Suggest(format, known, "choose from "+strings.Join(known, ", ")), Exit: events.ExitInput}
}

// open opens the history of the log as far as it goes now.
func (x *asked) open(ctx context.Context) error {
	frames, err := x.log.keyframes(ctx)
	if err == nil {
		x.History, err = replay.Open(ctx, x.log, frames)
	}
	return err
}

// instant reads an instant; empty: the end of the log.
func (q *question) instant(text string) (replay.Instant, error) {
	if text == "" {
		return replay.Instant{}, nil
	}
	return replay.ParseInstant(text, time.Now())
}

// keyframesBound bounds what a question keeps of states that it has passed.
const keyframesBound = 64 << 20

// find returns where an instant is.
func (x *asked) find(ctx context.Context, at replay.Instant) (m replay.Moment, err error) {
	if at, err = x.log.locate(ctx, at); err != nil {
		return m, err
	}
	return at.Find(ctx, beginning{x.log.archive}, x.Span().Last)
}

// answer is the document that a question is answered with.
type answer struct {
	Kind       string       `json:"kind"`
	APIVersion string       `json:"apiVersion"`
	At         replay.Point `json:"at"`
	Coverage   replay.Span  `json:"coverage"`
	Items      any          `json:"items"`
}

// give prints an answer: as text, with a line on what was covered, or as a
// document.
func (x *asked) give(kind string, items any, text func() string) error {
	x.log.done()
	if x.format == "text" {
		x.out.printf("%s%s\n", text(), x.covered())
		return nil
	}
	j, err := json.MarshalIndent(answer{kind, answersVersion, x.at.Point, x.Span(), items}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if x.format == "yaml" {
		if j, err = yaml.JSONToYAML(j); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	x.out.printf("%s\n", strings.TrimSuffix(string(j), "\n"))
	return nil
}

// covered says what an answer is about.
func (x *asked) covered() string {
	span := x.Span()
	return fmt.Sprintf("at %s; the log goes from #%d to #%d, %s", x.at, span.First, span.Last, span.To.Sub(span.From).Round(time.Millisecond))
}

// shortKinds are the names under which people know kinds besides their own.
var shortKinds = map[string]events.Kind{"po": events.Pod, "no": events.Node, "ds": events.DaemonSet, "ns": events.Namespace, "pc": events.PriorityClass,
	"cm": events.ConfigMap, "sa": events.ServiceAccount, "pv": events.PersistentVolume, "pvc": events.PersistentVolumeClaim, "deploy": events.Deployment,
	"rs": events.ReplicaSet, "sts": events.StatefulSet, "cj": events.CronJob, "pdb": events.PodDisruptionBudget, "rev": events.ControllerRevision,
	"svc": events.Service, "ep": events.Endpoints, "rc": "ReplicationController", "quota": "ResourceQuota", "limits": "LimitRange",
	"hpa": "HorizontalPodAutoscaler", "ing": "Ingress", "netpol": "NetworkPolicy", "sc": "StorageClass", "vac": "VolumeAttributesClass",
	"csr": "CertificateSigningRequest"}

// parseKind reads the name of a kind, in the singular, in the plural or short. One
// with a group behind it is custom: the log says what is meant (asked.kind).
func parseKind(name string) (events.Kind, error) {
	low := strings.ToLower(name)
	if k, ok := shortKinds[low]; ok {
		return k, nil
	}
	if k := events.Kind(low); k.Custom() && events.CheckName(k, low) == "" {
		return k, nil
	}
	var names []string
	for _, k := range events.Kinds() {
		one := strings.ToLower(string(k))
		many, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: string(k)})
		if low == one || low == many.Resource {
			return k, nil
		}
		names = append(names, one)
	}
	return "", &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("there is no kind %q", name), Do: events.Suggest(low, names, "write KIND/NAME, such as pod/NAME, ds/NAME or node/NAME; a custom kind has its group behind it"), Exit: events.ExitInput}
}

// kind returns the kind that parseKind has read. A custom one is looked up among
// those that the log tells of, and may be given by the name of its definition.
func (x *asked) kind(ctx context.Context, given events.Kind) (events.Kind, error) {
	if !given.Custom() {
		return given, nil
	}
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return "", err
	}
	k, others := kindIn(st, given)
	if k != "" {
		return k, nil
	}
	return "", &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("the log tells of no kind %q", given), Do: events.Suggest(string(given), others, "write a custom kind as KIND.GROUP, such as widget.example.com"), Exit: events.ExitInput}
}

// kindIn returns the custom kind of a name in a state, or what others there are.
func kindIn(st *projector.State, name events.Kind) (k events.Kind, others []string) {
	if k, _, ok := st.Objects().Defined(string(name)); ok {
		return k, nil
	}
	for _, k := range st.Kinds() {
		switch one := strings.ToLower(string(k)); {
		case one == string(name):
			return k, nil
		case k.Custom():
			others = append(others, one)
		}
	}
	return "", others
}

// subject returns what parseSubject has read, with a custom kind as the log has it.
func (x *asked) subject(ctx context.Context, about replay.Subject) (_ replay.Subject, err error) {
	if !about.Kind.Custom() {
		return about, nil
	}
	if about.Kind, err = x.kind(ctx, about.Kind); err != nil || about.Key.Namespace != "" {
		return about, err
	}
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return about, err
	}
	if _, _, there := st.Object(about.Kind, about.Key); !there {
		about.Key.Namespace = metav1.NamespaceDefault
	}
	return about, nil
}

// parseSubject reads KIND/NAME[.FIELD]. A name may have dots in it: a field
// begins with metadata, spec or status.
func parseSubject(text, namespace string) (replay.Subject, error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok || name == "" {
		return replay.Subject{}, &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("%q names no object", text), Do: "write KIND/NAME, such as pod/NAME, ds/NAME or node/NAME", Exit: events.ExitInput}
	}
	k, err := parseKind(kind)
	if err != nil {
		return replay.Subject{}, err
	}
	x := replay.Subject{Kind: k, Key: events.Key{Name: name}}
	if before, after, ok := strings.Cut(name, "/"); ok { // as rollcall log has them
		x.Key.Name, namespace = after, before
	}
	for _, top := range []string{".metadata", ".spec", ".status"} {
		if i := strings.Index(x.Key.Name, top); i > 0 {
			x.Key.Name, x.Field = x.Key.Name[:i], x.Key.Name[i+1:]
			break
		}
	}
	switch {
	case events.Namespaced(k):
		x.Key.Namespace = cmp.Or(namespace, metav1.NamespaceDefault)
	case k.Custom():
		x.Key.Namespace = namespace
	}
	return x, nil
}
