package apiserver

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	namespacestore "k8s.io/kubernetes/pkg/registry/core/namespace/storage"
)

// agesUntil makes the tables of a group count ages to an instant. The printers
// of the registries count to the clock, so what they print is moved by as much
// as the instant lies behind it.
func (g group) agesUntil(at time.Time) error {
	for name, s := range g {
		if _, ok := s.(rest.Lister); !ok {
			continue
		}
		if n, ok := s.(*namespacestore.REST); ok {
			g[name] = pastNamespaces{n, at}
			continue
		}
		registry := reflect.Indirect(reflect.ValueOf(s))
		if behind := registry.FieldByName("StandardStorage"); behind.IsValid() && !behind.IsNil() { // that of roles asks first who grants what
			registry = reflect.Indirect(behind.Elem())
		}
		field := registry.FieldByName("Store")
		if !field.IsValid() || !field.CanInterface() {
			return fmt.Errorf("tables of %s cannot count ages to %v: the registry %T has no store", name, at, s)
		}
		store, ok := field.Interface().(*genericregistry.Store)
		if !ok {
			return fmt.Errorf("tables of %s cannot count ages to %v: the store of the registry is %v", name, at, field.Type())
		}
		if _, done := store.TableConvertor.(pastTables); !done { // events are in two groups
			store.TableConvertor = pastTables{store.TableConvertor, at}
		}
	}
	return nil
}

// pastNamespaces is a registry that keeps its store to itself.
type pastNamespaces struct {
	*namespacestore.REST
	at time.Time
}

// ConvertToTable implements rest.TableConvertor.
func (n pastNamespaces) ConvertToTable(ctx context.Context, o, options runtime.Object) (*metav1.Table, error) {
	return pastTables{n.REST, n.at}.ConvertToTable(ctx, o, options)
}

// pastTables prints objects as they were printed at an instant.
type pastTables struct {
	rest.TableConvertor
	at time.Time
}

// ConvertToTable implements rest.TableConvertor. The rows hold the objects as
// they are.
func (p pastTables) ConvertToTable(ctx context.Context, o, options runtime.Object) (*metav1.Table, error) {
	moved := o.DeepCopyObject()
	move(reflect.ValueOf(moved), time.Since(p.at))
	table, err := p.TableConvertor.ConvertToTable(ctx, moved, options)
	if err != nil {
		return nil, err
	}
	objects := []runtime.Object{o}
	if meta.IsListType(o) {
		if objects, err = meta.ExtractList(o); err != nil {
			return nil, err
		}
	}
	if len(table.Rows) == len(objects) {
		for i := range objects {
			table.Rows[i].Object.Object = objects[i]
		}
	}
	return table, nil
}

var (
	timeType      = reflect.TypeFor[metav1.Time]()
	microTimeType = reflect.TypeFor[metav1.MicroTime]()
)

// move adds to all times in v.
func move(v reflect.Value, by time.Duration) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			move(v.Elem(), by)
		}
	case reflect.Slice:
		for i := range v.Len() {
			move(v.Index(i), by)
		}
	case reflect.Struct:
		switch {
		case v.Type() == timeType || v.Type() == microTimeType:
			if t := v.FieldByName("Time"); v.CanSet() && !t.Interface().(time.Time).IsZero() {
				t.Set(reflect.ValueOf(t.Interface().(time.Time).Add(by)))
			}
		default:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					move(v.Field(i), by)
				}
			}
		}
	}
}
