package seal

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// File is what a key file says: keys, one a line in base64, of which the first seals
// and all open, and the names of keys that are lost, each in a line "lost NAME".
// What follows a # is for people.
type File struct {
	Keys [][]byte
	Lost []string
}

// fileHead explains a key file to who finds one.
const fileHead = "# rollcall: the keys of this cluster's Secrets. The first seals, all open.\n" +
	"# Without them the values cannot be read by anybody, for good: keep a copy.\n"

// ParseFile reads a key file. No error repeats what may be a key.
func ParseFile(text string) (f File, err error) {
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		switch line = strings.TrimSpace(line); {
		case line == "":
		case strings.HasPrefix(line, "lost "):
			id := strings.TrimSpace(strings.TrimPrefix(line, "lost "))
			if len(id) != keyDigits || !digits([]byte(id)) {
				return File{}, fmt.Errorf("line %d: the name of a lost key has %d of the digits 0-9 and a-f", n+1, keyDigits)
			}
			f.Lost = append(f.Lost, id)
		default:
			secret, err := base64.StdEncoding.DecodeString(line)
			if err != nil {
				return File{}, fmt.Errorf("line %d is no base64", n+1)
			}
			if _, err := NewKey(secret); err != nil {
				return File{}, fmt.Errorf("line %d is no key: %w", n+1, err)
			}
			f.Keys = append(f.Keys, secret)
		}
	}
	if len(f.Keys) == 0 {
		return File{}, fmt.Errorf("it has no key")
	}
	return f, nil
}

// Text is what the file has.
func (f File) Text() string {
	var b strings.Builder
	b.WriteString(fileHead)
	for _, k := range f.Keys {
		b.WriteString(base64.StdEncoding.EncodeToString(k) + "\n")
	}
	for _, id := range f.Lost {
		b.WriteString("lost " + id + "\n")
	}
	return b.String()
}

// Ring returns the keys of the file.
func (f File) Ring() (*Ring, error) {
	r := &Ring{}
	for _, secret := range f.Keys {
		k, err := NewKey(secret)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// Unknown returns the names of keys that are neither in the file nor lost.
func (f File) Unknown(ids []string) (unknown []string, err error) {
	r, err := f.Ring()
	for _, id := range ids {
		if !r.Has(id) && !slices.Contains(f.Lost, id) {
			unknown = append(unknown, id)
		}
	}
	return unknown, err
}
