package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"

	"rollcall/events"
)

// joinGroup is the group of tokens by which nodes join, as kubeadm has it.
const joinGroup = "system:bootstrappers:kubeadm:default-node-token"

func (s *session) tokenCommand() *cobra.Command {
	return s.group("token", "Make tokens by which nodes join, and take them away",
		`A token lets a kubelet that is not known yet ask for a certificate as a node. It is that
of kubeadm: a Secret of kube-system, which Kubernetes' own controllers take away when its
time is over. Whoever has one can join a node, so it should not last long.

Tokens of service accounts are made with kubectl create token, certificates of users with
rollcall kubeconfig, and tokens of sources with rollcall source.`,
		s.tokenCreate(), s.tokenList(), s.tokenDelete())
}

// joinToken is a token as commands print it.
type joinToken struct {
	Token       string     `json:"token"`
	Expires     *time.Time `json:"expires,omitempty"` // nil: never
	Usages      []string   `json:"usages"`
	Groups      []string   `json:"groups,omitempty"`
	Description string     `json:"description,omitempty"`
}

func (s *session) tokenCreate() *cobra.Command {
	var j joinToken
	var ttl time.Duration
	var command bool
	format := "text"
	c := &cobra.Command{Use: "create [TOKEN]", Short: "Make a token by which nodes join, and print it", Args: takes(0, 1),
		Long: `create makes a token, or takes the one that is given, of six and sixteen small letters and
digits with a dot between them, and prints it.

With the first one it makes what Kubernetes needs for nodes to join: its roles, the
bindings of kubeadm by which the requests of such nodes are approved, and the ConfigMap
cluster-info of kube-public.`,
		Example: `  rollcall token create
  rollcall token create --ttl 1h --description rack-7
  rollcall token create --print-join-command
  rollcall token create abcdef.0123456789abcdef --usages authentication -o json`}
	t := addTarget(c)
	f := c.Flags()
	f.DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is good; 0: until it is deleted")
	f.StringSliceVar(&j.Usages, "usages", []string{"signing", "authentication"}, "what the token is for: signing, authentication")
	f.StringSliceVar(&j.Groups, "groups", []string{joinGroup}, "groups of who uses it; they begin with system:bootstrappers:")
	f.StringVar(&j.Description, "description", "", "what it is for, for people")
	f.BoolVar(&command, "print-join-command", false, "print the command that makes the directory of a node which joins with the token")
	f.StringVarP(&format, "output", "o", format, strings.Join(answerFormats, ", "))
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		formats := answerFormats
		if command {
			formats = formats[:1] // text: it is a line to type
		}
		if err := checkFormat(format, formats); err != nil {
			return err
		}
		if j.Token, err = tokenGiven(args); err != nil {
			return err
		}
		if err := j.check(ttl); err != nil {
			return err
		}
		client, err := t.client(c.Context())
		if err != nil {
			return err
		}
		if err := letNodesJoin(c.Context(), client); err != nil {
			return refused(err, "", nil)
		}
		if ttl > 0 {
			at := time.Now().Add(ttl).UTC().Truncate(time.Second)
			j.Expires = &at
		}
		if err := j.create(c.Context(), client); err != nil {
			return err
		}
		if command {
			s.out.printf("%s", joinCommand(t, j.Token))
			return s.out.failure()
		}
		return s.document(format, j, func() string { return j.Token + "\n" })
	}
	return c
}

// tokenGiven returns the token that is given, or a new one. It is not repeated in
// an error.
func tokenGiven(args []string) (string, error) {
	if len(args) == 0 {
		token, err := bootstraputil.GenerateBootstrapToken()
		if err != nil {
			return "", fmt.Errorf("make a token: %w", err)
		}
		return token, nil
	}
	if !bootstraputil.IsValidBootstrapToken(args[0]) {
		return "", usageError("E-CLI-ARGS", "what is given is no token", "write six and sixteen small letters and digits with a dot between them, or nothing")
	}
	return args[0], nil
}

