package catalog

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// ReadFilter adds the rules of a filter file as pg_dump has it (reference
// §5.1): a line holds "include" or "exclude", what it is about and a pattern;
// "#" begins a comment. name is for error messages.
func (s *Selection) ReadFilter(r io.Reader, name string) error {
	return ReadRules(r, name, s.AddRule)
}

// ReadRules calls rule for each rule of a filter file. An error of rule is
// returned with the place in the file.
func ReadRules(r io.Reader, name string, rule func(command, what, pattern string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var text string
	number := 0
	for lines.Scan() {
		number++
		line := lines.Text()
		if text != "" { // inside a quoted name that goes on over lines
			text += "\n" + line
		} else {
			text = line
		}
		if openQuote(text) {
			continue
		}
		if err := readRule(text, rule); err != nil {
			return fmt.Errorf("filter file %s, line %d: %w", name, number, err)
		}
		text = ""
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read filter file %s: %w", name, err)
	}
	if text != "" {
		return fmt.Errorf("filter file %s: a double quote is not closed at the end", name)
	}
	return nil
}

// openQuote reports whether a rule ends inside double quotes; a comment ends it.
func openQuote(text string) bool {
	quoted := false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted:
			return false
		}
	}
	return quoted
}

// readRule takes a line apart.
func readRule(text string, rule func(command, what, pattern string) error) error {
	command, rest := word(text)
	if command == "" {
		return nil
	}
	if command != "include" && command != "exclude" {
		return fmt.Errorf("%q is neither include nor exclude", command)
	}
	what, rest := word(rest)
	if what == "" {
		return fmt.Errorf("what to %s is missing", command)
	}
	pattern, err := patternOf(rest)
	if err != nil {
		return err
	}
	return rule(command, what, pattern)
}

// AddRule adds one rule of a filter file.
func (s *Selection) AddRule(command, what, pattern string) error {
	into := map[string]*[]string{
		"include schema": &s.Schemas, "exclude schema": &s.ExcludeSchemas,
		"include table": &s.Tables, "exclude table": &s.ExcludeTables,
		"include table_and_children": &s.TablesAndChildren, "exclude table_and_children": &s.ExcludeTablesAndChildren,
		"exclude table_data": &s.ExcludeTableData, "exclude table_data_and_children": &s.ExcludeTableDataAndChildren,
		"include extension": &s.Extensions, "exclude extension": &s.ExcludeExtensions,
		"include foreign_data": &s.ForeignData,
	}[command+" "+what]
	if into == nil {
		return fmt.Errorf("%q cannot be used with %s", what, command)
	}
	*into = append(*into, pattern)
	return nil
}

// word takes the first word of a rule.
func word(text string) (first, rest string) {
	text = strings.TrimLeft(text, " \t\r\n")
	if strings.HasPrefix(text, "#") {
		return "", ""
	}
	i := strings.IndexAny(text, " \t\r\n#")
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i:]
}

// patternOf takes the pattern, up to a comment outside quotes. Blanks around
// dots go, as other blanks inside it are kept.
func patternOf(text string) (string, error) {
	quoted := false
	end := len(text)
	for i, c := range text {
		if c == '"' {
			quoted = !quoted
		}
		if c == '#' && !quoted {
			end = i
			break
		}
	}
	pattern := strings.TrimSpace(text[:end])
	if pattern == "" {
		return "", fmt.Errorf("the pattern is missing")
	}
	return pattern, nil
}
