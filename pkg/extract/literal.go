package extract

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

// check parses and checks the expression. Kubernetes wants all values of a list
// or map literal to be of one type, which no value of an object is known to be:
// {"name": c.name, "main": true} would need dyn() around its literals. So an
// expression that does not pass is tried once more with all of them inside
// dyn().
func check(env *cel.Env, expression string) (*cel.Ast, *cel.Issues) {
	checked, issues := env.Compile(expression)
	if issues.Err() == nil {
		return checked, issues
	}
	parsed, parseIssues := env.Parse(expression)
	if parseIssues.Err() != nil || !mixLiterals(parsed.NativeRep()) {
		return nil, issues
	}
	if mixed, again := env.Check(parsed); again.Err() == nil {
		return mixed, again
	}
	return nil, issues
}

// mixLiterals puts dyn() around the values in list and map literals, and says
// whether there are any.
func mixLiterals(tree *ast.AST) bool {
	factory := ast.NewExprFactory()
	info := tree.SourceInfo()
	last := ast.MaxID(tree)
	renumber := func(id int64) int64 {
		last++
		if at, ok := info.GetOffsetRange(id); ok {
			info.SetOffsetRange(last, at)
		}
		return last
	}
	mixed := false
	mix := func(e ast.Expr) {
		inner := factory.CopyExpr(e)
		inner.RenumberIDs(renumber)
		e.SetKindCase(factory.NewCall(e.ID(), "dyn", inner))
		mixed = true
	}
	// An optional value stays one: that of a field has no known type either.
	// Inner literals come first, so that copies of them are mixed already.
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ListKind:
			list := e.AsList()
			for i, element := range list.Elements() {
				if list.Size() > 1 && !list.IsOptional(int32(i)) {
					mix(element)
				}
			}
		case ast.MapKind:
			for _, entry := range e.AsMap().Entries() {
				mix(entry.AsMapEntry().Key())
				if !entry.AsMapEntry().IsOptional() {
					mix(entry.AsMapEntry().Value())
				}
			}
		}
	}))
	return mixed
}
