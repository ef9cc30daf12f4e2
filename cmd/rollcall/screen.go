package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// screen is a picture on a terminal that is kept up to date.
type screen struct {
	out   *output
	badge bool     // the first line stands out, if colours are wanted
	drawn []string // the last picture
	width int      // that it was drawn at
}

// draw writes a picture over the one before in a single write, each line over the
// old one, so that nothing flickers. It is asked for with the size that it may
// have. A terminal in raw mode does not begin a line by itself.
func (s *screen) draw(picture func(width, height int) []string) {
	width, height, ok := terminal(s.out)
	if !ok {
		return
	}
	lines := picture(width, height-1)
	for i, line := range lines {
		lines[i] = fit(line, width-1)
	}
	if s.width == width && slices.Equal(lines, s.drawn) {
		return
	}
	var b strings.Builder
	if rows := min(rowsOf(s.drawn, width), height-1); rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", rows)
	}
	s.drawn, s.width = append(s.drawn[:0], lines...), width
	for i, line := range lines {
		if i == 0 && s.badge && colours() {
			line = "\x1b[7m" + line + "\x1b[0m"
		}
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	s.out.printf("%s", b.String())
}

// rowsOf returns how many rows lines take on a terminal of a width: one that was
// made narrower since they were written has wrapped them.
func rowsOf(lines []string, width int) int {
	rows := 0
	for _, line := range lines {
		rows += max(1, (columns(line)+width-1)/width)
	}
	return rows
}

// coloured is what a line has besides its text.
var coloured = regexp.MustCompile("\x1b\\[[0-9;]*m")

// columns returns how wide a line is.
func columns(line string) int {
	return utf8.RuneCountInString(coloured.ReplaceAllString(line, ""))
}

// fit cuts a line to a width; one that is too long loses its colours.
func fit(line string, width int) string {
	switch {
	case columns(line) <= width:
		return line
	case width <= 0:
		return ""
	}
	return string([]rune(coloured.ReplaceAllString(line, ""))[:width-1]) + "…"
}
