package events

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schemas/*.json
var schemas embed.FS

// schemaBase is the prefix of each schema's $id.
const schemaBase = "https://refit.dev/schemas/"

// compiled compiles every schema once; a schema that does not compile is a
// fault of this module, which its tests find.
var compiled = sync.OnceValues(compileSchemas)

func compileSchemas() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	files, err := schemas.ReadDir("schemas")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := addSchema(c, f.Name()); err != nil {
			return nil, fmt.Errorf("read schema %s: %w", f.Name(), err)
		}
	}
	all := map[string]*jsonschema.Schema{}
	for _, f := range files {
		s, err := c.Compile(schemaBase + f.Name())
		if err != nil {
			return nil, fmt.Errorf("compile schema %s: %w", f.Name(), err)
		}
		all[strings.TrimSuffix(f.Name(), ".json")] = s
	}
	return all, nil
}

func addSchema(c *jsonschema.Compiler, name string) error {
	b, err := schemas.ReadFile(path.Join("schemas", name))
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return c.AddResource(schemaBase+name, doc)
}

// ValidateJSON checks a JSON document against the named schema (the file name
// without ".json"). The error names each field that is wrong.
func ValidateJSON(schema string, doc []byte) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	s, found := all[schema]
	if !found {
		return fmt.Errorf("no schema named %q", schema)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return s.Validate(value)
}

// Validate checks that e is a CloudEvent whose type is declared and whose data
// fits the type's schema.
func Validate(e event.Event) error {
	if err := e.Validate(); err != nil {
		return fmt.Errorf("event %s: %w", e.Type(), err)
	}
	d, found := Declared(Type(e.Type()))
	if !found {
		return fmt.Errorf("event type %q is not declared", e.Type())
	}
	if err := ValidateJSON(d.Schema, e.Data()); err != nil {
		return fmt.Errorf("data of event %s: %w", e.Type(), err)
	}
	return nil
}
