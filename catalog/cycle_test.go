package catalog

import (
	"slices"
	"strings"
	"testing"
)

// graph is a loader with objects and no server behind it.
func graph() *loader {
	l := &loader{db: &Database{}, byID: map[ID]Object{}, types: map[uint32]*Type{}, rels: map[uint32]*Relation{}}
	return l
}

func put[T Object](l *loader, o T, kind, name string, section Section, rk rank) T {
	m := o.Info()
	m.Kind, m.Name, m.Section, m.want = kind, name, section, partAll
	l.add(o, ID{}, rk)
	return o
}

// chain makes each object depend on the next, and the last on the first.
func chain(objs ...Object) {
	for i, o := range objs {
		o.Info().dependOn(objs[(i+1)%len(objs)].Info().DumpID)
	}
}

// names sorts the graph and returns the order.
func names(t *testing.T, l *loader) []string {
	t.Helper()
	sorted, err := l.sort()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	place := map[int]int{}
	for i, o := range sorted {
		place[o.Info().DumpID] = i
		if !IsBoundary(o) {
			out = append(out, o.Info().Kind+" "+o.Info().Name)
		}
	}
	if len(sorted) != len(l.objs) {
		t.Errorf("%d objects became %d", len(l.objs), len(sorted))
	}
	for i, o := range sorted {
		for _, d := range o.Info().Deps {
			if place[d] >= i {
				t.Errorf("%s %s comes before what it depends on", o.Info().Kind, o.Info().Name)
			}
		}
	}
	return out
}

