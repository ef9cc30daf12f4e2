package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Variables of the environment that FromEnv reads.
const (
	urlVariable   = "ROLLCALL_URL"
	tokenVariable = "ROLLCALL_TOKEN"
	caVariable    = "ROLLCALL_CA" // a file
	dataVariable  = "ROLLCALL_DATA"
)

// FromData returns the options to tell the instance that runs on a data
// directory, as who holds the directory: that one may tell everything.
func FromData(dir string) (Options, error) {
	var api struct {
		Port int `json:"port"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "api.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Options{}, fmt.Errorf("no instance with an API has run on %s: start one with rollcall up --data %s", dir, dir)
	}
	if err == nil {
		err = json.Unmarshal(b, &api)
	}
	if err != nil {
		return Options{}, fmt.Errorf("read where the instance is: %w", err)
	}
	o := Options{URL: fmt.Sprintf("https://127.0.0.1:%d", api.Port)}
	if o.CA, err = os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil {
		return Options{}, fmt.Errorf("read the CA of the instance: %w", err)
	}
	if b, err = os.ReadFile(filepath.Join(dir, "token")); err != nil {
		return Options{}, fmt.Errorf("read the token of the instance: %w", err)
	}
	o.Token = strings.TrimSpace(string(b))
	return o, nil
}

// FromEnv returns the options that ROLLCALL_URL, ROLLCALL_TOKEN and ROLLCALL_CA, a
// file, say, or those of the data directory ROLLCALL_DATA.
func FromEnv() (o Options, err error) {
	o.URL = os.Getenv(urlVariable)
	if o.URL == "" {
		if dir := os.Getenv(dataVariable); dir != "" {
			return FromData(dir)
		}
		return o, fmt.Errorf("it is not said where rollcall is: set %s and %s, or %s", urlVariable, tokenVariable, dataVariable)
	}
	o.Token = strings.TrimSpace(os.Getenv(tokenVariable))
	if file := os.Getenv(caVariable); file != "" {
		if o.CA, err = os.ReadFile(file); err != nil {
			return o, fmt.Errorf("read the CA of rollcall: %w", err)
		}
	}
	return o, nil
}
