package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The largest ConfigMap and the largest Secret that Kubernetes takes fit, and
// come back; a larger object is refused in one sentence.
//
// finding c13
func TestSizes(t *testing.T) {
	c := newCluster(t)
	const most = 1 << 20
	text, raw := strings.Repeat("x", most), bytes.Repeat([]byte{0xfe}, most)
	m, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: map[string]string{"v": text}}, metav1.CreateOptions{})
	if err != nil || m.Data["v"] != text {
		t.Errorf("a ConfigMap of %d bytes: %v", most, err)
	}
	s, err := c.client.CoreV1().Secrets("default").Create(t.Context(),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Data: map[string][]byte{"v": raw}}, metav1.CreateOptions{})
	if err != nil || !bytes.Equal(s.Data["v"], raw) {
		t.Errorf("a Secret of %d bytes: %v", most, err)
	}
	for n, want := range map[int]string{maxObject: "the largest object that is kept has 2097152", 3 << 20: "limit is 3145728"} {
		data, err := json.Marshal(map[string]string{"v": strings.Repeat("x", n)})
		if err != nil {
			t.Fatal(err)
		}
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Data: runtime.RawExtension{Raw: data}}
		_, err = c.client.AppsV1().ControllerRevisions("default").Create(t.Context(), r, metav1.CreateOptions{})
		var status apierrors.APIStatus
		if !errors.As(err, &status) || status.Status().Code != http.StatusRequestEntityTooLarge || !strings.Contains(err.Error(), want) {
			t.Errorf("a revision of %d bytes: %v", n, err)
		}
	}
}
