package pgddl

// A Kind is what a [Token] is.
type Kind int

// The kinds of tokens.
const (
	Word   Kind = iota + 1 // a key word or a name without quotes
	Quoted                 // a name in double quotes
	String                 // '…', E'…', $tag$…$tag$, B'…', X'…', N'…'
	Number                 // 1, 1.5e3, 0x1F
	Param                  // $1
	Op                     // an operator, also of one character such as = or *
	Punct                  // ( ) [ ] , ; . .. : :: :=
)

// A Token is one token of SQL. Comments and white space are none.
type Token struct {
	Kind  Kind
	Value string // a Word folded to lower case, the name or string without quotes and escapes, else the text
	Start int    // byte offsets in the SQL: the text is sql[Start:End]
	End   int
}

// Tokens takes SQL apart. It fails with [ErrShape] for what is not SQL (an
// unfinished string or comment, a stray byte) and for U&'…' and U&"…", which
// no dump holds.
func Tokens(sql string) ([]Token, error) { return nil, ErrShape }
