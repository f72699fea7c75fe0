// Command models-schema prints the generated OpenAPI definitions as one OpenAPI
// v2 document. The apply configurations are generated from it, so that server-side
// apply in the fake clientset knows the types; nothing else reads it.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"kollect.io/kollect/pkg/generated/openapi"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(document()); err != nil {
		fmt.Fprintf(os.Stderr, "models-schema: print definitions: %v\n", err)
		os.Exit(1)
	}
}

// document takes the v2 form of the types that have one of their own.
func document() *spec.Swagger {
	reference := func(name string) spec.Ref { return spec.MustCreateRef("#/definitions/" + name) }
	definitions := spec.Definitions{}
	for name, definition := range openapi.GetOpenAPIDefinitions(reference) {
		definitions[name] = definition.Schema
		if v2, ok := definition.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			definitions[name] = v2
		}
	}
	return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Kollect", Version: "unversioned"}},
		Definitions: definitions,
	}}
}
