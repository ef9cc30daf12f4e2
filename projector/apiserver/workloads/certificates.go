package workloads

import (
	"context"
	"time"

	"k8s.io/client-go/informers/certificates"
	informers "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller/certificates/approver"
	"k8s.io/kubernetes/pkg/controller/certificates/cleaner"
	"k8s.io/kubernetes/pkg/controller/certificates/signer"
)

// certificateTTL is how long a certificate that is signed is good at most, as by
// kube-controller-manager.
const certificateTTL = 365 * 24 * time.Hour

func (g *gate) certificates() certificates.Interface { return certificates.New(g, "", nil) }

// approvals adds the controller that approves what kubelets ask for themselves, if
// roles let them.
func approvals(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	c := approver.NewCSRApprovingController(ctx, client, w.gate.certificates().V1().CertificateSigningRequests())
	w.pool(c.Run)
	return nil
}

// signatures adds the controllers that sign what was approved, with the CA of the
// data directory.
func signatures(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	if w.options.CA == "" {
		return nil // nobody can use a certificate: the API has no port
	}
	requests := w.gate.certificates().V1().CertificateSigningRequests()
	for _, newSigner := range []func(context.Context, kubernetes.Interface, informers.CertificateSigningRequestInformer, string, string, time.Duration) (*signer.CSRSigningController, error){
		signer.NewKubeletServingCSRSigningController, signer.NewKubeletClientCSRSigningController,
		signer.NewKubeAPIServerClientCSRSigningController, signer.NewLegacyUnknownCSRSigningController,
	} {
		c, err := newSigner(ctx, client, requests, w.options.CA, w.options.CA, certificateTTL)
		if err != nil {
			return err
		}
		w.pool(c.Run)
	}
	return nil
}

// oldRequests adds the controller that takes away requests that are done, or that
// nobody has answered.
func oldRequests(_ context.Context, w *controllers, client kubernetes.Interface) error {
	requests := w.gate.certificates().V1().CertificateSigningRequests()
	c := cleaner.NewCSRCleanerController(client.CertificatesV1().CertificateSigningRequests(), requests)
	requests.Informer() // else nobody starts it
	w.add(func(ctx context.Context) { c.Run(ctx, 1) })
	return nil
}
