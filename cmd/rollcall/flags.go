package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"rollcall/events"
)

// flagError turns an error of the flag parser into a refusal.
func flagError(c *cobra.Command, err error) error {
	var own *events.Error
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	help := "see " + c.CommandPath() + " --help"
	if args := c.Flags().Args(); len(args) > 0 && c.HasSubCommands() {
		return unknownCommand(c, args[0]) // the flag is of the command that is meant
	}
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &unknown):
		return unknownFlag(c, unknown, help)
	case errors.As(err, &missing):
		return usageError("E-CLI-FLAG", "flag --"+missing.GetFlag().Name+" needs a value", help)
	case errors.As(err, &invalid):
		return invalidValue(invalid)
	}
	return usageError("E-CLI-FLAG", err.Error(), help)
}

func unknownFlag(c *cobra.Command, err *pflag.NotExistError, help string) error {
	name := err.GetSpecifiedName()
	if err.GetSpecifiedShortnames() != "" {
		return usageError("E-CLI-FLAG", fmt.Sprintf("%s has no flag -%s", c.CommandPath(), name), help)
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return usageError("E-CLI-FLAG", fmt.Sprintf("%s has no flag --%s", c.CommandPath(), name), events.Suggest("--"+name, names, help))
}

// invalidValue names what a flag wants instead of what the parser says of it.
func invalidValue(err *pflag.InvalidValueError) error {
	f := err.GetFlag()
	e := &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("invalid value %q", err.GetValue()), Where: "--" + f.Name,
		Do: "give another value", Exit: events.ExitInput}
	var own *events.Error
	switch kind := f.Value.Type(); {
	case errors.As(err.Unwrap(), &own):
		return own
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		e.Code, e.Do = "E-CLI-NUMBER", "give a whole number"
	case kind == "duration":
		e.Code, e.Do = "E-CLI-DURATION", "give a number with its unit, such as 30s or 10m"
	case kind == "bool":
		e.Do = "give true or false"
	}
	return e
}

// onceValue is the value of a flag that refuses to be set twice to different
// values: which of them was meant cannot be known.
type onceValue struct {
	pflag.Value
	name string
	set  bool
}

func (v *onceValue) Set(s string) error {
	was := v.String()
	if err := v.Value.Set(s); err != nil {
		return err
	}
	if v.set && v.String() != was {
		return &events.Error{Code: "E-CLI-FLAG", What: "the flag is given twice with different values", Where: "--" + v.name,
			Why: was + " and " + v.String(), Do: "give it once", Exit: events.ExitInput}
	}
	v.set = true
	return nil
}

// forbidRepeats guards every flag under c that is not a list.
func forbidRepeats(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if _, list := f.Value.(pflag.SliceValue); !list {
			f.Value = &onceValue{Value: f.Value, name: f.Name}
		}
	})
	for _, sub := range c.Commands() {
		forbidRepeats(sub)
	}
}

// mayBeNone reports whether an empty list is a choice: it is another than the list that a
// flag has when it is left out.
func mayBeNone(f *pflag.Flag) bool {
	_, list := f.Value.(pflag.SliceValue)
	return list && f.DefValue != "[]"
}

// refuseEmpty refuses a flag or an argument that is given without a value, as by a
// script whose variable is not set: what it is then taken for is not what was meant.
func refuseEmpty(c *cobra.Command, args []string) (err error) {
	if c.DisableFlagParsing {
		return nil // the arguments are kubectl's, or what a shell completes
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		blank := func(value string) bool { return strings.TrimSpace(value) == "" }
		if err == nil && (len(values) == 0 && !mayBeNone(f) || slices.ContainsFunc(values, blank)) {
			err = usageError("E-CLI-FLAG", "--"+f.Name+" has no value", "give one, or leave it out")
		}
	})
	if err == nil && slices.Contains(args, "") {
		err = usageError("E-CLI-ARGS", c.CommandPath()+" has an argument that is empty", "write "+c.UseLine())
	}
	return err
}

// checkNamespace refuses what is the name of no namespace.
func checkNamespace(name string) error {
	if why := validation.IsDNS1123Label(name); why != nil {
		return usageError("E-CLI-NAME", fmt.Sprintf("namespace %q: %s", name, why[0]), "name a namespace")
	}
	return nil
}

// within refuses a number outside a range.
func within(flag string, n, least, most int64) error {
	if n >= least && n <= most {
		return nil
	}
	return &events.Error{Code: "E-CLI-NUMBER", What: fmt.Sprintf("%d is out of range", n), Where: "--" + flag,
		Do: fmt.Sprintf("give %d to %d", least, most), Exit: events.ExitInput}
}