// check refuses what the token cannot be.
func (j *joinToken) check(ttl time.Duration) error {
	if ttl < 0 {
		return usageError("E-CLI-FLAG", "--ttl "+ttl.String()+" is over already", "give how long it is to be good, such as 1h, or 0")
	}
	if len(j.Usages) == 0 {
		return usageError("E-CLI-FLAG", "a token without --usages is good for nothing", "write --usages signing,authentication")
	}
	if err := bootstraputil.ValidateUsages(j.Usages); err != nil {
		return usageError("E-CLI-FLAG", "--usages: "+err.Error(), "choose from signing, authentication")
	}
	for _, g := range j.Groups {
		if err := bootstraputil.ValidateBootstrapGroupName(g); err != nil {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--groups: %q is no group of nodes that join", g), "write "+joinGroup)
		}
	}
	if !slices.Contains(j.Usages, "authentication") {
		j.Groups = nil // nobody is authenticated by it
	}
	return nil
}

// id is the part of a token that is no secret.
func (j *joinToken) id() string { return j.Token[:bootstrapapi.BootstrapTokenIDBytes] }

// create makes the Secret that the token is.
func (j *joinToken) create(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, j.secret(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return &events.Error{Code: "E-CLI-EXISTS", What: "a token with the id " + j.id() + " exists already", Do: "give another one, or none", Exit: events.ExitInput}
	}
	if err != nil {
		return refused(err, "", nil)
	}
	return nil
}

// secret is the token as Kubernetes keeps it.
func (j *joinToken) secret() *corev1.Secret {
	data := map[string]string{bootstrapapi.BootstrapTokenIDKey: j.id(), bootstrapapi.BootstrapTokenSecretKey: j.Token[bootstrapapi.BootstrapTokenIDBytes+1:]}
	for _, u := range j.Usages {
		data[bootstrapapi.BootstrapTokenUsagePrefix+u] = "true"
	}
	for key, value := range map[string]string{bootstrapapi.BootstrapTokenExtraGroupsKey: strings.Join(j.Groups, ","), bootstrapapi.BootstrapTokenDescriptionKey: j.Description} {
		if value != "" {
			data[key] = value
		}
	}
	if j.Expires != nil {
		data[bootstrapapi.BootstrapTokenExpirationKey] = j.Expires.Format(time.RFC3339)
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: bootstraputil.BootstrapTokenSecretName(j.id())}, Type: bootstrapapi.SecretTypeBootstrapToken, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

// tokenIn reads a token as Kubernetes keeps it; ok is false if it is none.
func tokenIn(s *corev1.Secret) (j joinToken, ok bool) {
	of := func(key string) string { return string(s.Data[key]) }
	j = joinToken{Token: bootstraputil.TokenFromIDAndSecret(of(bootstrapapi.BootstrapTokenIDKey), of(bootstrapapi.BootstrapTokenSecretKey)),
		Description: of(bootstrapapi.BootstrapTokenDescriptionKey), Usages: []string{}}
	for _, u := range bootstrapapi.KnownTokenUsages {
		if of(bootstrapapi.BootstrapTokenUsagePrefix+u) == "true" {
			j.Usages = append(j.Usages, u)
		}
	}
	if g := of(bootstrapapi.BootstrapTokenExtraGroupsKey); g != "" {
		j.Groups = strings.Split(g, ",")
	}
	if at, err := time.Parse(time.RFC3339, of(bootstrapapi.BootstrapTokenExpirationKey)); err == nil {
		j.Expires = &at
	}
	return j, bootstraputil.IsValidBootstrapToken(j.Token)
}

// letNodesJoin makes the bindings of kubeadm: who has a token may ask for the
// certificate of a node, and it is approved, as is a node's request for its next
// one. The roles that they are of come with the first request for any.
func letNodesJoin(ctx context.Context, client kubernetes.Interface) error {
	group := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}}
	}
	look := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "kubeadm:get-nodes"},
		Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"nodes"}}}}
	if _, err := client.RbacV1().ClusterRoles().Create(ctx, look, metav1.CreateOptions{}); utilerrors.FilterOut(err, apierrors.IsAlreadyExists) != nil {
		return err
	}
	const approved = "system:certificates.k8s.io:certificatesigningrequests:"
	for _, b := range []struct{ name, role, group string }{
		{"kubeadm:get-nodes", look.Name, joinGroup},
		{"kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joinGroup},
		{"kubeadm:node-autoapprove-bootstrap", approved + "nodeclient", joinGroup},
		{"kubeadm:node-autoapprove-certificate-rotation", approved + "selfnodeclient", "system:nodes"},
	} {
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: b.name}, Subjects: group(b.group),
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: b.role}}
		if _, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); utilerrors.FilterOut(err, apierrors.IsAlreadyExists) != nil {
			return err
		}
	}
	return nil
}

