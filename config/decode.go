package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]()

// fromText turns text, as the environment, flags and files give it, into the
// type of the key. It is called for every value that is decoded.
func fromText(from, to reflect.Value) (any, error) {
	if from.Kind() != reflect.String {
		return from.Interface(), nil
	}
	s := strings.TrimSpace(from.String())
	switch {
	case to.Type() == durationType:
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no duration, write it like 500ms, 25s, 10m or 2160h", s)
		}
		return d, nil
	case to.Kind() == reflect.Slice:
		return list(s, to.Type())
	case to.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", s)
		}
		return b, nil
	case to.Kind() == reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", s)
		}
		return n, nil
	case to.Kind() == reflect.Float64:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", s)
		}
		return n, nil
	}
	return from.Interface(), nil
}

// fromNumber takes bare numbers as bytes for a Size, and refuses them for a
// duration, where 25 would silently be 25 ns.
func fromNumber(from, to reflect.Value) (any, error) {
	if from.Kind() != reflect.Int {
		return from.Interface(), nil
	}
	switch n := from.Int(); {
	case to.Type() == durationType && from.Type() != durationType && n != 0:
		return nil, fmt.Errorf("%d has no unit, write it like %ds", n, n)
	case to.Type() == reflect.TypeFor[Size]() && n < 0:
		return nil, fmt.Errorf("%d is no size, write it like 64MiB", n)
	}
	return from.Interface(), nil
}

// list reads words between commas, or JSON.
func list(s string, t reflect.Type) (any, error) {
	if s == "" {
		return reflect.MakeSlice(t, 0, 0).Interface(), nil
	}
	if strings.HasPrefix(s, "[") {
		var items []any
		if err := json.Unmarshal([]byte(s), &items); err != nil {
			return nil, fmt.Errorf("is no JSON list: %w", err)
		}
		return items, nil
	}
	if t.Elem().Kind() != reflect.String {
		return nil, fmt.Errorf("must be a JSON list of objects, for example '[{…}]'")
	}
	words := strings.Split(s, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words, nil
}
