package apiserver

import (
	"context"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A client that asks for what is there and then for changes is told where the
// first ends, also if nothing is there.
func TestWatchOfNothing(t *testing.T) {
	c := newCluster(t)
	initial := true
	o := metav1.ListOptions{SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for what, open := range map[string]func(context.Context, metav1.ListOptions) (watch.Interface, error){
		"pods": c.client.CoreV1().Pods("").Watch, "events": c.client.CoreV1().Events("").Watch} {
		w, err := open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		e := <-w.ResultChan()
		if m, err := meta.Accessor(e.Object); err != nil || e.Type != watch.Bookmark || m.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
}

// The status of a Job is taken as a client has read it: the validation of its
// startTime compares times as values, with their zone.
func TestJobStatus(t *testing.T) {
	c := newCluster(t)
	jobs := c.client.BatchV1().Jobs("default")
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}}
	job, err := jobs.Create(t.Context(), job, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now := metav1.Now()
	job.Status.StartTime = &now
	if job, err = jobs.UpdateStatus(t.Context(), job, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	job.Status.Active = 1
	if _, err := jobs.UpdateStatus(t.Context(), job, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}
