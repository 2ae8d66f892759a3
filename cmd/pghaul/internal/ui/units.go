// Package ui turns progress and reports into text for people and lines for
// programs. Everything that goes to one stream goes through one Screen.
package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bytes writes a size as people read it, in powers of 1000: "1.2 MB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	return scaled(float64(n), " kB", " MB", " GB", " TB", " PB", " EB")
}

// Short writes a count in at most five characters: "999", "12.3k", "4.5M".
func Short(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return scaled(float64(n), "k", "M", "G", "T", "P", "E")
}

// scaled divides by 1000 until at most three digits stand before the point. It
// keeps one digit after it below 100.
func scaled(f float64, units ...string) string {
	i := -1
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i < 0 {
		i, f = 0, f/1000
	}
	if f < 99.95 {
		return fmt.Sprintf("%.1f%s", f, units[i])
	}
	return fmt.Sprintf("%.0f%s", f, units[i])
}

// Count writes a whole number with its thousands apart: "21,144".
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, digit := range []byte(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(digit)
	}
	return sign + b.String()
}

// Plural writes a count with its noun: "1 table", "21,144 rows".
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Duration writes how long something took: "0.4 s", "1m 5s", "2h 3m".
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d < time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 59*time.Second+950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
}

// Clock writes a remaining time: "0:07", "12:34", "1:02:03".
func Clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// plain replaces what would move the cursor or hide text. Names of objects may
// hold any character, newlines and terminal escapes among them.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}

// Printable is text of others on one line that cannot give the terminal orders; tabs
// become spaces.
func Printable(s string) string { return plain(strings.ReplaceAll(s, "\t", "    ")) }

// columns is how many columns of a terminal s takes at most. Every character
// from the first East Asian script on counts as two: too wide a guess leaves a
// gap, too narrow a one wraps the line.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// fit cuts s to at most n columns, ending in "..." where it had to be cut.
func fit(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	const dots = "..."
	if n <= len(dots) {
		return dots[:max(n, 0)]
	}
	room := n - len(dots)
	for i, r := range s {
		if room -= runeColumns(r); room < 0 {
			return s[:i] + dots
		}
	}
	return s
}
