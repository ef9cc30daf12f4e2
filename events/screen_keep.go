package events

import (
	"cmp"
	"maps"
	"slices"
)

// KeptScreen is what a Screen remembers, as a keyframe holds it: in an order of
// its own, so that equal screens are equal bytes.
type KeptScreen struct {
	Under []Cause    `json:"under,omitempty"`
	Plans []KeptPlan `json:"plans,omitempty"`
	Young []byte     `json:"young,omitempty"` // an id's tail and a position, each of eight bytes, by position
	Old   []byte     `json:"old,omitempty"`
	Told  []byte     `json:"told,omitempty"` // an id and a position, of sixteen bytes and eight, by position
	// Times and TimesOld are what sources told of and when: twenty-eight bytes each.
	Times    []byte   `json:"times,omitempty"`
	TimesOld []byte   `json:"timesOld,omitempty"`
	Charter  *Charter `json:"charter,omitempty"`
}

// KeptPlan is where the last plan of an owner stands.
type KeptPlan struct {
	Key `json:",inline"`
	Seq Seq `json:"seq"`
}

// Keep returns what the screen remembers.
func (s *Screen) Keep() KeptScreen {
	return KeptScreen{Under: slices.SortedFunc(maps.Keys(s.under), Cause.Compare), Plans: KeepPlans(s.plans), Young: s.young.keep(), Old: s.old.keep(),
		Told: s.told.keep(), Times: keepTimes(s.times.young), TimesOld: keepTimes(s.times.old), Charter: s.charter}
}

// Screen returns the screen that k was kept of.
func (k *KeptScreen) Screen() (*Screen, error) {
	s := &Screen{under: make(map[Cause]struct{}, len(k.Under)), plans: PlansOf(k.Plans), charter: k.Charter}
	for _, c := range k.Under {
		s.under[c] = struct{}{}
	}
	var err error
	if s.young, err = tailsOf(k.Young); err == nil {
		s.old, err = tailsOf(k.Old)
	}
	if err == nil {
		s.told, err = toldOf(k.Told)
	}
	if err == nil {
		s.times.young, err = timesOf(k.Times)
	}
	if err == nil {
		s.times.old, err = timesOf(k.TimesOld)
	}
	return s, err
}

// Compare orders causes by plan and index.
func (c Cause) Compare(o Cause) int {
	return cmp.Or(cmp.Compare(c.Seq, o.Seq), cmp.Compare(c.Index, o.Index))
}

// KeepPlans lists positions by key, and PlansOf is its opposite.
func KeepPlans(m map[Key]Seq) []KeptPlan {
	var ps []KeptPlan
	for _, k := range slices.SortedFunc(maps.Keys(m), Key.Compare) {
		ps = append(ps, KeptPlan{k, m[k]})
	}
	return ps
}

// PlansOf returns the positions that were listed.
func PlansOf(ps []KeptPlan) map[Key]Seq {
	m := make(map[Key]Seq, len(ps))
	for _, p := range ps {
		m[p.Key] = p.Seq
	}
	return m
}
