package extensions

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Definition reads a CustomResourceDefinition as clients have it.
func Definition(o *unstructured.Unstructured) (*v1.CustomResourceDefinition, error) {
	d := &v1.CustomResourceDefinition{}
	return d, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d)
}

// Try returns what the API would make of a custom object that is new, with a
// definition that nobody serves yet, or why it would refuse the object. Fields
// that the schema does not have are refused.
func Try(ctx context.Context, d *v1.CustomResourceDefinition, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	kind := o.GroupVersionKind()
	i := slices.IndexFunc(d.Spec.Versions, func(v v1.CustomResourceDefinitionVersion) bool { return v.Name == kind.Version && v.Served })
	if i < 0 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("version %s of kind %s is not served", kind.Version, kind.Kind))
	}
	props, structural, err := schemaOf(d, kind.Version)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, err
	}
	o = o.DeepCopy()
	unknown := pruning.PruneWithOptions(o.Object, structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 && !d.Spec.PreserveUnknownFields {
		var errs []error
		for _, path := range unknown {
			errs = append(errs, fmt.Errorf("unknown field %q", path))
		}
		return nil, apierrors.NewBadRequest("strict decoding error: " + errors.Join(errs...).Error())
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(o.Object, structural)
	defaulting.Default(o.Object, structural)
	namespaced := d.Spec.Scope == v1.NamespaceScoped
	strategy := customresource.NewStrategy(crdserverscheme.NewUnstructuredObjectTyper(), namespaced, kind, validator, nil, structural, nil, nil, d.Spec.Versions[i].SelectableFields)
	ctx = request.WithRequestInfo(request.WithNamespace(ctx, o.GetNamespace()), &request.RequestInfo{})
	rest.FillObjectMetaSystemFields(o)
	return o, rest.BeforeCreate(strategy, ctx, o)
}

// schemaOf returns the schema of a version.
func schemaOf(d *v1.CustomResourceDefinition, version string) (*apiextensions.JSONSchemaProps, *structuralschema.Structural, error) {
	s, err := apihelpers.GetSchemaForVersion(d, version)
	if err != nil || s == nil {
		return nil, nil, errors.Join(err, fmt.Errorf("version %s has no schema", version))
	}
	var internal apiextensions.CustomResourceValidation
	if err := v1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(s, &internal, nil); err != nil {
		return nil, nil, err
	}
	structural, err := structuralschema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, nil, err
	}
	structural = structural.DeepCopy()
	return internal.OpenAPIV3Schema, structural, defaulting.PruneDefaults(structural)
}

// ResourceOf returns what a definition defines, in a version.
func ResourceOf(d *v1.CustomResourceDefinition, version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: d.Spec.Group, Version: version, Resource: d.Spec.Names.Plural}
}

// Established reports whether the objects of a definition can be had.
func Established(d *v1.CustomResourceDefinition) bool {
	return apihelpers.IsCRDConditionTrue(d, v1.Established)
}
