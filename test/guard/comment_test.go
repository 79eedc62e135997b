package guard_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryPackageAndExportedNameHasADocComment(t *testing.T) {
	var missing []string
	documented := map[string]bool{}
	for _, name := range productGo(t) {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		documented[path.Dir(name)] = documented[path.Dir(name)] || f.Doc != nil
		for _, n := range undocumented(f) {
			missing = append(missing, fmt.Sprintf("%s:%d %s", name, set.Position(n.Pos()).Line, n.Name))
		}
	}
	for folder, has := range documented {
		if !has {
			missing = append(missing, "package in "+folder)
		}
	}
	require.Empty(t, missing, "without a doc comment, which says what a caller must know")
}

// undocumented lists the exported names of a file that have no doc comment. A
// comment on a group of constants or variables counts for all of them, and that
// of an interface tells the contract of its methods.
func undocumented(f *ast.File) (names []*ast.Ident) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && receiverIsExported(d) {
				names = append(names, d.Name)
			}
		case *ast.GenDecl:
			names = append(names, undocumentedSpecs(d)...)
		}
	}
	return names
}

func receiverIsExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

func undocumentedSpecs(d *ast.GenDecl) (names []*ast.Ident) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					names = append(names, n)
				}
			}
		}
	}
	return names
}
