package script

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Identity is as whom a process runs. Nobody looks into an image: one that names a
// user of its own runs as root here.
type Identity struct {
	User, Group int64
	Groups      []int64 // besides Group
}

// IdentityOf returns as whom the processes of a container run, by what its pod says.
func IdentityOf(pod *corev1.Pod, c *corev1.Container) Identity {
	of, own := pod.Spec.SecurityContext, c.SecurityContext
	if of == nil {
		of = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	i := Identity{User: ptr.Deref(cmp.Or(own.RunAsUser, of.RunAsUser), 0), Group: ptr.Deref(cmp.Or(own.RunAsGroup, of.RunAsGroup), 0)}
	for _, g := range append(slices.Clone(of.SupplementalGroups), ptr.Deref(of.FSGroup, i.Group)) {
		if g != i.Group && !slices.Contains(i.Groups, g) {
			i.Groups = append(i.Groups, g)
		}
	}
	return i
}

// Name is what whoami says.
func (i Identity) Name() string { return named(i.User) }

func named(id int64) string {
	if id == 0 {
		return "root"
	}
	return strconv.FormatInt(id, 10)
}

// Text is what the command id says to flags such as -u or -un.
func (i Identity) Text(flags string) string {
	show := func(id int64) string { return strconv.FormatInt(id, 10) }
	if strings.Contains(flags, "n") {
		show = named
	}
	all := []string{}
	for _, g := range append([]int64{i.Group}, i.Groups...) {
		all = append(all, show(g))
	}
	switch {
	case strings.Contains(flags, "u"):
		return show(i.User)
	case strings.Contains(flags, "g"):
		return show(i.Group)
	case strings.Contains(flags, "G"):
		return strings.Join(all, " ")
	}
	for n, g := range append([]int64{i.Group}, i.Groups...) {
		all[n] = withName(g)
	}
	return "uid=" + withName(i.User) + " gid=" + withName(i.Group) + " groups=" + strings.Join(all, ",")
}

// withName is a number with the name that it has in every image.
func withName(id int64) string {
	if id == 0 {
		return "0(root)"
	}
	return strconv.FormatInt(id, 10)
}

// id tells as whom a program runs.
func id(r *run, args []string) {
	r.code = 0
	r.write(r.program.As.Text(strings.Join(args[1:], "")) + "\n")
}