// joinTokens returns the tokens that there are.
func joinTokens(ctx context.Context, client kubernetes.Interface) (all []joinToken, err error) {
	kept, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(bootstrapapi.SecretTypeBootstrapToken)})
	if err != nil {
		return nil, refused(err, "", nil)
	}
	all = []joinToken{}
	for i := range kept.Items {
		if j, ok := tokenIn(&kept.Items[i]); ok {
			all = append(all, j)
		}
	}
	return all, nil
}

func (s *session) tokenList() *cobra.Command {
	format := "text"
	c := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List the tokens by which nodes join", Args: takes(0, 0),
		Example: "  rollcall token ls\n  rollcall token ls -o json"}
	t := addTarget(c)
	c.Flags().StringVarP(&format, "output", "o", format, strings.Join(answerFormats, ", "))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkFormat(format, answerFormats); err != nil {
			return err
		}
		client, err := t.client(c.Context())
		if err != nil {
			return err
		}
		all, err := joinTokens(c.Context(), client)
		if err != nil {
			return err
		}
		return s.document(format, all, func() string { return tokensText(all, time.Now()) })
	}
	return c
}

// tokensText is a line a token.
func tokensText(all []joinToken, now time.Time) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "TOKEN\tTTL\tUSAGES\tGROUPS\tDESCRIPTION")
	or := func(text string) string {
		if text == "" {
			return "-"
		}
		return text
	}
	for _, j := range all {
		left := "forever"
		if j.Expires != nil {
			left = "over"
			if d := j.Expires.Sub(now); d > 0 {
				left = duration.ShortHumanDuration(d)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", j.Token, left, or(strings.Join(j.Usages, ",")), or(strings.Join(j.Groups, ",")), or(j.Description))
	}
	_ = w.Flush() // into memory
	return b.String()
}

func (s *session) tokenDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete TOKEN...", Aliases: []string{"rm"}, Short: "Take tokens away, by the first six letters or as a whole", Args: takes(1, -1),
		Example: "  rollcall token delete abcdef"}
	t := addTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		ids := make([]string, len(args))
		for i, a := range args {
			ids[i], _, _ = strings.Cut(a, ".")
			if !bootstraputil.IsValidBootstrapTokenID(ids[i]) {
				return usageError("E-CLI-ARGS", "what is given is no token, and no id of one", "write six small letters or digits; rollcall token ls lists them")
			}
		}
		client, err := t.client(c.Context())
		if err != nil {
			return err
		}
		var all []error
		for _, id := range ids {
			err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(c.Context(), bootstraputil.BootstrapTokenSecretName(id), metav1.DeleteOptions{})
			switch {
			case apierrors.IsNotFound(err):
				all = append(all, &events.Error{Code: "E-CLI-NOTFOUND", What: "there is no token " + id, Do: "list them with rollcall token ls", Exit: events.ExitInput})
			case err != nil:
				all = append(all, refused(err, "", nil))
			default:
				s.out.printf("token/%s deleted\n", id)
			}
		}
		return errors.Join(all...)
	}
	return c
}
