package apiserver

import (
	mutatorstore "k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicy/storage"
	mutatorbindingstore "k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicybinding/storage"
	mutatinghookstore "k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration/storage"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/resolver"
	validatorstore "k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy/storage"
	validatorbindingstore "k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding/storage"
	validatinghookstore "k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration/storage"
	certificatestore "k8s.io/kubernetes/pkg/registry/certificates/certificates/storage"
	flowstore "k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema/storage"
	levelstore "k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration/storage"
	ingressstore "k8s.io/kubernetes/pkg/registry/networking/ingress/storage"
	ingressclassstore "k8s.io/kubernetes/pkg/registry/networking/ingressclass/storage"
	addressstore "k8s.io/kubernetes/pkg/registry/networking/ipaddress/storage"
	policystore "k8s.io/kubernetes/pkg/registry/networking/networkpolicy/storage"
	rangestore "k8s.io/kubernetes/pkg/registry/networking/servicecidr/storage"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	clusterrolecheck "k8s.io/kubernetes/pkg/registry/rbac/clusterrole/policybased"
	clusterrolestore "k8s.io/kubernetes/pkg/registry/rbac/clusterrole/storage"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	clusterbindingcheck "k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding/policybased"
	clusterbindingstore "k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding/storage"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	rolecheck "k8s.io/kubernetes/pkg/registry/rbac/role/policybased"
	rolestore "k8s.io/kubernetes/pkg/registry/rbac/role/storage"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	bindingcheck "k8s.io/kubernetes/pkg/registry/rbac/rolebinding/policybased"
	bindingstore "k8s.io/kubernetes/pkg/registry/rbac/rolebinding/storage"
	rbacrules "k8s.io/kubernetes/pkg/registry/rbac/validation"
	deviceclassstore "k8s.io/kubernetes/pkg/registry/resource/deviceclass/storage"
	deviceclaimstore "k8s.io/kubernetes/pkg/registry/resource/resourceclaim/storage"
	claimtemplatestore "k8s.io/kubernetes/pkg/registry/resource/resourceclaimtemplate/storage"
	devicestore "k8s.io/kubernetes/pkg/registry/resource/resourceslice/storage"
	csidriverstore "k8s.io/kubernetes/pkg/registry/storage/csidriver/storage"
	csinodestore "k8s.io/kubernetes/pkg/registry/storage/csinode/storage"
	capacitystore "k8s.io/kubernetes/pkg/registry/storage/csistoragecapacity/storage"
	storageclassstore "k8s.io/kubernetes/pkg/registry/storage/storageclass/storage"
	attachmentstore "k8s.io/kubernetes/pkg/registry/storage/volumeattachment/storage"
	attributesstore "k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass/storage"
)

func (i *installer) certificates() group {
	requests, status, approval, err := certificatestore.NewREST(i.options)
	i.keep(err)
	return group{"certificatesigningrequests": requests, "certificatesigningrequests/status": status, "certificatesigningrequests/approval": approval}
}

func (i *installer) networking() group {
	g := group{"networkpolicies": single(i, policystore.NewREST), "ingressclasses": single(i, ingressclassstore.NewREST), "ipaddresses": single(i, addressstore.NewREST)}
	pair(i, g, "ingresses", ingressstore.NewREST)
	pair(i, g, "servicecidrs", rangestore.NewREST)
	return g
}

func (i *installer) storage() group {
	g := group{"storageclasses": single(i, storageclassstore.NewREST), "volumeattributesclasses": single(i, attributesstore.NewREST)}
	attachments, nodes := single(i, attachmentstore.NewStorage), single(i, csinodestore.NewStorage)
	drivers, capacities := single(i, csidriverstore.NewStorage), single(i, capacitystore.NewStorage)
	if i.err == nil {
		g["volumeattachments"], g["volumeattachments/status"] = attachments.VolumeAttachment, attachments.Status
		g["csinodes"], g["csidrivers"], g["csistoragecapacities"] = nodes.CSINode, drivers.CSIDriver, capacities.CSIStorageCapacity
	}
	return g
}

func (i *installer) flowControl() group {
	g := group{}
	pair(i, g, "flowschemas", flowstore.NewREST)
	pair(i, g, "prioritylevelconfigurations", levelstore.NewREST)
	return g
}

// rbac are the registries that ask who makes a role or a binding whether he has
// himself what he grants by it.
func (i *installer) rbac() group {
	roles, bindings := single(i, rolestore.NewREST), single(i, bindingstore.NewREST)
	clusterRoles, clusterBindings := single(i, clusterrolestore.NewREST), single(i, clusterbindingstore.NewREST)
	if i.err != nil {
		return nil
	}
	granted := rbacrules.NewDefaultRuleResolver(
		role.AuthorizerAdapter{Registry: role.NewRegistry(roles)}, rolebinding.AuthorizerAdapter{Registry: rolebinding.NewRegistry(bindings)},
		clusterrole.AuthorizerAdapter{Registry: clusterrole.NewRegistry(clusterRoles)}, clusterrolebinding.AuthorizerAdapter{Registry: clusterrolebinding.NewRegistry(clusterBindings)})
	return group{
		"roles": rolecheck.NewStorage(roles, i.auth, granted), "rolebindings": bindingcheck.NewStorage(bindings, i.auth, granted),
		"clusterroles": clusterrolecheck.NewStorage(clusterRoles, i.auth, granted), "clusterrolebindings": clusterbindingcheck.NewStorage(clusterBindings, i.auth, granted),
	}
}

func (i *installer) admissionRegistration() group {
	g := group{"mutatingwebhookconfigurations": single(i, mutatinghookstore.NewREST), "validatingwebhookconfigurations": single(i, validatinghookstore.NewREST)}
	kinds, err := resolver.NewDiscoveryResourceResolver(i.client.Discovery())
	i.keep(err)
	validators, status, err := validatorstore.NewREST(i.options, i.auth, kinds)
	i.keep(err)
	validatorBindings, err := validatorbindingstore.NewREST(i.options, i.auth, &validatorbindingstore.DefaultPolicyGetter{Getter: validators}, kinds)
	i.keep(err)
	mutators, err := mutatorstore.NewREST(i.options, i.auth, kinds)
	i.keep(err)
	mutatorBindings, err := mutatorbindingstore.NewREST(i.options, i.auth, &mutatorbindingstore.DefaultPolicyGetter{Getter: mutators}, kinds)
	i.keep(err)
	g["validatingadmissionpolicies"], g["validatingadmissionpolicies/status"], g["validatingadmissionpolicybindings"] = validators, status, validatorBindings
	g["mutatingadmissionpolicies"], g["mutatingadmissionpolicybindings"] = mutators, mutatorBindings
	return g
}

func (i *installer) devices() group {
	g := group{"deviceclasses": single(i, deviceclassstore.NewREST), "resourceslices": single(i, devicestore.NewREST)}
	namespaces := i.client.CoreV1().Namespaces()
	claims, status, err := deviceclaimstore.NewREST(i.options, namespaces, i.auth)
	i.keep(err)
	templates, err := claimtemplatestore.NewREST(i.options, namespaces)
	i.keep(err)
	g["resourceclaims"], g["resourceclaims/status"], g["resourceclaimtemplates"] = claims, status, templates
	return g
}