func TestRings(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build func(l *loader)
		want  []string
		check func(t *testing.T, l *loader)
	}{
		{
			name: "a base type and its input function",
			build: func(l *loader) {
				typ := put(l, &Type{typtype: 'b', defined: true}, "TYPE", "b", PreData, rankType)
				in := put(l, &Function{kind: 'f'}, "FUNCTION", "b_in", PreData, rankFunction)
				typ.shell = put(l, &shellType{}, "SHELL TYPE", "b", PreData, rankType)
				typ.shell.want = 0
				chain(typ, in)
			},
			want: []string{"SHELL TYPE b", "FUNCTION b_in", "TYPE b"},
			check: func(t *testing.T, l *loader) {
				if !l.objs[2].Info().Wanted() {
					t.Error("the shell type is not dumped")
				}
			},
		},
		{
			name: "a table and its check",
			build: func(l *loader) {
				r := put(l, &Relation{Meta: Meta{Relkind: 'r'}}, "TABLE", "t", PreData, rankTable)
				k := put(l, &Constraint{contype: 'c', table: r, local: true}, "CHECK CONSTRAINT", "k", PostData, rankConstraint)
				chain(r, k)
			},
			want: []string{"CHECK CONSTRAINT k", "TABLE t"},
			check: func(t *testing.T, l *loader) {
				if l.objs[1].(*Constraint).separate {
					t.Error("the check is not written with its table")
				}
			},
		},
		{
			name: "a table, its check and a function of its row type",
			build: func(l *loader) {
				r := put(l, &Relation{Meta: Meta{Relkind: 'r'}}, "TABLE", "t", PreData, rankTable)
				k := put(l, &Constraint{contype: 'c', table: r, local: true}, "CHECK CONSTRAINT", "k", PostData, rankConstraint)
				f := put(l, &Function{kind: 'f'}, "FUNCTION", "f", PreData, rankFunction)
				chain(r, k, f)
			},
			want: []string{"TABLE t", "FUNCTION f", "CHECK CONSTRAINT k"},
			check: func(t *testing.T, l *loader) {
				if !l.objs[1].(*Constraint).separate {
					t.Error("the check is not an entry of its own")
				}
			},
		},
		{
			name: "a table, its default and the sequence it owns",
			build: func(l *loader) {
				r := put(l, &Relation{Meta: Meta{Relkind: 'r'}}, "TABLE", "t", PreData, rankTable)
				d := put(l, &Default{table: r, num: 1}, "DEFAULT", "t", PreData, rankDefault)
				s := put(l, &Relation{Meta: Meta{Relkind: 'S'}}, "SEQUENCE", "s", PreData, rankTable)
				chain(r, d, s)
			},
			want: []string{"TABLE t", "SEQUENCE s", "DEFAULT t"},
			check: func(t *testing.T, l *loader) {
				if !l.objs[1].(*Default).separate {
					t.Error("the default is not an entry of its own")
				}
			},
		},
		{
			name: "a view and its rule",
			build: func(l *loader) {
				v := put(l, &Relation{Meta: Meta{Relkind: 'v'}}, "VIEW", "v", PreData, rankTable)
				chain(v, put(l, &Rule{table: v, event: '1'}, "RULE", "v", PostData, rankRule))
			},
			want: []string{"RULE v", "VIEW v"},
			check: func(t *testing.T, l *loader) {
				if l.objs[0].(*Relation).dummy || l.objs[1].(*Rule).separate {
					t.Error("a plain view is split")
				}
			},
		},
		{
			name: "a view, its rule and a function of its row type",
			build: func(l *loader) {
				v := put(l, &Relation{Meta: Meta{Relkind: 'v'}}, "VIEW", "v", PreData, rankTable)
				u := put(l, &Rule{table: v, event: '1'}, "RULE", "v", PostData, rankRule)
				chain(v, u, put(l, &Function{kind: 'f'}, "FUNCTION", "f", PreData, rankFunction))
			},
			want: []string{"VIEW v", "FUNCTION f", "RULE v"},
			check: func(t *testing.T, l *loader) {
				if !l.objs[0].(*Relation).dummy || !l.objs[1].(*Rule).separate {
					t.Error("the view is not made in two steps")
				}
			},
		},
		{
			name: "a materialized view that needs a primary key",
			build: func(l *loader) {
				m := put(l, &Relation{Meta: Meta{Relkind: 'm'}}, "MATERIALIZED VIEW", "m", PreData, rankTable)
				x := put(l, &Index{}, "INDEX", "x", PostData, rankIndex)
				m.dependOn(x.DumpID)
			},
			want: []string{"INDEX x", "MATERIALIZED VIEW m"},
			check: func(t *testing.T, l *loader) {
				if l.objs[0].Info().Section != PostData {
					t.Error("the materialized view is not postponed")
				}
			},
		},
		{
			name: "a partition's index and its parent",
			build: func(l *loader) {
				p := put(l, &Index{}, "INDEX", "p", PostData, rankIndex)
				p.ID.OID = 7
				chain(p, put(l, &Index{parent: 7}, "INDEX", "c", PostData, rankIndex))
			},
			want: []string{"INDEX p", "INDEX c"},
		},
		{
			name: "an object that needs itself",
			build: func(l *loader) {
				chain(put(l, &Relation{Meta: Meta{Relkind: 'r'}}, "TABLE", "t", PreData, rankTable))
			},
			want: []string{"TABLE t"},
			check: func(t *testing.T, l *loader) {
				if len(l.db.Warnings) > 0 {
					t.Errorf("warnings %q", l.db.Warnings)
				}
			},
		},
		{
			name: "a ring nobody knows",
			build: func(l *loader) {
				chain(put(l, &Schema{}, "SCHEMA", "a", PreData, rankSchema), put(l, &Schema{}, "SCHEMA", "b", PreData, rankSchema), put(l, &Schema{}, "SCHEMA", "c", PreData, rankSchema))
			},
			want: []string{"SCHEMA a", "SCHEMA c", "SCHEMA b"},
			check: func(t *testing.T, l *loader) {
				if len(l.db.Warnings) != 1 || !strings.Contains(l.db.Warnings[0], "SCHEMA a, SCHEMA b, SCHEMA c") {
					t.Errorf("warnings %q, want one that names the ring", l.db.Warnings)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := graph()
			tt.build(l)
			l.boundaries()
			if got := names(t, l); !slices.Equal(got, tt.want) {
				t.Errorf("order %q, want %q", got, tt.want)
			}
			if tt.check != nil {
				tt.check(t, l)
			}
		})
	}
}
